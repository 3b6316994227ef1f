"""The schedule of untuned code: no trial, knobs from the machine's vectors, registers, caches and cores."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial

import tvm
from tvm import tirx
from tvm.s_tir import Schedule
from tvm_ffi import StructuralKey

from ago_core.graph.operators import REDUCTION_AXIS
from ago_core.schedules import stack, vector_math  # noqa: F401  register where tiles lie, and how exp, tanh and the like are computed
from ago_core.schedules.apply import apply_tile
from ago_core.schedules.fuse import fuse_blocks
from ago_core.schedules.knobs import Estimated, Knobs
from ago_core.schedules.machine import Machine
from ago_core.schedules.nest import read_nest
from ago_core.schedules.normalise import blocks_of, is_plain_reduction, is_reduction
from ago_core.schedules.pointwise import vectorise
from ago_core.schedules.prepare import normalised, prepare
from ago_core.schedules.rows import reduce_rows, row_axis
from ago_core.schedules.stages import Group, apart, group_stages, groupings, read_stages
from ago_core.schedules.tile import choose_tile, vector_axis

REFUSALS = (tvm.s_tir.ScheduleError, tvm.error.InternalError, ValueError)
"""What TVM raises where it cannot prove a move right: for some it has an error of its own, in others a check fails."""

SERIAL_ITERATIONS = 1 << 16
"""A tiled reduction of fewer, half a microsecond of a Zen 5 core, ends sooner than a second core would start on it and
hand over its part. ShuffleNetV2 at 56 took 5 % less time on two cores than with 1 << 13, and five other networks no
more; with 1 << 18 MobileNetV2 and MNasNet at 112 took 2 % more."""
SERIAL_ELEMENTS = 1 << 13
"""The same of elements that are computed one by one or summed along rows, where one may cost an exponential."""


def schedule_module(module: tvm.IRModule, machine: Machine, fusion: bool = True) -> tvm.IRModule:
    """Schedules every PrimFunc of a module, each different one once; `fusion` as in `schedule_function`."""
    scheduled: dict[StructuralKey, tirx.PrimFunc] = {}
    for gvar, function in module.functions_items():
        if not isinstance(function, tirx.PrimFunc):
            continue
        key = StructuralKey(_unnamed(function))
        if key not in scheduled:
            scheduled[key] = schedule_function(_unnamed(function), machine, fusion)
        module.update_func(gvar, scheduled[key].with_attr("global_symbol", gvar.name_hint))
    return module


def _unnamed(function: tirx.PrimFunc) -> tirx.PrimFunc:
    return function.without_attr("global_symbol") if "global_symbol" in (function.attrs or {}) else function


def schedule_function(function: tirx.PrimFunc, machine: Machine, fusion: bool = True) -> tirx.PrimFunc:
    """The function scheduled; its results stay the same but for rounding.

    Args:
        fusion: whether a nest may hold several stages (intensive fusion); else each stage has its own.
    """
    sch = normalised(function, machine)
    stages = read_stages(sch)
    groups = group_stages(stages, machine) if fusion else apart(stages)
    return _settled(sch, groups, machine)[1].mod["main"]


@dataclass(frozen=True, eq=False)
class Variant:
    """One way to group a function's stages, as a schedule or a search starts from it.

    Attributes:
        module: the function as `main`, prepared.
        groups: of its stages.
    """

    module: tvm.IRModule
    groups: list[Group]


def estimated_best(function: tirx.PrimFunc, machine: Machine) -> tuple[Variant, Schedule]:
    """The variant with the least estimated time, and its schedule with a trace."""
    sch = normalised(function, machine)
    return _settled(sch, group_stages(read_stages(sch), machine), machine)


def variants(function: tirx.PrimFunc, machine: Machine) -> list[Variant]:
    """The ways to group its stages that TVM can prove right: first the estimated best, then each stage by itself…"""
    sch = normalised(function, machine)
    found: list[Variant] = []
    for groups in groupings(read_stages(sch), machine):
        variant, _ = _settled(sch, groups, machine)
        if all(variant.groups != other.groups for other in found):
            found.append(variant)
    return found


def _settled(sch: Schedule, groups: list[Group], machine: Machine) -> tuple[Variant, Schedule]:
    """The variant and its estimated schedule; a group that TVM refuses falls apart into its stages."""
    while True:
        variant = Variant(prepare(sch, groups, machine), groups)
        try:
            return variant, schedule_groups(Schedule(variant.module), groups, machine, Estimated())
        except Unfusable as refused:
            apart = {id(refused.group): [Group((stage,), None) for stage in refused.group.stages]}
            groups = [each for group in groups for each in apart.get(id(group), [group])]


class Unfusable(Exception):
    """TVM cannot prove that a group's stages may go into one nest.

    Attributes:
        group: that group.
    """

    def __init__(self, group: Group):
        super().__init__(f"{', '.join(group.blocks)} cannot go into one nest")
        self.group = group


def schedule_groups(sch: Schedule, groups: list[Group], machine: Machine, knobs: Knobs) -> Schedule:
    """A copy of a prepared schedule with each group of several stages in one nest, and every other block in its own.

    Raises:
        Unfusable: TVM cannot prove a group right.
    """
    sch = sch.copy()
    for group in groups:
        if group.task is not None:
            _fuse(sch, group, machine, knobs)
    for name in [sch.get(block).name_hint for block in blocks_of(sch)]:
        sch = _schedule_block(sch, name, machine, knobs)
    return sch


def _fuse(sch: Schedule, group: Group, machine: Machine, knobs: Knobs) -> None:
    try:
        fuse_blocks(sch, group.blocks, group.task, machine, knobs)
    except REFUSALS as error:
        raise Unfusable(group) from error


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
    if vector_axis(nest) is None and row_axis(nest) is not None:
        reduce_rows(sch, block, nest, machine, nest.iterations > SERIAL_ELEMENTS)
    elif nest.spatial and nest.iterations > SERIAL_ITERATIONS:
        apply_tile(sch, block, choose_tile(nest, machine), machine.cores, knobs)
    elif nest.spatial:
        apply_tile(sch, block, choose_tile(nest, replace(machine, cores=1)), 0, knobs)


def _vectorise(sch: Schedule, block, machine: Machine) -> None:
    writes = sch.get(block).writes
    if not writes:
        return  # TVM wrote it as a loop of its own and does not say what it writes (ScatterND)
    size = math.prod(int(extent) for extent in writes[0].source.shape)
    vectorise(sch, block, machine, machine.cores if size > SERIAL_ELEMENTS else 0)


def _parallelise(sch: Schedule, block, machine: Machine) -> None:
    """Where nothing else fits: the outermost spatial loop over the cores."""
    axes = sch.get(block).iter_vars
    spatial = [loop for loop, axis in zip(sch.get_loops(block), axes) if axis.iter_type != REDUCTION_AXIS]
    if spatial:
        sch.parallel(max(spatial[:2], key=lambda loop: int(sch.get(loop).extent)))
