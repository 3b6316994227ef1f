"""How fast a subgraph is, and how fast it could be: measured where it was measured, else estimated and said so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ago_core.graph.opgraph import OpGraph
from app.services.inspect_memory import fused_ideally
from app.services.inspect_tuned import tuned_parts
from app.services.inspection import Limits
from app.services.loaded import View
from app.services.measured import measured
from app.services.study import Study
from app.services.tuning import SessionStore
from app.services.tuning_feed import Feed, feed
from visualizers.roofline import Point, roof
from visualizers.tuning_history import JOIN, efforts
from visualizers.units import flops, milliseconds, nbytes, quantity

if TYPE_CHECKING:
    from ago_core.lowering.inspect import Inspection

ISSUE = 2
"""Multiply-adds that start in a cycle, as the estimate counts (`schedules/tile.py`)."""


@dataclass(frozen=True)
class Latency:
    """Of a subgraph.

    Attributes:
        seconds: of one call.
        measured: whether it ran; else the schedule's estimate, at the peak that was measured.
        how: the method, in words.
    """

    seconds: float
    measured: bool
    how: str


def latency(study: Study, view: View, index: int, limits: Limits, found: Inspection | None) -> Latency | None:
    """The measured one where there is one, else the estimate; None where there is neither."""
    if known := measured(study, view.method):
        seconds = known.subgraphs[index]
        if seconds > 0:
            return Latency(seconds, True, "median, measured in place in the whole model")
    if found is None or found.cycles is None:
        return None
    return Latency(estimated_seconds(found, limits), False, "estimated by the schedule's cost model, not measured")


def estimated_seconds(found: Inspection, limits: Limits) -> float:
    """Cycles at the frequency that the measured peak tells: a core makes `ISSUE` vector multiply-adds a cycle."""
    frequency = limits.peak / limits.threads / (2 * found.processor.lanes * ISSUE)
    return found.cycles / frequency


def measured_points(study: Study, view: View) -> list[Point]:
    """Every other subgraph that was measured, to compare with."""
    known = measured(study, view.method)
    if known is None:
        return []
    rows = zip(view.partition.subgraphs, known.subgraphs)
    return [point(study.graph, f"S{i}", members, s, True) for i, (members, s) in enumerate(rows) if s > 0]


def tuned_points(store: SessionStore, graph: OpGraph, members: tuple[int, ...]) -> list[Point]:
    """The subgraph as sessions on this machine tuned it whole."""
    found = [each for each in tuned_parts(store, graph, members) if each.whole]
    here = [(each, feed(each.folder)) for each in found]
    return [
        point(graph, f"Tuned in {each.session}, {known.device}", members, each.seconds, True)
        for each, known in here
        if known.settings["device"]["kind"] == "local"
    ]


def point(graph: OpGraph, name: str, members: Sequence[int], seconds: float, is_measured: bool) -> Point:
    work = sum(graph.operators[op].flops for op in members)
    return Point(name, work, fused_ideally(graph, members).total, seconds, is_measured)


def position_sentence(where: Point, limits: Limits, how: str) -> str:
    """Where a subgraph is below the roof, in words."""
    if not where.flops:
        bandwidth = where.bytes / where.seconds
        return (
            f"It only moves data: {nbytes(where.bytes)} in {milliseconds(where.seconds)} ({how}) are "
            f"{quantity(bandwidth, 'B/s')}; memory alone allows {quantity(limits.bandwidths[-1], 'B/s')}."
        )
    allowed = roof(limits.peak, limits.footprints, limits.bandwidths, where.intensity, where.bytes)
    reached = where.flops / where.seconds
    bound = "its arithmetic" if allowed >= limits.peak * 0.999 else "moving its data"
    return (
        f"{flops(where.flops)} on {nbytes(where.bytes)}, each moved once: {where.intensity:.3g} FLOP for each byte. "
        f"{milliseconds(where.seconds)} ({how}) are {quantity(reached, 'FLOP/s')}, {reached / allowed:.0%} of what "
        f"this machine allows there; what limits it is {bound}."
    )


def tuned_rows(store: SessionStore, graph: OpGraph, members: tuple[int, ...]) -> list[dict[str, str]]:
    """A row for each tuning session of the model that tried these operators, as one function or in parts."""
    rows = []
    for session in store.rows():
        if session.model_hash == graph.model_hash:
            known = feed(session.folder)
            if row := _tuned_row(session.key, known, graph, members):
                rows.append(row)
    return rows


def _tuned_row(key: str, known: Feed, graph: OpGraph, members: tuple[int, ...]) -> dict[str, str] | None:
    found = efforts(known.tasks, known.history)
    whole = next((effort for task, effort in zip(known.tasks, found) if members in task.places), None)
    parts = _parts(known, found, graph, members)
    if whole is None and parts is None:
        return None
    return {
        "Session": key,
        "As one function": milliseconds(whole.best) if whole and whole.best else "–",
        "Its trials": f"{whole.trials:,}" if whole else "–",
        "In parts, summed": milliseconds(parts[0]) if parts and parts[0] else "–",
        "Their trials": f"{parts[1]:,}" if parts else "–",
        "Setting": known.ablation,
        "Device": known.device,
    }


def _parts(known: Feed, found, graph: OpGraph, members: tuple[int, ...]) -> tuple[float | None, int] | None:
    """(sum of the bests, trials) of the minis that the operators were tuned as; None where they were not."""
    inside = set(members)
    minis = [
        (place, effort)
        for task, effort in zip(known.tasks, found)
        for place in task.places
        if task.kind != JOIN and inside.issuperset(place) and place != members
    ]
    covered = {op for place, _ in minis for op in place}
    if not minis or any(op not in covered and not graph.operators[op].extern for op in members):
        return None
    bests = [effort.best for _, effort in minis]
    trials = sum({id(effort): effort.trials for _, effort in minis}.values())
    return (None if None in bests else sum(bests)), trials
