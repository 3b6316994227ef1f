"""A tile put into effect on a loop nest.

before: for n, h, w, o, r...: out[n,h,w,o] += …        for n, h, w, o: y[n,h,w,o] = f(out[n,h,w,o])
after:  parallel n, h, w/C, o/(V·L):
            sums[C, V, L] = 0
            for r...: unrolled C, V: vector L: sums += …
            unrolled C, V: vector L: y[…] = f(sums)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tvm import s_tir, tirx
from tvm.s_tir import Schedule

from ago_core.graph.operators import REDUCTION_AXIS
from ago_core.schedules.knobs import Knobs
from ago_core.schedules.nest import loads_of, spatial_axes
from ago_core.schedules.normalise import is_reduction
from ago_core.schedules.tile import Tile

MAX_COLUMNS, MAX_VECTORS = 16, 4
"""What a search may try at most along one axis of a register tile."""

UNEVEN = 1.2
"""Worse balance between cores that one loop in parts is worth."""


def epilogue_of(sch: Schedule, block):
    """The one block that reads a nest's result, each element where it was written; None if there is none such.

    A block that is scheduled already is none: it is the epilogue of another reduction that it reads as well.
    """
    readers = sch.get_consumers(block)
    if len(readers) != 1 or any(sch.get(loop).kind != tirx.ForKind.SERIAL for loop in sch.get_loops(readers[0])):
        return None
    return readers[0] if reads_where_written(sch.get(readers[0]), sch.get(block).body.buffer) else None


def reads_where_written(reader: s_tir.SBlock, buffer) -> bool:
    """Whether a pointwise block reads element (i, j, …) of a buffer, and no other, to compute its own (i, j, …)."""
    if is_reduction(reader) or not isinstance(reader.body, tirx.BufferStore):
        return False
    own = [axis.var for axis in reader.iter_vars]
    if [int(axis.dom.extent) for axis in reader.iter_vars] != [int(extent) for extent in buffer.shape]:
        return False
    mine = [load for load in loads_of(reader.body.value) if load.source.same_as(buffer)]
    return bool(mine) and all(is_identity(load.indices, own, buffer) for load in mine)


@dataclass(frozen=True)
class Placed:
    """A reduction whose loops are in place, its initialisation not yet set apart.

    Attributes:
        block: the reduction.
        outer: loops outside its tile, outermost first.
        reduction: its outermost reduction loop.
        inner: number of loops of its tile.
    """

    block: object
    outer: list
    reduction: object
    inner: int


def apply_tile(sch: Schedule, block, tile: Tile, cores: int, knobs: Knobs) -> None:
    """Tiles a reduction in loops of its own, and its epilogue with it, for so many cores; 0 leaves it serial."""
    if _writes_its_axes(sch.get(block)):
        epilogue = epilogue_of(sch, block) or sch.cache_write(block, 0, "local")
        loops = sch.get_loops(epilogue)[-len(spatial_axes(sch.get(block))) :]
        placed = place_under(sch, block, epilogue, loops, [], tile, knobs)
    else:
        placed = _place_alone(sch, block, tile, knobs)
    if cores:  # before the initialisation is set apart: TVM proves it safe on the whole reduction only
        share_out(sch, placed.outer, cores, knobs)
    set_initialisation_apart(sch, placed)


def share_out(sch: Schedule, loops: list, cores: int, knobs: Knobs) -> None:
    """Gives each core a part of one of a nest's outer loops, of the one that divides most evenly.

    One loop made of all is slower: every address is then a quotient and a remainder of its counter, and what is decided
    for a row (padding) is asked in each tile. A depthwise convolution of 14×14×112 took 7.2 µs so, and takes 1.9.
    """
    extents = [int(sch.get(loop).extent) for loop in loops]
    first = next((k for k, extent in enumerate(extents) if extent > 1), 0)
    best = min(range(first, len(loops)), key=lambda k: _imbalance(extents[k], cores))
    if _imbalance(extents[best], cores) > UNEVEN * _imbalance(math.prod(extents), cores):
        sch.parallel(sch.fuse(*loops))
        return
    part = loops[best]
    if best > first and extents[best] % cores == 0:
        part, _ = sch.split(part, knobs.factors(sch, part, extents[best] // cores, extents[best]))
    sch.reorder(part, *loops[:best])
    sch.parallel(part)


def _imbalance(count: int, cores: int) -> float:
    """Time of the core that has most to do, by that of all sharing evenly."""
    return -(-count // cores) * cores / count


def _place_alone(sch: Schedule, block, tile: Tile, knobs: Knobs) -> Placed:
    """The loops of a reduction without an epilogue in the order of a tile."""
    spatial, reductions = _split_kinds(sch, block)
    outer, inner = _split(sch, spatial, tile, knobs)
    sch.reorder(*outer, *reductions, *inner)
    return _placed(sch, block, outer, reductions, inner, tile)


def place_under(sch: Schedule, block, epilogue, loops: list, outside: list, tile: Tile, knobs: Knobs) -> Placed:
    """The epilogue's loops tiled, the block moved under the outer ones, its sums in registers.

    Args:
        sch: the schedule.
        block: the reduction.
        epilogue: the block that reads it.
        loops: the epilogue's loops that the tile is cut from, one for each spatial axis.
        outside: further loops of the epilogue that go outside all of these.
        tile: what to cut.
        knobs: who decides how far.
    """
    outer, written = _split(sch, loops, tile, knobs)
    sch.reorder(*outside, *outer, *written)
    sch.compute_at(block, outer[-1], preserve_unit_loops=True)
    sch.set_scope(block, 0, "local")
    spatial, reductions = _split_kinds(sch, block)
    inner = _tile_loops(sch, spatial, tile)
    sch.reorder(*reductions, *inner)
    _finish(sch, written)
    return _placed(sch, block, [*outside, *outer], reductions, inner, tile)


def _placed(sch: Schedule, block, outer: list, reductions: list, inner: list, tile: Tile) -> Placed:
    for loop in reductions if tile.unrolled else []:
        sch.unroll(loop)
    _finish(sch, inner)
    return Placed(block, outer, reductions[0], len(inner))


def set_initialisation_apart(sch: Schedule, placed: Placed) -> None:
    """The zeros before the reduction instead of a question in each of its steps."""
    start = sch.decompose_reduction(placed.block, placed.reduction)
    if placed.inner:
        _finish(sch, sch.get_loops(start)[-placed.inner :])


def _writes_its_axes(block: s_tir.SBlock) -> bool:
    """Whether element (i, j, …) of the spatial axes is written to [i, j, …]; `mean` writes [i, 0] instead."""
    axes, indices = spatial_axes(block), block.body.indices
    return len(indices) == len(axes) and all(index.same_as(axis.var) for index, axis in zip(indices, axes))


def is_identity(indices, variables, buffer) -> bool:
    """Whether element (i, j, …) is addressed as [i, j, …]; an axis of extent 1 may be addressed as 0."""
    return len(indices) == len(variables) and all(
        index.same_as(variable) or (int(extent) == 1 and isinstance(index, tirx.IntImm))
        for index, variable, extent in zip(indices, variables, buffer.shape)
    )


def _split_kinds(sch: Schedule, block) -> tuple[list, list]:
    """The block's own loops: spatial ones, then reductions."""
    axes = sch.get(block).iter_vars
    loops = sch.get_loops(block)[-len(axes) :]
    spatial = [loop for loop, axis in zip(loops, axes) if axis.iter_type != REDUCTION_AXIS]
    return spatial, [loop for loop, axis in zip(loops, axes) if axis.iter_type == REDUCTION_AXIS]


def _split(sch: Schedule, spatial: list, tile: Tile, knobs: Knobs) -> tuple[list, list]:
    """Each tiled loop in an outer and an inner part: (outer loops in order, inner ones with the vector last)."""
    outer, inner = list(spatial), []
    for axis, extent in tile.columns:
        factors = knobs.factors(sch, spatial[axis], extent, MAX_COLUMNS)
        outer[axis], column = sch.split(spatial[axis], factors)
        inner.append(column)
    if tile.vector is not None:
        across, lanes = sch.split(spatial[tile.vector], [None, tile.lanes])
        outer[tile.vector], vectors = sch.split(across, knobs.factors(sch, across, tile.vectors, MAX_VECTORS))
        inner += [vectors, lanes]
    first = [outer[axis] for axis in tile.outermost]
    return first + [loop for axis, loop in enumerate(outer) if axis not in tile.outermost], inner


def _tile_loops(sch: Schedule, loops: list, tile: Tile) -> list:
    """The loops of a block placed under the outer loops, in the order of the tile; those of one step go first."""
    inner = [loops[axis] for axis, _ in tile.columns]
    if tile.vector is not None:
        inner += sch.split(loops[tile.vector], [None, tile.lanes])
    rest = [loop for k, loop in enumerate(loops) if k != tile.vector and k not in dict(tile.columns)]
    if inner:
        sch.reorder(*rest, *inner)
    return inner


def _finish(sch: Schedule, inner: list) -> None:
    """Unrolls the inner loops and puts the last into a vector."""
    for loop in inner[:-1]:
        sch.unroll(loop)
    for loop in inner[-1:]:
        sch.vectorize(loop)
