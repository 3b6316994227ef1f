"""Vectors of whole native width on an axis that they do not divide: the last one overlaps the one before.

An axis of 24 elements is no multiple of 16 lanes; vectors of 8 run at half the speed, vectors of 24 at a sixth. Two
vectors of 16, at 0 and at 8, compute the middle twice, to the same values:

    before: for c in 24:                 sums[c] += x · w[c]                      y[c] = f(sums[c])
    after:  for v in 2: for l in 16:     sums[v, l] += x · w[min(16·v, 8) + l]    y[min(16·v, 8) + l] = f(sums[v, l])

It needs no padded copy of data or weights and no mask, so it works alike on AVX, AVX-512 and NEON.
"""

from __future__ import annotations

from tvm import s_tir, tirx
from tvm.s_tir import Schedule

from ago_core.schedules.cut import Cut, cut_axis
from ago_core.schedules.machine import Machine
from ago_core.schedules.nest import read_nest
from ago_core.schedules.normalise import blocks_of, is_plain_reduction
from ago_core.schedules.rewrite import index
from ago_core.schedules.tile import best_lanes, vector_axis

OVERLAPPING = "ago.overlapping"
"""Annotation of a block whose last two axes are overlapping vectors and their lanes: how many lanes."""


def overlapping_lanes(block: s_tir.SBlock) -> int:
    """The lanes of the overlapping vectors that a block's last axis is in; 1 if it is in none."""
    return int(block.annotations.get(OVERLAPPING, 1))


def overlap_vectors(sch: Schedule, machine: Machine) -> Schedule:
    """A schedule of the function with every reduction's odd vector axis cut into overlapping vectors."""
    for name in [sch.get(block).name_hint for block in blocks_of(sch)]:
        block = sch.get_sblock(name)
        if not is_plain_reduction(sch.get(block)):
            continue
        nest = read_nest(sch.get(block))
        axis = vector_axis(nest)
        innermost = axis is not None and axis == nest.spatial[-1] and len(nest.spatial) == axis + 1
        lanes = best_lanes(nest.axes[axis].extent, machine.lanes) if innermost else 1
        if lanes > 1 and nest.axes[axis].extent % lanes:
            sch = cut_axis(sch, block, axis, _overlapping(nest.axes[axis].extent, lanes))
    return sch


def _overlapping(extent: int, lanes: int) -> Cut:
    def place(vector: tirx.Var, lane: tirx.Var) -> tirx.Expr:
        return tirx.Min(vector * lanes, index(extent - lanes)) + lane

    return Cut(-(-extent // lanes), lanes, place, (OVERLAPPING, lanes), overlaps=True)
