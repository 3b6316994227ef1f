"""Fewer blocks, same results: what every schedule starts from.

A block that only computes its output point by point is computed where it is read, if one block reads it, at one index
(x · sigmoid(x) reads x there twice), or all that read it read no more than it has (the halves of a split). One that
only moves data (padding, reshape, transpose) is computed where it is read even by several, unless a product reads it:
then it stays where inlining would cost the product its vectors or put conditions into a long reduction.

    before: for i: a[i] = x[i] + b[i]    for i: y[i] = max(a[i], 0)
    after:  for i: y[i] = max(x[i] + b[i], 0)
"""

from __future__ import annotations

import math
from contextlib import suppress

import tvm
from tvm import s_tir, tirx
from tvm.ir.expr import TensorLoad
from tvm.s_tir import Schedule
from tvm_ffi import structural_equal

from ago_core.graph.access import is_reduction
from ago_core.schedules.nest import calls_of, is_choice, loads_of, read_nest
from ago_core.schedules.tile import MAX_WINDOW, vector_axis, window_steps

MAX_NESTED = 2
"""Calls of exp and the like in one expression: code generation takes exponential time in their nesting."""


MAX_PLACES = 4
"""Copies of an expression in the one that it is read by, at different places."""


def blocks_of(sch: Schedule) -> list:
    """All blocks under the root."""
    return sch.get_child_blocks(sch.get_sblock("root"))


def is_plain_reduction(block: s_tir.SBlock) -> bool:
    """Whether it reduces to one value; argmax reduces to a pair, in two stores."""
    return is_reduction(block) and isinstance(block.body, tirx.BufferStore)


def inline_blocks(sch: Schedule) -> None:
    """Computes blocks where they are read, from the last producer to the first, so that chains collapse.

    A block stays where TVM refuses: it is an output, or read in a way that TVM cannot express.
    """
    for block in reversed(blocks_of(sch)):
        if _may_inline(sch, block):
            with suppress(tvm.s_tir.ScheduleError):
                sch.compute_inline(block)


def _may_inline(sch: Schedule, block) -> bool:
    stmt = sch.get(block)
    if is_reduction(stmt) or not isinstance(stmt.body, tirx.BufferStore):
        return False
    readers = sch.get_consumers(block)
    if not readers:
        return False
    if _only_moves(stmt.body.value) and len(loads_of(stmt.body.value)) <= 1:
        return all(not is_reduction(sch.get(reader)) or _keeps_vectors(sch, block, reader) for reader in readers)
    if _each_once(stmt, [sch.get(reader) for reader in readers]):
        return True
    only = sch.get(readers[0])
    if len(readers) > 1 or is_reduction(only):
        return False
    places, calls = _places(only, stmt.body.buffer), _intrinsics(stmt.body.value)
    if calls and len(places) > 1:
        return False
    same = all(structural_equal(place.indices, places[0].indices) for place in places)
    return same and (not calls or calls + _intrinsics(only.body) <= MAX_NESTED)


def _each_once(block: s_tir.SBlock, readers: list[s_tir.SBlock]) -> bool:
    """Whether pointwise readers read no more elements than the block has: each half of a split its own."""
    if any(map(is_reduction, readers)) or _intrinsics(block.body.value):
        return False
    places = [len(_places(reader, block.body.buffer)) for reader in readers]
    read = sum(count * _iterations(reader) for count, reader in zip(places, readers))
    return read <= _iterations(block) and max(places) <= MAX_PLACES


def _iterations(block: s_tir.SBlock) -> int:
    return math.prod(int(axis.dom.extent) for axis in block.iter_vars)


def _keeps_vectors(sch: Schedule, mover, reader) -> bool:
    """Whether a reduction that has this move inlined is still tiled well: tried on a copy."""
    if not is_plain_reduction(sch.get(reader)):
        return True
    before = read_nest(sch.get(reader))
    fork = sch.copy()
    try:
        fork.compute_inline(mover)
    except tvm.s_tir.ScheduleError:
        return False
    after = read_nest(fork.get(reader))
    vector = vector_axis(after)
    if after.guarded and not before.guarded and window_steps(after) > MAX_WINDOW:
        return False
    return vector is not None or vector_axis(before) is None


def _intrinsics(part) -> int:
    """Calls in an expression that are not choices."""
    return sum(not is_choice(call) for call in calls_of(part))


def _only_moves(value) -> bool:
    """Whether a value is a load, a constant, or a choice among such."""
    if isinstance(value, (TensorLoad, tirx.FloatImm, tirx.IntImm)):
        return True
    return is_choice(value) and all(_only_moves(argument) for argument in value.args[1:])


def _places(reader: s_tir.SBlock, buffer) -> list[TensorLoad]:
    """The loads of the reader from the buffer. At one index several cost nothing more: LLVM finds that they are one."""
    return [load for load in loads_of(reader.body) if load.source.same_as(buffer)]
