"""All tuning sessions of this user: open, compare, delete."""

from __future__ import annotations

import time
from pathlib import Path

import streamlit as st

from ago_core.tuning.events import State
from app.components.text import plain
from app.components.tuning_view import MAX_LINES, View, attempt, watch
from app.services.tuning import Row, session_store
from app.services.tuning_text import list_facts
from visualizers.units import duration

POLL_SECONDS = 2.0
ROWS = 12
WIDTHS = (3.4, 1.7, 5.6, 1.4)
PICK, FOLDER_KEY, PAGE_KEY = "pick-", "session-folder", "sessions-page"
COLOURS = {
    State.RUNNING: "green",
    State.QUEUED: "blue",
    State.PAUSED: "orange",
    State.FINISHED: "gray",
    State.STOPPED: "gray",
    State.FAILED: "red",
    State.INTERRUPTED: "red",
}
ICONS = {
    State.RUNNING: "play_circle",
    State.QUEUED: "hourglass_top",
    State.PAUSED: "pause_circle",
    State.FINISHED: "check_circle",
    State.STOPPED: "stop_circle",
    State.FAILED: "error",
    State.INTERRUPTED: "power_off",
}

UNREADABLE = ":red-badge[:material/broken_image: unreadable]"


def badge(session_state: State) -> str:
    """A state with its sign, as Markdown."""
    return f":{COLOURS[session_state]}-badge[:material/{ICONS[session_state]}: {session_state.value}]"


def sessions(own: View) -> None:
    st.fragment(_listed, run_every=POLL_SECONDS)(own)
    _elsewhere()


def _listed(own: View) -> None:
    rows = session_store().rows()
    if not rows:
        st.info(
            f"There is no session yet. They lie in {plain(str(session_store().root))}; begin one under New session, or "
            "on the command line with: python -m ago\\_core tune MODEL --trials N --session FOLDER",
            icon=":material/info:",
        )
        return
    pages = -(-len(rows) // ROWS)
    page = min(st.session_state.get(PAGE_KEY, 1), pages)
    _actions(own, [row for row in rows if st.session_state.get(PICK + row.key)])
    for row in rows[(page - 1) * ROWS : page * ROWS]:
        _row(row)
    if pages > 1:
        st.pagination(pages, key=PAGE_KEY)


def _actions(own: View, picked: list[Row]) -> None:
    keys = [row.key for row in picked]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        compare = st.button(
            f"Compare ({len(keys)})" if keys else "Compare",
            icon=":material/stacked_line_chart:",
            disabled=not 2 <= len(keys) <= MAX_LINES,
            help=f"Draws two to {MAX_LINES} chosen sessions in one plot.",
        )
        with st.popover("Delete", icon=":material/delete:", disabled=not keys):
            trials = sum(row.status.trials for row in picked if row.status)
            st.markdown(f"Delete {plain(', '.join(keys))} with {trials:,} measured trials, for good?")
            if st.button("Delete for good", type="primary", key="delete-sessions"):
                attempt(_delete, keys)
                st.rerun()
        if not keys:
            st.caption("Choose sessions by their boxes to compare or delete them.")
    if compare:
        watch(*keys)
        st.rerun()


def _delete(keys: list[str]) -> None:
    for key in keys:
        session_store().delete(key)
        st.session_state.pop(PICK + key, None)


def _row(row: Row) -> None:
    what, far, best = list_facts(row)
    columns = st.columns(WIDTHS, vertical_alignment="center", gap="small")
    columns[0].checkbox(plain(row.key), key=PICK + row.key)
    if row.status is None:
        columns[1].markdown(UNREADABLE)
        columns[2].caption(plain(row.error.split(";")[0]))
    else:
        columns[1].markdown(badge(row.status.state))
        columns[2].caption(f"{plain(what)}  \n{plain(far)}, {plain(best)}")
    age = duration(max(0.0, time.time() - row.changed))
    if columns[3].button("Open", key=f"open-{row.key}", help=f"Last written {_roughly(age)} ago"):
        watch(row.key)
        st.rerun()


def _roughly(age: str) -> str:
    return " ".join(age.split()[:2])


def _elsewhere() -> None:
    """A session whose folder lies elsewhere, such as one that the command line began."""
    with st.expander("Add a session that lies elsewhere"):
        folder = st.text_input("Its folder", key=FOLDER_KEY, placeholder="the DIR of: ago_core tune … --session DIR")
        if st.button("Open it") and folder:
            attempt(lambda: watch(session_store().adopt(Path(folder))))
            st.rerun()
