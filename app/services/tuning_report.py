"""A session, or several compared, as one HTML file that needs no network: plots, tables, how to do it again."""

from __future__ import annotations

import time
from collections.abc import Mapping

from app.services.report_html import facts, figure, heading, note, page, table
from app.services.tuning_feed import Feed
from app.services.tuning_text import (
    PLAN_TEXTS,
    Standing,
    about_rows,
    compare_rows,
    device_rows,
    doing,
    end_to_end_text,
    join_rows,
    join_text,
    standing,
)
from visualizers import tuning as plots
from visualizers.tuning_history import devices, efforts, kept_plan, task_titles, unit_latencies
from visualizers.tuning_words import before_and_now_text, budget_text, devices_text, lines_text, trials_text
from visualizers.units import duration

HEIGHT = 380


def report(feeds: Mapping[str, Feed]) -> bytes:
    """The page, UTF-8.

    Args:
        feeds: planned sessions by name, the first one in detail.
    """
    first = next(iter(feeds.values()))
    title = f"Tuning {first.model}: {', '.join(feeds)}"
    stand = f"{first.state.value.capitalize()}. {doing(first, standing(first, first.history))}"
    written = f"Written {time.strftime('%Y-%m-%d %H:%M')}."
    return page(title, [heading(title, 1), note(f"{stand} {written}"), *sections(feeds)])


def sections(feeds: Mapping[str, Feed]) -> list[str]:
    """What a page says about sessions, without its title; they are compared, then each is described."""
    stands = {name: standing(feed, feed.history) for name, feed in feeds.items()}
    parts = [heading("End to end"), *_end_to_end(feeds, stands)]
    for name, feed in feeds.items():
        if feed.planned:
            parts += [heading(f"Session {name}")] if len(feeds) > 1 else []
            parts += _session(feed, stands[name])
    return parts


def _end_to_end(feeds: Mapping[str, Feed], stands: Mapping[str, Standing]) -> list[str]:
    lines = {name: plots.Line(stand.runs, stand.summed) for name, stand in stands.items()}
    text = lines_text(lines)
    parts = [figure(plots.end_to_end(lines, over, ""), text, HEIGHT) for over in (plots.TRIALS, plots.TIME)]
    notes = [note(f"{name}: {end_to_end_text(stands[name], feed.device)}") for name, feed in feeds.items()]
    return [*parts, *notes, table(compare_rows({name: (feeds[name], stands[name]) for name in feeds}))]


def _session(feed: Feed, stand: Standing) -> list[str]:
    history, found, names = feed.history, efforts(feed.tasks, feed.history), task_titles(feed.tasks)
    joins, used = join_rows(feed, history), devices(history)
    parts = [heading("Subgraphs, before and now", 3)]
    plan, latencies = kept_plan(history), unit_latencies(feed.units, history)
    text = before_and_now_text(feed.units, latencies, plan) or "No subgraph was measured as a whole."
    parts += [figure(plots.before_and_now(feed.units, latencies, plan, ""), text)]
    parts += [note(PLAN_TEXTS[plan])]
    if joins:
        parts += [heading("Joins", 3), note(join_text(joins, plan)), table(joins)]
    parts += [heading("Where the trials went", 3)]
    parts += [figure(plots.budget(feed.tasks, found, names, ""), budget_text(found, names))]
    parts += [heading("Trials", 3), figure(plots.trials(history, None, ""), trials_text(history, None), HEIGHT)]
    if used:
        parts += [heading("Devices", 3), table(device_rows(used, history.elapsed))]
        text = devices_text(used, history.elapsed)
        parts += [figure(plots.device_use(used, history.elapsed, ""), text, HEIGHT // 2)]
    parts += [heading("How it was made", 3), note(f"{stand.trials:,} trials in {duration(stand.elapsed)} of tuning.")]
    return [*parts, facts(about_rows(feed))]
