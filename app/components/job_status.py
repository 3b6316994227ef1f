"""How a job stands: what it is doing, or what became of it."""

from __future__ import annotations

import streamlit as st

from app.components.text import plain
from app.services.jobs import Job, State
from app.services.loaded import METHOD_NAMES


def status(job: Job) -> None:
    """A job that has no result."""
    if job.active:
        progress(job, "")
    elif job.state is State.CANCELLED:
        st.info(f"Cancelled after {job.progress.seconds:.0f} s.", icon=":material/cancel:")
    else:
        st.error(plain(job.error), icon=":material/error:")


def describe_job(job: Job) -> str:
    """What a job is about, where the place does not say so."""
    kind = "" if job.work.kind == "run" else f", {job.work.kind}"
    return f"{job.work.choice.name}, {METHOD_NAMES[job.work.method]}, {len(job.work.partition)} subgraphs{kind}"


def progress(job: Job, name: str) -> None:
    """What a job that waits or runs is doing, and a button that cancels it.

    Args:
        job: it.
        name: see `describe_job`; "" where the place says it.
    """
    waiting = job.state is State.WAITING
    text = "Waiting for the other job" if waiting else plain(job.progress.current)
    with st.container(horizontal=True, vertical_alignment="center"):
        with st.container(width="stretch", gap=None):
            label = f"{plain(name)}: {text}" if name else text
            st.markdown(
                f":material/hourglass_top: {label}" + ("" if waiting else f" … **{job.progress.seconds:.0f} s**")
            )
        st.button("Cancel", key=f"cancel-{id(job)}", on_click=job.cancel)
    past = job.progress.steps[:-1]
    if past:
        st.caption("Done: " + plain(", ".join(step.text.lower() for step in past)) + ".")
