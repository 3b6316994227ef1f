"""Who turns a schedule's knobs: the estimate alone, or MetaSchedule's search around it.

A knob is how far a loop is cut. The same schedule code runs with either: `Estimated` cuts as it was told, `Sampled`
makes the cut a sampling instruction of the trace whose first decision is the estimate.
"""

from __future__ import annotations

from typing import Protocol

from tvm.s_tir import Schedule


class Knobs(Protocol):
    """How a loop is cut in two."""

    def factors(self, sch: Schedule, loop, inner: int, limit: int) -> list:
        """Factors for `sch.split`.

        Args:
            sch: the schedule.
            loop: the loop.
            inner: the estimate of the inner part; it divides the extent.
            limit: the largest inner part worth trying.
        """


class Estimated:
    """Cuts by the estimate."""

    def factors(self, sch: Schedule, loop, inner: int, limit: int) -> list:
        return [None, inner]


class Sampled:
    """Cuts by a sampled perfect tile (MetaSchedule's MutateTileSize turns it)."""

    def factors(self, sch: Schedule, loop, inner: int, limit: int) -> list:
        extent = int(sch.get(loop).extent)
        if extent == 1:
            return [None, inner]
        return sch.sample_perfect_tile(loop, 2, max(inner, limit), decision=[extent // inner, inner])
