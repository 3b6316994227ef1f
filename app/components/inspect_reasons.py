"""Why a subgraph's operators are together, and why its neighbours are apart."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from app import state
from app.components.text import plain
from app.services.inspect_reasons import MAX_PAIRS, Reason, count_neighbours, neighbours, together
from app.services.loaded import View
from app.services.study import Study


def reasons(study: Study, view: View, index: int) -> None:
    inside = together(study, view.method, index)
    outside = neighbours(study, view.method, index)
    left, right = st.columns(2)
    with left:
        st.markdown(f"**Why S{index} is one subgraph**")
        if not inside:
            st.caption("It holds one operator.")
        _listed(inside, "together")
    with right:
        st.markdown("**Why its neighbours are not in it**")
        if not outside:
            st.caption("It has no neighbours: nothing else reads it or feeds it.")
        _listed(outside, "apart")
        more = count_neighbours(study.graph, view.partition, index) - MAX_PAIRS
        if more > 0:
            st.caption(f"And {more} more neighbours.")


def _listed(found: Iterable[Reason], kind: str) -> None:
    for number, reason in enumerate(found):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f":small[**{plain(reason.about)}**]", width="stretch")
            shown = st.button(
                "Show both",
                key=f"icon-reason-{kind}-{number}",
                type="tertiary",
                icon=":material/ads_click:",
                help="Select these two operators",
                on_click=state.select,
                args=(reason.operators,),
            )
        st.markdown("  \n".join(f":small[{plain(sentence)}]" for sentence in reason.sentences))
        if shown:
            st.rerun()  # the panels show them too
