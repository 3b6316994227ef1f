"""What the analytic schedule decided, and the figures that it decided by, as plain data for people to read.

    before: for h, w, o, k: y[h,w,o] += …
    after:  "16 lanes along o, a tile of 7 w by 2 vectors: 14 sums in registers; a step of the reduction loads 9 values"

Every figure is the estimate's own (`tile.py`, `stages.py`): nothing here is measured.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx
from tvm.s_tir import Schedule

from ago_core.schedules.fuse import within
from ago_core.schedules.machine import Machine
from ago_core.schedules.nest import Nest
from ago_core.schedules.normalise import is_plain_reduction
from ago_core.schedules.prepare import normalised
from ago_core.schedules.stages import Group, Stage, count_of, group_cycles
from ago_core.schedules.tile import Tile, choose_tile, loads


@dataclass(frozen=True)
class Cut:
    """A loop and how much of it is taken at a time."""

    loop: str
    extent: int
    taken: int


@dataclass(frozen=True)
class TileChoice:
    """The register tile of one reduction.

    Attributes:
        block: the reduction's name in TIR.
        loops: (name, extent, whether it is reduced over), outermost first.
        vector: the loop whose iterations lie in a vector; None where none can.
        lanes: elements of a vector.
        vectors: vectors side by side along that loop.
        columns: further loops of the tile.
        sums: vector registers that hold sums.
        loads: values or vectors that one step of the reduction loads; each feeds several of the sums.
        outermost: loops that go outside all others, so that what they walk stays in cache.
        unrolled: whether the reduction is written out in full.
        blocks: all blocks that go with it: what prepares its input, and what follows it element by element.
    """

    block: str
    loops: tuple[tuple[str, int, bool], ...]
    vector: str | None
    lanes: int
    vectors: int
    columns: tuple[Cut, ...]
    sums: int
    loads: int
    outermost: tuple[str, ...]
    unrolled: bool
    blocks: tuple[str, ...]


@dataclass(frozen=True)
class NestChoice:
    """One loop nest.

    Attributes:
        tiles: of its reductions, in order; those of a fused nest are chosen for what one task computes of them.
        task: cuts of the last result that one parallel task computes, of a nest that holds several reductions, or one
            with what is then computed over its whole rows (softmax); else empty.
        tasks: how many there are; 1 where there is no task.
        cycles: estimated, from its start until its result is in memory, all cores sharing the work.
        apart: estimated cycles of the same reductions, and what follows each, in nests of their own.
    """

    tiles: tuple[TileChoice, ...]
    task: tuple[Cut, ...]
    tasks: int
    cycles: float
    apart: float

    @property
    def fused(self) -> bool:
        """Whether several reductions share it."""
        return len(self.tiles) > 1


def decisions(function: tirx.PrimFunc, groups: list[Group], machine: Machine) -> tuple[NestChoice, ...]:
    """The nests that a function's reductions were put into.

    Args:
        function: not scheduled.
        groups: of `analytic.estimated_best`.
        machine: that it was scheduled for.
    """
    sch = normalised(function, machine)
    return tuple(_nest(sch, group, machine) for group in groups)


def _nest(sch: Schedule, group: Group, machine: Machine) -> NestChoice:
    alone = [group_cycles(Group((stage,), None), machine) for stage in group.stages]
    names = [_names(sch, stage) for stage in group.stages]
    last = group.stages[-1].nest
    cuts = group.task.cuts if group.task else ()
    return NestChoice(
        tiles=tuple(
            _tile(_reduction(sch, stage), stage, own, _within(stage, group), machine)
            for stage, own in zip(group.stages, names)
        ),
        task=tuple(Cut(names[-1][axis], last.axes[axis].extent, extent) for axis, extent in cuts),
        tasks=count_of(group.task, last) if group.task else 1,
        cycles=group_cycles(group, machine),
        apart=sum(alone),
    )


def _reduction(sch: Schedule, stage: Stage) -> str:
    return next(name for name in stage.blocks if is_plain_reduction(sch.get(sch.get_sblock(name))))


def _names(sch: Schedule, stage: Stage) -> list[str]:
    """Of the axes of a stage's reduction."""
    block = sch.get(sch.get_sblock(_reduction(sch, stage)))
    return [str(axis.var.name).removeprefix("v_") for axis in block.iter_vars]


def _within(stage: Stage, group: Group) -> Nest:
    """The nest that the tile is chosen for: of the last stage of a fused nest, the part that one task computes."""
    if group.task is None or stage is not group.stages[-1]:
        return stage.nest
    cuts = dict(group.task.cuts)
    return within(stage.nest, [cuts.get(axis, stage.nest.axes[axis].extent) for axis in stage.nest.spatial])


def _tile(block: str, stage: Stage, names: list[str], nest: Nest, machine: Machine) -> TileChoice:
    tile: Tile = choose_tile(nest, machine)
    columns = tuple(Cut(names[axis], nest.axes[axis].extent, extent) for axis, extent in tile.columns if extent > 1)
    return TileChoice(
        block=block,
        loops=tuple((name, axis.extent, axis.reduces) for name, axis in zip(names, stage.nest.axes)),
        vector=None if tile.vector is None else names[tile.vector],
        lanes=tile.lanes,
        vectors=tile.vectors,
        columns=columns,
        sums=tile.accumulators,
        loads=0 if tile.vector is None else loads(nest, tile),
        outermost=tuple(names[axis] for axis in tile.outermost),
        unrolled=tile.unrolled,
        blocks=stage.blocks,
    )
