"""The schedule of untuned code: correct for any PrimFunc, and fast enough to explore with.

It knows three moves, and no trial is needed:

1. Inline. A block that only computes its output point by point is computed where it is read, if one block reads it, or
   if it only moves data from one place (padding, reshape, transpose). Chains of elementwise operators become one nest.
2. A reduction over products or windows keeps its innermost spatial axis in vectors and a few columns in registers:

       before: for n, h, w, c, r...: out[n,h,w,c] += ...
       after:  parallel n·h·w/W·c/C:  init;  for r...: unrolled W: vector C: out += ...

3. Everything else: outer loops fused and in parallel, the innermost in vectors.
"""

from __future__ import annotations

import math

import tvm
from tvm import s_tir, tirx
from tvm.ir.expr import TensorLoad
from tvm.s_tir import Schedule
from tvm_ffi import StructuralKey, structural_walk

from ago_core.graph.operators import REDUCTION_AXIS

LANES = 16
REGISTER_COLUMNS = 4
VECTORS_PER_TILE = 2
MAX_WINDOW = 16


def schedule_module(module: tvm.IRModule) -> tvm.IRModule:
    """Schedules every PrimFunc of a module, each different one once."""
    scheduled: dict[StructuralKey, tirx.PrimFunc] = {}
    for gvar, function in module.functions_items():
        if not isinstance(function, tirx.PrimFunc):
            continue
        key = StructuralKey(_unnamed(function))
        if key not in scheduled:
            scheduled[key] = schedule_function(_unnamed(function))
        module.update_func(gvar, scheduled[key].with_attr("global_symbol", gvar.name_hint))
    return module


def _unnamed(function: tirx.PrimFunc) -> tirx.PrimFunc:
    return function.without_attr("global_symbol") if "global_symbol" in (function.attrs or {}) else function


def schedule_function(function: tirx.PrimFunc) -> tirx.PrimFunc:
    """The function with the three moves applied; its results stay the same but for rounding."""
    sch = Schedule(tvm.IRModule({"main": function}))
    _inline(sch)
    for block in _blocks(sch):
        moves = (_tile_reduction, _parallelise) if _is_reduction(sch.get(block)) else (_vectorise, _parallelise)
        sch = next((done for done in (_attempt(sch, block, move) for move in moves) if done is not None), sch)
    return sch.mod["main"]


def _attempt(sch: Schedule, block, move) -> Schedule | None:
    """A copy of the schedule with the move made; None where TVM's checks refuse it for this block."""
    fork = sch.copy()
    try:
        move(fork, block)
    except tvm.s_tir.ScheduleError:
        return None
    return fork


def _blocks(sch: Schedule) -> list:
    return sch.get_child_blocks(sch.get_sblock("root"))


def _is_reduction(block: s_tir.SBlock) -> bool:
    return any(axis.iter_type == REDUCTION_AXIS for axis in block.iter_vars)


def _inline(sch: Schedule) -> None:
    """Move 1, from the last producer to the first, so that chains collapse."""
    for block in reversed(_blocks(sch)):
        if _may_inline(sch, block):
            try:
                sch.compute_inline(block)
            except tvm.s_tir.ScheduleError:
                continue  # an output of the function, or an access that inlining cannot express: it stays a nest


def _may_inline(sch: Schedule, block) -> bool:
    stmt = sch.get(block)
    if _is_reduction(stmt) or not isinstance(stmt.body, tirx.BufferStore):
        return False
    readers = [sch.get(reader) for reader in sch.get_consumers(block)]
    if not readers:
        return False
    if _only_moves(stmt.body.value) and len(_loads(stmt.body.value)) <= 1:
        return True
    return len(readers) == 1 and not _is_reduction(readers[0]) and _reads_once(readers[0], stmt.body.buffer)


def _only_moves(value) -> bool:
    """Whether a value is a load, a constant, or a choice among such."""
    if isinstance(value, (TensorLoad, tirx.FloatImm, tirx.IntImm)):
        return True
    if isinstance(value, tvm.ir.Call) and getattr(value.op, "name", "") == "tirx.if_then_else":
        return all(_only_moves(argument) for argument in value.args[1:])
    return False


def _reads_once(reader: s_tir.SBlock, buffer) -> bool:
    """Whether the reader loads from the buffer in one place only: inlining must not double work."""
    return sum(load.source.same_as(buffer) for load in _loads(reader.body)) == 1


def _loads(part: tirx.Stmt | tirx.Expr) -> list[TensorLoad]:
    loads: list[TensorLoad] = []
    structural_walk(part, (TensorLoad, loads.append))
    return loads


def _vectorise(sch: Schedule, block) -> None:
    """Move 3."""
    loops = sch.get_loops(block)
    if not loops:
        return
    inner = loops[-1]
    lanes = _lanes(int(sch.get(inner).extent))
    if lanes > 1:
        inner, vector = sch.split(inner, [None, lanes])
        sch.vectorize(vector)
        loops = [*loops[:-1], inner]
    sch.parallel(sch.fuse(*loops))


def _parallelise(sch: Schedule, block) -> None:
    """Where neither fits: the outermost spatial loop over the cores."""
    axes = sch.get(block).iter_vars
    spatial = [loop for loop, axis in zip(sch.get_loops(block), axes) if axis.iter_type != REDUCTION_AXIS]
    if spatial:
        sch.parallel(max(spatial[:2], key=lambda loop: int(sch.get(loop).extent)))


def _tile_reduction(sch: Schedule, block) -> None:
    """Move 2."""
    axes = sch.get(block).iter_vars
    loops = sch.get_loops(block)
    spatial = [loop for loop, axis in zip(loops, axes) if axis.iter_type != REDUCTION_AXIS]
    reduce = [loop for loop, axis in zip(loops, axes) if axis.iter_type == REDUCTION_AXIS]
    if not spatial:
        return
    lanes = _lanes(int(sch.get(spatial[-1]).extent))
    *outer, channel = spatial
    tile: list = []
    if lanes > 1:
        channel, vectors, vector = sch.split(
            channel, [None, _divisor(int(sch.get(channel).extent) // lanes, VECTORS_PER_TILE), lanes]
        )
        tile = [vectors, vector]
    if outer and lanes > 1:
        column, columns = sch.split(outer[-1], [None, _divisor(int(sch.get(outer[-1]).extent), REGISTER_COLUMNS)])
        outer, tile = [*outer[:-1], column], [columns, *tile]
    sch.reorder(*outer, channel, *reduce, *tile)
    sch.parallel(sch.fuse(*outer, channel))
    window = math.prod(int(sch.get(loop).extent) for loop in reduce)
    if tile and window <= MAX_WINDOW:
        for loop in reduce:
            sch.unroll(loop)
    _unroll_and_vectorise(sch, tile)
    init = sch.get_loops(sch.decompose_reduction(block, reduce[0]))
    _unroll_and_vectorise(sch, init[-len(tile) :] if tile else [])


def _unroll_and_vectorise(sch: Schedule, tile: list) -> None:
    for loop in tile[:-1]:
        sch.unroll(loop)
    for loop in tile[-1:]:
        sch.vectorize(loop)


def _lanes(extent: int) -> int:
    """The widest vector up to LANES that divides the extent; 1 for none worth it."""
    return next((lanes for lanes in (LANES, LANES // 2, LANES // 4) if extent % lanes == 0), 1)


def _divisor(extent: int, limit: int) -> int:
    return max(d for d in range(1, limit + 1) if extent % d == 0)
