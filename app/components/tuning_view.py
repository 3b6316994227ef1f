"""What a tab looks at on the Tune page; its sessions stand in the address, so that a reload or a link reopens them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import streamlit as st

from ago_core.errors import UserError
from ago_core.tuning.events import State
from app import state
from app.services.tuning import session_store
from app.services.tuning_replay import Replay
from visualizers.tuning import TRIALS

NEW, WATCH, SESSIONS = "new", "watch", "sessions"
PARAMETER = "session"
KEY = "tuning"
MAX_LINES = 6
"""Sessions in one plot."""


@dataclass
class View:
    """One tab.

    Attributes:
        page: `NEW`, `WATCH` or `SESSIONS`.
        keys: of the session that is watched and of those that it is compared with.
        over: what the main plot's horizontal axis is.
        replay: where a replay is, or None.
        asked: the state that each session was told to go into, until it is there.
        error: one sentence about the last thing that could not be done, or "".
    """

    page: str = NEW
    keys: tuple[str, ...] = ()
    over: str = TRIALS
    replay: Replay | None = None
    asked: dict[str, State] = field(default_factory=dict)
    error: str = ""


def view() -> View:
    """This tab's; at first what the address names."""
    if KEY not in st.session_state:
        st.session_state[KEY] = own = View()
        _follow_address(own)
    return st.session_state[KEY]


def _follow_address(own: View) -> None:
    wanted = st.query_params.get_all(PARAMETER)
    known = [key for key in dict.fromkeys(wanted) if session_store().folder(key)]
    if known:
        watch(*known)
    if lost := [key for key in wanted if key not in known]:
        own.error = f"The address names a session that is not there any more ({lost[0][:60]!r})."
        own.page = WATCH if known else SESSIONS


def write_address(own: View) -> None:
    """So that a reload shows the same: navigating between pages empties it."""
    wanted = list(own.keys) if own.page == WATCH else []
    if st.query_params.get_all(PARAMETER) != wanted:
        st.query_params[PARAMETER] = wanted
    choice = state.session().choice
    if choice and not choice.path and st.query_params.get("model") != choice.name:
        st.query_params["model"] = choice.name


def watch(*keys: str) -> None:
    """Turns the page to sessions, the first one in detail."""
    own = st.session_state[KEY]
    own.page, own.keys, own.replay, own.error = WATCH, tuple(keys[:MAX_LINES]), None, ""


def attempt(do: Callable[..., object], *args: object) -> bool:
    """Whether it could be done; if not, the page says why."""
    own = view()
    try:
        do(*args)
    except UserError as error:
        own.error = str(error)
        return False
    own.error = ""
    return True


def compare_with(others: Sequence[str]) -> None:
    own = view()
    own.keys = (own.keys[0], *others)[:MAX_LINES]
