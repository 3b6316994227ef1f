"""What is selected: operators, the subgraphs that hold them in each partition, and why two are or are not together."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from app import state
from app.components.guard import guarded
from app.components.inspect_code import assembly, code, schedule
from app.components.inspect_memory import memory
from app.components.inspect_reasons import reasons
from app.components.inspect_reuse import loops, reuse
from app.components.inspect_speed import speed
from app.components.terms import HELPS
from app.components.text import fact_line, facts, table
from app.components.why import can_ask, why
from app.services import describe
from app.services.loaded import View
from app.services.study import Study
from visualizers.dot import subgraph_dot, subgraph_text

MAX_DRAWN = 60
MAX_ROWS, ROWS_HEIGHT = 25, 600


def inspector(study: Study) -> None:
    selected = state.session().selected
    if not selected.operators:
        _nothing()
        return
    tabs = {state.OPERATORS_TAB: _title(study, selected.operators)}
    for method, view in study.views.items():
        held = describe.holders(view, selected.operators)
        name = f"S{next(iter(held))}" if len(held) == 1 else f"{len(held)} subgraphs"
        tabs[method] = f"{view.title}: {name}"
    if can_ask(study, selected.operators):
        tabs[state.WHY_TAB] = "Why together, or not?"
    if st.session_state.get(state.INSPECTOR_TAB) not in tabs:
        st.session_state[state.INSPECTOR_TAB] = selected.method or state.OPERATORS_TAB
    tab = st.segmented_control(
        "Show", list(tabs), format_func=tabs.get, required=True, key=state.INSPECTOR_TAB, label_visibility="collapsed"
    )
    if tab == state.OPERATORS_TAB:
        _operators(study, selected.operators)
    elif tab == state.WHY_TAB:
        why(study, selected.operators)
    else:
        _subgraphs(study, study.views[tab], selected)


def _nothing() -> None:
    st.info(
        "Click an operator or the box of a subgraph to see what it computes. Shift and drag selects several, "
        "and the other panel shows the same operators.",
        icon=":material/ads_click:",
    )


def _title(study: Study, operators: tuple[int, ...]) -> str:
    return study.graph.operators[operators[0]].name if len(operators) == 1 else f"{len(operators)} operators"


def _operators(study: Study, operators: tuple[int, ...]) -> None:
    if len(operators) > 1:
        fact_line(describe.selection_rows(study.graph, operators), HELPS)
        _operator_table(study, operators)
        return
    op = study.graph.operators[operators[0]]
    left, right = st.columns(2)
    with left:
        facts(describe.operator_rows(op), HELPS)
    with right:
        loops(study.graph, op)
        if inputs := describe.input_rows(study.graph, op):
            table(inputs, wide=describe.FUSING if op.is_complex else describe.INDEX)


def _operator_table(study: Study, operators: tuple[int, ...]) -> None:
    rows = describe.operator_table(study.graph, study.views.values(), operators)
    st.dataframe(rows, hide_index=True, height="content" if len(rows) <= MAX_ROWS else ROWS_HEIGHT)


def _subgraphs(study: Study, view: View, selected: state.Selected) -> None:
    """One subgraph of a partition: the only one that holds the selected operators, or one that the user chooses."""
    held = describe.holders(view, selected.operators)
    index = next(iter(held))
    if len(held) > 1:
        index = st.selectbox(
            "Subgraph",
            list(held),
            format_func=lambda i: f"S{i}: {held[i]} of its {len(view.partition.subgraphs[i])} operators are selected",
            key=f"holder-{view.method}-{hash(selected.operators)}",
        )
    fact_line(describe.subgraph_rows(study.graph, view, index), HELPS)
    _parts(study, view, index, view.partition.subgraphs[index] != selected.operators)


@st.fragment
def _parts(study: Study, view: View, index: int, offers_all: bool) -> None:
    """A fragment: going from part to part draws only this again.

    Args:
        study: the session's work.
        view: the partition.
        index: of the subgraph.
        offers_all: whether other operators are selected than the subgraph's.
    """
    with st.container(horizontal=True):
        part = st.segmented_control(
            "Part", list(PARTS), default=INSIDE, required=True, key="part", label_visibility="collapsed"
        )
        members = view.partition.subgraphs[index]
        if offers_all and st.button(
            f"Select all of S{index}",
            type="tertiary",
            icon=":material/select_all:",
            on_click=state.select,
            args=(members, view.method, index),
        ):
            st.rerun()  # the panels show it too
    guarded(PARTS[part], study, view, index)


def _inside(study: Study, view: View, index: int) -> None:
    members = view.partition.subgraphs[index]
    left, right = st.columns([2, 3])
    with left:
        if len(members) > MAX_DRAWN:
            st.caption(f"{len(members)} operators are too many to draw here; the panel above shows them.")
        else:
            drawn = (study.graph, view.partition, index)
            st.graphviz_chart(subgraph_dot(*drawn), alt=subgraph_text(*drawn))
    with right:
        _operator_table(study, members)


def _reuse(study: Study, view: View, index: int) -> None:
    reuse(study.graph, view.partition.subgraphs[index])


INSIDE = "Inside"
PARTS: dict[str, Callable[[Study, View, int], None]] = {
    INSIDE: _inside,
    "Reuse": _reuse,
    "Memory": memory,
    "Code": code,
    "Schedule": schedule,
    "Assembly": assembly,
    "Speed": speed,
    "Reasons": reasons,
}
"""What can be seen of a subgraph, and what shows it."""
