"""Chains of blocks over the same rows (softmax, layer norm) as one block that computes a row from start to end.

    before: for i, k: m[i] = max(m[i], x[i, k])    for i, k: e[i, k] = exp(x[i, k] - m[i])
            for i, k: s[i] += e[i, k]              for i, k: y[i, k] = e[i, k] / s[i]
    after:  parallel i:  m = max x[i, :]    e[:] = exp(x[i, :] - m)    s = Σ e[:]    r = 1 / s    y[i, :] = e[:] · r

What passes between the blocks is a few rows, in the first cache. What is the same all along a row is computed once for
it; a division by it becomes a product with its reciprocal, which errs by one rounding more.
"""

from __future__ import annotations

from dataclasses import dataclass

import tvm
from tvm import s_tir, tirx
from tvm.ir.expr import TensorLoad
from tvm.s_tir import Schedule
from tvm_ffi import structural_equal, structural_map

from ago_core.schedules.apply import epilogue_of
from ago_core.schedules.machine import FLOAT_BYTES, Machine
from ago_core.schedules.nest import is_choice, loads_of, spatial_axes
from ago_core.schedules.normalise import blocks_of, is_plain_reduction, is_reduction
from ago_core.schedules.pointwise import Row, in_pieces, regions_of
from ago_core.schedules.rewrite import axis_of, index, nest_of, replace_nests, simplified, substitute, uses
from ago_core.schedules.rows import added, reduce_row, reduces_one_row
from ago_core.schedules.tile import divisors

ROW_BLOCK = "ago.rows"
"""Annotation of a block that computes whole rows: how many at a time."""

MAX_TOGETHER = 8
"""Rows computed side by side at most."""


def is_row_block(block: s_tir.SBlock) -> bool:
    """Whether a block computes whole rows, as `join_rows` makes them."""
    return ROW_BLOCK in block.annotations


def rows_at_a_time(block: s_tir.SBlock) -> int:
    """How many rows such a block computes together; 1 for any other block."""
    return int(block.annotations.get(ROW_BLOCK, 1))


def join_rows(sch: Schedule, machine: Machine) -> Schedule:
    """A schedule of the function with every chain over rows in one block, named after the last of the chain."""
    nests: dict[str, tirx.Stmt | None] = {}
    gone: list[tirx.Buffer] = []
    for block in reversed(blocks_of(sch)):
        stmt = sch.get(block)
        if stmt.name_hint in nests or is_reduction(stmt) or not isinstance(stmt.body, tirx.BufferStore):
            continue
        members = _chain(sch, stmt, nests.keys(), machine)
        if any(is_reduction(member.block) for member in members):
            nests |= {member.block.name_hint: None for member in members} | {stmt.name_hint: _nest(members, machine)}
            gone += [member.block.body.buffer for member in members[:-1]]
    allocated = sch.mod["main"].body.block.alloc_buffers
    return replace_nests(sch, nests, [each for each in allocated if not any(each.same_as(buffer) for buffer in gone)])


@dataclass(frozen=True)
class _Member:
    """A block of a chain.

    Attributes:
        block: as it stands in the function.
        store: its statement, in the axes of the chain's last block.
        along: whether it computes an element for each place along the row; else one for the row.
    """

    block: s_tir.SBlock
    store: tirx.BufferStore
    along: bool


def _chain(sch: Schedule, last: s_tir.SBlock, taken, machine: Machine) -> list[_Member]:
    """In order, the blocks that compute the rows of `last`, itself at the end, and nothing that others read."""
    row = _row_of(last)
    members = [_Member(last, simplified(last.body, row.outer + row.inner), True)]
    if row.length * FLOAT_BYTES > machine.l1_bytes // 4:
        return members
    allocated = sch.mod["main"].body.block.alloc_buffers
    names = [sch.get(block).name_hint for block in blocks_of(sch)]
    for name in reversed(names[: names.index(last.name_hint)]):
        block = sch.get_sblock(name)
        readers = {sch.get(reader).name_hint for reader in sch.get_consumers(block)}
        if name in taken or not readers or not readers <= {member.block.name_hint for member in members}:
            continue
        if not all(_among(region.source, allocated) for region in sch.get(block).writes):
            continue  # an output of the function
        if member := _member(sch, block, members, row, machine):
            members.insert(0, member)
    return members


def _row_of(block: s_tir.SBlock) -> Row:
    *outer, inner = block.iter_vars or [axis_of("v_none", 1)]
    return Row(tuple(outer), (inner,), {})


def _member(sch: Schedule, block, members: list[_Member], row: Row, machine: Machine) -> _Member | None:
    """The block in the axes of the row; None where the members read it otherwise, or where it goes with a product."""
    stmt = sch.get(block)
    if not _row_like(sch, block, machine) or not _writes_its_axes(stmt):
        return None
    loads = [load for member in members for load in loads_of(member.store.value)]
    places = [list(load.indices) for load in loads if load.source.same_as(stmt.body.buffer)]
    if any(not structural_equal(places[0], other) for other in places):
        return None
    along, outer = row.inner[0].var, places[0]
    values = {axis.var: place for axis, place in zip(spatial_axes(stmt), places[0])}
    if is_reduction(stmt):
        summed = [axis for axis in stmt.iter_vars if not any(axis.var.same_as(name) for name in values)]
        length = max(int(axis.dom.extent) for axis in summed)
        values |= {axis.var: along if int(axis.dom.extent) > 1 else index(0) for axis in summed}
    elif outer and outer[-1].same_as(along):
        *outer, _ = outer
        length = int(stmt.iter_vars[-1].dom.extent)
    else:
        length = row.length
    if length != row.length or any(uses(place, row.inner) for place in outer):
        return None
    pointwise = not is_reduction(stmt) and len(outer) < len(places[0])
    return _Member(stmt, simplified(substitute(stmt.body, values), row.outer + row.inner), pointwise)


def _row_like(sch: Schedule, block, machine: Machine) -> bool:
    """Whether a block is a reduction along rows, or pointwise and no epilogue of another reduction."""
    stmt = sch.get(block)
    if is_reduction(stmt):
        return _reduces_rows(stmt, machine)
    products = [source for source in sch.get_producers(block) if is_reduction(sch.get(source))]
    others = [source for source in products if not _reduces_rows(sch.get(source), machine)]
    epilogues = [
        sch.get(each).name_hint for each in (epilogue_of(sch, source) for source in others) if each is not None
    ]
    return isinstance(stmt.body, tirx.BufferStore) and stmt.name_hint not in epilogues


def _reduces_rows(block: s_tir.SBlock, machine: Machine) -> bool:
    return is_plain_reduction(block) and reduces_one_row(block, machine)


def _writes_its_axes(block: s_tir.SBlock) -> bool:
    axes, places = spatial_axes(block), block.body.indices
    return len(axes) == len(places) and all(axis.var.same_as(place) for axis, place in zip(axes, places))


@dataclass(frozen=True)
class _Rooms:
    """Where the results of a chain's members lie, those of some rows side by side.

    Attributes:
        rows: how many.
        which: which of them, in the statements of one row.
        rooms: for each member but the last what it writes in the function, its room, and elements of a row.
    """

    rows: int
    which: tirx.Var
    rooms: list[tuple[tirx.Buffer, tirx.Buffer, int]]

    def room(self, name: str, dtype: str, length: int = 1) -> tirx.Buffer:
        """A new buffer for so many elements of each row."""
        return tirx.decl_buffer([index(self.rows * length)], dtype, f"{name}_row", scope="local")

    def place(self, buffer, indices) -> tuple[tirx.Buffer, list]:
        """Where an element of a buffer lies."""
        for old, room, length in self.rooms:
            if old.same_as(buffer):
                return room, [self.which * length + indices[-1] if length > 1 else self.which]
        return buffer, list(indices)


def _nest(members: list[_Member], machine: Machine) -> tirx.Stmt:
    """The nest that computes some rows, one step after the other, then the next rows.

    Of one row each step waits for the one before, of several they run side by side. The nest's block writes row `v_row`
    of one: TVM finds what a block must compute for its readers only where what it writes starts at a multiple of an
    axis.
    """
    last, row = members[-1].block, _row_of(members[-1].block)
    rooms = _Rooms(_together(members, row, machine), tirx.Var("p", "int64"), [])
    steps, loads, parts = [], [], []
    for member in members:
        buffer, block = member.block.body.buffer, member.block
        if block is not last:
            length = row.length if member.along else 1
            rooms.rooms.append((buffer, rooms.room(buffer.name, str(buffer.dtype), length), length))
        store, once = _once(_moved(member.store, rooms), row, rooms)
        loads += [load for each in (*once, store) for load in loads_of(each.value)]
        parts += [each.buffer for each in once]
        steps += once
        if is_reduction(block):
            stmts, part = reduce_row(row, store, type(block.body.value), block.init.value, machine)
            parts.append(part)
            steps.append(tirx.SeqStmt(stmts))
        else:
            steps.append(in_pieces(row, store, machine) if member.along else store)
    allocated = [*(room for _, room, _ in rooms.rooms), *parts]
    reads = regions_of([load for load in loads if not _among(load.source, allocated)], row)
    return _over_rows(last, row, rooms, steps, reads, allocated)


def _over_rows(last: s_tir.SBlock, row: Row, rooms: _Rooms, steps: list, reads: list, allocated: list) -> tirx.Stmt:
    """The nest of a block that takes each step for `rooms.rows` rows."""
    *outer, split = row.outer or (axis_of("v_one", 1),)
    count, number = rooms.rows, axis_of("v_row", 1)
    group = axis_of(f"{split.var.name}_o", int(split.dom.extent) // count)

    def repeated(step: tirx.Stmt) -> tirx.Stmt:
        one = tirx.Var("p", "int64")
        step = substitute(step, {rooms.which: one, split.var: group.var * count + one})
        return tirx.For(one, index(0), index(count), tirx.ForKind.SERIAL, step)

    def some(part: tvm.ir.Range, extent) -> tvm.ir.Range:
        if part.min.same_as(split.var):
            return tvm.ir.Range.from_min_extent(group.var * count, count)
        return tvm.ir.Range(0, extent) if uses(part.min, (split,)) else part

    reads = [tirx.BufferRegion(r.source, [some(*each) for each in zip(r.region, r.source.shape)]) for r in reads]
    whole = tvm.ir.Range.from_min_extent(number.var * row.length, row.length)
    points = [some(tvm.ir.Range.from_min_extent(place, 1), 1) for place in last.body.indices[:-1]]
    writes = [tirx.BufferRegion(last.body.buffer, [*points, whole])]
    axes, body = [*outer, group, number], tirx.SeqStmt([repeated(step) for step in steps])
    mark = {ROW_BLOCK: index(count)}
    return nest_of(s_tir.SBlock(axes, reads, writes, last.name_hint, body, None, allocated, annotations=mark))


def _together(members: list[_Member], row: Row, machine: Machine) -> int:
    """Rows to compute side by side: so many that what passes between the members stays in the first cache."""
    extent = int(row.outer[-1].dom.extent) if row.outer else 1
    size = FLOAT_BYTES * row.length * max(1, sum(member.along for member in members[:-1]))
    return max(divisors(extent, max(1, min(MAX_TOGETHER, machine.l1_bytes // 2 // size))))


def _moved(store: tirx.BufferStore, rooms: _Rooms) -> tirx.BufferStore:
    """The store with rooms in place of the buffers that pass between the members; a reduction's without its sum."""

    def moved(load: TensorLoad) -> TensorLoad:
        buffer, indices = rooms.place(load.source, load.indices)
        return buffer[tuple(indices)]

    adds = any(load.source.same_as(store.buffer) for load in loads_of(store.value))
    buffer, indices = rooms.place(store.buffer, store.indices)
    return tirx.BufferStore(buffer, structural_map(added(store) if adds else store.value, (TensorLoad, moved)), indices)


def _once(store: tirx.BufferStore, row: Row, rooms: _Rooms) -> tuple[tirx.BufferStore, list[tirx.BufferStore]]:
    """The store without what is the same all along the row and costs much: (store, what computes that)."""
    once: list[tirx.BufferStore] = []

    def kept(value) -> TensorLoad:
        room = rooms.room(f"{store.buffer.name}_{len(once)}", str(value.ty.dtype))
        once.append(tirx.BufferStore(room, value, [rooms.which]))
        return room[rooms.which]

    def call(value: tvm.ir.Call):
        return value if is_choice(value) or uses(value, row.inner) else kept(value)

    def division(value: tirx.Div):
        constant = not loads_of(value.b)
        return value if constant or uses(value.b, row.inner) else value.a * kept(1 / value.b)

    if not uses(store.value, row.inner):
        return store, []
    value = structural_map(store.value, [(tvm.ir.Call, call), (tirx.Div, division)])
    return tirx.BufferStore(store.buffer, value, store.indices), once


def _among(buffer, buffers) -> bool:
    return any(buffer.same_as(other) for other in buffers)
