"""Design spaces for MetaSchedule: the analytic schedules with their cuts as knobs.

Each way to group the stages of a function (`analytic.variants`) is a space over a module of its own. MetaSchedule's
evolutionary search, cost model and database work on it as on its own.
"""

from __future__ import annotations

from tvm import s_tir, tirx
from tvm.ir.utils import derived_object
from tvm.s_tir import Schedule
from tvm.s_tir.meta_schedule import TuneContext
from tvm.s_tir.meta_schedule.mutator import MutateTileSize
from tvm.s_tir.meta_schedule.postproc import PyPostproc
from tvm.s_tir.meta_schedule.space_generator import ScheduleFn

from ago_core.schedules.analytic import Variant, schedule_groups
from ago_core.schedules.knobs import Sampled
from ago_core.schedules.machine import Machine

MAX_UNROLLED = 1024
"""Copies of a statement that unrolling may make: the best have a tenth, and with thousands a build takes minutes."""


def space_generator(variant: Variant, machine: Machine) -> ScheduleFn:
    """For `TuneContext(mod=variant.module, space_generator=…)`, of one of `analytic.variants`."""
    return ScheduleFn(
        lambda sch: [design_space(sch, variant, machine)],
        sch_rules=[],
        postprocs=[LimitUnrolling()],
        mutator_probs={MutateTileSize(): 1.0},
    )


def design_space(sch: Schedule, variant: Variant, machine: Machine) -> Schedule:
    """The variant's schedule, its cuts sampled, the estimates as decisions.

    Args:
        sch: a traced schedule of the variant's module.
        variant: one that TVM can prove right, whatever the cuts.
        machine: that the estimates are for.
    """
    return schedule_groups(sch, variant.groups, machine, Sampled())


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
