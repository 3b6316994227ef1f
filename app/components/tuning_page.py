"""The Tune page: begin a session, watch one, or go through all."""

from __future__ import annotations

import streamlit as st

from app.components.guard import guarded
from app.components.text import plain
from app.components.tuning_sessions import sessions
from app.components.tuning_start import start
from app.components.tuning_view import NEW, SESSIONS, WATCH, View, view
from app.components.tuning_watch import watching
from app.services.tuning import session_store

PAGE_KEY = "tuning-page"
_STYLE = """<style>
[data-testid="stMetricValue"] { font-size: 1.6rem; }
[data-testid="stMetric"] { line-height: 1.3; }
</style>"""


def tuning() -> None:
    st.html(_STYLE)
    own = view()
    store = session_store()
    own.keys = tuple(key for key in own.keys if store.folder(key))
    if own.page == WATCH and not own.keys:
        own.page = SESSIONS
    _choice(own, len(store.folders()))
    if own.fault:
        st.error(plain(str(own.fault)), icon=":material/error:")
    if own.page == WATCH:
        guarded(watching, own)
    elif own.page == SESSIONS:
        guarded(sessions, own)
    else:
        guarded(start)


def _choice(own: View, count: int) -> None:
    names = {NEW: ":material/add: New session", SESSIONS: f":material/list: Sessions ({count})"}
    if own.keys:
        more = f" and {len(own.keys) - 1} more" if len(own.keys) > 1 else ""
        names[WATCH] = f":material/monitoring: {plain(own.keys[0])}{more}"
    st.session_state[PAGE_KEY] = own.page
    st.segmented_control(
        "Show",
        list(names),
        format_func=names.get,
        required=True,
        key=PAGE_KEY,
        label_visibility="collapsed",
        on_change=lambda: _turn(own),
    )


def _turn(own: View) -> None:
    own.page, own.fault = st.session_state[PAGE_KEY], None
