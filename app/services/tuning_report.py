"""A session, or several compared, as one HTML file that needs no network: plots, tables, how to do it again."""

from __future__ import annotations

import html
import time
from collections.abc import Iterable, Mapping

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from app.services.tuning_feed import Feed
from app.services.tuning_text import (
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
from visualizers.tuning_history import devices, efforts, task_titles, unit_latencies
from visualizers.tuning_units import duration

HEIGHT = 380
STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2rem auto; padding: 0 1rem; color: #1c1e21; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; }
th, td { text-align: left; vertical-align: top; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid #ddd; }
th { font-weight: 400; color: #5b6168; } td, th { white-space: nowrap; }
td:last-child { white-space: normal; overflow-wrap: anywhere; width: 99%; } p.note { color: #5b6168; }
"""


def report(feeds: Mapping[str, Feed]) -> bytes:
    """The page, UTF-8.

    Args:
        feeds: planned sessions by name, the first one in detail.
    """
    stands = {name: standing(feed, feed.history) for name, feed in feeds.items()}
    name, first = next(iter(feeds.items()))
    title = f"Tuning {first.model}: {', '.join(feeds)}"
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        _note(
            f"{first.state.value.capitalize()}. {doing(first, stands[name])} Written {time.strftime('%Y-%m-%d %H:%M')}."
        ),
        "<h2>End to end</h2>",
        *_main(feeds, stands),
    ]
    for one, feed in feeds.items():
        if feed.planned:
            parts += _session(one, feed, stands[one], many=len(feeds) > 1)
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    script = f"<script>{get_plotlyjs()}</script>"
    return f'<!doctype html><html lang="en"><head>{head}{script}</head><body>{"".join(parts)}</body></html>'.encode()


def _main(feeds: Mapping[str, Feed], stands: Mapping[str, Standing]) -> list[str]:
    lines = {name: plots.Line(stand.runs, stand.summed) for name, stand in stands.items()}
    parts = [_figure(plots.end_to_end(lines, over, ""), HEIGHT) for over in (plots.TRIALS, plots.TIME)]
    notes = [_note(f"{name}: {end_to_end_text(stands[name], feed.device)}") for name, feed in feeds.items()]
    return [*parts, *notes, _table(compare_rows({name: (feeds[name], stands[name]) for name in feeds}))]


def _session(name: str, feed: Feed, stand: Standing, many: bool) -> list[str]:
    """The parts of the page about one session."""
    history, found = feed.history, efforts(feed.tasks, feed.history)
    joins, used = join_rows(feed, history), devices(history)
    parts = [f"<h1>{html.escape(name)}</h1>" if many else ""]
    parts += ["<h2>Subgraphs, before and now</h2>"]
    parts += [_figure(plots.before_and_now(feed.units, unit_latencies(feed.units, history), ""))]
    if joins:
        parts += ["<h2>Joins</h2>", _note(join_text(joins)), _table(joins)]
    parts += ["<h2>Where the trials went</h2>", _figure(plots.budget(feed.tasks, found, task_titles(feed.tasks), ""))]
    parts += ["<h2>Trials</h2>", _figure(plots.trials(history, None, ""), HEIGHT)]
    if used:
        parts += ["<h2>Devices</h2>", _table(device_rows(used, history.elapsed))]
        parts += [_figure(plots.device_use(used, history.elapsed, ""), HEIGHT // 2)]
    about = [{"": label, "What": value} for label, value in about_rows(feed)]
    parts += [f"<h2>How it was made</h2>{_note(f'{stand.trials:,} trials in {duration(stand.elapsed)} of tuning.')}"]
    return [*parts, _table(about)]


def _figure(figure: go.Figure, height: int | None = None) -> str:
    figure.update_layout(template="plotly_white", height=height or figure.layout.height)
    return figure.to_html(full_html=False, include_plotlyjs=False, config={"displaylogo": False})


def _note(text: str) -> str:
    return f'<p class="note">{html.escape(text)}</p>'


def _table(rows: Iterable[Mapping[str, str]]) -> str:
    rows = list(rows)
    head = "".join(f"<th>{html.escape(key)}</th>" for key in rows[0])
    lines = ["".join(f"<td>{html.escape(value)}</td>" for value in row.values()) for row in rows]
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"
