"""How AGO's partition was built, step by step; the panel above shows each."""

from __future__ import annotations

import time
from collections.abc import Callable

import streamlit as st

from ago_core.partition.trace import State
from app.components.guard import guarded
from app.components.text import plain
from app.services.answers import current_step
from app.services.study import PACES, Study

ALL, REFUSED = "All", "Refused"
ROUNDS = {1: "epilogues", 2: "the other simple operators", 3: "complex operators"}
POSITION_KEY, FILTER_KEY, PACE_KEY = "step-position", "step-filter", "step-pace"


def steps_button(study: Study) -> None:
    shown = study.step is not None
    st.button(
        "How it was built",
        key="icon-steps",
        icon=":material/footprint:",
        type="primary" if shown else "secondary",
        help="Hide how it was built" if shown else "How it was built, step by step",
        on_click=study.show_steps,
        args=(not shown,),
    )


def stepping(study: Study, tell: Callable[[], None]) -> None:
    """Controls for the steps, in a fragment of their own: a step sends the marks, and not the drawings again.

    Args:
        study: the session's work.
        tell: tells the panels what the step emphasises.
    """
    interval = 1 / study.pace if study.playing else None
    st.fragment(guarded, run_every=interval)(_stepper, study, interval, tell)


def _stepper(study: Study, interval: float | None, tell: Callable[[], None]) -> None:
    """A slider over the steps with buttons, and what happens in the one that is shown.

    Where playing begins, ends or changes its pace, the whole page is drawn again, since only that sets the timer.
    """
    if study.loaded is None:
        return  # another model has come, and its page is on the way
    study.tick(time.monotonic())
    if interval != (1 / study.pace if study.playing else None):
        st.rerun()
    steps = study.steps
    state = current_step(study) if steps else None
    with st.container(gap="xsmall", key="stepper"):
        if state:
            _controls(study, steps)
        with st.container(horizontal=True, vertical_alignment="center"):
            with st.container(width="stretch"):
                st.caption(_number(study, state))
            _filter(study)
        with st.container(gap=None, key="step-sentence"):  # its height stays when the sentence needs a second line
            tell()
            st.markdown(f":small[{plain(state.sentence)}]" if state else "")


def _number(study: Study, state: State | None) -> str:
    if state is None:
        return "No candidate was refused." if study.refusals_only else "Nothing could be joined."
    round_name = ROUNDS[state.step.round]
    return f"Step {state.index + 1} of {len(study.clustering.steps)}, round {state.step.round}: {round_name}"


def _controls(study: Study, steps: list[int]) -> None:
    position = study.position
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        _arrow("previous", ":material/skip_previous:", study, position - 1)
        _play(study)
        _arrow("next", ":material/skip_next:", study, position + 1)
        if len(steps) > 1:
            _slider(study, position)
            _pace(study)


def _slider(study: Study, position: int) -> None:
    """While playing it only shows: the browser may still answer to an earlier step, and Streamlit leaves that aside."""
    st.session_state[POSITION_KEY] = position + 1
    st.slider(
        "Step",
        1,
        len(study.steps),
        key=POSITION_KEY,
        label_visibility="collapsed",
        disabled=study.playing,
        on_change=lambda: study.go(st.session_state[POSITION_KEY] - 1),
    )


def _arrow(name: str, icon: str, study: Study, position: int) -> None:
    st.button(
        f"The {name} step",
        key=f"icon-{name}-step",
        icon=icon,
        disabled=not 0 <= position < len(study.steps),
        help=f"The {name} step",
        on_click=study.go,
        args=(position,),
    )


def _play(study: Study) -> None:
    name, icon = ("Pause", ":material/pause:") if study.playing else ("Play", ":material/play_arrow:")
    st.button(
        name,
        key="icon-play",
        icon=icon,
        help=f"{name} the steps",
        disabled=len(study.steps) < 2,
        on_click=lambda: study.pause() if study.playing else study.play(time.monotonic()),
    )


def _pace(study: Study) -> None:
    st.session_state[PACE_KEY] = study.pace
    st.selectbox(
        "Pace",
        PACES,
        format_func=lambda pace: f"{pace}×",
        key=PACE_KEY,
        label_visibility="collapsed",
        width=76,
        on_change=lambda: setattr(study, "pace", st.session_state[PACE_KEY]),
    )


def _filter(study: Study) -> None:
    st.session_state[FILTER_KEY] = REFUSED if study.refusals_only else ALL
    st.segmented_control(
        "Steps",
        (ALL, REFUSED),
        required=True,
        key=FILTER_KEY,
        label_visibility="collapsed",
        on_change=lambda: study.only_refusals(st.session_state[FILTER_KEY] == REFUSED),
    )
