"""An artifact that was exported before, here or elsewhere, opened again. Nothing of it is run."""

from __future__ import annotations

import json
from collections.abc import Callable

import streamlit as st

from ago_core.artifacts.inspect import Opened, Record
from ago_core.errors import UserError
from app import state
from app.components.export_figures import about, figures, how_to_run, parts_of, runs
from app.components.text import plain, table
from app.services.exports import shelf
from app.services.report import plan_of, report
from app.services.study import EDITED, Study
from visualizers.partition_svg import partition_text

FILE_KEY, ERROR_KEY, TRACE_KEY = "export-file", "export-error", "export-trace"
PICTURE_HEIGHT = 520
NAMED = 4


def opened(study: Study, key: str, show: Callable[[str], None]) -> None:
    """`show` turns the page to the artifact of a key; `key` is the one that is open, or ""."""
    found = shelf().find(key) if key else None
    with st.expander("Open another one", expanded=found is None) if found else st.container():
        st.file_uploader(
            "An artifact that was exported as a zip file", type="zip", key=FILE_KEY, on_change=_received, args=(show,)
        )
        st.caption("It is read, checked and shown. Nothing of it is run: it may come from anyone.")
    if error := st.session_state.get(ERROR_KEY):
        st.error(plain(error), icon=":material/error:")
    elif key and found is None:
        st.info("The artifact that the address names is not kept here any more: open its file.", icon=":material/info:")
    if found is not None:
        _show(study, found, key)


def _received(show: Callable[[str], None]) -> None:
    file = st.session_state[FILE_KEY]
    st.session_state[ERROR_KEY] = ""
    if file is None:
        return
    try:
        show(shelf().take(file.name, file.getbuffer()))
    except UserError as error:
        st.session_state[ERROR_KEY] = str(error)


def _show(study: Study, found: Opened, key: str) -> None:
    manifest = found.manifest
    with st.container(horizontal=True, vertical_alignment="center"):
        with st.container(width="stretch"):
            subgraphs = f"{len(found.graph)} operators in {len(found.partition)} subgraphs"
            st.markdown(f"**{plain(found.name)}**: {plain(str(manifest['model']))}, {subgraphs}")
        _on_the_model(study, found)
        st.download_button(
            "Report",
            data=lambda: report(found.graph, [plan_of(found)], {}),
            file_name=f"{found.graph.name}-report.html",
            mime="text/html",
            icon=":material/description:",
            on_click="ignore",
            help="All of this as one HTML file that needs no network.",
        )
    if manifest["latency_ms"] is None:
        st.info("It was not run when it was exported: there was no device at hand.", icon=":material/info:")
    else:
        st.caption(f"Measured when it was exported, on {plain(str(manifest['machine']))}, not now.")
        figures(manifest)
    names = ["Partition", "Runs", "About", "Parts", "Made again", *(["Tuned records"] if found.session else [])]
    tabs = dict(zip(names, st.tabs(names)))
    with tabs["Partition"]:
        _picture(found, key)
    with tabs["Runs"]:
        runs(manifest, f"opened-{key}")
    with tabs["About"]:
        about(manifest)
    with tabs["Parts"]:
        parts_of(manifest)
        how_to_run()
    with tabs["Made again"]:
        st.caption("In the folder that it unpacks to:")
        st.code("\n".join(found.commands), "bash", wrap_lines=True)
    if found.session:
        with tabs["Tuned records"]:
            _records(found)


def _on_the_model(study: Study, found: Opened) -> None:
    """Takes the partition over as the edited one, where the model is at hand."""
    same = study.graph.model_hash == found.graph.model_hash
    why = "Takes this partition over as the edited one: it can be looked into, changed, compared, run and tuned."
    other = f"Load {found.manifest['model']} first: the partition is of that model, with the same dimensions."
    if st.button("Show on the model", icon=":material/account_tree:", disabled=not same, help=why if same else other):
        study.read(json.dumps(found.partition.to_json()).encode())
        state.session().methods["left"] = EDITED
        st.switch_page("screens/explore.py")


def _picture(found: Opened, key: str) -> None:
    with st.spinner("Drawing"):
        picture = shelf().picture(key)
    with st.container(height=PICTURE_HEIGHT, border=True):
        st.image(picture, width="content", alt=partition_text(found.graph, found.partition))


def _records(found: Opened) -> None:
    """The schedules that the session found, as long as a table can hold them, and one of them in full."""
    settings = found.session["settings"]
    st.caption(
        f"Session {plain(str(found.session['session']))}: {settings['trials']} trials asked for. Each latency is of "
        "the function by itself, as the session measured it."
    )
    if not found.records:
        st.caption("It kept the default schedules.")
        return
    table([_row(found, record) for record in found.records], wide="Operators")
    chosen = st.selectbox(
        "Schedule in full", found.records, format_func=lambda record: f"S{record.subgraph}", key=TRACE_KEY
    )
    st.code(chosen.trace, "json", height=240)


def _row(found: Opened, record: Record) -> dict[str, str]:
    members = found.partition.subgraphs[record.subgraph]
    names = [found.graph.operators[op].name for op in members]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    latency = "" if record.seconds is None else f"{record.seconds * 1e6:.3g} µs"
    row = {"Subgraph": f"S{record.subgraph}", "Trial": str(record.trial), "Latency": latency}
    return row | {"Operators": ", ".join(names[:NAMED]) + more}
