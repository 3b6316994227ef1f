"""Which two plans a tab compares."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

KEY = "compared"
SIDES = ("before", "after")
FIRST = {"before": "heuristic", "after": "ago"}


def compared(offered: Mapping[str, object]) -> dict[str, str]:
    """The keys of both plans; one that there is no more, such as of a session that was deleted, is as at first."""
    own = st.session_state.setdefault(KEY, dict(FIRST))
    return {side: own[side] if own[side] in offered else FIRST[side] for side in SIDES}


def choose(side: str, key: str) -> None:
    st.session_state.setdefault(KEY, dict(FIRST))[side] = key


def swap() -> None:
    own = st.session_state.setdefault(KEY, dict(FIRST))
    own["before"], own["after"] = own["after"], own["before"]
