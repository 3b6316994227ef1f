"""Which two plans a tab compares."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

KEY = "compared"
SIDES = ("before", "after")
FIRST = {"before": "heuristic", "after": "ago"}


def wanted() -> dict[str, str]:
    """The keys that were chosen, whether there are such plans or not."""
    return st.session_state.setdefault(KEY, dict(FIRST))


def compared(offered: Mapping[str, object]) -> dict[str, str]:
    """The keys of both plans; one that there is no more, such as of a session that was deleted, is as at first."""
    own = wanted()
    return {side: own[side] if own[side] in offered else FIRST[side] for side in SIDES}


def choose(side: str, key: str) -> None:
    wanted()[side] = key


def swap() -> None:
    own = wanted()
    own["before"], own["after"] = own["after"], own["before"]
