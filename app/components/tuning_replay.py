"""Replays a session at speed: a slider over its time of tuning, and a play button."""

from __future__ import annotations

import time

import streamlit as st

from app.components.tuning_view import View
from app.services.tuning_feed import Feed
from app.services.tuning_replay import SPEEDS
from visualizers.tuning_history import History
from visualizers.units import duration

POSITION_KEY, SPEED_KEY = "replay-position", "replay-speed"


def replayed(own: View, one: Feed) -> History:
    """What is shown of a session: all, or what was known at the moment that is replayed."""
    return one.history if own.replay is None else one.history.until(own.replay.position)


def replay_bar(own: View, first: Feed) -> None:
    replay, end = own.replay, first.history.elapsed
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="replay"):
        name, icon = ("Pause the replay", "pause") if replay.playing else ("Play", "play_arrow")
        st.button(
            name,
            key="icon-replay",
            icon=f":material/{icon}:",
            help=name,
            on_click=lambda: replay.pause() if replay.playing else replay.play(time.monotonic(), end),
        )
        st.session_state[POSITION_KEY] = min(replay.position, end)
        st.slider(
            "Moment of the tuning, in seconds",
            0.0,
            end,
            key=POSITION_KEY,
            step=max(end / 500, 0.001),
            format="%.0f s",
            label_visibility="collapsed",
            disabled=replay.playing,
            on_change=lambda: replay.go(st.session_state[POSITION_KEY]),
        )
        st.session_state[SPEED_KEY] = replay.speed
        st.selectbox(
            "Speed",
            SPEEDS,
            format_func=lambda speed: f"{speed}×",
            key=SPEED_KEY,
            label_visibility="collapsed",
            width=90,
            on_change=lambda: setattr(replay, "speed", st.session_state[SPEED_KEY]),
        )
        st.button("Back to now", key="replay-end", icon=":material/close:", on_click=_leave, args=(own,))
    st.caption(f"Replay: what was known after {duration(replay.position)} of {duration(end)} of tuning.")


def _leave(own: View) -> None:
    own.replay = None
