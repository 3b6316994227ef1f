"""How many cycles an untuned function takes, by the estimate that its schedule was chosen with (stages.py)."""

from __future__ import annotations

from tvm import tirx

from ago_core.schedules.analytic import estimated_best
from ago_core.schedules.machine import Machine
from ago_core.schedules.normalise import blocks_of
from ago_core.schedules.prepare import normalised
from ago_core.schedules.stages import group_cycles, passing_cycles


def estimated_cycles(function: tirx.PrimFunc, machine: Machine) -> float:
    """Cycles until the function's results are in memory, all cores sharing the work.

    The nests of its reductions as `stages.group_cycles` has them; what is computed apart from these, point by point,
    counts as the bytes of its results alone. Starting the function and its threads counts nothing.
    """
    variant, _ = estimated_best(function, machine)
    inside = {name for group in variant.groups for name in group.blocks}
    sch = normalised(function, machine)
    others = [block for block in map(sch.get, blocks_of(sch)) if block.name_hint not in inside and block.writes]
    nests = sum(group_cycles(group, machine) for group in variant.groups)
    return nests + sum(passing_cycles(block, machine) for block in others)
