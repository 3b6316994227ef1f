"""Colours both panels by what differs between them."""

from __future__ import annotations

import streamlit as st

from ago_core.partition.compare import compare
from app import state
from app.components.text import plain
from app.services.describe import difference_line
from app.services.study import Study

KEY = "differences"


def differences(study: Study) -> None:
    own = state.session()
    shown = [state.method(side) for side in state.SIDES]
    if shown[0] == shown[1]:
        return
    st.session_state[KEY] = own.differences
    with st.container(horizontal=True, vertical_alignment="center", key="differences-row"):
        st.toggle(
            "Colour what differs",
            key=KEY,
            on_change=lambda: setattr(own, "differences", st.session_state[KEY]),
            help="What became of the left panel's subgraphs in the right one: the same, split, merged, or cut anew.",
        )
        if own.differences:
            st.caption(plain(difference_line(compare(study.graph, *(study.partitions[method] for method in shown)))))
