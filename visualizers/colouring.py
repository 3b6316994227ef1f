"""Colours of a drawing by a quantity or a kind, with the legend that says what they mean.

Like marks they are sent apart from the drawing, which stays where it is.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from ago_core.graph.opgraph import Operator, OpGraph
from ago_core.partition.compare import compare
from ago_core.partition.metrics import subgraph_weights
from ago_core.partition.partition import Partition
from visualizers.palette import KIND_HUES, NEUTRAL
from visualizers.scales import diverging, sequential, steps
from visualizers.units import count, flops, nbytes

LEAST_RATIO = 1.1
"""A speed-up scale reaches at least so far: smaller differences are no news."""


class Colour(enum.Enum):
    """What colours say."""

    SUBGRAPH = "subgraph"
    KIND = "kind"
    FLOPS = "flops"
    BYTES = "bytes"
    WEIGHT = "weight"
    LATENCY = "latency"
    SPEEDUP = "speedup"
    DIFFERENCES = "differences"


@dataclass(frozen=True)
class Shown:
    """What a panel shows: a partition, and the subgraphs that are folded into one node."""

    partition: Partition
    folded: tuple[int, ...] = ()


@dataclass(frozen=True)
class Paint:
    """Colours of one panel.

    Attributes:
        title: what they say, with the unit.
        palette: colours as "#rrggbb".
        names: of the palette's colours, where they are kinds; of a scale none.
        ends: of a scale, as texts with units.
        operators: for each operator its place in the palette, or None for no colour; empty where only subgraphs have
            colours.
        subgraphs: for each subgraph: the colour of its box where operators have none, and of its node where it is one.
        texts: for each subgraph its value as text, or () where the hover card says it already.
    """

    title: str
    palette: tuple[str, ...]
    names: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    operators: tuple[int | None, ...] = ()
    subgraphs: tuple[int | None, ...] = ()
    texts: tuple[str, ...] = ()

    def to_json(self) -> dict:
        return asdict(self)


def by_flops(graph: OpGraph, shown: Sequence[Shown]) -> list[Paint]:
    """Floating-point operations of each operator, of a folded subgraph their sum."""
    return _by_operator(graph, shown, "FLOPs, computed, log scale", lambda op: op.flops, flops)


def by_bytes(graph: OpGraph, shown: Sequence[Shown]) -> list[Paint]:
    """Bytes that each operator reads and writes were it run by itself, of a folded subgraph their sum."""

    def size(op: Operator) -> int:
        return op.bytes_read + op.bytes_written

    return _by_operator(graph, shown, "Bytes read and written, computed, log", size, nbytes)


def by_weight(graph: OpGraph, shown: Sequence[Shown]) -> list[Paint]:
    """How hard each subgraph is to tune, in expected trials."""
    values = [subgraph_weights(graph, one.partition) for one in shown]
    return _by_subgraph(values, "Weight of a subgraph, estimated", lambda value: f"{round(value, 1):g} trials")


def by_latency(seconds: Sequence[Sequence[float] | None]) -> list[Paint | None]:
    """Measured median time of each subgraph of each panel, in seconds; None for a panel that was not measured."""
    paints = iter(_by_subgraph([own for own in seconds if own], "Latency of a subgraph, measured", _milliseconds))
    return [next(paints) if own else None for own in seconds]


def by_speedup(
    graph: OpGraph, shown: tuple[Shown, Shown], seconds: tuple[Sequence[float], Sequence[float]], names: Sequence[str]
) -> list[Paint]:
    """How much faster the operators of a subgraph are in the one panel than in the other.

    Two partitions can be compared where subgraphs of both cover the same operators (`compare.Block`); each such part's
    subgraphs have the ratio of their sums, none where one of the sums is 0.

    Args:
        graph: the model.
        shown: both panels.
        seconds: measured, for each subgraph of each; 0 for one that has no code of its own.
        names: of both plans.
    """
    before, after = shown
    ratios: list[list[float | None]] = [[None] * len(before.partition), [None] * len(after.partition)]
    for block in compare(graph, before.partition, after.partition).blocks:
        sums = [sum(times[i] for i in part) for times, part in zip(seconds, (block.before, block.after))]
        if not all(sums):
            continue  # nothing of its own was measured
        for own, part in zip(ratios, (block.before, block.after)):
            for index in part:
                own[index] = sums[0] / sums[1]
    known = [ratio for own in ratios for ratio in own if ratio]
    reach = max([LEAST_RATIO, *known, *(1 / ratio for ratio in known)])
    title = f"{names[1]} vs {names[0]}, measured"
    ends = (f"{reach:.2f}× slower", f"{reach:.2f}× faster")
    return [
        Paint(
            title,
            diverging(),
            ends=ends,
            subgraphs=tuple(steps(own, 1 / reach, reach, logarithmic=True)),
            texts=tuple(_ratio(ratio) for ratio in own),
        )
        for own in ratios
    ]


def by_kind(graph: OpGraph, shown: Sequence[Shown]) -> list[Paint]:
    """What each operator computes; the kinds with most operators have hues of their own."""
    counted = Counter(op.kind for op in graph.operators).most_common()
    kinds = [kind for kind, _ in counted[: len(KIND_HUES)]]
    rest = len(counted) - len(kinds)
    names = (*kinds, *([count(rest, "other")] if rest else []))
    palette = (*KIND_HUES[: len(kinds)], *([NEUTRAL] if rest else []))
    place = {kind: index for index, kind in enumerate(kinds)}
    operators = tuple(place.get(op.kind, len(kinds)) for op in graph.operators)
    title = "Kind" + (", of a folded subgraph that of most work" if any(one.folded for one in shown) else "")
    return [
        Paint(
            title,
            palette,
            names,
            operators=operators,
            subgraphs=tuple(
                operators[max(members, key=lambda op: graph.operators[op].flops)] for members in one.partition.subgraphs
            ),
        )
        for one in shown
    ]


def _by_operator(
    graph: OpGraph, shown: Sequence[Shown], title: str, value: Callable[[Operator], int], text: Callable[[float], str]
) -> list[Paint]:
    """On one logarithmic scale that holds all that any panel shows."""
    own = [value(op) for op in graph.operators]
    sums = [[sum(own[op] for op in members) for members in one.partition.subgraphs] for one in shown]
    folded = [total[index] for one, total in zip(shown, sums) for index in one.folded]
    positive = [number for number in (*own, *folded) if number] or [1]
    low, high = min(positive), max(positive)
    operators = tuple(steps(own, low, high, logarithmic=True))
    return [
        Paint(
            title,
            sequential(),
            ends=(text(low), text(high)),
            operators=operators,
            subgraphs=tuple(steps(total, low, high, logarithmic=True)),
        )
        for total in sums
    ]


def _by_subgraph(values: Sequence[Sequence[float]], title: str, text: Callable[[float], str]) -> list[Paint]:
    """On one scale from 0 to the largest value of any panel."""
    high = max((value for own in values for value in own), default=0.0)
    return [
        Paint(
            title,
            sequential(),
            ends=(text(0.0), text(high)),
            subgraphs=tuple(steps(own, 0.0, high)),
            texts=tuple(text(value) for value in own),
        )
        for own in values
    ]


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms"


def _ratio(ratio: float | None) -> str:
    if ratio is None:
        return "not measured by itself"
    return f"{ratio:.2f}× faster" if ratio >= 1 else f"{1 / ratio:.2f}× slower"
