"""What is selected: operators, the subgraphs that hold them in each partition, and why two are or are not together."""

from __future__ import annotations

import logging

import streamlit as st

from ago_core.errors import UserError
from app import state
from app.components.terms import HELPS
from app.components.text import fact_line, facts, plain, table
from app.components.why import can_ask, why
from app.services import describe
from app.services.loaded import View
from app.services.study import Study
from visualizers.dot import subgraph_dot

logger = logging.getLogger(__name__)

INSIDE, CODE = "Inside", "Code"
BEFORE, AFTER = "Before scheduling", "After scheduling"
MAX_DRAWN = 60
CODE_HEIGHT = 420
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
        loops, inputs = describe.loop_rows(op), describe.input_rows(study.graph, op)
        if loops:
            table(loops, wide="Kind")
        else:
            st.caption("It has no loops.")
        if inputs:
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
    with st.container(horizontal=True):
        part = st.segmented_control(
            "Part", (INSIDE, CODE), default=INSIDE, required=True, key="part", label_visibility="collapsed"
        )
        if part == CODE:
            stage = st.segmented_control(
                "Stage", (BEFORE, AFTER), default=BEFORE, required=True, key="stage", label_visibility="collapsed"
            )
        if view.partition.subgraphs[index] != selected.operators:
            st.button(
                f"Select all of S{index}",
                type="tertiary",
                icon=":material/select_all:",
                on_click=state.select,
                args=(view.partition.subgraphs[index], view.method, index),
            )
    if part == INSIDE:
        _inside(study, view, index)
    else:
        _code(study, view, index, scheduled=stage == AFTER)


def _inside(study: Study, view: View, index: int) -> None:
    members = view.partition.subgraphs[index]
    left, right = st.columns([2, 3])
    with left:
        if len(members) > MAX_DRAWN:
            st.caption(f"{len(members)} operators are too many to draw here; the panel above shows them.")
        else:
            st.graphviz_chart(subgraph_dot(study.graph, view.partition, index))
    with right:
        _operator_table(study, members)


def _code(study: Study, view: View, index: int, scheduled: bool) -> None:
    try:
        text = study.loaded.code(view.partition, index, scheduled)
    except UserError as error:
        st.error(plain(str(error)))
    except Exception as error:
        logger.exception("no code for subgraph %s", index)
        st.error(plain(f"TVM could not lower this subgraph ({type(error).__name__}); the server's log has more."))
    else:
        st.code(text, language="python", height=CODE_HEIGHT)
