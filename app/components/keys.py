"""The keyboard: a list of all keys, and those that work wherever the focus is."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from app.components.text import facts

WIDTH = 440
KEYS = {
    "Anywhere": (
        ("/", "Search the drawing that was used last"),
        ("F", "Fit it into its panel"),
        ("?", "This list"),
        ("Alt+Left, Alt+Right", "Back to what was shown before, forward"),
    ),
    "Where a partition is edited": (
        ("M", "Merge the selected operators' subgraphs"),
        ("S", "Split the selected operators out"),
        ("Ctrl+Z, Ctrl+Y", "Undo, redo"),
    ),
    "In a drawing": (
        ("N, P", "Next, previous operator"),
        ("Arrows", "Along an edge; with Shift move the view"),
        ("Enter", "Unfold what is selected, or show its card"),
        ("E", "Fold or unfold the selected subgraph"),
        ("L", "Lasso"),
        ("+, −", "Zoom"),
        ("Esc", "Leave the menu, the lasso, the selection"),
    ),
}
"""By where they work: keys, and what they do."""

_listener = st.components.v2.component(
    "ago_page_keys", js=(Path(__file__).parent / "keys.js").read_text(encoding="utf-8")
)


def keys_button() -> None:
    """A button with the list."""
    with (
        st.popover("Keys", icon=":material/keyboard:", key="icon-keys", help="Keys (?)", type="tertiary"),
        st.container(width=WIDTH, gap="xsmall"),
    ):
        for place, rows in KEYS.items():
            st.caption(place)
            facts(rows, width="9rem")


def listen() -> None:
    """Those that work anywhere; it shows nothing itself."""
    _listener(key="page-keys")
