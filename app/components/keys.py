"""The keyboard: a list of all keys, and those that work wherever the focus is."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from app.components.text import table

ANYWHERE, DRAWING, WITH_EDITED = "Anywhere", "In a drawing", "Where a partition is edited"
KEYS = (
    (ANYWHERE, "/", "Search the drawing that was used last, by name, operator or type"),
    (ANYWHERE, "F", "Fit it into its panel"),
    (ANYWHERE, "?", "This list"),
    (ANYWHERE, "Alt+Left, Alt+Right", "Back to what was shown and selected before, and forward"),
    (WITH_EDITED, "M", "Merge the subgraphs of the selected operators"),
    (WITH_EDITED, "S", "Split the selected operators out"),
    (WITH_EDITED, "Ctrl+Z, Ctrl+Y", "Undo and redo"),
    (DRAWING, "N, P", "Next and previous operator"),
    (DRAWING, "Arrows", "Along an edge; with Shift the view moves"),
    (DRAWING, "Enter", "Unfold what is selected, or show what it is"),
    (DRAWING, "E", "Fold the selected subgraphs, or unfold them"),
    (DRAWING, "L", "Lasso"),
    (DRAWING, "+, −", "Zoom"),
    (DRAWING, "Esc", "Leave the menu, the lasso, then the selection"),
)
WIDTH = 440

_listener = st.components.v2.component(
    "ago_page_keys", js=(Path(__file__).parent / "keys.js").read_text(encoding="utf-8")
)


def keys_button() -> None:
    """A button with the list."""
    with (
        st.popover("Keys", icon=":material/keyboard:", key="icon-keys", help="Keys (?)", type="tertiary"),
        st.container(width=WIDTH),
    ):
        places = [place for place, _, _ in KEYS]
        table(
            [
                {"Where": place if place not in places[:row] else "", "Key": key, "What it does": does}
                for row, (place, key, does) in enumerate(KEYS)
            ],
            wide="What it does",
        )


def listen() -> None:
    """Those that work anywhere; it shows nothing itself."""
    _listener(key="page-keys")
