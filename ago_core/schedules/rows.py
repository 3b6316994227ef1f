"""Reductions along contiguous rows (softmax, layer norm, sums): partial sums in the lanes of a vector.

    before: for i, k: out[i] += x[i, k]
    after:  parallel i:  for k/L: vector L: part[L] += x[i, k]      for L: out[i] += part[L]
"""

from __future__ import annotations

from tvm import tirx
from tvm.s_tir import Schedule

from ago_core.schedules.machine import Machine
from ago_core.schedules.nest import Nest
from ago_core.schedules.tile import widest_lanes


def row_axis(nest: Nest) -> int | None:
    """The innermost reduction if every load walks it with stride 1 or not at all."""
    last = nest.reductions[-1] if nest.reductions else None
    if last is None or set(nest.axes[last].reads) - {0, 1} or 1 not in nest.axes[last].reads:
        return None
    return last


def reduce_rows(sch: Schedule, block, nest: Nest, machine: Machine, parallel: bool) -> None:
    """Splits the row into vectors and sums their lanes at the end; short or odd rows stay scalar."""
    loops = sch.get_loops(block)[-len(nest.axes) :]
    spatial = [loops[k] for k in nest.spatial]
    lanes = widest_lanes(nest.axes[row_axis(nest)].extent, machine)
    if lanes > 1:
        _, lane = sch.split(loops[row_axis(nest)], [None, lanes])
        partial = sch.rfactor(lane, factor_axis=len(spatial))
        spatial = sch.get_loops(partial)[-len(nest.axes) - 1 :][: len(spatial)]
        if spatial:
            sch.reverse_compute_at(block, spatial[-1], preserve_unit_loops=True)
            sch.set_scope(partial, 0, "local")
        _in_vectors(sch, partial, len(nest.axes) + 1, parallel)
    elif spatial and parallel:
        sch.parallel(sch.fuse(*spatial))


def _in_vectors(sch: Schedule, partial, axes: int, parallel: bool) -> None:
    """The partial sums: spatial loops outside, then the reductions, the lanes innermost."""
    loops = sch.get_loops(partial)[-axes:]
    kinds = [axis.iter_type for axis in sch.get(partial).iter_vars]
    reductions = [loop for loop, kind in zip(loops, kinds) if kind == tirx.IterVar.CommReduce]
    *spatial, lane = [loop for loop, kind in zip(loops, kinds) if kind != tirx.IterVar.CommReduce]
    sch.reorder(*spatial, *reductions, lane)
    sch.vectorize(lane)
    if spatial and parallel:
        sch.parallel(sch.fuse(*spatial))
    start = sch.decompose_reduction(partial, reductions[0])
    sch.vectorize(sch.get_loops(start)[-1])
