"""The model: choose a sample or upload a file, and what the current one is."""

from __future__ import annotations

import streamlit as st

from app import state
from app.components.loading import loading
from app.components.terms import HELPS
from app.components.text import facts, plain
from app.services.describe import model_rows
from app.services.models import Choice
from sample_models import SAMPLES, parse

SAMPLE, UPLOAD = "Sample", "Your own"
SOURCE_KEY, RECENT_KEY = "source", "recent"
MAX_NAME = 28


def sidebar() -> None:
    own = state.session()
    with st.sidebar:
        st.subheader("AGO Explorer", anchor=False)
        st.session_state[SOURCE_KEY] = UPLOAD if own.own_file else SAMPLE
        source = st.segmented_control(
            "Model",
            (SAMPLE, UPLOAD),
            required=True,
            key=SOURCE_KEY,
            on_change=_source_changed,
            width="stretch",
        )
        if source == UPLOAD:
            _upload()
        else:
            _sample()
        with st.container():  # a place of its own: what comes and goes here must not move what is below
            if own.error:
                st.error(plain(own.error), icon=":material/error:")
            if own.loaded:
                loading()
        if own.loaded:
            _recent()
            _current()


def _source_changed() -> None:
    """The model on the page is the one that the sidebar offers: back at the samples, the one shown there."""
    own = state.session()
    own.error, own.own_file = "", st.session_state[SOURCE_KEY] == UPLOAD
    if not own.own_file and not state.shows_sample():
        name, size = _shown_sample()
        state.request_sample(f"{name}@{size}")


def _recent() -> None:
    """The models before this one, each with what was done with it."""
    own = state.session()
    others = [choice for choice in reversed(own.recent) if choice != own.choice]
    if others:
        st.pills(
            "Go back to",
            others,
            format_func=_short,
            key=RECENT_KEY,
            on_change=_go_back,
            help="With the partition that you edited there, and all settings.",
        )


def _short(choice: Choice) -> str:
    name = choice.name if len(choice.name) <= MAX_NAME else f"{choice.name[: MAX_NAME - 1]}…"
    return plain(name + "".join(f", {symbol}={size}" for symbol, size in choice.dims))


def _go_back() -> None:
    chosen, st.session_state[RECENT_KEY] = st.session_state[RECENT_KEY], None
    if chosen is not None:
        state.reopen(chosen)


def _current() -> None:
    own = state.session()
    with st.container(gap="xsmall"):
        st.markdown(f"**{plain(own.choice.name)}**")
        rows = model_rows(own.loaded.graph)
        facts([*rows, *((f"Size of {name}", str(size)) for name, size in own.choice.dims)], HELPS)


def _sample() -> None:
    name, size = _shown_sample()
    st.session_state.sample = name
    chosen = st.selectbox(
        "Sample model",
        list(SAMPLES),
        format_func=lambda key: SAMPLES[key].title,
        key="sample",
        on_change=_request_default,
        help="The AGO paper's networks with random weights: latencies mean something, predictions do not.",
    )
    sample = SAMPLES[chosen]
    key = f"size-{chosen}"
    st.session_state[key] = size
    st.segmented_control(
        sample.size_unit.capitalize(),
        sample.sizes,
        required=True,
        key=key,
        on_change=lambda: state.request_sample(f"{chosen}@{st.session_state[key]}"),
        width="stretch",
    )


def _shown_sample() -> tuple[str, int]:
    """The last sample that was requested."""
    sample, size = parse(state.session().sample)
    return sample.name, size


def _request_default() -> None:
    sample = SAMPLES[st.session_state.sample]
    size = st.session_state.get(f"size-{sample.name}") or sample.default_size  # as it was chosen before
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
