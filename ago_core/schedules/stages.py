"""Which blocks of a function to put into one nest: the analytic choice, with no trial.

The blocks of a function fall into *stages*: a reduction, its epilogue, and what only prepares its input (padding).
Of all ways to cut their sequence into nests the one with the least estimated time is taken:

    time(nest) = Σ over its stages of cycles(tile) · recompute, shared among the cores,
               + bytes that pass between nests / Costs.between
               + bytes that pass inside a task / Costs.inside + Costs.start for each stage of each task

All bytes count twice: they are written and read. Joined, the intermediate passes inside, if what a task holds fits;
a window cut by the task's rows makes the producer compute its halo again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from tvm import s_tir
from tvm.s_tir import Schedule

from ago_core.schedules.apply import epilogue_of
from ago_core.schedules.fuse import Task, within
from ago_core.schedules.groups import is_grouped
from ago_core.schedules.machine import FLOAT_BYTES, Machine
from ago_core.schedules.nest import Nest, Window, read_nest, read_windows
from ago_core.schedules.normalise import blocks_of, is_plain_reduction
from ago_core.schedules.overlap import overlapping_lanes
from ago_core.schedules.row_chains import is_row_block, rows_at_a_time
from ago_core.schedules.tile import batch_axes, choose_tile, cycles, divisors, vector_axis


@dataclass(frozen=True)
class Costs:
    """What a core pays.

    Attributes:
        between: bytes of an intermediate that it writes or reads in a cycle between nests.
        inside: the same inside a task.
        start: cycles until a stage's nest runs at its pace: its first loads, and the first and last tiles.
        held: share of the second cache for what a task holds of intermediates; all else passes through it too.
        margin: what a nest of several stages must promise to save.
    """

    between: float
    inside: float
    start: float
    held: float
    margin: float


ONE_CORE = Costs(between=40, inside=120, start=100, held=0.2, margin=0.02)
"""With these, of 187 chains of six networks (Zen 5), the choice took least time: 1.015 times the best of up to 14
measured tasks and nests apart, and 1.3 % less than nests apart; five choices took over 2 % more than nests apart, at
most 9 %. Little is to be had there: the nests apart took 1.17 times (MobileNetV2) and 1.14 times (MNasNet) as long as
their arithmetic alone."""
SEVERAL_CORES = Costs(between=16, inside=120, start=100, held=0.5, margin=0.0)
"""What one core wrote another may read, through the cache that they share. Of seven sets the one with which whole
networks took least time on two cores: MobileNetV2, MNasNet and MobileViT 2 to 6 % less than with `ONE_CORE`."""

MAX_CHANNELS = 4
"""Vectors of channels in a task of a depthwise convolution."""


@dataclass(frozen=True)
class Stage:
    """A reduction and what goes with it.

    Attributes:
        blocks: names in order.
        nest: of the reduction.
        lanes: of the overlapping vectors that its last axis is in; 1 if it is in none.
        windows: how it reads the stage before, by axis of that stage's result; None if it reads none such.
        bytes: of its result.
        inner_bytes: of what its block over rows reads: what passes inside the stage.
        rows: that its blocks over rows compute together.
        readers: names of the blocks that read its result; none where they cannot be in one nest with it.
    """

    blocks: tuple[str, ...]
    nest: Nest
    lanes: int
    windows: tuple[Window, ...] | None
    bytes: int
    inner_bytes: int
    rows: int
    readers: frozenset[str]


@dataclass(frozen=True)
class Group:
    """Stages for one nest, and its task; no task for a single stage."""

    stages: tuple[Stage, ...]
    task: Task | None

    @property
    def blocks(self) -> list[str]:
        return [name for stage in self.stages for name in stage.blocks]


def group_stages(stages: list[Stage], machine: Machine) -> list[Group]:
    """Stages in groups: the cut of their sequence with the least estimated time."""
    best: list[tuple[float, list[Group]]] = [(0.0, [])]
    for first in reversed(range(len(stages))):
        cuts = [(time + best[-length][0], length, group) for length, time, group in _groups(stages[first:], machine)]
        time, length, group = min(cuts, key=lambda cut: cut[:2])
        best.append((time, [group, *best[-length][1]]))
    return best[-1][1]


def _groups(stages: list[Stage], machine: Machine) -> Iterator[tuple[int, float, Group]]:
    """Groups that begin with the first stage: (stages, estimated time until their result is in memory, group)."""
    for length in range(1, len(stages) + 1):
        members = tuple(stages[:length])
        if not is_chain(members):
            continue
        boxes: list[Task | None] = [None] if length == 1 else []
        boxes += tasks(members, machine) if length > 1 or members[0].inner_bytes else []
        times = [(_time(members, task, machine), -k, task) for k, task in enumerate(boxes)]
        if times:  # of two estimates alike the larger task
            time, _, task = min(times)
            yield length, time + _traffic(members[-1].bytes, costs_of(machine)) / machine.cores, Group(members, task)


def groupings(stages: list[Stage], machine: Machine) -> list[list[Group]]:
    """Ways to group the stages: the estimated best, each by itself, all in one nest."""
    whole = _group_all(stages, machine)
    return [group_stages(stages, machine), apart(stages), *([[whole]] if whole else [])]


def apart(stages: list[Stage]) -> list[Group]:
    """Each stage in a nest of its own: no intensive fusion."""
    return [Group((stage,), None) for stage in stages]


def _group_all(stages: list[Stage], machine: Machine) -> Group | None:
    """All stages in one nest with the task of the least estimate; None where one does not feed the next alone."""
    members = tuple(stages)
    if len(members) < 2 or not is_chain(members):
        return None
    times = [(_time(members, task, machine), -k, task) for k, task in enumerate(tasks(members, machine))]
    return Group(members, min(times)[2]) if times else None


def read_stages(sch: Schedule) -> list[Stage]:
    """The function's stages in order; blocks after the last one are in none."""
    names = [sch.get(block).name_hint for block in blocks_of(sch)]
    stages: list[Stage] = []
    waiting: list[str] = []
    taken: set[str] = set()
    previous = None
    for name in names:
        if name in taken:
            continue
        block = sch.get_sblock(name)
        if not is_plain_reduction(sch.get(block)):
            waiting.append(name)
            continue
        after = _after(sch, block, taken)
        stages.append(_stage(sch, waiting, block, after, previous))
        previous, waiting = _result(sch.get(after[-1] if after else block)), []
        taken.update(stages[-1].blocks)
    return stages


def _after(sch: Schedule, block, taken: set[str]) -> list:
    """The reduction's epilogue, and the block that then computes whole rows, as far as there are such."""
    epilogue = epilogue_of(sch, block)
    found = [epilogue] if epilogue is not None and sch.get(epilogue).name_hint not in taken else []
    last = found[-1] if found else block
    readers = [reader for reader in sch.get_consumers(last) if is_row_block(sch.get(reader))]
    if len(sch.get_consumers(last)) != 1 or not readers:
        return found
    alike = _same(_result(sch.get(readers[0])).shape, _result(sch.get(last)).shape)
    return [*found, *readers] if alike else found


def _same(shape, other) -> bool:
    return [int(extent) for extent in shape] == [int(extent) for extent in other]


def _result(block: s_tir.SBlock):
    """The buffer that a block writes."""
    return block.writes[0].source


def _size(buffer) -> int:
    return FLOAT_BYTES * math.prod(int(extent) for extent in buffer.shape)


def _stage(sch: Schedule, before: list[str], block, after: list, previous) -> Stage:
    last = sch.get(after[-1] if after else block)
    result, nest = _result(last), read_nest(sch.get(block))
    inner = sum(_size(read.source) for read in last.reads if _same(read.source.shape, result.shape))
    grouped = is_grouped(sch.get(block))  # has more axes than its result: in a nest of its own
    readers = [] if grouped else sch.get_consumers(sch.get_sblock(last.name_hint))
    first = sch.get(sch.get_sblock(before[0])) if before and previous is not None else None
    source = _result(first) if first is not None and first.writes else previous  # padding, or whole rows
    windows = None if source is None else read_windows(sch.get(block), source)
    names = (*before, sch.get(block).name_hint, *(sch.get(each).name_hint for each in after))
    return Stage(
        blocks=names,
        nest=nest,
        lanes=overlapping_lanes(sch.get(block)),
        windows=windows,
        bytes=_size(result),
        inner_bytes=inner if is_row_block(last) else 0,
        rows=math.lcm(*(rows_at_a_time(sch.get(sch.get_sblock(name))) for name in names)),
        readers=frozenset(sch.get(reader).name_hint for reader in readers),
    )


def is_chain(stages: tuple[Stage, ...]) -> bool:
    """Whether each stage is read by the following ones alone, in a known way: only then can they be in one nest."""
    return all(_feeds(stages[k], stages[k + 1 :]) for k in range(len(stages) - 1))


def _feeds(stage: Stage, group: tuple[Stage, ...]) -> bool:
    """Whether only the group reads the stage, and its first stage does so in a known way."""
    inside = {name for each in group for name in each.blocks}
    windows = group[0].windows
    known = windows is not None and len(windows) == len(stage.nest.spatial) - (stage.lanes > 1)
    return known and bool(stage.readers) and stage.readers <= inside


def tasks(stages: tuple[Stage, ...], machine: Machine) -> list[Task]:
    """Boxes of a chain's result worth trying: rows of all channels; of a depthwise convolution also of few vectors.

    Steps of a batch have nothing in common; a task holds one. The whole result is no box: that is nests apart.
    """
    stage = stages[-1]
    nest = stage.nest
    vector = vector_axis(nest)
    inner = 2 if stage.lanes > 1 else 1
    batch = [k for k in nest.spatial[:-inner] if k in batch_axes(nest)]
    rows = [k for k in nest.spatial[:-inner] if k not in batch]
    if vector is None or not rows:
        return []
    row = rows[min(1, len(rows) - 1)]
    first = tuple((k, 1) for k in (*batch, *([rows[0]] if row != rows[0] else [])))
    together = math.lcm(*(each.rows for each in stages))
    heights = [rows for rows in divisors(nest.axes[row].extent, nest.axes[row].extent) if rows % together == 0]
    found = [Task((*first, (row, height)), together) for height in heights]
    if stage.windows is not None and stage.windows[-1].outputs > 1:  # its channels are its input's: they can be cut
        widths = [w for w in divisors(nest.axes[vector].extent, MAX_CHANNELS * machine.lanes) if w % machine.lanes == 0]
        found = [Task((*first, (vector, width), (row, height)), together) for width in widths for height in heights]
    return [task for task in found if count_of(task, nest) > 1]


def count_of(task: Task, nest: Nest) -> int:
    """How many tasks there are."""
    return math.prod(nest.axes[axis].extent // extent for axis, extent in task.cuts)


def group_cycles(group: Group, machine: Machine) -> float:
    """Estimated cycles from a group's start until its result is in memory, of all cores that share the work."""
    return (
        _time(group.stages, group.task, machine) + _traffic(group.stages[-1].bytes, costs_of(machine)) / machine.cores
    )


def passing_cycles(block: s_tir.SBlock, machine: Machine) -> float:
    """Estimated cycles to write a block's result and read it back, of all cores that share the work."""
    return _traffic(_size(_result(block)), costs_of(machine)) / machine.cores


def _time(stages: tuple[Stage, ...], task: Task | None, machine: Machine) -> float:
    """Cycles from start to end."""
    costs = costs_of(machine)
    if task is None:
        return (
            sum(_cycles(stage.nest, machine) + _traffic(stage.inner_bytes, costs) for stage in stages) / machine.cores
        )
    last = stages[-1]
    boxes = dict(task.cuts)
    count = count_of(task, last.nest)
    box = [boxes.get(axis, last.nest.axes[axis].extent) for axis in last.nest.spatial]
    total = (costs.start + _cycles(within(last.nest, box), machine)) * count
    footprint = last.inner_bytes // count
    for consumer, producer in zip(reversed(stages), reversed(stages[:-1])):
        need = [window.needed(extent) for window, extent in zip(consumer.windows, _outputs(consumer, box))]
        box = _loops(producer, need)
        total += (costs.start + _cycles(within(producer.nest, box), machine)) * count
        total += 2 * producer.bytes / costs.inside
        footprint += FLOAT_BYTES * math.prod(need) * (2 if producer.inner_bytes else 1)
        if footprint > costs.held * machine.l2_bytes:
            total += _traffic(producer.bytes + producer.inner_bytes, costs)
    return (1 + costs.margin) * total * (-(-count // machine.cores)) / count


def costs_of(machine: Machine) -> Costs:
    """Those for its number of cores."""
    return ONE_CORE if machine.cores == 1 else SEVERAL_CORES


def _traffic(size: int, costs: Costs) -> float:
    """Cycles to write so many bytes and read them back between nests."""
    return 2 * size / costs.between


def _loops(stage: Stage, need: list[int]) -> list[int]:
    """Extents of the stage's spatial loops for a box of its result."""
    if stage.lanes == 1:
        return need
    return [*need[:-1], -(-need[-1] // stage.lanes), stage.lanes]


def _outputs(consumer: Stage, need: list[int]) -> list[int]:
    """For each axis of the input the outputs of the axis of the box that walks it."""
    return [need[window.walked_by] if window.walked_by is not None else 1 for window in consumer.windows]


@lru_cache(1 << 12)
def _cycles(nest: Nest, machine: Machine) -> float:
    tile = choose_tile(nest, machine)
    if tile.vector is None:
        return float(nest.iterations)
    return cycles(nest, tile, machine)
