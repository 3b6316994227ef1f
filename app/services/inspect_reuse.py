"""Loops and reuse in words and tables: which loop re-reads what, and what fusing would keep in cache.

All figures are computed from shapes and index expressions (`ago_core/fusion/reuse.py`); nothing is measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ago_core.fusion.reuse import Reuse, analyse
from ago_core.graph.opgraph import Loop, Operator, OpGraph, Tensor
from visualizers.units import nbytes


@dataclass(frozen=True)
class Cell:
    """What one loop does to one tensor.

    Attributes:
        kind: "moves" (each iteration is at another place), "window" (overlaps with its neighbours), "rereads" (each
            iteration reads or updates the same again), "unknown".
        text: for the table.
    """

    kind: str
    text: str


@dataclass(frozen=True)
class LoopTable:
    """The loops of a complex operator against what it reads and writes.

    Attributes:
        operator: its name.
        tensors: (name, shape and bytes) of each column.
        loops: outermost first; those of one step are left out.
        cells: for each loop one for each tensor.
        reads: for each tensor how often an element is read, or updated, on average.
    """

    operator: str
    tensors: tuple[tuple[str, str], ...]
    loops: tuple[Loop, ...]
    cells: tuple[tuple[Cell, ...], ...]
    reads: tuple[float, ...]


@dataclass(frozen=True)
class Kept:
    """An intermediate between two operators of a subgraph, and what keeping it in a tile costs and saves."""

    producer: str
    consumer: str
    tensor: Tensor
    reuse: Reuse


def loop_table(graph: OpGraph, op: Operator) -> LoopTable:
    """For an operator with loops: its activations, where it is known how they are indexed, and its result."""
    columns = [
        (_source(graph, source), tensor, access)
        for source, tensor, access in zip(op.sources, op.inputs, op.access)
        if access is not None
    ]
    iterations = math.prod(loop.extent for loop in op.loops)
    loops = tuple(loop for loop in op.loops if loop.extent > 1)
    rows = []
    for loop in loops:
        cells = [_cell(op, loop, access) for _, _, access in columns]
        rows.append((*cells, _result_cell(loop)))
    reads = [iterations / max(1, tensor.elements) for _, tensor, _ in columns]
    updates = iterations / max(1, math.prod(loop.extent for loop in op.loops if loop.kind == "spatial"))
    tensors = [(name, _shape(tensor)) for name, tensor, _ in columns]
    return LoopTable(
        op.name,
        (*tensors, ("its result", _shape(op.outputs[0]))),
        loops,
        tuple(rows),
        (*reads, updates),
    )


def _source(graph: OpGraph, source: int | None) -> str:
    return "model input" if source is None else graph.operators[source].name


def _shape(tensor: Tensor) -> str:
    return f"{'×'.join(map(str, tensor.shape))}, {nbytes(tensor.nbytes)}"


def _cell(op: Operator, loop: Loop, access) -> Cell:
    axes = [terms for terms in access if any(term.loop == loop.name for term in terms)]
    if not axes:
        return Cell("rereads", f"reads again, {loop.extent:,}×")
    extents = {each.name: each.extent for each in op.loops}
    if any(term.stride is None for terms in axes for term in terms):
        return Cell("unknown", "looks it up")
    shared = any(sum(extents[term.loop] > 1 for term in terms) > 1 for terms in axes)
    return Cell("window", "slides a window") if shared else Cell("moves", "moves on")


def _result_cell(loop: Loop) -> Cell:
    if loop.kind == "reduction":
        return Cell("rereads", f"adds to it, {loop.extent:,}×")
    return Cell("moves", "moves on")


def intermediates(graph: OpGraph, members: Iterable[int]) -> list[Kept]:
    """What passes from one operator to another inside a subgraph towards a complex one, in order."""
    inside = set(members)
    found = []
    for producer, consumer in graph.edges:
        if {producer, consumer} <= inside and graph.operators[consumer].is_complex:
            op = graph.operators[consumer]
            if producer in op.sources:
                tensor = op.inputs[op.sources.index(producer)]
                reuse = analyse(graph, producer, consumer)
                found.append(Kept(graph.operators[producer].name, op.name, tensor, reuse))
    return found


def intermediate_facts(kept: Kept) -> list[tuple[str, str]]:
    """Labels and values."""
    tile = "×".join(map(str, kept.reuse.tile))
    return [
        ("Whole", nbytes(kept.tensor.nbytes)),
        ("Re-read by", ", ".join(kept.reuse.reread_by) or "no loop"),
        ("Tile", f"{tile}, {nbytes(kept.reuse.tile_bytes)}" if tile else "none fits"),
        ("Computed", "–" if math.isinf(kept.reuse.recompute) else f"{kept.reuse.recompute:.2f}×"),
        ("Saves", nbytes(kept.reuse.bytes_saved) if kept.reuse.pays else "nothing"),
    ]


def reuse_sentence_of(table: LoopTable) -> str:
    """The table in one sentence, for its first tensor."""
    name = table.tensors[0][0]
    again = [loop for loop, row in zip(table.loops, table.cells) if row[0].kind == "rereads"]
    windows = [loop for loop, row in zip(table.loops, table.cells) if row[0].kind == "window"]
    if len(table.tensors) == 1:
        return f"How {table.operator} indexes what it reads is not known."
    parts = [f"{table.operator} reads each element of {name} {table.reads[0]:,.4g} times on average"]
    if again:
        times = math.prod(loop.extent for loop in again)
        parts.append(
            f"{times:,}× because {', '.join(loop.name for loop in again)} "
            f"{'does' if len(again) == 1 else 'do'} not index it: inside a tile that stays in cache, that is free"
        )
    if windows:
        parts.append(
            f"the windows of {', '.join(loop.name for loop in windows)} overlap: cut across them, a tile computes its "
            "edge twice"
        )
    return "; ".join(parts) + "."
