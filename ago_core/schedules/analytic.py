"""The schedule of untuned code: no trial, knobs from the machine's vectors, registers, caches and cores."""

from __future__ import annotations

import math
from functools import partial

import tvm
from tvm import s_tir, tirx
from tvm.s_tir import Schedule
from tvm_ffi import StructuralKey

from ago_core.graph.operators import REDUCTION_AXIS
from ago_core.schedules import vector_math  # noqa: F401  registers how exp, tanh, sigmoid and erf are computed
from ago_core.schedules.apply import apply_tile, epilogue_of
from ago_core.schedules.fuse import fuse_blocks
from ago_core.schedules.knobs import Estimated, Knobs
from ago_core.schedules.machine import Machine
from ago_core.schedules.nest import read_nest
from ago_core.schedules.normalise import blocks_of, inline_blocks, is_plain_reduction, is_reduction
from ago_core.schedules.overlap import overlap_vectors
from ago_core.schedules.pointwise import cut_rows, vectorise
from ago_core.schedules.rewrite import replace_nests
from ago_core.schedules.rows import cut_reduction, reduce_rows, row_axis
from ago_core.schedules.stages import Group, group_stages, read_stages
from ago_core.schedules.tile import choose_tile, vector_axis

REFUSALS = (tvm.s_tir.ScheduleError, tvm.error.InternalError, ValueError)
"""What TVM raises where it cannot prove a move right: for some it has an error of its own, in others a check fails."""

SERIAL_ITERATIONS = 1 << 13
"""A nest of fewer iterations ends sooner than a second core would start on it."""


def schedule_module(module: tvm.IRModule, machine: Machine) -> tvm.IRModule:
    """Schedules every PrimFunc of a module, each different one once."""
    scheduled: dict[StructuralKey, tirx.PrimFunc] = {}
    for gvar, function in module.functions_items():
        if not isinstance(function, tirx.PrimFunc):
            continue
        key = StructuralKey(_unnamed(function))
        if key not in scheduled:
            scheduled[key] = schedule_function(_unnamed(function), machine)
        module.update_func(gvar, scheduled[key].with_attr("global_symbol", gvar.name_hint))
    return module


def _unnamed(function: tirx.PrimFunc) -> tirx.PrimFunc:
    return function.without_attr("global_symbol") if "global_symbol" in (function.attrs or {}) else function


def schedule_function(function: tirx.PrimFunc, machine: Machine) -> tirx.PrimFunc:
    """The function scheduled; its results stay the same but for rounding."""
    sch = Schedule(prepare(function, machine))
    return schedule_groups(sch, group_stages(read_stages(sch), machine), machine, Estimated()).mod["main"]


def prepare(function: tirx.PrimFunc, machine: Machine) -> tvm.IRModule:
    """The function, as `main`, with fewer blocks and whole vectors: what schedules and design spaces start from."""
    sch = Schedule(tvm.IRModule({"main": function}))
    inline_blocks(sch)
    sch = overlap_vectors(sch, machine)
    kept = _of_reductions(sch)
    others = [block for block in map(sch.get, blocks_of(sch)) if block.name_hint not in kept]
    nests = {block.name_hint: _along_rows(block, machine) for block in others}
    return replace_nests(sch, {name: nest for name, nest in nests.items() if nest is not None}).mod


def _along_rows(block: s_tir.SBlock, machine: Machine) -> tirx.Stmt | None:
    """The block's nest with its rows in vectors; None where it has none."""
    return cut_reduction(block, machine) if is_reduction(block) else cut_rows(block, machine)


def _of_reductions(sch: Schedule) -> frozenset[str]:
    """Blocks that belong into the nest of a reduction: its epilogue, and all where several stages may be fused."""
    stages = read_stages(sch)
    kept = [name for stage in stages for name in stage.blocks] if len(stages) > 1 else []
    reductions = [block for block in blocks_of(sch) if is_plain_reduction(sch.get(block))]
    epilogues = [epilogue for epilogue in (epilogue_of(sch, block) for block in reductions) if epilogue is not None]
    return frozenset([*kept, *(sch.get(epilogue).name_hint for epilogue in epilogues)])


def schedule_groups(sch: Schedule, groups: list[Group], machine: Machine, knobs: Knobs) -> Schedule:
    """The prepared function with each group of several stages in one nest, and every other block in its own.

    Returns:
        A copy of the schedule; where TVM cannot prove a group right its blocks stay in nests of their own.
    """
    for group in groups:
        if group.task is not None:
            sch = _fuse(sch, group, machine, knobs) or sch
    for name in [sch.get(block).name_hint for block in blocks_of(sch)]:
        sch = _schedule_block(sch, name, machine, knobs)
    return sch


def _fuse(sch: Schedule, group: Group, machine: Machine, knobs: Knobs) -> Schedule | None:
    """A copy of the schedule with the group in one nest; None where TVM cannot prove that it may be."""
    fork = sch.copy()
    try:
        fuse_blocks(fork, group.blocks, group.task, machine, knobs)
    except REFUSALS:
        return None
    return fork


def _schedule_block(sch: Schedule, name: str, machine: Machine, knobs: Knobs) -> Schedule:
    block = sch.get_sblock(name)
    if any(sch.get(loop).kind != tirx.ForKind.SERIAL for loop in sch.get_loops(block)):
        return sch  # it is the epilogue of a nest
    if is_reduction(sch.get(block)):
        moves = (partial(_tile, knobs=knobs), _parallelise) if is_plain_reduction(sch.get(block)) else (_parallelise,)
    else:
        moves = (_vectorise, _parallelise)
    return next((done for done in (_attempt(sch, name, move, machine) for move in moves) if done is not None), sch)


def _attempt(sch: Schedule, name: str, move, machine: Machine) -> Schedule | None:
    """A copy of the schedule with the move made; None where TVM's checks refuse it for this block."""
    fork = sch.copy()
    try:
        move(fork, fork.get_sblock(name), machine)
    except REFUSALS:
        return None
    return fork


def _tile(sch: Schedule, block, machine: Machine, knobs: Knobs) -> None:
    nest = read_nest(sch.get(block))
    parallel = nest.iterations > SERIAL_ITERATIONS
    if vector_axis(nest) is None and row_axis(nest) is not None:
        reduce_rows(sch, block, nest, machine, parallel)
    elif nest.spatial:
        apply_tile(sch, block, choose_tile(nest, machine), parallel, knobs)


def _vectorise(sch: Schedule, block, machine: Machine) -> None:
    writes = sch.get(block).writes
    if not writes:
        return  # TVM wrote it as a loop of its own and does not say what it writes (ScatterND)
    written = writes[0].source
    vectorise(sch, block, machine, math.prod(int(extent) for extent in written.shape) > SERIAL_ITERATIONS)


def _parallelise(sch: Schedule, block, machine: Machine) -> None:
    """Where nothing else fits: the outermost spatial loop over the cores."""
    axes = sch.get(block).iter_vars
    spatial = [loop for loop, axis in zip(sch.get_loops(block), axes) if axis.iter_type != REDUCTION_AXIS]
    if spatial:
        sch.parallel(max(spatial[:2], key=lambda loop: int(sch.get(loop).extent)))
