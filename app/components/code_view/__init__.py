"""Code to read: numbered lines, some of them marked, a button that copies all of it and buttons that go to a place.

It is drawn in the browser, with no library; what is marked comes from `visualizers/code.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from visualizers.code import HUES, Mark, Place

_FOLDER = Path(__file__).parent


def _asset(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


_code = st.components.v2.component(
    "ago_code_view", html='<div class="code-view"></div>', css=_asset("code_view.css"), js=_asset("code_view.js")
)


def code_view(
    text: str,
    *,
    key: str,
    label: str,
    marks: Sequence[Mark] = (),
    places: Sequence[Place] = (),
    language: str = "tir",
    height: int = 420,
) -> None:
    """Shows code.

    Args:
        text: the code.
        key: names this view among the session's widgets.
        label: says what it is, for those who cannot see it.
        marks: lines that mean something, each with what it means.
        places: to go to by a button.
        language: "tir" or "asm": what is a comment, a number, a keyword.
        height: of the lines, in pixels; more of them scroll.
    """
    data = {
        "text": text,
        "label": label,
        "marks": [[mark.first, mark.last, mark.kind, mark.note] for mark in marks],
        "places": [[place.name, place.line] for place in places],
        "language": language,
        "height": height,
        "hues": HUES,
    }
    _code(key=key, data=data)
