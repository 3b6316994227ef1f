"""Design spaces for MetaSchedule: the analytic schedules with their cuts as knobs.

Each space is one way to group the stages of a function: each in a nest of its own, as estimated best, and all in one.
What a trial measures and what is deployed start from the same prepared function (`analytic.prepare`), so a trace of
one applies to the other. MetaSchedule's evolutionary search, cost model and database work on them as on its own.
"""

from __future__ import annotations

import tvm
from tvm import s_tir, tirx
from tvm.ir.utils import derived_object
from tvm.s_tir import Schedule
from tvm.s_tir.meta_schedule import TuneContext
from tvm.s_tir.meta_schedule.mutator import MutateTileSize
from tvm.s_tir.meta_schedule.postproc import PyPostproc
from tvm.s_tir.meta_schedule.space_generator import ScheduleFn

from ago_core.schedules.analytic import schedule_groups
from ago_core.schedules.knobs import Sampled
from ago_core.schedules.machine import Machine
from ago_core.schedules.stages import Group, group_all, group_stages, read_stages

MAX_UNROLLED = 1024
"""Copies of a statement that unrolling may make: the best have a tenth, and with thousands a build takes minutes."""


def space_generator(machine: Machine) -> ScheduleFn:
    """For `TuneContext(mod=prepare(function, machine), space_generator=…)`."""
    return ScheduleFn(
        lambda sch: design_spaces(sch, machine),
        sch_rules=[],
        postprocs=[LimitUnrolling()],
        mutator_probs={MutateTileSize(): 1.0},
    )


def design_spaces(sch: Schedule, machine: Machine) -> list[Schedule]:
    """One schedule for each different grouping, its cuts sampled, the estimates as decisions.

    Args:
        sch: a traced schedule of a prepared function.
        machine: that the estimates are for.
    """
    found: dict[str, Schedule] = {}
    for groups in groupings(sch, machine):
        space = schedule_groups(sch.copy(), groups, machine, Sampled())
        found.setdefault(tvm.ir.save_json(space.mod), space)
    return list(found.values())


@derived_object
class LimitUnrolling(PyPostproc):
    """Rejects a candidate that would unroll into too much code."""

    def _initialize_with_tune_context(self, context: TuneContext) -> None:
        pass

    def apply(self, sch: Schedule) -> bool:
        return unrolled(sch.mod["main"].body) <= MAX_UNROLLED

    def clone(self) -> LimitUnrolling:
        return LimitUnrolling()


def unrolled(stmt: tirx.Stmt) -> int:
    """The most copies that unrolling makes of any statement inside."""
    if isinstance(stmt, tirx.SeqStmt):
        return max(unrolled(part) for part in stmt.seq)
    if isinstance(stmt, s_tir.SBlockRealize):
        return unrolled(stmt.block.body)
    if isinstance(stmt, tirx.For):
        return unrolled(stmt.body) * (int(stmt.extent) if stmt.kind == tirx.ForKind.UNROLLED else 1)
    return unrolled(stmt.body) if hasattr(stmt, "body") else 1


def groupings(sch: Schedule, machine: Machine) -> list[list[Group]]:
    """Ways to group the stages, the estimated best first."""
    stages = read_stages(sch)
    whole = group_all(stages, machine)
    alone = [Group((stage,), None) for stage in stages]
    return [group_stages(stages, machine), alone, *([[whole]] if whole else [])]
