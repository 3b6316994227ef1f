"""JOIN of the reformer layer: a subgraph's first schedules, composed from the best of its minis (AGO, section V).

A knob of a mini's best schedule says how far one loop of one reduction is cut. The schedule of the whole is made by the
same code with knobs that look up what the mini did for the same reduction: the same cut where the loop is as long, the
largest that divides where it is not (a fused nest cuts loops first), the estimate where the mini had no such knob. How
large a task is, only a fused nest asks; there the estimate stands.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import tvm
from tvm import s_tir
from tvm.s_tir import Schedule
from tvm.s_tir.schedule import LoopRV, SBlockRV, Trace
from tvm_ffi import structural_walk

from ago_core.schedules.analytic import Variant, schedule_groups
from ago_core.schedules.fuse import MAX_BOX
from ago_core.schedules.knobs import Sampled
from ago_core.schedules.machine import Machine
from ago_core.schedules.normalise import blocks_of, is_reduction
from ago_core.schedules.tile import divisors
from ago_core.tuning.interfaces import Part
from ago_core.tuning.space import our_variants, replayed, space_of


@dataclass(frozen=True)
class Cut:
    """A loop of so many iterations, cut so that the inner part has `inner`."""

    extent: int
    inner: int


@dataclass(frozen=True)
class Reduction:
    """A reduction of a function.

    Attributes:
        block: its name.
        extents: of its axes.
        cuts: of its loops, in the order of its knobs; empty where they are not known.
    """

    block: str
    extents: tuple[int, ...]
    cuts: tuple[Cut, ...] = ()

    def is_like(self, other: Reduction) -> bool:
        """Whether it is the same but for the number that fusing puts behind its name."""
        return _stem(self.block) == _stem(other.block) and self.extents == other.extents


def compose(variant: Variant, machine: Machine, parts: Sequence[Part]) -> Schedule:
    """The variant's schedule with the cuts of the parts' best schedules as decisions."""
    known = [reduction for part in parts for reduction in known_reductions(part, machine)]
    return schedule_groups(Schedule(variant.module), variant.groups, machine, Composed(variant.module, known))


class Composed(Sampled):
    """Knobs whose decisions come from the parts."""

    def __init__(self, module: tvm.IRModule, known: list[Reduction]):
        left = list(known)
        self._cuts: dict[str, list[Cut]] = {}
        for reduction in reductions_of(module):
            like = next((other for other in left if other.is_like(reduction)), None)
            if like is not None:
                left.remove(like)
                self._cuts[reduction.block] = list(like.cuts)

    def factors(self, sch: Schedule, loop, inner: int, limit: int) -> list:
        if limit != MAX_BOX:
            extent = int(sch.get(loop).extent)
            cut = self._taken(_reduction_under(sch, loop), extent)
            inner = inner if cut is None else max(divisors(extent, cut.inner))
        return super().factors(sch, loop, inner, limit)

    def _taken(self, block: str | None, extent: int) -> Cut | None:
        """The part's cut of a loop as long, or else its next one; each is used once."""
        cuts = self._cuts.get(block, [])
        same = next((k for k, cut in enumerate(cuts) if cut.extent == extent), 0)
        return cuts.pop(same) if cuts and extent > 1 else None


def reductions_of(module: tvm.IRModule) -> list[Reduction]:
    """Of a function that is prepared, not scheduled; in order."""
    sch = Schedule(module)
    blocks = [sch.get(block) for block in blocks_of(sch)]
    return [
        Reduction(block.name_hint, tuple(int(axis.dom.extent) for axis in block.iter_vars))
        for block in blocks
        if is_reduction(block)
    ]


def known_reductions(part: Part, machine: Machine) -> list[Reduction]:
    """The reductions of a part's function, with the cuts of its best schedule where there is one of our spaces."""
    every = our_variants(part.function, machine, fusion=True)
    best = None if part.trace is None else every.get(space_of(part.trace))
    if best is None:
        return reductions_of(next(iter(every.values())).module)
    cuts = cuts_in(replayed(best.module, part.trace).trace)
    return [replace(reduction, cuts=tuple(cuts[reduction.block])) for reduction in reductions_of(best.module)]


def cuts_in(trace: Trace) -> dict[str, list[Cut]]:
    """The sampled cuts of a schedule, by the block from which the loop was reached."""
    origin: dict[SBlockRV | LoopRV, str] = {}
    cuts: dict[str, list[Cut]] = defaultdict(list)
    for instruction in trace.insts:
        kind, parents = instruction.kind.name, [rv for rv in instruction.inputs if isinstance(rv, (SBlockRV, LoopRV))]
        name = str(instruction.attrs[0]) if kind == "GetSBlock" else origin[parents[0]] if parents else ""
        if kind == "SamplePerfectTile":
            outer, inner = map(int, trace.get_decision(instruction))
            cuts[name].append(Cut(outer * inner, inner))
        origin.update((rv, name) for rv in instruction.outputs if isinstance(rv, (SBlockRV, LoopRV)))
    return cuts


def _reduction_under(sch: Schedule, loop) -> str | None:
    """The name of the reduction inside a loop, or of the one that feeds the first block inside it."""
    inside: list[s_tir.SBlock] = []
    structural_walk(sch.get(loop).body, (s_tir.SBlock, inside.append))
    producers = [sch.get(block) for block in sch.get_producers(sch.get_sblock(inside[0].name_hint))]
    found = [block.name_hint for block in (*inside, *reversed(producers)) if is_reduction(block)]
    return found[0] if found else None


def _stem(name: str) -> str:
    return re.sub(r"_?\d+$", "", name)
