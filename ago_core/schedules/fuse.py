"""Intensive fusion: several reductions in one loop nest, what passes between them in a tile (AGO, section IV).

    before: for h, w, c: a[h,w,c] = producer              for h, w, o, k: y[h,w,o] += a[h,w,k] · weight[k,o]
    after:  parallel h/R:                                 the task
                for R rows, w, c:        a[…] = producer  its tile: R rows of a, in cache
                for R rows, w/C, o/V, k: y[…] += a[…] · weight[…]

A task is a box of the last block's outputs; every other block of the group computes what the box needs of it. Which
axes to cut follows from reuse (ago_core/fusion/reuse.py): a pointwise convolution or a matmul reads its input again for
every output channel, so a task holds all of those; a depthwise one reads the neighbours in its window, so rows are cut
in large pieces, and channels at will.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tvm import tirx
from tvm.s_tir import Schedule
from tvm_ffi import structural_walk

from ago_core.schedules.apply import MAX_VECTORS, Placed, epilogue_of, place_under, set_initialisation_apart, share_out
from ago_core.schedules.knobs import Knobs
from ago_core.schedules.machine import Machine
from ago_core.schedules.nest import Nest, read_nest, spatial_axes
from ago_core.schedules.normalise import is_reduction
from ago_core.schedules.row_chains import is_row_block, rows_at_a_time
from ago_core.schedules.tile import choose_tile, vector_axis, widest_lanes

MAX_BOX = 64
"""What a search may try at most along one axis of a task."""


@dataclass(frozen=True, slots=True)
class Task:
    """What one parallel iteration computes of the last reduction's output.

    Attributes:
        cuts: (position of a spatial axis, extent of the box along it), in the order of the loops.
        step: what the box's extent along the last of these is a multiple of.
    """

    cuts: tuple[tuple[int, int], ...]
    step: int = 1


def fuse_blocks(sch: Schedule, names: list[str], task: Task, machine: Machine, knobs: Knobs) -> None:
    """Puts blocks into one nest.

    Args:
        sch: the schedule; the blocks stand at its root, each in loops of its own.
        names: the blocks in order; the last reduction's epilogue may be among them.
        task: the box.
        machine: that tiles are chosen for.
        knobs: who decides how far loops are cut.

    Raises:
        tvm.s_tir.ScheduleError: TVM cannot prove that the blocks may be fused.
    """
    if is_row_block(sch.get(sch.get_sblock(names[-1]))):
        outside, placed, done = _cut_rows(sch, sch.get_sblock(names[-1]), task, knobs), [], {names[-1]}
    else:
        last = sch.get_sblock([name for name in names if is_reduction(sch.get(sch.get_sblock(name)))][-1])
        epilogue = epilogue_of(sch, last) or sch.cache_write(last, 0, "global")
        done = {sch.get(last).name_hint, sch.get(epilogue).name_hint}
        placed = [_place_last(sch, last, epilogue, task, machine, knobs)]
        outside = placed[0].outer[: len(task.cuts)]
    for name in reversed([name for name in names if name not in done]):
        placed += _place_producer(sch, sch.get_sblock(name), outside[-1], machine, knobs)
    share_out(sch, outside, machine.cores, knobs)
    for each in placed:
        set_initialisation_apart(sch, each)


def _cut_rows(sch: Schedule, block, task: Task, knobs: Knobs) -> list:
    """The loops of a block of rows, the task's rows inside: the loops over tasks."""
    loops, outside, rows = list(sch.get_loops(block)), [], rows_at_a_time(sch.get(block))
    for axis, extent in task.cuts:
        if axis == len(loops) - 2:  # a step of this loop is some rows
            cut, loops[axis] = _cut(sch, loops[axis], extent // rows, max(1, task.step // rows), knobs)
        else:
            cut, loops[axis] = _cut(sch, loops[axis], extent, 1, knobs)
        outside.append(cut)
    sch.reorder(*outside, *loops)
    return outside


def _place_last(sch: Schedule, block, epilogue, task: Task, machine: Machine, knobs: Knobs) -> Placed:
    loops, outside = list(sch.get_loops(epilogue)), []
    vector = vector_axis(read_nest(sch.get(block)))
    for axis, extent in task.cuts:
        if axis == vector:
            cut, loops[axis] = _cut(sch, loops[axis], extent, widest_lanes(extent, machine), knobs, MAX_VECTORS)
        else:
            step = task.step if axis == task.cuts[-1][0] else 1
            cut, loops[axis] = _cut(sch, loops[axis], extent, step, knobs)
        outside.append(cut)
    nest = within(read_nest(sch.get(block)), [int(sch.get(loop).extent) for loop in loops])
    return place_under(sch, block, epilogue, loops, outside, choose_tile(nest, machine), knobs)


def _cut(sch: Schedule, loop, extent: int, step: int, knobs: Knobs, limit: int = MAX_BOX) -> tuple:
    """A loop in two, the extent of the inner one a multiple of a step."""
    if step == 1:
        return tuple(sch.split(loop, knobs.factors(sch, loop, extent, MAX_BOX)))
    steps, inside = sch.split(loop, [None, step])
    cut, inner = sch.split(steps, knobs.factors(sch, steps, extent // step, limit))
    return cut, sch.fuse(inner, inside)


def _place_producer(sch: Schedule, block, inside, machine: Machine, knobs: Knobs) -> list[Placed]:
    """Moves a block into the task; a reduction goes with its epilogue, which was moved before it."""
    if not is_reduction(sch.get(block)):
        sch.compute_at(block, inside, preserve_unit_loops=True)
        if not any(is_reduction(sch.get(source)) for source in sch.get_producers(block)):
            _vectorise(sch, block, machine)
        return []
    epilogue = epilogue_of(sch, block)
    if epilogue is None:
        epilogue = sch.cache_write(block, 0, "local")
        sch.compute_at(epilogue, inside, preserve_unit_loops=True)
    loops = sch.get_loops(epilogue)[-len(spatial_axes(sch.get(block))) :]
    nest = within(read_nest(sch.get(block)), [int(sch.get(loop).extent) for loop in loops])
    tile = choose_tile(nest, machine, _guarded(sch, loops))
    return [place_under(sch, block, epilogue, loops, [], tile, knobs)]


def _guarded(sch: Schedule, loops: list) -> frozenset[int]:
    """Positions of the loops that the condition on the block inside them depends on: rows of a halo past the edge."""
    used: list[tirx.Var] = []
    structural_walk(sch.get(loops[-1]).body.predicate, (tirx.Var, used.append))
    variables = [sch.get(loop).loop_var for loop in loops]
    return frozenset(k for k, variable in enumerate(variables) if any(variable.same_as(other) for other in used))


def within(nest: Nest, extents: list[int]) -> Nest:
    """The nest with its spatial axes cut to a box, and what it reads with them."""
    axes, read_bytes = list(nest.axes), list(nest.read_bytes)
    for axis, extent in zip(nest.spatial, extents):
        for read, stride in enumerate(axes[axis].reads):
            read_bytes[read] = read_bytes[read] * extent // axes[axis].extent if stride else read_bytes[read]
        axes[axis] = replace(axes[axis], extent=extent)
    return replace(nest, axes=tuple(axes), read_bytes=tuple(read_bytes))


def _vectorise(sch: Schedule, block, machine: Machine) -> None:
    *_, inner = sch.get_loops(block)
    lanes = widest_lanes(int(sch.get(inner).extent), machine)
    if lanes > 1:
        sch.vectorize(sch.split(inner, [None, lanes])[1])
