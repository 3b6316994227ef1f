"""Reductions along contiguous rows (softmax, layer norm, sums): partial sums in the lanes of a vector.

before: for i, k: out[i] += x[i, k]
after:  parallel i:  for k/L: vector L: part[L] += x[i, k]      for L: out[i] += part[L]
"""

from __future__ import annotations

from tvm.s_tir import Schedule

from ago_core.schedules.machine import Machine
from ago_core.schedules.nest import Nest
from ago_core.schedules.tile import widest_lanes


def row_axis(nest: Nest) -> int | None:
    """The innermost reduction of more than one step, if every load walks it with stride 1 or not at all."""
    last = next((k for k in reversed(nest.reductions) if nest.axes[k].extent > 1), None)
    if last is None or set(nest.axes[last].reads) - {0, 1} or 1 not in nest.axes[last].reads:
        return None
    return last


def reduce_rows(sch: Schedule, block, nest: Nest, machine: Machine, parallel: bool) -> None:
    """Splits the row into vectors and sums their lanes at the end; short or odd rows stay scalar."""
    loops = sch.get_loops(block)[-len(nest.axes) :]
    spatial = [loops[k] for k in nest.spatial]
    row = loops[row_axis(nest)]
    sch.reorder(*(loop for loop in loops if loop is not row), row)
    lanes = widest_lanes(nest.axes[row_axis(nest)].extent, machine)
    if lanes > 1:
        _, lane = sch.split(row, [None, lanes])
        partial = sch.rfactor(lane, factor_axis=len(spatial))
        *loops, lane = sch.get_loops(partial)[-len(nest.axes) - 1 :]
        spatial = loops[: len(spatial)]
        sch.vectorize(lane)
        if spatial:
            sch.reverse_compute_at(block, spatial[-1], preserve_unit_loops=True)
            sch.set_scope(partial, 0, "local")
    if spatial and parallel:
        sch.parallel(sch.fuse(*spatial))
    if lanes > 1:
        start = sch.decompose_reduction(partial, loops[len(spatial)])
        sch.vectorize(sch.get_loops(start)[-1])
