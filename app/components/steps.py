"""How AGO's partition was built, step by step; the panel above shows each."""

from __future__ import annotations

import streamlit as st

from app.components.text import plain
from app.services.answers import current_step
from app.services.study import Study

ALL, REFUSED = "All", "Refused"
ROUNDS = {1: "epilogues", 2: "the other simple operators", 3: "complex operators"}
POSITION_KEY, FILTER_KEY = "step-position", "step-filter"


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


def stepper(study: Study) -> None:
    """A slider over the steps with buttons, and what happens in the one that is shown."""
    steps = study.steps
    state = current_step(study)
    with st.container(gap="xsmall", key="stepper"):
        if steps and state:
            _controls(study, steps)
        with st.container(horizontal=True, vertical_alignment="top"):
            with st.container(width="stretch", gap=None):
                if steps and state:
                    number = f"Step {state.index + 1} of {len(study.clustering.steps)}"
                    st.caption(f"{number}, round {state.step.round}: {ROUNDS[state.step.round]}")
                    st.markdown(f":small[{plain(state.sentence)}]")
                else:
                    st.caption("No candidate was refused." if study.refusals_only else "Nothing could be joined.")
            _filter(study)


def _controls(study: Study, steps: list[int]) -> None:
    position = next((i for i, step in enumerate(steps) if step >= study.step), len(steps) - 1)
    with st.container(horizontal=True, vertical_alignment="center"):
        _arrow("previous", ":material/chevron_left:", study, steps, position - 1)
        if len(steps) > 1:
            st.session_state[POSITION_KEY] = position + 1
            st.slider(
                "Step",
                1,
                len(steps),
                key=POSITION_KEY,
                label_visibility="collapsed",
                on_change=lambda: _go(study, steps, st.session_state[POSITION_KEY] - 1),
            )
        _arrow("next", ":material/chevron_right:", study, steps, position + 1)


def _arrow(name: str, icon: str, study: Study, steps: list[int], position: int) -> None:
    st.button(
        f"The {name} step",
        key=f"icon-{name}-step",
        icon=icon,
        disabled=not 0 <= position < len(steps),
        on_click=_go,
        args=(study, steps, position),
    )


def _go(study: Study, steps: list[int], position: int) -> None:
    study.step = steps[position]


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
