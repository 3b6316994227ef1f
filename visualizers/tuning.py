"""Plots of tuning sessions: the history of a session → plotly figures.

As in `charts`: backgrounds are transparent, texts have no colour of their own, and series are told apart by dash,
symbol or pattern as well as by hue. Zoom and hidden series outlast an update (`uirevision`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ago_core.tuning.events import Event, Kind
from visualizers.palette import BLUE, GREEN, NEUTRAL, ORANGE, PURPLE, SKY, VERMILLION
from visualizers.tuning_history import (
    APART,
    JOINED,
    TUNED,
    UNTUNED,
    DeviceUse,
    Effort,
    History,
    Latency,
    Point,
    Run,
    Task,
    Unit,
    reason_of,
    reasons,
)
from visualizers.units import latency_axis, time_axis

HUES = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION)
DASHES = ("solid", "dash", "dashdot", "longdash")
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross")
FAILURE_SYMBOLS = ("x", "triangle-down", "square-open", "diamond-open", "star")
KIND_STYLES = {"mini": ("part", SKY, ""), "whole": ("whole subgraph", BLUE, ""), "join": ("join", ORANGE, "/")}
PATTERN = {"shape": "/", "fillmode": "overlay", "fgcolor": "white"}
MAX_ROWS = 14
MAX_POINTS = 1500
MAX_FAILURES = 400
BINS = 60
TRIALS, TIME = "trials", "time"
GRID = "rgba(138, 143, 152, 0.25)"
BAR_NAMES = {
    "": "best so far",
    TUNED: "kept: as tuned",
    JOINED: "kept: all joined",
    APART: "kept: all apart",
    UNTUNED: "best found, not kept: untuned is faster",
}
"""Of the bars of each plan of the last check."""
ROW, FRAME = 24, 96
"""Pixels of a row of bars, and of all around them."""


@dataclass(frozen=True)
class Line:
    """What the main plot shows of a session: measurements of the whole model, and the sum of its best functions."""

    runs: Sequence[Run]
    summed: Sequence[Point]


def end_to_end(lines: Mapping[str, Line], over: str, revision: str) -> go.Figure:
    """End-to-end latency over trials or time, a line for each named session.

    A point is the median of the runs of one measurement, its bar reaches from the first to the third quartile. The thin
    dotted line of the same hue is the sum of the subgraphs' best latencies, which is an estimate.

    Args:
        lines: by name.
        over: `TRIALS` or `TIME` (of tuning, pauses not counted).
        revision: the same as long as the reader's zoom should stay.
    """
    figure = go.Figure()
    longest = max((point.elapsed for line in lines.values() for point in (*line.runs, *line.summed)), default=0.0)
    unit, unit_name = time_axis(longest)
    scale, latency_unit = latency_axis([point.seconds for line in lines.values() for point in line.summed])

    def place(point: Run | Point) -> float:
        return point.trials if over == TRIALS else point.elapsed / unit

    for position, (name, line) in enumerate(lines.items()):
        hue, dash = HUES[position % len(HUES)], DASHES[position % len(DASHES)]
        figure.add_scatter(
            x=[place(point) for point in line.summed],
            y=[point.seconds * scale for point in line.summed],
            name="sum of subgraphs" if len(lines) == 1 else f"{name}: sum",
            legendgroup=name if len(lines) > 1 else None,
            showlegend=len(lines) == 1,
            mode="lines",
            line={"color": hue, "width": 1, "dash": "dot", "shape": "hv"},
            opacity=0.8,
            hovertemplate=f"%{{y:.4g}} {latency_unit} summed<extra>" + name + "</extra>",
        )
        measured = [run for run in line.runs if run.median is not None]
        figure.add_scatter(
            x=[place(run) for run in measured],
            y=[run.median * scale for run in measured],
            error_y={
                "array": [(run.high - run.median) * scale for run in measured],
                "arrayminus": [(run.median - run.low) * scale for run in measured],
                "thickness": 1,
                "width": 3,
            },
            customdata=[(run.trials, run.low * scale, run.high * scale, len(run.runs)) for run in measured],
            name="measured" if len(lines) == 1 else name,
            legendgroup=name if len(lines) > 1 else None,
            mode="lines+markers",
            line={"color": hue, "dash": dash, "width": 2},
            marker={"color": hue, "symbol": SYMBOLS[position % len(SYMBOLS)], "size": 8},
            hovertemplate=f"<b>%{{y:.4g}} {latency_unit}</b>, median of %{{customdata[3]}} runs<br>"
            f"quartiles %{{customdata[1]:.4g}} to %{{customdata[2]:.4g}} {latency_unit}<br>"
            "after %{customdata[0]} trials<extra>" + name + "</extra>",
        )
    figure.update_yaxes(rangemode="tozero" if _near_zero(lines.values()) else "normal")
    figure.update_xaxes(rangemode="tozero")
    x_title = "trials" if over == TRIALS else f"time of tuning ({unit_name})"
    return _framed(figure, x_title, f"latency ({latency_unit})", revision)


def _near_zero(lines) -> bool:
    """Whether the least latency is so much less than the largest that an axis from zero costs little room."""
    found = [run.median for line in lines for run in line.runs if run.median]
    found += [point.seconds for line in lines for point in line.summed]
    return bool(found) and min(found) < 0.5 * max(found)


def before_and_now(units: Sequence[Unit], latencies: Sequence[Latency], plan: str, revision: str) -> go.Figure:
    """The latency of each subgraph, all its copies, with the first schedules and with the best; longest first.

    Args:
        plan: that the last check has kept, whose functions are shown; "" before it.
    """
    rows = [
        (unit, each.first * len(unit.subgraphs) * 1e6, each.by(plan) * len(unit.subgraphs) * 1e6)
        for unit, each in zip(units, latencies)
        if each.first is not None and each.by(plan) is not None
    ]
    rows.sort(key=lambda row: row[2], reverse=True)
    labels = [unit.title for unit, _, _ in rows[:MAX_ROWS]]
    first, now = [row[1] for row in rows[:MAX_ROWS]], [row[2] for row in rows[:MAX_ROWS]]
    if rest := rows[MAX_ROWS:]:
        labels.append(f"{len(rest)} others")
        first.append(sum(row[1] for row in rest))
        now.append(sum(row[2] for row in rest))
    gains = [f"{before / after:.2f}×" for before, after in zip(first, now)]
    figure = go.Figure()
    figure.add_bar(
        y=labels,
        x=first,
        name="first schedules",
        orientation="h",
        marker={"color": NEUTRAL, "pattern": PATTERN},
        hovertemplate="%{x:.1f} µs<extra>first</extra>",
    )
    figure.add_bar(
        y=labels,
        x=now,
        name=BAR_NAMES[plan],
        orientation="h",
        marker={"color": BLUE, "opacity": 0.5 if plan == UNTUNED else 1.0},
        text=gains,
        textposition="outside",
        constraintext="none",
        cliponaxis=False,
        hovertemplate=f"%{{x:.1f}} µs<extra>{BAR_NAMES[plan]}</extra>",
    )
    figure.update_layout(barmode="group", bargap=0.3, height=FRAME + int(1.4 * ROW) * max(2, len(labels)))
    figure.update_yaxes(autorange="reversed", ticklabelstandoff=6)
    return _framed(figure, "µs of an inference (labels: how many times as fast)", "", revision)


def budget(tasks: Sequence[Task], efforts: Sequence[Effort], names: Sequence[str], revision: str) -> go.Figure:
    """Trials of each task, the most first; `names` are what to call the tasks."""
    rows = sorted(zip(tasks, efforts, names), key=lambda row: row[1].trials, reverse=True)
    shown, rest = rows[:MAX_ROWS], rows[MAX_ROWS:]
    total = sum(effort.trials for effort in efforts) or 1
    figure = go.Figure()
    for kind, (label, hue, pattern) in KIND_STYLES.items():
        mine = [(effort.trials, name) for task, effort, name in shown if task.kind == kind]
        if mine:
            figure.add_bar(
                y=[name for _, name in mine],
                x=[trials for trials, _ in mine],
                text=[f"{trials / total:.0%}" for trials, _ in mine],
                textposition="outside",
                cliponaxis=False,
                name=label,
                orientation="h",
                marker={"color": hue, "pattern": PATTERN | {"shape": pattern}},
                hovertemplate="%{x} trials<extra>%{y}</extra>",
            )
    labels = [name for _, _, name in shown]
    if rest:
        trials = sum(effort.trials for _, effort, _ in rest)
        labels.append(f"{len(rest)} others")
        figure.add_bar(
            y=labels[-1:],
            x=[trials],
            text=[f"{trials / total:.0%}"],
            textposition="outside",
            name="others",
            orientation="h",
            marker={"color": NEUTRAL},
            hovertemplate="%{x} trials<extra>%{y}</extra>",
        )
    figure.update_layout(barmode="overlay", height=FRAME + ROW * max(3, len(labels)))
    figure.update_yaxes(categoryorder="array", categoryarray=labels, autorange="reversed", ticklabelstandoff=6)
    return _framed(figure, "trials", "", revision)


def trials(history: History, task: int | None, revision: str) -> go.Figure:
    """Every trial: its latency as a multiple of what its task's best is now, and below those without one by reason.

    Thinned where there are many: each trial that improved on its task is drawn, and of the others every n-th.

    Args:
        history: of the session.
        task: only this one's, in microseconds; None: of all.
        revision: see `end_to_end`.
    """
    events = [event for event in history.of(Kind.TRIAL) if task in (None, event.data["task"])]
    bests = [event.data for event in history.of(Kind.BEST)]
    improved = {data["trial"] for data in bests}
    best = {data["task"]: data["latency"] for data in bests}
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.76, 0.24], vertical_spacing=0.04)
    right = [event for event in events if event.data["latency"] is not None]
    for name, chosen, style in (
        ("slower than the best so far", [e for e in right if e.data["trial"] not in improved], (NEUTRAL, "circle", 5)),
        ("improved its task", [e for e in right if e.data["trial"] in improved], (BLUE, "diamond", 8)),
    ):
        drawn = chosen if name.startswith("improved") else thinned(chosen, MAX_POINTS)
        _dots(figure, name + _thinning(drawn, chosen), drawn, best, task, style)
    _failures(figure, [event for event in events if event.data["latency"] is None], reasons(history))
    unit = "µs" if task is not None else "latency / task's best now"
    figure.update_yaxes(type="log", title={"text": unit}, row=1, col=1)
    figure.update_xaxes(title={"text": ""}, row=1, col=1)
    framed = _framed(figure, "", "", revision)
    framed.update_yaxes(title={"text": unit}, row=1, col=1)
    return framed.update_xaxes(title={"text": "trial"}, row=2, col=1)


def _dots(figure: go.Figure, name: str, drawn: Sequence[Event], best: Mapping[int, float], task, style) -> None:
    hue, symbol, size = style
    scale = {key: 1e-6 if task is not None else value for key, value in best.items()}
    drawn = [event for event in drawn if event.data["task"] in scale]
    figure.add_scatter(
        x=[event.data["trial"] for event in drawn],
        y=[event.data["latency"] / scale[event.data["task"]] for event in drawn],
        customdata=[(event.data["task"], event.data["latency"] * 1e6) for event in drawn],
        name=name,
        mode="markers",
        marker={"color": hue, "symbol": symbol, "size": size, "opacity": 0.75},
        hovertemplate="trial %{x}: %{customdata[1]:.1f} µs, task %{customdata[0]}<extra></extra>",
        row=1,
        col=1,
    )


def _failures(figure: go.Figure, failed: Sequence[Event], names: Mapping[str, str]) -> None:
    """One row of marks for each reason."""
    found = list(dict.fromkeys(names[reason_of(event.data)] for event in failed))
    for position, name in enumerate(found):
        mine = [event for event in failed if names[reason_of(event.data)] == name]
        drawn = thinned(mine, MAX_FAILURES)
        figure.add_scatter(
            x=[event.data["trial"] for event in drawn],
            y=[position] * len(drawn),
            text=[event.data["error"] or "wrong result" for event in drawn],
            name=f"{_shortened(name)} ({len(mine)})",
            mode="markers",
            marker={"color": VERMILLION, "symbol": FAILURE_SYMBOLS[position % len(FAILURE_SYMBOLS)], "size": 8},
            hovertemplate="trial %{x}: %{text}<extra></extra>",
            row=2,
            col=1,
        )
    figure.update_yaxes(
        tickvals=[], range=[-0.6, max(0.6, len(found) - 0.4)], title={"text": "failed"}, zeroline=False, row=2, col=1
    )


def thinned(events: Sequence[Event], most: int) -> Sequence[Event]:
    """Every n-th, with n so that there are at most so many; all where there are no more."""
    return events[:: math.ceil(len(events) / most)] if len(events) > most else events


def _thinning(drawn: Sequence[Event], of: Sequence[Event]) -> str:
    return f" (1 of {math.ceil(len(of) / len(drawn))} drawn)" if len(drawn) < len(of) else ""


def _shortened(text: str, most: int = 60) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def device_use(found: Sequence[DeviceUse], elapsed: float, revision: str) -> go.Figure:
    """How busy each device was, in per cent of each stretch of the tuning's time; marks where it failed."""
    unit, unit_name = time_axis(elapsed)
    width = max(elapsed, 1e-9) / BINS
    figure = go.Figure()
    for position, device in enumerate(found):
        hue = HUES[position % len(HUES)]
        figure.add_scatter(
            x=[index * width / unit for index in range(BINS + 1)],
            y=(shares := [100 * share for share in _shares(device.spans, width)]) + shares[-1:],
            name=device.device,
            mode="lines",
            line={"color": hue, "dash": DASHES[position % len(DASHES)], "shape": "hv", "width": 2},
            hovertemplate="busy %{y:.0f} %<extra>%{fullData.name}</extra>",
        )
        if device.troubles:
            figure.add_scatter(
                x=[at / unit for at, _, _ in device.troubles],
                y=[0] * len(device.troubles),
                text=[f"{state}: {reason}" for _, state, reason in device.troubles],
                name=f"{device.device}: lost or quarantined",
                mode="markers",
                marker={"color": hue, "symbol": "x", "size": 10},
                hovertemplate="%{text}<extra></extra>",
            )
    figure.update_yaxes(range=[-4, 104])
    figure.update_layout(showlegend=True)
    return _framed(figure, f"time of tuning ({unit_name})", "busy (%)", revision)


def _shares(spans: Sequence[tuple[float, float]], width: float) -> list[float]:
    """Which share of each bin of that many seconds the spans cover."""
    covered = [0.0] * BINS
    for start, end in spans:
        for index in range(min(BINS - 1, int(start / width)), min(BINS - 1, int(end / width)) + 1):
            covered[index] += max(0.0, min(end, (index + 1) * width) - max(start, index * width))
    return [min(1.0, seconds / width) for seconds in covered]


def _framed(figure: go.Figure, x_title: str, y_title: str, revision: str) -> go.Figure:
    figure.update_xaxes(title={"text": x_title}, gridcolor=GRID, zerolinecolor=NEUTRAL, automargin=True)
    figure.update_yaxes(title={"text": y_title}, gridcolor=GRID, zerolinecolor=NEUTRAL, automargin=True)
    return figure.update_layout(
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        margin={"l": 8, "r": 40 if not y_title else 8, "t": 34, "b": 8},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.0, "yanchor": "bottom"},
        showlegend=True,
        uirevision=revision,
    )
