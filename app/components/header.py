"""The line above every page: what is worked on, what comes next, and the keys."""

from __future__ import annotations

import html

import streamlit as st

from app import state
from app.components import tuning_view
from app.components.keys import keys_button
from app.services import describe
from app.services.loaded import METHOD_NAMES

NEXT = {
    "": ("screens/compare.py", "Next: compare the partitions", "What each partition gives, in figures and charts."),
    "compare": ("screens/tune.py", "Next: tune", "Search for faster schedules, on this machine or on a device."),
    "tune": ("screens/run.py", "Next: run and verify", "Compile, compare with ONNX Runtime, and measure."),
    "run": ("screens/export.py", "Next: export", "An artifact that runs without this project, and a report."),
    "export": ("screens/lessons.py", "Lessons: why it is so", "Short lessons on what was seen here, with exercises."),
    "lessons": ("screens/explore.py", "Back to the model", "The model with its partitions."),
}
"""By the path of a page: the page after it, what to do there, and what that is."""


def header() -> None:
    with st.container(horizontal=True, wrap=False, vertical_alignment="center", gap="small", key="header"):
        with st.container(width="stretch"):
            _status()
        if after := NEXT.get(state.session().page):
            page, label, about = after
            st.page_link(page, label=label, icon=":material/arrow_forward:", icon_position="right", help=about)
        keys_button()


def _status() -> None:
    """One line; what does not fit is cut off and shown on hover."""
    parts = _parts()
    text = " &nbsp;·&nbsp; ".join([f"<b>{html.escape(parts[0])}</b>", *map(html.escape, parts[1:])])
    st.html(
        f'<div title="{html.escape(" · ".join(parts))}" role="status" aria-label="What is worked on" '
        f'style="font-size:.875rem;white-space:nowrap;overflow:hidden;text-overflow:ellipsis">{text}</div>'
    )


def _parts() -> list[str]:
    own = state.session()
    if own.choice is None:
        return ["No model yet"]
    study = state.study()
    sizes = "".join(f", {name} = {size}" for name, size in own.choice.dims)
    shown = " | ".join(METHOD_NAMES[state.method(side)] for side in state.SIDES)
    parts = [f"{own.choice.name}{sizes}", shown]
    if line := describe.settings_line(study.settings):
        parts.append(f"AGO with {line}")
    if study.history:
        edits = len(study.history.past)
        parts.append(f"{edits} edit{'' if edits == 1 else 's'}")
    if selected := _selected(own):
        parts.append(selected)
    if sessions := tuning_view.watched() or tuple(filter(None, [own.tuned])):
        parts.append(f"session {sessions[0]}" + (f" and {len(sessions) - 1} more" if len(sessions) > 1 else ""))
    return parts


def _selected(own: state.Session) -> str:
    selected = own.selected
    if selected.subgraph is not None:
        return f"S{selected.subgraph} of {METHOD_NAMES[selected.method]} selected"
    if len(selected.operators) == 1:
        return f"{own.loaded.graph.operators[selected.operators[0]].name} selected"
    return f"{len(selected.operators)} operators selected" if selected.operators else ""
