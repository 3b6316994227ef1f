"""One session, or several in one plot: how it stands, what it is doing, and what can be done with it."""

from __future__ import annotations

import time
from collections.abc import Callable

import streamlit as st

from ago_core.tuning import control
from ago_core.tuning.events import USER_PAUSE, State
from ago_core.tuning.journal import DamagedJournal
from ago_core.tuning.repair import repair
from app.components.guard import guarded
from app.components.text import plain, table
from app.components.tuning_details import details
from app.components.tuning_replay import replay_bar, replayed
from app.components.tuning_sessions import UNREADABLE, badge
from app.components.tuning_view import MAX_LINES, View, attempt, compare_with
from app.services.tuning import csv_of, session_store
from app.services.tuning_feed import Feed, feed
from app.services.tuning_replay import begin
from app.services.tuning_report import report
from app.services.tuning_text import (
    Standing,
    compare_rows,
    doing,
    end_to_end_text,
    share_done,
    standing,
)
from visualizers.tuning import TIME, TRIALS, Line, end_to_end
from visualizers.units import duration, milliseconds

LIVE_SECONDS, IDLE_SECONDS, REPLAY_SECONDS = 1.0, 2.0, 0.5
"""Between two looks at the journals: of a session that runs, of one that another page may resume, of a replay."""
PLOT_HEIGHT = 280
OVER_KEY, OTHERS_KEY, EXTEND_KEY = "tuning-over", "tuning-others", "tuning-extend"


def watching(own: View) -> None:
    interval = _interval(own, [_feed(key) for key in own.keys])
    st.fragment(guarded, run_every=interval)(_watch, own, interval)


def _feed(key: str) -> Feed:
    return feed(session_store().folder(key))


def _interval(own: View, feeds: list[Feed]) -> float:
    if own.replay and own.replay.playing:
        return REPLAY_SECONDS
    return IDLE_SECONDS if all(one.state.ended for one in feeds) else LIVE_SECONDS


def _watch(own: View, interval: float) -> None:
    """Drawn again and again; where the interval changes, the whole page is drawn, since only that sets the timer."""
    if any(session_store().folder(key) is None for key in own.keys):
        st.rerun()  # deleted meanwhile
    feeds = {key: _feed(key) for key in own.keys}
    if own.replay:
        own.replay.tick(time.monotonic(), next(iter(feeds.values())).history.elapsed)
    if interval != _interval(own, list(feeds.values())):
        st.rerun()
    key, first = next(iter(feeds.items()))
    _head(own, key, first)
    if first.error:
        _unreadable(first)
        return
    histories = {name: replayed(own, one) for name, one in feeds.items()}
    stands = {name: standing(one, histories[name]) for name, one in feeds.items()}
    _figures(stands[key], first.state)
    if own.replay:
        replay_bar(own, first)
    else:
        _state_line(own, key, first, stands[key])
    _main_plot(own, feeds, stands)
    if len(feeds) > 1:
        table(compare_rows({name: (feeds[name], stands[name]) for name in feeds}), wide="Device")
        st.caption("Best and first: medians of the runs of the whole model. Summed: an estimate from the subgraphs.")
    details(key, first, histories[key])


# what it is, and what can be done with it


def _head(own: View, key: str, first: Feed) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        with st.container(width="stretch"):
            about = f"{first.model} · {first.ablation} · {first.device}" if first.meta else key
            st.markdown(f"{UNREADABLE if first.error else badge(first.state)} :small[{plain(about)}]")
        if not first.error:
            _commands(own, key, first)
            _comparison(own)
            _more(own, key, first)


def _commands(own: View, key: str, first: Feed) -> None:
    folder, session_state = first.folder, first.state
    asked = _still_asked(own, key, session_state)
    if session_state in (State.RUNNING, State.QUEUED):
        _tell(own, key, "Pause", "pause", State.PAUSED, lambda: control.pause(folder), disabled=asked)
    elif session_state is not State.FINISHED:
        _tell(own, key, "Resume", "play_arrow", State.RUNNING, lambda: control.resume(folder), primary=True)
    if not session_state.ended:
        _tell(own, key, "Stop", "stop", State.STOPPED, lambda: control.stop(folder), disabled=asked)
    with st.popover("Extend", icon=":material/more_time:", help="Give it more trials."):
        trials = st.number_input("Trials more", 1, 100_000, 100, step=50, key=EXTEND_KEY, width=180)
        label = f"Add {trials:,} and go on" if session_state.ended else f"Add {trials:,}"
        if st.button(label, key="extend", type="primary"):
            attempt(_extend, folder, trials, session_state.ended)
            st.rerun()


def _still_asked(own: View, key: str, session_state: State) -> bool:
    """Whether a command is on its way: it takes effect at the end of a batch."""
    wanted = own.asked.get(key)
    if wanted is session_state or session_state.ended:
        own.asked.pop(key, None)
    return own.asked.get(key) in (State.PAUSED, State.STOPPED)


def _tell(own: View, key: str, label: str, icon: str, goal: State, do: Callable[[], None], **options) -> None:
    def clicked() -> None:
        own.asked.pop(key, None)
        if attempt(do) and goal is not State.RUNNING:
            own.asked[key] = goal

    kind = "primary" if options.get("primary") else "secondary"
    st.button(
        label,
        key=f"tell-{label.lower()}",
        icon=f":material/{icon}:",
        type=kind,
        on_click=clicked,
        disabled=options.get("disabled", False),
    )


def _extend(folder, trials: int, ended: bool) -> None:
    control.extend(folder, trials)
    if ended:
        control.resume(folder)


def _comparison(own: View) -> None:
    others = [key for key in session_store().folders() if key != own.keys[0]]
    with st.popover("Compare", icon=":material/stacked_line_chart:", disabled=not others):
        st.session_state[OTHERS_KEY] = [key for key in own.keys[1:] if key in others]
        st.multiselect(
            "In the same plot",
            others,
            key=OTHERS_KEY,
            max_selections=MAX_LINES - 1,
            on_change=lambda: compare_with(st.session_state[OTHERS_KEY]),
            width=360,
        )


def _more(own: View, key: str, first: Feed) -> None:
    with st.popover("More", icon=":material/more_horiz:"), st.container(width=320, gap="small"):
        if first.history.elapsed and st.button("Replay", icon=":material/replay:", disabled=own.replay is not None):
            own.replay = begin(first.history.elapsed)
            st.rerun()
        stem = key.replace("/", "-")
        st.download_button(
            "Report as one HTML file",
            data=lambda: report({name: _feed(name) for name in own.keys}),
            file_name=f"{stem}.html",
            mime="text/html",
            icon=":material/description:",
            on_click="ignore",
            disabled=not first.planned,
        )
        st.download_button(
            "All trials as CSV",
            data=lambda: csv_of(first.folder),
            file_name=f"{stem}.csv",
            mime="text/csv",
            icon=":material/table:",
            on_click="ignore",
        )
        st.caption(plain(f"It lies in {first.folder}"))


def _unreadable(first: Feed) -> None:
    st.error(plain(first.error), icon=":material/broken_image:")
    if first.damaged:
        _offer_repair(first)


def _offer_repair(first: Feed) -> None:
    st.caption(
        "Repair saves each trial that can still be read into a new journal; the damaged one is kept beside it. "
        "Then the session can be resumed."
    )
    if st.button("Repair", type="primary", icon=":material/build:"):
        attempt(repair, first.folder)
        st.rerun()


# how it stands


def _figures(stand: Standing, session_state: State) -> None:
    columns = st.columns((1.2, 1, 1.3, 0.7, 1))
    best = stand.best
    columns[0].metric(
        "End to end, best",
        milliseconds(best.median) if best else "–",
        delta=stand.gain or None,
        delta_color="off",
        delta_arrow="off",
        help="The whole model as it would be deployed, measured; the line below the plot says how.",
    )
    columns[1].metric(
        "Sum of subgraphs",
        milliseconds(stand.summed[-1].seconds) if stand.summed else "–",
        help="The best latencies of all subgraphs added up: an estimate, not a measurement of the model.",
    )
    columns[2].metric("Trials", f"{stand.trials:,} of {stand.total:,}")
    columns[3].metric("Rate", f"{stand.rate:.1f}/s" if stand.rate else "–", help="Trials a second lately.")
    columns[4].metric(
        "Time of tuning",
        duration(stand.elapsed),
        delta=f"{duration(stand.left)} left" if stand.left and session_state is State.RUNNING else None,
        delta_color="off",
        delta_arrow="off",
        help="Pauses and waiting for the device are not counted; what is left is reckoned at the present rate.",
    )


def _state_line(own: View, key: str, first: Feed, stand: Standing) -> None:
    """What it is doing, or why it is not."""
    text = plain(doing(first, stand))
    if own.asked.get(key) in (State.PAUSED, State.STOPPED):
        word = {State.PAUSED: "Pausing", State.STOPPED: "Stopping"}[own.asked[key]]
        text = f"**{word}** after the batch that is being measured …"
    if first.state in (State.FAILED, State.INTERRUPTED):
        st.error(text, icon=":material/error:")
    elif first.state is State.PAUSED and first.reason != USER_PAUSE:
        st.warning(text + " Bring a device back, then resume.", icon=":material/devices_off:")
    else:
        st.progress(share_done(first, stand), text=f":small[{text}]")
    if isinstance(own.fault, DamagedJournal):
        _offer_repair(first)


def _main_plot(own: View, feeds: dict[str, Feed], stands: dict[str, Standing]) -> None:
    if not any(stand.summed or stand.runs for stand in stands.values()):
        if all(one.state.ended and not stands[name].trials for name, one in feeds.items()):
            return
        with st.container(border=True, height=PLOT_HEIGHT):
            st.caption(
                "The latency of the whole model over the trials will be drawn here, once each task has a schedule."
            )
        return
    lines = {name: Line(stand.runs, stand.summed) for name, stand in stands.items()}
    text = "\n".join(
        f"{name}: " * (len(feeds) > 1) + end_to_end_text(stands[name], one.device) for name, one in feeds.items()
    )
    with st.container(border=True, gap=None):
        with st.container(horizontal=True, vertical_alignment="center"):
            with st.container(width="stretch"):
                st.markdown("**End-to-end latency** :small[points: measured; dotted: the sum of subgraphs]")
            _axis(own)
        st.plotly_chart(
            end_to_end(lines, own.over, "-".join(own.keys) + own.over),
            height=PLOT_HEIGHT,
            config={"displaylogo": False},
            key="tuning-main",
            alt=text,
        )
    if len(feeds) == 1:
        st.caption(plain(text))


def _axis(own: View) -> None:
    st.session_state[OVER_KEY] = own.over
    st.segmented_control(
        "Over",
        (TRIALS, TIME),
        format_func={TRIALS: "over trials", TIME: "over time"}.get,
        required=True,
        key=OVER_KEY,
        label_visibility="collapsed",
        on_change=lambda: setattr(own, "over", st.session_state[OVER_KEY]),
    )
