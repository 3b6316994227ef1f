"""The model: choose a sample or upload a file, and what the current one is."""

from __future__ import annotations

import streamlit as st

from app import state
from app.components.terms import HELPS
from app.components.text import facts, plain
from app.services.describe import model_rows
from sample_models import SAMPLES, parse

SAMPLE, UPLOAD = "Sample", "Your own"


def sidebar() -> None:
    own = state.session()
    with st.sidebar:
        source = st.segmented_control(
            "Model", (SAMPLE, UPLOAD), default=SAMPLE, required=True, key="source", width="stretch"
        )
        if source == UPLOAD:
            _upload()
        else:
            _sample()
        if own.error:
            st.error(plain(own.error), icon=":material/error:")
        if own.loaded:
            _current()


def _current() -> None:
    own = state.session()
    st.html('<div style="height:.25rem"></div>')
    with st.container(gap="xsmall"):
        st.markdown(f"**{plain(own.loaded.choice.name)}**")
        rows = model_rows(own.loaded.graph)
        facts([*rows, *((f"Size of {name}", str(size)) for name, size in own.loaded.choice.dims)], HELPS)


def _sample() -> None:
    name, size = _shown_sample()
    if "sample" not in st.session_state:
        st.session_state.sample = name
    chosen = st.selectbox(
        "Sample model",
        list(SAMPLES),
        format_func=lambda key: SAMPLES[key].title,
        key="sample",
        on_change=_request_default,
        help="The networks of the AGO paper with random weights: latencies and partitions mean something, predictions do not.",
    )
    sample = SAMPLES[chosen]
    key = f"size-{chosen}"
    if key not in st.session_state:
        st.session_state[key] = size if chosen == name else sample.default_size
    st.segmented_control(
        sample.size_unit.capitalize(),
        sample.sizes,
        required=True,
        key=key,
        on_change=lambda: state.request_sample(f"{chosen}@{st.session_state[key]}"),
        width="stretch",
    )


def _shown_sample() -> tuple[str, int]:
    """The sample on its way or on the page, else the default."""
    own = state.session()
    choices = [own.loading[0]] if own.loading else []
    choices += [own.loaded.choice] if own.loaded else []
    spec = next((choice.name for choice in choices if choice.path is None), state.DEFAULT_SAMPLE)
    sample, size = parse(spec)
    return sample.name, size


def _request_default() -> None:
    sample = SAMPLES[st.session_state.sample]
    size = st.session_state.get(f"size-{sample.name}") or sample.default_size
    state.request_sample(f"{sample.name}@{size}")


def _upload() -> None:
    st.file_uploader("ONNX file", type="onnx", key="file", on_change=_received, label_visibility="collapsed")
    symbols = state.missing_sizes()
    if symbols:
        _sizes(symbols)


def _received() -> None:
    file = st.session_state.file
    if file is None:
        state.drop_upload()
    else:
        state.receive_upload(file.name, file.getbuffer())


def _sizes(symbols: dict[str, list[str]]) -> None:
    """Asks for the sizes of symbolic dimensions."""
    with st.form("sizes", border=False):
        st.caption("This model leaves sizes open. Choose them:")
        values = {
            symbol: st.number_input(
                plain(symbol), min_value=1, value=1, step=1, key=f"size-of-{symbol}", help=plain("; ".join(places))
            )
            for symbol, places in symbols.items()
        }
        if st.form_submit_button("Load", type="primary", width="stretch"):
            state.request_upload(values)
            st.rerun()
