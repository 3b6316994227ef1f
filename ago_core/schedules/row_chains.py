"""Chains of blocks over the same rows (softmax, layer norm) as one block that computes a row from start to end.

    before: for i, k: m[i] = max(m[i], x[i, k])    for i, k: e[i, k] = exp(x[i, k] - m[i])
            for i, k: s[i] += e[i, k]              for i, k: y[i, k] = e[i, k] / s[i]
    after:  parallel i:  m = max x[i, :]    e[:] = exp(x[i, :] - m)    s = Σ e[:]    r = 1 / s    y[i, :] = e[:] · r

What passes between the blocks is one row, in the first cache. What is the same all along a row is computed once for it;
a division by it becomes a product with its reciprocal, which errs by one rounding more.
"""

from __future__ import annotations

from dataclasses import dataclass

import tvm
from tvm import s_tir, sym, tirx
from tvm.ir.expr import TensorLoad
from tvm.s_tir import Schedule
from tvm_ffi import structural_equal, structural_map

from ago_core.schedules.machine import FLOAT_BYTES, Machine
from ago_core.schedules.nest import is_choice, loads_of, spatial_axes
from ago_core.schedules.normalise import blocks_of, is_plain_reduction, is_reduction
from ago_core.schedules.pointwise import Row, in_pieces, regions_of
from ago_core.schedules.rewrite import axis_of, index, nest_of, replace_nests, substitute, uses
from ago_core.schedules.rows import added, reduce_row, reduces_one_row

ROW_BLOCK = "ago.rows"
"""Annotation of a block that computes whole rows."""


def is_row_block(block: s_tir.SBlock) -> bool:
    """Whether a block computes whole rows, as `join_rows` makes them."""
    return ROW_BLOCK in block.annotations


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
    members = [_Member(last, _simplified(last.body, row), True)]
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
    return _Member(stmt, _simplified(substitute(stmt.body, values), row), pointwise)


def _row_like(sch: Schedule, block, machine: Machine) -> bool:
    """Whether a block is a reduction along rows, or pointwise and no epilogue of another reduction."""

    def of_rows(stmt: s_tir.SBlock) -> bool:
        return is_plain_reduction(stmt) and reduces_one_row(stmt, machine)

    stmt = sch.get(block)
    if is_reduction(stmt):
        return of_rows(stmt)
    sources = [sch.get(source) for source in sch.get_producers(block)]
    return isinstance(stmt.body, tirx.BufferStore) and all(of_rows(s) or not is_reduction(s) for s in sources)


def _writes_its_axes(block: s_tir.SBlock) -> bool:
    axes, places = spatial_axes(block), block.body.indices
    return len(axes) == len(places) and all(axis.var.same_as(place) for axis, place in zip(axes, places))


def _simplified(store: tirx.BufferStore, row: Row) -> tirx.BufferStore:
    """The store with its indices simplified: reshapes leave divisions that cancel."""
    analyzer = sym.Analyzer()
    for axis in (*row.outer, *row.inner):
        analyzer.bind(axis.var, axis.dom)

    def simplified(load: TensorLoad) -> TensorLoad:
        return load.source[tuple(analyzer.simplify(place) for place in load.indices)]

    value = structural_map(store.value, (TensorLoad, simplified))
    return tirx.BufferStore(store.buffer, value, [analyzer.simplify(place) for place in store.indices])


def _nest(members: list[_Member], machine: Machine) -> tirx.Stmt:
    """The nest that computes one row after the other.

    Its block writes row `v_row` of one: TVM finds what a block must compute for its readers only where what it writes
    starts at a multiple of an axis.
    """
    last = members[-1].block
    row, stmts, loads = _row_of(last), [], []
    rooms = [(member.block.body.buffer, _room(member, row)) for member in members[:-1]]
    allocated = [room for _, room in rooms]
    for member in members:
        store, once = _once(_moved(member.store, rooms), row)
        stmts += once
        allocated += [each.buffer for each in once]
        loads += [load for each in (store, *once) for load in loads_of(each.value)]
        if is_reduction(member.block):
            sums, part = reduce_row(row, store, type(member.block.body.value), member.block.init.value, machine)
            stmts += sums
            allocated.append(part)
        else:
            stmts.append(in_pieces(row, store, machine) if member.along else store)
    number = axis_of("v_row", 1)
    points = [tvm.ir.Range.from_min_extent(place, 1) for place in last.body.indices[:-1]]
    whole = tvm.ir.Range.from_min_extent(number.var * row.length, row.length)
    reads = regions_of([load for load in loads if not _among(load.source, allocated)], row)
    writes = [tirx.BufferRegion(last.body.buffer, [*points, whole])]
    axes, body = [*row.outer, number], tirx.SeqStmt(stmts)
    mark = {ROW_BLOCK: index(1)}
    return nest_of(s_tir.SBlock(axes, reads, writes, last.name_hint, body, None, allocated, annotations=mark))


def _room(member: _Member, row: Row) -> tirx.Buffer:
    """Where a member's result for one row lies."""
    buffer = member.block.body.buffer
    return _local(buffer.name, str(buffer.dtype), row.length if member.along else 1)


def _local(name: str, dtype: str, size: int) -> tirx.Buffer:
    return tirx.decl_buffer([index(size)], dtype, f"{name}_row", scope="local")


def _moved(store: tirx.BufferStore, rooms: list) -> tirx.BufferStore:
    """The store with rooms in place of the buffers that pass between the members; a reduction's without its sum."""

    def place(buffer, indices):
        room = next((room for old, room in rooms if old.same_as(buffer)), None)
        if room is None:
            return buffer, list(indices)
        return room, [indices[-1] if int(room.shape[0]) > 1 else index(0)]

    def moved(load: TensorLoad) -> TensorLoad:
        buffer, indices = place(load.source, load.indices)
        return buffer[tuple(indices)]

    adds = any(load.source.same_as(store.buffer) for load in loads_of(store.value))
    buffer, indices = place(store.buffer, store.indices)
    return tirx.BufferStore(buffer, structural_map(added(store) if adds else store.value, (TensorLoad, moved)), indices)


def _once(store: tirx.BufferStore, row: Row) -> tuple[tirx.BufferStore, list[tirx.BufferStore]]:
    """The store without what is the same all along the row and costs much: (store, what computes that)."""
    once: list[tirx.BufferStore] = []

    def kept(value) -> TensorLoad:
        room = _local(f"{store.buffer.name}_{len(once)}", str(value.ty.dtype), 1)
        once.append(tirx.BufferStore(room, value, [index(0)]))
        return room[index(0)]

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
