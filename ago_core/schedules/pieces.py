"""Concatenations whose pieces are written where they belong, each by the nest that computes it.

A concatenation of the results of reductions is cut into a block for each piece. Each block writes a view of its part,
so that to TVM every array has one writer; a reduction's piece is then its epilogue:

    before: for c in 64: a[c] += …    for c in 96: y[c] = a[c] if c < 64 else max(x[c - 64], 0)
    after:  for c in 64: a[c] += …    for c in 64: y[c] = a[c]    for c in 32: y[64 + c] = max(x[c], 0)

What reads the whole does so after all pieces are written: blocks keep their order, but TVM does not see who wrote it,
so none of these is fused with what reads it.
"""

from __future__ import annotations

import math

import tvm
from tvm import s_tir, tirx
from tvm.s_tir import Schedule

from ago_core.schedules.apply import is_identity, reads_where_written
from ago_core.schedules.nest import loads_of
from ago_core.schedules.normalise import blocks_of, is_plain_reduction, is_reduction
from ago_core.schedules.pointwise import Row, cuts, decided, regions_of
from ago_core.schedules.rewrite import axis_of, index, nest_of, replace_nests, simplified, substitute


def cut_concatenations(sch: Schedule) -> Schedule:
    """A schedule of the function with every concatenation of a reduction's result in pieces."""
    for name in [sch.get(block).name_hint for block in blocks_of(sch)]:
        block = sch.get_sblock(name)
        writers = [sch.get(writer) for writer in sch.get_producers(block)]
        results = [w.body.buffer for w in writers if is_plain_reduction(w) and len(_readers(sch, w)) == 1]
        row = _row(sch.get(block))
        if row is None or not results:
            continue
        places = cuts(row, sch.get(block).body)
        pieces = [_piece(sch.get(block), row, *place) for place in zip(places, places[1:])]
        if any(reads_where_written(piece, result) for piece, _ in pieces for result in results):
            nests = [nest_of(piece) for piece, _ in pieces]
            sch = replace_nests(sch, {name: nests}, views=[view for _, view in pieces])
    return sch


def _readers(sch: Schedule, block: s_tir.SBlock) -> list:
    return sch.get_consumers(sch.get_sblock(block.name_hint))


def _row(block: s_tir.SBlock) -> Row | None:
    """The last axis of a pointwise block that decides along it what is computed; None where nothing is decided."""
    if is_reduction(block) or not isinstance(block.body, tirx.BufferStore) or not block.iter_vars:
        return None
    if not is_identity(block.body.indices, [axis.var for axis in block.iter_vars], block.body.buffer):
        return None
    row = Row(tuple(block.iter_vars[:-1]), (block.iter_vars[-1],), {})
    return row if len(cuts(row, block.body)) > 2 else None


def _piece(block: s_tir.SBlock, row: Row, start: int, end: int) -> tuple[s_tir.SBlock, s_tir.MatchBufferRegion]:
    """The block of a part of the row, and the view that it writes."""
    matched = _view(block.body.buffer, start, end)
    view = matched.buffer
    axes = [axis_of(axis.var.name, int(extent)) for axis, extent in zip(block.iter_vars, view.shape)]
    *outer, last = places = [axis.var for axis in axes]
    moved = dict(zip((axis.var for axis in block.iter_vars), (*outer, last + start)))
    value = simplified(substitute(decided(row, block.body, start, end).value, moved), axes)
    writes = [tirx.BufferRegion(view, [tvm.ir.Range.from_min_extent(place, 1) for place in places])]
    name = f"{block.name_hint}_{start}"
    body = tirx.BufferStore(view, value, places)
    return s_tir.SBlock(axes, regions_of(loads_of(value), Row(tuple(axes), (), {})), writes, name, body), matched


def _view(whole, start: int, end: int) -> s_tir.MatchBufferRegion:
    """A part of a buffer along its last axis as a buffer of its own."""
    *outer, _ = extents = [int(extent) for extent in whole.shape]
    strides = [index(math.prod(extents[k + 1 :])) for k in range(len(extents))]
    shape = [index(extent) for extent in (*outer, end - start)]
    view = tirx.decl_buffer(
        shape, str(whole.dtype), f"{whole.name}_{start}", None, strides, index(start), scope="global", layout=None
    )
    ranges = [tvm.ir.Range(0, extent) for extent in outer] + [tvm.ir.Range(start, end)]
    return s_tir.MatchBufferRegion(view, tirx.BufferRegion(whole, ranges))
