"""Two partitions of the model beside each other, with one selection."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from app import state
from app.components.editing import edit_buttons, edit_tools
from app.components.graph_view import Selection, graph_view, tell_panel
from app.components.settings import settings_popover
from app.components.steps import stepping, steps_button
from app.components.terms import TRIVIAL
from app.services import describe
from app.services.answers import emphasis
from app.services.loaded import METHOD_NAMES
from app.services.study import EDITED, Study

HEIGHT = 410


def panels(study: Study) -> None:
    shown = tuple(state.method(side) for side in state.SIDES)
    for number, column in enumerate(st.columns(2)):
        with column:
            _panel(study, shown, number, tools=shown[number] not in shown[:number])


def _panel(study: Study, shown: tuple[str, str], number: int, tools: bool) -> None:
    """`tools`: whether what belongs to the method is offered here; once where both panels show the same."""
    side, method = list(state.SIDES)[number], shown[number]
    view = study.views[method]
    with st.container(horizontal=True, wrap=False, vertical_alignment="center", gap="xsmall", key=f"head-{side}"):
        _choice(study, side)
        with st.container(width="stretch"):
            st.caption(describe.panel_line(view), help=TRIVIAL)
        if tools and method == "ago":
            settings_popover(study)
            steps_button(study)
        if tools and method == EDITED:
            edit_tools(study)
        if method != EDITED:
            st.button(
                "Edit a copy",
                key=f"icon-edit-{side}",
                icon=":material/edit:",
                help="Edit a copy of this partition",
                on_click=state.edit_copy,
                args=(side,),
            )
    with st.container(gap=None):
        graph_view(
            view.elements,
            revision=view.revision,
            key=f"panel-{side}",
            height=HEIGHT,
            label=f"{study.graph.name} as {view.title} partitions it",
            on_select=lambda selection: _selected(selection, method),
        )
        if study.step is None or method != "ago":
            _tell(study, shown, [number])
    if view.layout.note:
        st.caption(view.layout.note)
    if tools and method == "ago" and study.step is not None:
        stepping(study, lambda: _tell(study, shown, [i for i, one in enumerate(shown) if one == "ago"]))
    if tools and method == EDITED:
        edit_buttons(study)


def _tell(study: Study, shown: tuple[str, str], numbers: Iterable[int]) -> None:
    """Tells panels what is selected and emphasised."""
    own = state.session()
    asked = own.selected.operators if state.asks_why() else ()
    for number in numbers:
        marks = emphasis(study, shown, number, asked, own.differences)
        tell_panel(f"panel-{list(state.SIDES)[number]}", own.selected.operators, marks)


def _choice(study: Study, side: str) -> None:
    key = f"method-{side}"
    st.session_state[key] = state.method(side)
    st.selectbox(
        f"Partition on the {side}",
        list(study.partitions),
        format_func=METHOD_NAMES.get,
        key=key,
        on_change=lambda: state.session().methods.update({side: st.session_state[key]}),
        label_visibility="collapsed",
        width=146,
    )


def _selected(selection: Selection, method: str) -> None:
    state.select(selection.operators, method, selection.subgraph)
