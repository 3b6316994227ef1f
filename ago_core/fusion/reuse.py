"""Reuse analysis: what it costs to fuse a producer into its consumer, in closed form (AGO, section IV).

Fused, the intermediate is never whole in memory: it lives in a tile that is computed, used, and overwritten by the
next. What decides is which consumer loops index it.

* A loop that does not index it reads it again: kept inside the tile, it costs nothing (the output channels of a
  pointwise convolution or a matmul); outside, the producer would be computed again for each of its iterations.
* An axis that a reduction loop runs over is needed whole (the input channels of a convolution).
* An axis indexed by a window, `stride·o + dilation·k`, overlaps from tile to tile. Whole, it costs nothing. Cut into
  tiles of t outputs, a tile needs (t − 1)·stride + (K − 1)·dilation + 1 elements; neighbours compute the halo twice:

      factor(t) = Σ over tiles of elements needed / elements needed at all

* Any other axis can be cut at will: rows for a matmul, channels for a depthwise convolution.

The tile is the one with the least recompute that fits in the cache.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product

from ago_core.graph.opgraph import Access, Operator, OpGraph, Tensor, Term

CACHE_BYTES = 512 * 1024
"""Half of a typical second-level cache: the other half is for weights and the consumer's tile."""

FLOPS_PER_BYTE = 32.0
"""Operations done while memory delivers a byte: 235 GFLOP/s against 7 GB/s, measured on two cores of an EPYC."""

LANES = 16
"""Elements of the innermost axis that a tile holds at least, for vectors."""


@dataclass(frozen=True)
class Reuse:
    """One intermediate tensor between a producer and a consumer.

    Attributes:
        reread_by: consumer loops that do not index the intermediate and so read it again.
        tile: extents of the intermediate kept in cache, by axis.
        tile_bytes: of the tile.
        recompute: times that an element is computed on average; 1.0 when nothing is computed twice.
        bytes_saved: memory traffic that fusing saves; 0 where it does not pay.
        reason: one sentence.
    """

    reread_by: tuple[str, ...]
    tile: tuple[int, ...]
    tile_bytes: int
    recompute: float
    bytes_saved: int
    reason: str

    @property
    def pays(self) -> bool:
        return self.bytes_saved > 0


@dataclass(frozen=True)
class Axis:
    """One axis of the intermediate as the consumer reads it.

    Attributes:
        extent: of the axis.
        outputs: iterations of the spatial loop that moves over it; 1 where none does.
        stride: of that loop.
        window: elements needed for one iteration.
        cuttable: whether it may be cut into tiles.
    """

    extent: int
    outputs: int
    stride: int
    window: int
    cuttable: bool

    def needed(self, outputs: int) -> int:
        """Elements that `outputs` neighbouring iterations need, of those that exist."""
        return min(self.extent, (outputs - 1) * self.stride + self.window)

    def recompute(self, outputs: int) -> float:
        """Elements computed by tiles of so many iterations, over those computed once."""
        full, rest = divmod(self.outputs, outputs)
        computed = full * self.needed(outputs) + (self.needed(rest) if rest else 0)
        return max(1.0, computed / self.needed(self.outputs))


def edge_reuse(graph: OpGraph) -> dict[tuple[int, int], Reuse]:
    """The analysis for every edge of a graph."""
    return {(u, v): analyse(graph, u, v) for u, v in graph.edges}


def analyse(graph: OpGraph, producer: int, consumer: int, cache_bytes: int = CACHE_BYTES) -> Reuse:
    """Whether the value that `consumer` reads from `producer` should live in a tile.

    A simple elementwise consumer passes the tile on, so what counts is how the complex operator behind it reads.
    """
    op = graph.operators[consumer]
    index = op.sources.index(producer) if producer in op.sources else -1
    access = op.access[index] if index >= 0 else None
    if op.extern or graph.operators[producer].extern:
        return _does_not_pay((), "one of them is a library call")
    if access is None:
        return _does_not_pay((), f"how {op.name} indexes its input is not known")
    reader, access = _behind(graph, op, access)
    return _judge(graph, producer, reader, op.inputs[index], access, cache_bytes)


def _behind(graph: OpGraph, op: Operator, access: Access) -> tuple[Operator, Access]:
    """The complex operator that alone reads a simple elementwise one, and its access; else the operator itself."""
    readers = graph.successors[op.id]
    if op.is_complex or not is_elementwise(op, access) or len(readers) != 1:
        return op, access
    reader = graph.operators[readers[0]]
    index = reader.sources.index(op.id) if op.id in reader.sources else -1
    same_shape = index >= 0 and reader.inputs[index].shape == op.outputs[0].shape
    if not reader.is_complex or not same_shape or reader.access[index] is None:
        return op, access
    return reader, reader.access[index]


def is_elementwise(op: Operator, access: Access) -> bool:
    """Whether axis k of the input is indexed by the k-th loop alone."""
    return access == tuple((Term(loop.name, 1),) for loop in op.loops)


def _axis(op: Operator, extent: int, terms: tuple[Term, ...]) -> Axis:
    loops = {loop.name: loop for loop in op.loops}
    moving = [t for t in terms if loops[t.loop].kind == "spatial" and loops[t.loop].extent > 1]
    running = [t for t in terms if loops[t.loop].kind == "reduction" and loops[t.loop].extent > 1]
    if any(t.stride is None or t.stride < 0 for t in terms) or len(moving) > 1 or (running and not moving):
        return Axis(extent, 1, 1, extent, cuttable=False)
    window = 1 + sum((loops[t.loop].extent - 1) * t.stride for t in running)
    if not moving:
        return Axis(extent, 1, 1, min(window, extent), cuttable=False)
    stride, window = moving[0].stride, min(window, extent)
    outputs = min(loops[moving[0].loop].extent, math.ceil((extent - window) / stride) + 1)
    return Axis(extent, outputs, stride, window, cuttable=True)


def _judge(graph: OpGraph, producer: int, op: Operator, tensor: Tensor, access: Access, cache_bytes: int) -> Reuse:
    indexed = {term.loop for terms in access for term in terms}
    reread = tuple(loop.name for loop in op.loops if loop.extent > 1 and loop.name not in indexed)
    axes = tuple(_axis(op, extent, terms) for extent, terms in zip(tensor.shape, access))
    element = max(1, tensor.nbytes // max(1, tensor.elements))
    recompute, outputs = _best_tile(axes, cache_bytes // element)
    if not outputs and axes:
        return _does_not_pay(
            reread, f"{op.name} needs {tensor} nearly whole, {_size(tensor.nbytes)}, too much for a cache"
        )
    tile = tuple(axis.needed(count) for axis, count in zip(axes, outputs))
    tile_bytes = math.prod(tile) * element
    saved = tensor.nbytes * (2 if len(graph.successors[producer]) == 1 else 1)
    shape = f"tiles of {'×'.join(map(str, tile))}, {_size(tile_bytes)}"
    if (recompute - 1) * _producer_flops(graph, producer) > saved * FLOPS_PER_BYTE:
        reason = f"{op.name}'s window overlaps: in {shape}, each element is computed {recompute:.2f} times"
        return Reuse(reread, tile, tile_bytes, recompute, 0, reason)
    again = f"{op.name} reads it again for every {', '.join(reread)}, kept inside the tile; " if reread else ""
    twice = "nothing is computed twice" if recompute == 1 else f"each element is computed {recompute:.2f} times"
    return Reuse(reread, tile, tile_bytes, recompute, saved, f"{again}in {shape}, {twice}")


def _size(nbytes: int) -> str:
    return f"{nbytes} B" if nbytes < 1024 else f"{nbytes / 1024:.0f} KB"


@cache
def _best_tile(axes: tuple[Axis, ...], elements: int) -> tuple[float, tuple[int, ...]]:
    """(recompute, outputs of a tile by axis) with the least recompute; (inf, ()) where nothing fits."""
    return min(_tiles(axes, elements), default=(math.inf, ()))


def _tiles(axes: tuple[Axis, ...], elements: int) -> Iterator[tuple[float, tuple[int, ...]]]:
    """(recompute, outputs of a tile by axis) of the tilings that fit, from the candidates worth trying."""
    for outputs in product(*(_candidates(axis, last=k == len(axes) - 1) for k, axis in enumerate(axes))):
        if math.prod(axis.needed(count) for axis, count in zip(axes, outputs)) <= elements:
            yield math.prod(axis.recompute(count) for axis, count in zip(axes, outputs)), outputs


def _candidates(axis: Axis, last: bool) -> list[int]:
    """Tile sizes to try: whole; for a free axis one element, or a vector; for a window powers of two."""
    if not axis.cuttable:
        return [axis.outputs]
    if axis.window <= axis.stride:
        return [min(axis.outputs, LANES if last else 1)]
    return [1 << bit for bit in range(axis.outputs.bit_length()) if 1 << bit < axis.outputs] + [axis.outputs]


def _producer_flops(graph: OpGraph, producer: int) -> int:
    """Of the producer and the simple operators that lead to it from the complex one it belongs to."""
    flops, op = 0, producer
    while True:
        flops += graph.operators[op].flops
        before = graph.predecessors[op]
        if graph.operators[op].is_complex or len(before) != 1:
            return flops
        op = before[0]


def _does_not_pay(reread: tuple[str, ...], reason: str) -> Reuse:
    return Reuse(reread, (), 0, math.inf, 0, reason)
