"""Which tile of a nest to keep in registers: the analytic choice, with no trial.

A tile of `rows · columns · vectors` accumulators stays in registers while the reductions run. One step of the reduction
costs `fma = rows · columns · vectors` multiply-adds and the loads that feed them; a core issues two of each a cycle,
and a chain of additions takes four cycles a link, so

    cycles(step) = max(fma / 2, loads / 2, 4)

To it come the cycles that start a tile and those that end each sum (its epilogue and its store); and a nest takes no
less than its operands need to reach the first cache, each tile anew. The tile chosen has the fewest cycles among those
that fit the registers and divide the extents (vectors of whole native width: one that does not divide is halved), times
what an uneven split over the cores costs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ago_core.schedules.machine import Machine
from ago_core.schedules.nest import Axis, Nest, Stride

ISSUE = 2
"""Multiply-adds, and loads, that start in a cycle."""

LATENCY = 4
"""Cycles until a sum can be added to again."""

SPARE = 2
"""Registers that the compiler needs for itself: 7 · 4 sums and 4 operands spill among 32, at half the speed."""

MAX_WINDOW = 32
"""Reductions of at most this many steps are unrolled whole: most conditions in them are then decided by compiling."""

MAX_UNROLLED = 512
"""Multiply-adds that unrolled reductions may make where vectors share no load."""

TILE_START, SUM_END = 30.0, 1.5
"""Cycles. Guesses between what pointwise convolutions of 16 to 960 input channels were seen to take; not measured."""

L2_BYTES_A_CYCLE, BEYOND_BYTES_A_CYCLE = 40, 20
"""What a core reads from its second cache and from beyond; copies reach 40 and 10 to 25 on a Zen 5 server."""

MAX_ROWS = 4
"""Steps of a tile along an axis that walks the same loads as one further in: they lie far apart in memory. A 3×3
convolution of 3 channels in tiles of 23 rows took 467 µs, in tiles of 3 by 3 it took 272."""

GUARDED_ROWS = 1.5
"""Times that a product's steps take in such a tile where they are padded, since each of its rows has conditions of its
own: a convolution of 112×112 pixels of 3 channels, fused with a depthwise one, took 54 µs in tiles of 2 by 8, and in
tiles of 1 by 14 it took 39."""

MAX_GUARDED = 512
"""Unrolled multiply-adds under conditions: each is a branch, and compilers take minutes over thousands of them."""

MAX_STREAMED = 8
"""Accumulators where no load is shared between vectors (depthwise, pooling): more only spill."""


@dataclass(frozen=True, slots=True)
class Tile:
    """What stays in registers.

    Attributes:
        vector: position of the axis that goes into vectors; None where none can.
        lanes: elements of a vector.
        vectors: vectors side by side along that axis.
        columns: (position, extent) of up to three further axes.
        outermost: positions of axes whose loops go outside all others: what they walk then stays in cache.
        unrolled: whether the reductions are unrolled.
    """

    vector: int | None
    lanes: int
    vectors: int
    columns: tuple[tuple[int, int], ...]
    outermost: tuple[int, ...]
    unrolled: bool

    @property
    def accumulators(self) -> int:
        """Vector registers that hold sums."""
        return self.vectors * math.prod(extent for _, extent in self.columns)


def choose_tile(nest: Nest, machine: Machine, guarded: frozenset[int] = frozenset()) -> Tile:
    """The tile with the fewest estimated cycles; not across `guarded` axes, whose steps stand under a condition."""
    vector = vector_axis(nest)
    if vector is None:  # a grouped convolution's channels: what cannot be read as a vector TVM gathers
        vector = _widest_axis(nest, {0, 1, None})
    if vector is None:
        return Tile(None, 1, 1, (), (), window_steps(nest) <= MAX_WINDOW)
    columns = tuple(axis for axis in column_axes(nest, vector) if axis not in guarded)
    lanes = widest_lanes(nest.axes[vector].extent, machine)
    tiles = (
        Tile(vector, lanes, vectors, tuple(zip(columns, extents)), (), False)
        for vectors in divisors(nest.axes[vector].extent // lanes, machine.registers)
        for extents in itertools.product(*(_extents(nest, k, columns, machine) for k in columns))
    )
    best = min((tile for tile in tiles if _fits(nest, tile, machine)), key=lambda tile: cost(nest, tile, machine))
    return replace(best, outermost=_outermost(nest, best, machine), unrolled=_unrolls(nest, best))


def _unrolls(nest: Nest, tile: Tile) -> bool:
    """Whether unrolling the reductions pays: for conditions, and where vectors share no load.

    Of a product LLVM would load all factors of a tile's steps before the loop around it, and spill them: 112×112 pixels
    of 16 channels to 96 took 564 µs so, and take 172.
    """
    steps = window_steps(nest)
    streamed = all(nest.axes[tile.vector].reads) and steps * tile.accumulators <= MAX_UNROLLED
    return steps <= MAX_WINDOW and (nest.guarded or streamed)


def _extents(nest: Nest, axis: int, columns: tuple[int, ...], machine: Machine) -> list[int]:
    """Extents of a tile along one of its column axes."""
    return divisors(nest.axes[axis].extent, MAX_ROWS if _is_row(nest, axis, columns) else machine.registers)


def _is_row(nest: Nest, axis: int, columns: Iterable[int]) -> bool:
    """Whether a column axis further in walks the same loads."""
    walked = [stride != 0 for stride in nest.axes[axis].reads]
    return any([stride != 0 for stride in nest.axes[k].reads] == walked for k in columns if k > axis)


def vector_axis(nest: Nest) -> int | None:
    """The widest axis that is written with stride 1 and read with stride 1 or not at all."""
    return _widest_axis(nest, {0, 1})


def _widest_axis(nest: Nest, reads: set[Stride]) -> int | None:
    """The widest axis that is written with stride 1 and read with these strides only."""
    fit = [k for k in nest.spatial if nest.axes[k].write == 1 and set(nest.axes[k].reads) <= reads]
    return max(fit, key=lambda k: nest.axes[k].extent, default=None)


def column_axes(nest: Nest, vector: int) -> tuple[int, ...]:
    """Up to three axes along which some load stays the same and some does not, the innermost ones."""
    others = [k for k in nest.spatial if k != vector and nest.axes[k].extent > 1]
    return tuple(k for k in others if _shares(nest.axes[k]))[-3:]


def cost(nest: Nest, tile: Tile, machine: Machine) -> tuple[float, float]:
    """Cycles on one core, times the imbalance between cores; then loads for each multiply-add."""
    tasks = _tasks(nest, tile)
    imbalance = -(-tasks // machine.cores) * machine.cores / tasks
    return cycles(nest, tile, machine) * imbalance, loads(nest, tile) / tile.accumulators


def cycles(nest: Nest, tile: Tile, machine: Machine) -> float:
    """Cycles on one core: of its arithmetic, or of the bytes that come from beyond its first cache if that is more."""
    return max(_arithmetic(nest, tile), min(_transfer(nest, tile, machine)))


def _arithmetic(nest: Nest, tile: Tile) -> float:
    """Cycles of the multiply-adds, what a tile costs before and after its reduction included."""
    sums, steps = tile.accumulators, window_steps(nest)
    reduction = steps * max(sums / ISSUE, loads(nest, tile) / ISSUE, LATENCY)
    if nest.guarded and not all(nest.axes[tile.vector].reads) and _has_rows(nest, tile):
        reduction *= GUARDED_ROWS
    return (reduction + TILE_START + SUM_END * sums) * nest.iterations / (sums * tile.lanes * steps)


def _has_rows(nest: Nest, tile: Tile) -> bool:
    columns = [axis for axis, _ in tile.columns]
    return any(extent > 1 and _is_row(nest, axis, columns) for axis, extent in tile.columns)


def _transfer(nest: Nest, tile: Tile, machine: Machine) -> tuple[float, float]:
    """Cycles that operands take to the first cache, for two orders of the loops.

    What the vector axis walks (the weights of a product) is `held`, the rest `streamed`. With the weights' loops
    inside, they are read again for every tile of the other axes; with those loops outside the rest is, for every
    tile of theirs. Reading again costs nothing where all of it stays in the first cache. All this happens for each
    step of a batch by itself.

    Returns:
        (weights' loops inside, weights' loops outside).
    """
    weights = [read for read, stride in enumerate(nest.axes[tile.vector].reads) if stride]
    batch = math.prod(nest.axes[k].extent for k in batch_axes(nest))
    held = sum(nest.read_bytes[read] for read in weights) // batch
    streamed = sum(nest.read_bytes) // batch - held
    passes = _tiles(nest, tile, _walking(nest, tile))
    turns = max(1, _tasks(nest, tile) // passes // batch)
    return (
        batch * (_refetch(streamed, 1, machine) + _refetch(held, turns, machine)),
        batch * (_refetch(held, 1, machine) + _refetch(streamed, passes, machine)),
    )


def _refetch(size: int, times: int, machine: Machine) -> float:
    """Cycles to read so many bytes so many times through the first cache."""
    if size > machine.l2_bytes:
        return size * times / BEYOND_BYTES_A_CYCLE
    return size * (times if size > machine.l1_bytes // 2 else 1) / L2_BYTES_A_CYCLE


def loads(nest: Nest, tile: Tile) -> int:
    """Loads of one step of the reduction: each operand once for every step that the tile makes along its axes."""
    return sum(_loads_of(nest, tile, read) for read in range(len(nest.read_bytes)))


def _loads_of(nest: Nest, tile: Tile, read: int) -> int:
    vectors = tile.vectors if nest.axes[tile.vector].reads[read] else 1
    return vectors * math.prod(extent for axis, extent in tile.columns if nest.axes[axis].reads[read] != 0)


def divisors(extent: int, limit: int) -> list[int]:
    """Of an extent, up to a limit, ascending."""
    return [d for d in range(1, min(extent, limit) + 1) if extent % d == 0]


def _shares(axis: Axis) -> bool:
    return len(axis.reads) == 1 or (0 in axis.reads and set(axis.reads) != {0})


def _fits(nest: Nest, tile: Tile, machine: Machine) -> bool:
    streamed = all(nest.axes[tile.vector].reads)
    limit = MAX_STREAMED if streamed else machine.registers - SPARE
    if nest.guarded and tile.accumulators * window_steps(nest) > MAX_GUARDED:
        return tile.accumulators == 1
    held = [read for read, stride in enumerate(nest.axes[tile.vector].reads) if stride]
    operands = 0 if streamed else sum(_loads_of(nest, tile, read) for read in held) + (0 if machine.loads else 1)
    return tile.accumulators == 1 or tile.accumulators + operands <= limit


def widest_lanes(extent: int, machine: Machine) -> int:
    """Native width, or the largest half, quarter… of it that divides the extent; 1 where none does."""
    widths = [machine.lanes >> k for k in range(machine.lanes.bit_length() - 1)]
    return next((width for width in widths if extent % width == 0), 1)


def best_lanes(extent: int, widest: int) -> int:
    """The width with the most useful elements an instruction, the wider of two equals; 1 below four elements."""
    widths = [widest >> k for k in range(widest.bit_length()) if 4 <= widest >> k <= extent]
    return max(widths, key=lambda lanes: (extent / -(-extent // lanes), lanes), default=1)


def window_steps(nest: Nest) -> int:
    """Steps of the reduction for one output."""
    return math.prod(nest.axes[k].extent for k in nest.reductions)


def _tasks(nest: Nest, tile: Tile) -> int:
    outputs = math.prod(nest.axes[k].extent for k in nest.spatial)
    return max(1, outputs // (tile.accumulators * tile.lanes))


def _outermost(nest: Nest, tile: Tile, machine: Machine) -> tuple[int, ...]:
    """Axes whose loops go outside: those of the weights where that moves fewer bytes, so that they stay in cache."""
    walking = _walking(nest, tile)
    if tile.vector not in walking or all(nest.axes[tile.vector].reads):
        return (tile.vector,)
    inside, outside = _transfer(nest, tile, machine)
    return (*batch_axes(nest), *walking) if outside < inside else ()


def batch_axes(nest: Nest) -> tuple[int, ...]:
    """The axes that walk all operands: what is computed for different steps of theirs has nothing in common."""
    return tuple(k for k in nest.spatial if all(nest.axes[k].reads))


def _walking(nest: Nest, tile: Tile) -> tuple[int, ...]:
    """The axes that walk what the vector axis walks, and nothing else."""
    weights = [read for read, stride in enumerate(nest.axes[tile.vector].reads) if stride]
    return tuple(k for k in nest.spatial if _walks_only(nest.axes[k], weights))


def _walks_only(axis: Axis, reads: list[int]) -> bool:
    """Whether an axis changes these loads and no other."""
    return all((stride != 0) == (read in reads) for read, stride in enumerate(axis.reads))


def _tiles(nest: Nest, tile: Tile, axes: tuple[int, ...]) -> int:
    """Tiles along some axes."""
    size = {tile.vector: tile.lanes * tile.vectors, **dict(tile.columns)}
    return max(1, math.prod(nest.axes[k].extent // size.get(k, 1) for k in axes))
