"""Two partitions of the model beside each other, with one selection."""

from __future__ import annotations

import streamlit as st

from app import state
from app.components.graph_view import Selection, graph_view
from app.components.terms import TRIVIAL
from app.services.models import METHOD_NAMES, Loaded

HEIGHT = 410


def panels(loaded: Loaded) -> None:
    for side, column in zip(state.SIDES, st.columns(2)):
        with column:
            _panel(loaded, side)


def _panel(loaded: Loaded, side: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        method = st.selectbox(
            f"Partition on the {side}",
            list(METHOD_NAMES),
            index=list(METHOD_NAMES).index(state.session().methods[side]),
            format_func=METHOD_NAMES.get,
            label_visibility="collapsed",
            width=170,
        )
        state.session().methods[side] = method
        view = loaded.views[method]
        st.caption(f"{view.metrics.subgraphs} subgraphs, {view.metrics.trivial} trivial", help=TRIVIAL)
    graph_view(
        view.elements,
        revision=f"{loaded.graph.model_hash}-{method}",
        key=f"panel-{side}",
        selected=state.session().selected.operators,
        height=HEIGHT,
        label=f"{loaded.graph.name} as {view.title} partitions it",
        on_select=lambda selection: _selected(selection, method),
    )
    if view.layout.note:
        st.caption(view.layout.note)


def _selected(selection: Selection, method: str) -> None:
    state.select(selection.operators, method, selection.subgraph)
