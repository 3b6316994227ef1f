"""Results written where they belong: a reshape or transpose of a product's result goes into the product's nest.

    before: for h, i, c, k: s[h, i, c] += …    for i, h, c: y[i, h · C + c] = s[h, i, c] + b[c]
    after:  for h, i, c, k: s[h, i, c] += …    for h, i, c: y[i, h · C + c] = s[h, i, c] + b[c]

The block that moves then reads each element where it was written, so that it is the product's epilogue. Only a block
that nothing in the function reads is moved so: TVM could not find which of its elements a reader needs.
"""

from __future__ import annotations

import math

import tvm
from tvm import s_tir, tirx
from tvm.s_tir import Schedule

from ago_core.schedules.apply import epilogue_of
from ago_core.schedules.nest import read_nest
from ago_core.schedules.normalise import blocks_of, is_plain_reduction, is_reduction
from ago_core.schedules.rewrite import nest_of, replace_nests, simplified


def write_through(sch: Schedule) -> Schedule:
    """A schedule of the function whose last blocks, if they move products' results, do so in the products' order."""
    for name in [sch.get(block).name_hint for block in blocks_of(sch)]:
        block = sch.get_sblock(name)
        sources = sch.get_producers(block)
        if len(sources) != 1 or not _moves_result(sch, block, sources[0]):
            continue
        done = _moved(_simplified(sch, name), sch.get(sources[0]).name_hint, name)
        sch = sch if done is None else done
    return sch


def _moves_result(sch: Schedule, block, source) -> bool:
    """Whether a block that nothing reads alone reads a product of its size, but not each element where it lies."""
    mover, product = sch.get(block), sch.get(source)
    if is_reduction(mover) or not isinstance(mover.body, tirx.BufferStore) or not is_plain_reduction(product):
        return False
    alone = not sch.get_consumers(block) and len(sch.get_consumers(source)) == 1
    return alone and _size(mover) == _size(product) and epilogue_of(sch, source) is None


def _size(block: s_tir.SBlock) -> int:
    return math.prod(int(extent) for extent in block.body.buffer.shape)


def _moved(sch: Schedule, product: str, mover: str) -> Schedule | None:
    """The mover's values computed in the order of the product; None where TVM finds no inverse, or vectors no rows."""
    try:
        epilogue = sch.cache_write(sch.get_sblock(product), 0, "global")
        sch.reverse_compute_inline(sch.get_sblock(mover))
    except (tvm.s_tir.ScheduleError, tvm.error.InternalError):
        return None
    axes = read_nest(sch.get(epilogue)).axes
    return sch if axes and axes[-1].write == 1 else None


def _simplified(sch: Schedule, name: str) -> Schedule:
    """A copy with a block's indices simplified: of divisions that cancel TVM finds no inverse."""
    block = sch.get(sch.get_sblock(name))
    body, axes = simplified(block.body, block.iter_vars), block.iter_vars
    return replace_nests(sch, {name: nest_of(s_tir.SBlock(axes, block.reads, block.writes, name, body))})
