"""Which blocks of a function to put into one nest: the analytic choice, with no trial.

The blocks of a function fall into *stages*: a reduction, its epilogue, and what only prepares its input (padding).
Of all ways to cut their sequence into nests the one with the least estimated time is taken:

    time(nest) = Σ over its stages of cycles(tile) · recompute, shared among the cores,
               + bytes that pass through memory / BYTES_A_CYCLE

Joined, the intermediate's bytes are saved, twice (written and read); a window cut by the task's rows makes the
producer compute its halo again.

On 43 chains of five networks (one core, Zen 5) what was chosen took 1.05 times as long as the best of up to 14 measured
tasks and nests apart; since then nests apart became faster (apply.share_out), and some choices lose by up to 10 %:
`python -m benchmarks.fusion` has to be run again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from tvm import tirx
from tvm.s_tir import Schedule

from ago_core.schedules.apply import epilogue_of
from ago_core.schedules.fuse import Task, within
from ago_core.schedules.machine import FLOAT_BYTES, Machine
from ago_core.schedules.nest import Nest, Window, read_nest, read_windows
from ago_core.schedules.normalise import blocks_of, is_plain_reduction
from ago_core.schedules.tile import choose_tile, cycles, divisors, vector_axis

BYTES_A_CYCLE = 24
"""What a core writes and reads back of an intermediate. Of 12, 24, 48 and 96 the one with which the groups chosen for
MobileNetV2 and MNasNet at 224×224 took least time, on one core; what two cores share was not measured."""

MAX_CHANNELS = 4
"""Vectors of channels in a task of a depthwise convolution."""


@dataclass(frozen=True)
class Stage:
    """A reduction and what goes with it.

    Attributes:
        blocks: names in order.
        nest: of the reduction.
        windows: how it reads the stage before, by axis of that stage's result; None if it reads none such.
        bytes: of its result.
        readers: names of the blocks that read its result.
    """

    blocks: tuple[str, ...]
    nest: Nest
    windows: tuple[Window, ...] | None
    bytes: int
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
        if not all(_feeds(members[k], members[k + 1 :]) for k in range(length - 1)):
            continue
        tasks = [None] if length == 1 else _tasks(members[-1], machine)
        times = [(_time(members, task, machine), -k, task) for k, task in enumerate(tasks)]
        if times:  # of two estimates alike the larger task
            time, _, task = min(times)
            yield length, time + 2 * members[-1].bytes / BYTES_A_CYCLE / machine.cores, Group(members, task)


def groupings(stages: list[Stage], machine: Machine) -> list[list[Group]]:
    """Ways to group the stages: the estimated best, each by itself, all in one nest."""
    whole = _group_all(stages, machine)
    alone = [Group((stage,), None) for stage in stages]
    return [group_stages(stages, machine), alone, *([[whole]] if whole else [])]


def _group_all(stages: list[Stage], machine: Machine) -> Group | None:
    """All stages in one nest with the task of the least estimate; None where one does not feed the next alone."""
    if len(stages) < 2:
        return None
    if not all(_feeds(stages[k], tuple(stages[k + 1 :])) for k in range(len(stages) - 1)):
        return None
    members = tuple(stages)
    times = [(_time(members, task, machine), -k, task) for k, task in enumerate(_tasks(stages[-1], machine))]
    return Group(members, min(times)[2]) if times else None


def read_stages(sch: Schedule) -> list[Stage]:
    """The function's stages in order; empty where a block belongs to none."""
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
        epilogue = epilogue_of(sch, block)
        if epilogue is not None and sch.get(epilogue).name_hint in taken:
            epilogue = None
        last = epilogue if epilogue is not None else block
        blocks = (*waiting, name) if epilogue is None else (*waiting, name, sch.get(epilogue).name_hint)
        stages.append(_stage(sch, blocks, block, last, previous))
        previous, waiting = sch.get(last).body.buffer, []
        taken.update(blocks)
    return [] if waiting else stages


def _stage(sch: Schedule, blocks: tuple[str, ...], block, last, previous) -> Stage:
    result = sch.get(last).body.buffer
    size = FLOAT_BYTES * math.prod(int(extent) for extent in result.shape)
    readers = frozenset(sch.get(reader).name_hint for reader in sch.get_consumers(last))
    source = _padded(sch, blocks, previous)
    windows = None if source is None else read_windows(sch.get(block), source)
    return Stage(blocks, read_nest(sch.get(block)), windows, size, readers)


def _padded(sch: Schedule, blocks: tuple[str, ...], previous):
    """What the stage reads of the stage before: its result, or the padded copy of it."""
    if previous is None or len(blocks) <= 2:
        return previous
    first = sch.get(sch.get_sblock(blocks[0])).body
    return first.buffer if isinstance(first, tirx.BufferStore) else previous


def _feeds(stage: Stage, group: tuple[Stage, ...]) -> bool:
    """Whether only the group reads the stage, and its first stage does so in a known way."""
    inside = {name for each in group for name in each.blocks}
    windows = group[0].windows
    known = windows is not None and len(windows) == len(stage.nest.spatial)
    return known and bool(stage.readers) and stage.readers <= inside


def _tasks(stage: Stage, machine: Machine) -> list[Task]:
    """Boxes worth trying: rows of all channels, or for depthwise reading a few vectors of channels and rows."""
    nest = stage.nest
    vector = vector_axis(nest)
    rows = nest.spatial[:-1]
    if vector is None or not rows or stage.windows is None:
        return []
    row = rows[min(1, len(rows) - 1)]
    first = () if row == rows[0] else ((rows[0], 1),)
    heights = divisors(nest.axes[row].extent, nest.axes[row].extent)
    if stage.windows[-1].outputs > 1:  # the channels of its input are its own: they can be cut
        widths = [w for w in divisors(nest.axes[vector].extent, MAX_CHANNELS * machine.lanes) if w % machine.lanes == 0]
        return [Task((*first, (vector, width), (row, height))) for width in widths for height in heights]
    return [Task((*first, (row, height))) for height in heights]


def _time(stages: tuple[Stage, ...], task: Task | None, machine: Machine) -> float:
    """Cycles from start to end."""
    if task is None:
        return sum(_cycles(stage.nest, machine) for stage in stages) / machine.cores
    last = stages[-1]
    boxes = dict(task.cuts)
    tasks = math.prod(last.nest.axes[axis].extent // extent for axis, extent in task.cuts)
    need = [boxes.get(axis, last.nest.axes[axis].extent) for axis in last.nest.spatial]
    total, footprint = _cycles(within(last.nest, need), machine) * tasks, 0
    for consumer, producer in zip(reversed(stages), reversed(stages[:-1])):
        need = [window.needed(extent) for window, extent in zip(consumer.windows, _outputs(consumer, need))]
        total += _cycles(within(producer.nest, need), machine) * tasks
        footprint += FLOAT_BYTES * math.prod(need)
        if footprint > machine.l2_bytes // 2:  # the rest is for weights
            total += 2 * producer.bytes / BYTES_A_CYCLE
    return total * (-(-tasks // machine.cores)) / tasks


def _outputs(consumer: Stage, need: list[int]) -> list[int]:
    """For each axis of the input the outputs of the axis of the box that walks it."""
    return [need[window.walked_by] if window.walked_by is not None else 1 for window in consumer.windows]


@lru_cache(1 << 12)
def _cycles(nest: Nest, machine: Machine) -> float:
    tile = choose_tile(nest, machine)
    if tile.vector is None:
        return float(nest.iterations)
    return cycles(nest, tile, machine)
