"""Plots of `tuning` in words, for those who cannot see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ago_core.tuning.events import Kind
from visualizers.tuning import MAX_ROWS, Line
from visualizers.tuning_history import DeviceUse, Effort, History, Latency, Point, Unit
from visualizers.units import count, duration, milliseconds


def before_and_now_text(units: Sequence[Unit], latencies: Sequence[Latency], plan: str) -> str:
    """How many subgraphs were measured, and where most of the time goes; "" where none was measured as a whole."""
    known = [(unit, each.first, each.by(plan)) for unit, each in zip(units, latencies) if each.first and each.by(plan)]
    if not known:
        return ""
    unit, first, most = max(known, key=lambda row: row[2] * len(row[0].subgraphs))
    return (
        f"{count(len(units), 'different subgraph')}, {len(known)} of them measured. Most of the time goes into "
        f"{unit.title}: {milliseconds(most)} each, with its first schedules {milliseconds(first)}."
    )


def trials_text(history: History, task: int | None) -> str:
    """Trials of one task, or of all, and how many of them failed."""
    found = [event.data for event in history.of(Kind.TRIAL) if task in (None, event.data["task"])]
    return f"{count(len(found), 'trial')}, {sum(data['latency'] is None for data in found)} failed."


def devices_text(found: Sequence[DeviceUse], elapsed: float) -> str:
    """How busy each device was on average, and how often it failed."""
    parts = [
        f"{use.device}: {use.busy / elapsed if elapsed else 0:.0%}, lost {count(len(use.troubles), 'time')}"
        for use in found
    ]
    return f"Line chart: how busy each device was over {duration(elapsed)} of tuning, in per cent. {'; '.join(parts)}."


def budget_text(efforts: Sequence[Effort], names: Sequence[str]) -> str:
    """Trials of each task, the most first; `names` are what to call the tasks."""
    rows = sorted(zip(efforts, names), key=lambda row: row[0].trials, reverse=True)
    parts = [f"{name}: {effort.trials:,}" for effort, name in rows[:MAX_ROWS]]
    if rest := rows[MAX_ROWS:]:
        parts.append(f"{len(rest)} others: {sum(effort.trials for effort, _ in rest):,}")
    total = sum(effort.trials for effort in efforts)
    return f"Bar chart: trials of each task, {total:,} over {count(len(rows), 'task')}. {'; '.join(parts)}."


def lines_text(lines: Mapping[str, Line]) -> str:
    """Of each line: first and last measurement, and the sum of subgraphs at both ends and half-way."""
    parts = [f"{name}: {'; '.join(_line(line)) or 'nothing measured yet'}" for name, line in lines.items()]
    return f"Line chart: latency of the whole model as tuning went on. {'. '.join(parts)}."


def _line(line: Line) -> list[str]:
    found = [("measured", run.median, run.trials) for run in line.runs if run.median is not None]
    found = [*found[:1], *found[-1:]]
    found += [("sum of subgraphs", point.seconds, point.trials) for point in _ends_and_middle(line.summed)]
    said = [f"{what} {milliseconds(seconds)} after {count(trials, 'trial')}" for what, seconds, trials in found]
    return list(dict.fromkeys(said))


def _ends_and_middle(points: Sequence[Point]) -> list[Point]:
    """The first, the last that was known after half of the trials, the last."""
    half = [point for point in points if 2 * point.trials <= points[-1].trials]
    return [*points[:1], *half[-1:], *points[-1:]]
