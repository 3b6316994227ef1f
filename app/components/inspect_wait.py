"""What is shown of a task: its result, that it is on its way, or why there is none."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from app.components.loading import POLL_SECONDS
from app.components.text import plain
from app.services.worker import Task

AT_ONCE_SECONDS = 0.15
"""What is done this soon is shown with no wait in between."""


def when_done(task: Task, show: Callable[..., None], *args: object) -> None:
    """Calls `show(result, *args)` once the task has a result; until then the page says what is being done."""
    if not task.wait(AT_ONCE_SECONDS):
        st.fragment(_follow, run_every=POLL_SECONDS)(task)
    elif task.error:
        st.error(plain(task.error), icon=":material/error:")
    else:
        show(task.result, *args)


def _follow(task: Task) -> None:
    if task.done:
        st.rerun()
    st.info(f"{plain(task.progress.current)} … {task.progress.seconds:.0f} s", icon=":material/hourglass_top:")
