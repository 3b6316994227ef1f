"""What is shown while a model is on its way: in the sidebar, or on the page before there is any model."""

from __future__ import annotations

import streamlit as st

from app import state
from app.components.text import plain

POLL_SECONDS = 0.4


def loading() -> None:
    """A line that follows the worker and refreshes the page when it is done; nothing when nothing is on its way."""
    if state.busy() is not None:
        _follow()


@st.fragment(run_every=POLL_SECONDS)
def _follow() -> None:
    task = state.busy()
    if task is None or task.done:
        st.rerun()
    progress = task.progress
    st.info(
        f"Loading **{plain(state.busy_with())}**  \n{plain(progress.current)} … {progress.seconds:.0f} s",
        icon=":material/hourglass_top:",
    )


def first_time() -> None:
    """Fills the page before there is any model."""
    loading()
    if state.busy() is None:
        st.info("Choose a model on the left.", icon=":material/arrow_back:")
        return
    for column in st.columns(2):
        with column.container(border=True, height=460):
            st.caption("The partition will be drawn here.")
