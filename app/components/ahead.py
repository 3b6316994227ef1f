"""What the browser will need is loaded before it is waited for."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

_loader = st.components.v2.component(
    "ago_page_ahead", js=(Path(__file__).parent / "ahead.js").read_text(encoding="utf-8")
)


def load_ahead() -> None:
    """The chart library, once in a tab; it shows nothing itself."""
    _loader(key="page-ahead")
