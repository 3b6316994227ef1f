"""What a tab looks at on the Tune page; `app.components.link` puts its sessions into the address."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import streamlit as st

from ago_core.errors import UserError
from ago_core.tuning.events import State
from app.services.tuning import session_store
from app.services.tuning_replay import Replay
from visualizers.tuning import TRIALS

NEW, WATCH, SESSIONS = "new", "watch", "sessions"
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
        fault: why the last thing could not be done, or None.
    """

    page: str = NEW
    keys: tuple[str, ...] = ()
    over: str = TRIALS
    replay: Replay | None = None
    asked: dict[str, State] = field(default_factory=dict)
    fault: UserError | None = None


def view() -> View:
    """This tab's."""
    if KEY not in st.session_state:
        st.session_state[KEY] = View()
    return st.session_state[KEY]


def follow(wanted: Sequence[str]) -> None:
    """Watches the sessions that an address names."""
    own = view()
    known = [key for key in dict.fromkeys(wanted) if session_store().folder(key)]
    if known:
        watch(*known)
    elif own.page == WATCH:
        own.page = SESSIONS
    if lost := [key for key in wanted if key not in known]:
        own.fault = UserError(f"The address names a session that is not there any more ({lost[0][:60]!r}).")
        own.page = WATCH if known else SESSIONS


def watched() -> tuple[str, ...]:
    """The sessions that are watched, also while another page is shown."""
    own = view()
    return own.keys if own.page == WATCH else ()


def watch(*keys: str) -> None:
    """Turns the page to sessions, the first one in detail."""
    own = st.session_state[KEY]
    own.page, own.keys, own.replay, own.fault = WATCH, tuple(keys[:MAX_LINES]), None, None


def attempt(do: Callable[..., object], *args: object) -> bool:
    """Whether it could be done; if not, the page says why."""
    own = view()
    try:
        do(*args)
    except UserError as error:
        own.fault = error
        return False
    own.fault = None
    return True


def compare_with(others: Sequence[str]) -> None:
    own = view()
    own.keys = (own.keys[0], *others)[:MAX_LINES]
