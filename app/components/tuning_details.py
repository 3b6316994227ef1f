"""A session in detail: subgraphs, joins, budget, trials, devices, and how to do it again."""

from __future__ import annotations

import plotly.graph_objects as go
import streamlit as st

from ago_core.tuning.events import Kind
from app.components.text import facts, plain, table
from app.services.tuning_feed import Feed
from app.services.tuning_text import PLAN_TEXTS, WHY, about_rows, device_rows, join_rows, join_text
from visualizers import tuning as plots
from visualizers.tuning_history import History, devices, efforts, kept_plan, task_titles, unit_latencies
from visualizers.tuning_words import before_and_now_text, budget_text, devices_text, trials_text
from visualizers.units import count, milliseconds

SUBGRAPHS, JOINS, BUDGET, TRIALS, DEVICES, ABOUT = "Subgraphs", "Joins", "Budget", "Trials", "Devices", "About"
TAB_KEY, TASK_KEY = "tuning-detail", "tuning-task"
SCATTER_HEIGHT, DEVICE_HEIGHT = 380, 220
ALL = -1


def details(key: str, feed: Feed, history: History) -> None:
    if not feed.planned:
        return
    tab = st.segmented_control(
        "Detail",
        (SUBGRAPHS, JOINS, BUDGET, TRIALS, DEVICES, ABOUT),
        default=SUBGRAPHS,
        required=True,
        key=TAB_KEY,
        label_visibility="collapsed",
    )
    shows = {SUBGRAPHS: _subgraphs, JOINS: _joins, BUDGET: _budget, TRIALS: _trials, DEVICES: _devices, ABOUT: _about}
    shows[tab](key, feed, history)


def _plot(figure: go.Figure, name: str, text: str, height: int | None = None, alt: str = "") -> None:
    """A plot with a caption, which is its text alternative too unless that is given."""
    st.plotly_chart(
        figure,
        height=height or figure.layout.height,
        config={"displaylogo": False},
        key=f"tuning-{name}",
        alt=alt or text,
    )
    st.caption(plain(text))


def _subgraphs(key: str, feed: Feed, history: History) -> None:
    latencies, plan = unit_latencies(feed.units, history), kept_plan(history)
    found = before_and_now_text(feed.units, latencies, plan)
    if not found:
        st.caption("No subgraph has been measured as a whole yet.")
        return
    text = f"{found} First: the analytic schedules, part by part. {PLAN_TEXTS[plan]} Medians on {feed.device}."
    _plot(plots.before_and_now(feed.units, latencies, plan, key), "subgraphs", text)


def _joins(key: str, feed: Feed, history: History) -> None:
    rows = join_rows(feed, history)
    if not rows:
        st.caption("This session joins nothing: every subgraph is tuned as it is.")
        return
    st.caption(join_text(rows, kept_plan(history)) + " A verdict: is it faster than its parts? Trials: + parts'.")
    table(rows, wide=WHY)


def _budget(key: str, feed: Feed, history: History) -> None:
    found = efforts(feed.tasks, history)
    if not any(effort.trials for effort in found):
        st.caption("No trial has been measured yet.")
        return
    names = task_titles(feed.tasks)
    most = max(range(len(found)), key=lambda index: found[index].trials)
    total = sum(effort.trials for effort in found)
    text = (
        f"{total:,} trials over {count(len(found), 'task')}; the most went to {names[most]}: {found[most].trials:,}. "
        "More trials go where more can be gained."
    )
    _plot(plots.budget(feed.tasks, found, names, key), "budget", text, alt=budget_text(found, names))


def _trials(key: str, feed: Feed, history: History) -> None:
    if not history.of(Kind.TRIAL):
        st.caption("No trial has been measured yet.")
        return
    names = task_titles(feed.tasks)
    task = st.selectbox(
        "Task",
        [ALL, *range(len(names))],
        format_func=lambda index: "All tasks" if index == ALL else names[index],
        key=TASK_KEY,
        label_visibility="collapsed",
        width=420,
    )
    chosen = None if task == ALL else task
    text = f"{trials_text(history, chosen)} A trial is one schedule, built and timed on {feed.device}."
    if chosen is not None and (best := efforts(feed.tasks, history)[chosen].best):
        text += f" The best takes {milliseconds(best)}."
    _plot(plots.trials(history, chosen, f"{key}-{task}"), "trials", text, SCATTER_HEIGHT)


def _devices(key: str, feed: Feed, history: History) -> None:
    found = devices(history)
    if not found:
        st.caption("No device has reported yet.")
        return
    table(device_rows(found, history.elapsed), wide=WHY)
    text = (
        "Busy: running or checking a schedule. Otherwise the device waits for the search and the compiler. "
        "Lost: how often it failed; what it had was measured again, and it is left alone for a while, longer each time."
    )
    alt = devices_text(found, history.elapsed)
    _plot(plots.device_use(found, history.elapsed, key), "devices", text, DEVICE_HEIGHT, alt)


def _about(key: str, feed: Feed, history: History) -> None:
    facts(about_rows(feed), width="8rem")
