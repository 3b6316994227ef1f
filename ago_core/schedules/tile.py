"""Which tile of a nest to keep in registers: the analytic choice, with no trial.

A tile of `rows · columns · vectors` accumulators stays in registers while the reductions run. One step of the reduction
costs `fma = rows · columns · vectors` multiply-adds and the loads that feed them; a core issues two of each a cycle,
and a chain of additions takes four cycles a link, so

    cycles(step) = max(fma / 2, loads / 2, 4)

The tile chosen has the fewest cycles for each multiply-add among those that fit the registers and divide the extents
(vectors of whole native width: one that does not divide is halved), times what an uneven split over the cores costs.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from ago_core.schedules.machine import Machine
from ago_core.schedules.nest import Axis, Nest

ISSUE = 2
"""Multiply-adds, and loads, that start in a cycle."""

LATENCY = 4
"""Cycles until a sum can be added to again."""

SPARE = 2
"""Registers that the compiler needs for itself: 7 · 4 sums and 4 operands spill among 32, at half the speed."""

MAX_WINDOW = 32
"""Reductions of at most this many steps are unrolled whole."""

MAX_STREAMED = 8
"""Accumulators where no load is shared between vectors (depthwise, pooling): more only spill."""


@dataclass(frozen=True, slots=True)
class Tile:
    """What stays in registers.

    Attributes:
        vector: position of the axis that goes into vectors; None where none can.
        lanes: elements of a vector.
        vectors: vectors side by side along that axis.
        columns: (position, extent) of up to two further axes.
        vector_outside: whether the loop over the vector axis is the outermost one: its operand then stays in cache.
        unrolled: whether the reductions are unrolled.
    """

    vector: int | None
    lanes: int
    vectors: int
    columns: tuple[tuple[int, int], ...]
    vector_outside: bool
    unrolled: bool

    @property
    def accumulators(self) -> int:
        """Vector registers that hold sums."""
        count = self.vectors
        for _, extent in self.columns:
            count *= extent
        return count


def choose_tile(nest: Nest, machine: Machine) -> Tile:
    """The tile with the fewest estimated cycles."""
    unrolled = window_steps(nest) <= MAX_WINDOW
    vector = vector_axis(nest)
    if vector is None:
        return Tile(None, 1, 1, (), False, unrolled)
    columns = column_axes(nest, vector)
    lanes = widest_lanes(nest.axes[vector].extent, machine)
    tiles = (
        Tile(vector, lanes, vectors, tuple(zip(columns, extents)), False, unrolled)
        for vectors in divisors(nest.axes[vector].extent // lanes, machine.registers)
        for extents in itertools.product(*(divisors(nest.axes[k].extent, machine.registers) for k in columns))
    )
    best = min((tile for tile in tiles if _fits(nest, tile, machine)), key=lambda tile: cost(nest, tile, machine))
    return Tile(vector, best.lanes, best.vectors, best.columns, _vector_outside(nest, best, machine), unrolled)


def vector_axis(nest: Nest) -> int | None:
    """The widest axis that is written with stride 1 and read with stride 1 or not at all."""
    fit = [k for k in nest.spatial if nest.axes[k].write == 1 and set(nest.axes[k].reads) <= {0, 1}]
    return max(fit, key=lambda k: nest.axes[k].extent, default=None)


def column_axes(nest: Nest, vector: int) -> tuple[int, ...]:
    """Up to two axes along which some load of the vector axis stays the same, the innermost ones."""
    others = [k for k in nest.spatial if k != vector and nest.axes[k].extent > 1]
    return tuple(k for k in others if _shares(nest.axes[k], nest, vector))[-2:]


def cost(nest: Nest, tile: Tile, machine: Machine) -> tuple[float, float]:
    """Cycles for each multiply-add on one lane, times the imbalance between cores; then loads for each."""
    sums = tile.accumulators
    cycles = max(sums / ISSUE, loads(nest, tile) / ISSUE, LATENCY)
    tasks = _tasks(nest, tile)
    imbalance = -(-tasks // machine.cores) * machine.cores / tasks
    return cycles / (sums * tile.lanes) * imbalance, loads(nest, tile) / sums


def loads(nest: Nest, tile: Tile) -> int:
    """Loads of one step of the reduction: each operand once for every step that the tile makes along its axes."""
    total = 0
    for read in range(len(nest.read_bytes)):
        count = tile.vectors if nest.axes[tile.vector].reads[read] else 1
        for axis, extent in tile.columns:
            count *= extent if nest.axes[axis].reads[read] != 0 else 1
        total += count
    return total


def divisors(extent: int, limit: int) -> list[int]:
    """Of an extent, up to a limit, ascending."""
    return [d for d in range(1, min(extent, limit) + 1) if extent % d == 0]


def _shares(axis: Axis, nest: Nest, vector: int) -> bool:
    return any(along == 0 and across != 0 for along, across in zip(axis.reads, nest.axes[vector].reads)) or (
        len(axis.reads) == 1 and axis.reads[0] is not None
    )


def _fits(nest: Nest, tile: Tile, machine: Machine) -> bool:
    streamed = all(nest.axes[tile.vector].reads)
    limit = MAX_STREAMED if streamed else machine.registers - SPARE
    operands = 0 if streamed else tile.vectors + (0 if machine.loads else 1)
    return tile.accumulators == 1 or tile.accumulators + operands <= limit


def widest_lanes(extent: int, machine: Machine) -> int:
    """Native width, or the largest half, quarter… of it that divides the extent; 1 where none does."""
    widths = [machine.lanes >> k for k in range(machine.lanes.bit_length() - 1)]
    return next((width for width in widths if extent % width == 0), 1)


def window_steps(nest: Nest) -> int:
    """Steps of the reduction for one output."""
    steps = 1
    for k in nest.reductions:
        steps *= nest.axes[k].extent
    return steps


def _tasks(nest: Nest, tile: Tile) -> int:
    count = 1
    for k in nest.spatial:
        count *= nest.axes[k].extent
    return max(1, count // (tile.accumulators * tile.lanes))


def _vector_outside(nest: Nest, tile: Tile, machine: Machine) -> bool:
    """Which operand to stream: the one whose repeated reading moves fewer bytes past the second cache."""
    along = [k for k, stride in enumerate(nest.axes[tile.vector].reads) if stride]
    shared = sum(nest.read_bytes[k] for k in along if _constant_along_columns(nest, tile, k))
    streamed = sum(nest.read_bytes) - shared
    if not shared or len(along) == len(nest.read_bytes):
        return True
    passes_of_shared = _tasks(nest, tile) // max(1, nest.axes[tile.vector].extent // (tile.lanes * tile.vectors))
    passes_of_streamed = nest.axes[tile.vector].extent // (tile.lanes * tile.vectors)
    inside = streamed + shared * (passes_of_shared if shared > machine.l2_bytes else 1)
    outside = shared + streamed * (passes_of_streamed if streamed > machine.l2_bytes else 1)
    return outside < inside


def _constant_along_columns(nest: Nest, tile: Tile, read: int) -> bool:
    return all(nest.axes[axis].reads[read] == 0 for axis, _ in tile.columns)

