"""Widgets of exercises. Each function returns one that shows the widget and gives the answer, or None without one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from app.components.text import plain
from app.lessons.lesson import Scene
from app.services.loaded import Loaded

Options = Callable[[Loaded | None], Sequence[str]]
Ask = Callable[[Scene], object]


def choose(options: Options) -> Ask:
    """One of several; the answer is its index."""

    def ask(scene: Scene) -> int | None:
        labels = options(scene.loaded)
        key = _seeded(scene)
        return st.radio(
            "Your answer",
            range(len(labels)),
            index=None,
            format_func=lambda index: plain(labels[index]),
            key=key,
            label_visibility="collapsed",
        )

    return ask


def several(options: Options) -> Ask:
    """Any of several; the answer is a tuple of their indices, ascending, and never missing: none may be right."""

    def ask(scene: Scene) -> tuple[int, ...]:
        labels = options(scene.loaded)
        chosen = st.pills(
            "Your answer",
            range(len(labels)),
            selection_mode="multi",
            format_func=lambda index: plain(labels[index]),
            key=_seeded(scene),
            label_visibility="collapsed",
        )
        return tuple(sorted(chosen))

    return ask


def number(unit: str = "", decimals: int = 0) -> Ask:
    """A number from 0 on."""

    def ask(scene: Scene) -> float | None:
        return st.number_input(
            f"Your answer, in {unit}" if unit else "Your answer",
            min_value=0.0 if decimals else 0,
            value=None,
            step=10**-decimals if decimals else 1,
            format=f"%.{decimals}f" if decimals else "%d",
            key=_seeded(scene),
            width=260,
        )

    return ask


def slide(unit: str, values: Callable[[Loaded | None], Sequence[float]]) -> Ask:
    """A value of a slider, which the step's picture may follow: `slid` tells it."""

    def ask(scene: Scene) -> float:
        options = list(values(scene.loaded))
        return st.select_slider(
            f"Your answer, in {unit}" if unit else "Your answer",
            options,
            format_func=lambda value: f"{value:g} {unit}".strip(),
            key=_seeded(scene),
        )

    return ask


def slid(scene: Scene, otherwise: float) -> float:
    """Where the step's slider is."""
    return st.session_state.get(answer_key(scene), otherwise if scene.before is None else scene.before)


def answer_key(scene: Scene) -> str:
    """Of the widget that holds the answer."""
    return f"{scene.key}-answer"


def _seeded(scene: Scene) -> str:
    """The widget's key; a reader who comes back finds the last answer in it."""
    key = answer_key(scene)
    if key not in st.session_state and scene.before is not None:
        before = scene.before
        st.session_state[key] = list(before) if isinstance(before, tuple) else before
    return key
