"""Nests that compute their output point by point: whole vectors along rows, no matter how long a row is.

A row is the longest run of axes that every access walks contiguously. It is computed in vectors of native width; the
last one overlaps the one before, which computes some elements twice, to the same values:

    before: for i, c in 58: y[i, c] = max(x[i, c] + b[c], 0)
    after:  parallel i:  for l in 16: y[i, l] = …    for l in 16: y[i, 16 + l] = …    at 32 …    at 42 …

Where an element's place in the row decides what is computed (a concatenation), the row is cut there:

    before: for i, c in 116: y[i, c] = x[i, c] if c < 58 else z[i, c - 58]
    after:  parallel i:  y[i, 0:58] = x[i, :] in vectors    y[i, 58:116] = z[i, :] in vectors
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import tvm
from tvm import s_tir, sym, tirx
from tvm.ir.expr import TensorLoad
from tvm.s_tir import Schedule
from tvm_ffi import structural_equal, structural_map, structural_walk

from ago_core.schedules.apply import share_out
from ago_core.schedules.knobs import Estimated
from ago_core.schedules.machine import Machine
from ago_core.schedules.nest import Nest, calls_of, is_choice, loads_of, read_nest
from ago_core.schedules.rewrite import axis_of, index, nest_of, substitute, uses
from ago_core.schedules.tile import best_lanes, divisors

UNROLLED = 16
"""Vectors of a row that are written out one after the other; more go into a loop."""

UNROLLED_CALLS = 4
"""The same where each computes exp and the like, which take dozens of instructions."""

CHUNK = 8
"""Vectors in one step of the loop over a row that is longer."""

GOOD = 0.6
"""Usefulness of a row's vectors below which all rows are taken as one."""

_COMPARISONS = (tirx.LT, tirx.LE, tirx.GT, tirx.GE)

Bound = tirx.Expr | int


@dataclass(frozen=True)
class Row:
    """The axes of a block in two: those that choose a row, and those that run along it.

    Attributes:
        outer: axes with more than one iteration that choose a row, outermost first.
        inner: axes that run along it, outermost first; their product is its length.
        fixed: what stands for an axis of the block that is none of these: 0, or one of them in two.
    """

    outer: tuple[tirx.IterVar, ...]
    inner: tuple[tirx.IterVar, ...]
    fixed: dict

    @property
    def length(self) -> int:
        return math.prod(int(axis.dom.extent) for axis in self.inner)


def vectorise(sch: Schedule, block, machine: Machine, cores: int) -> None:
    """A pointwise block that stays what it is: vectors where they divide the innermost loop; for so many cores."""
    loops = sch.get_loops(block)
    if isinstance(sch.get(block).body, tirx.BufferStore) and loops:
        extent = int(sch.get(loops[-1]).extent)
        lanes = next((w for w in (machine.lanes, machine.lanes // 2, 4) if extent % w == 0), 1)
        if lanes > 1:
            loops[-1], vector = sch.split(loops[-1], [None, lanes])
            sch.vectorize(vector)
    if cores and loops:
        share_out(sch, loops, cores, Estimated())


def cut_rows(block: s_tir.SBlock, machine: Machine) -> tirx.Stmt | None:
    """The nest of a pointwise block, its rows in vectors; None where no axis is written contiguously."""
    row = read_row(block, machine) if isinstance(block.body, tirx.BufferStore) else None
    if row is None:
        return None
    lanes = best_lanes(row.length, machine.lanes)
    axes, body = list(row.outer), bound(row, block.body)
    if _decided_along(row, body) or row.length <= UNROLLED * lanes:
        stmt = in_pieces(row, body, machine)
    else:
        size = CHUNK * lanes
        chunk = axis_of("v_chunk", -(-row.length // size))
        axes.append(chunk)
        start = tirx.Min(chunk.var * size, index(row.length - size))
        stmt = tirx.SeqStmt([at_lanes(row, body, start + step, lanes) for step in range(0, size, lanes)])
    return nest_of_rows(block.name_hint, axes, row, body, stmt)


def read_row(block: s_tir.SBlock, machine: Machine) -> Row | None:
    """The innermost axis of a pointwise block, joined by axes that every access walks on contiguously.

    Axes join until whole vectors fill the row; of the last one only a part, where all of it would be a long row: in a
    row of known places TVM sees the divisions in an address cancel, in a long one not always.
    """
    nest = read_nest(block)
    many = [k for k, axis in enumerate(nest.axes) if axis.extent > 1]
    if not many or nest.axes[many[-1]].write != 1:
        return None
    limit, first = UNROLLED * machine.lanes, len(many) - 1
    fixed = {axis.var: index(0) for k, axis in enumerate(block.iter_vars) if k not in many}
    while first > 0 and not _deciding(block) and _continues(nest, many[first - 1], many[first:]):
        length = _length(nest, many[first:])
        if length % machine.lanes == 0 or length * 2 > limit:
            break
        first -= 1
        part = _part(nest.axes[many[first]].extent, length, machine)
        if part < nest.axes[many[first]].extent:
            outer = [block.iter_vars[k] for k in many[:first]]
            return _split_row(
                block.iter_vars[many[first]], part, outer, [block.iter_vars[k] for k in many[first + 1 :]], fixed
            )
    outer, inner = ([block.iter_vars[k] for k in part] for part in (many[:first], many[first:]))
    return Row(tuple(outer), tuple(inner), fixed)


def _split_row(axis: tirx.IterVar, part: int, outer: list, inner: list, fixed: dict) -> Row:
    """A row of a part of an axis and all of the inner ones."""
    extent = int(axis.dom.extent)
    across, along = (axis_of(f"{axis.var.name}_{which}", n) for n, which in ((extent // part, "o"), (part, "i")))
    return Row((*outer, across), (along, *inner), fixed | {axis.var: across.var * part + along.var})


def _part(extent: int, length: int, machine: Machine) -> int:
    """How many neighbours along an axis make the row whose vectors are used best; all of them if no part is good."""
    parts = [d for d in divisors(extent, UNROLLED * machine.lanes // length) if d * length >= 4]
    best = max(parts, key=lambda d: (usefulness(d * length, machine), -d), default=extent)
    return best if usefulness(best * length, machine) >= GOOD else extent


def usefulness(length: int, machine: Machine) -> float:
    """Elements of a row for each lane of the vectors that compute it."""
    return length / (-(-length // best_lanes(length, machine.lanes)) * machine.lanes)


def _length(nest: Nest, axes: list[int]) -> int:
    return math.prod(nest.axes[k].extent for k in axes)


def _continues(nest: Nest, outer: int, inner: list[int]) -> bool:
    """Whether each access that walks the inner axes goes on along the outer one where they end."""
    length = _length(nest, inner)
    last = nest.axes[inner[-1]]
    pairs = [(nest.axes[outer].write, last.write), *zip(nest.axes[outer].reads, last.reads)]
    return all(None not in pair and pair[0] == pair[1] * length for pair in pairs)


def _deciding(block: s_tir.SBlock) -> bool:
    """Whether some choice depends on an axis."""
    return any(is_choice(call) for call in calls_of(block.body.value))


def _decided_along(row: Row, store: tirx.BufferStore) -> bool:
    choices = [call for call in calls_of(store.value) if is_choice(call)]
    return any(uses(choice.args[0], row.inner) for choice in choices)


def bound(row: Row, stmt: tirx.Stmt) -> tirx.Stmt:
    """The statement in the row's axes."""
    return substitute(stmt, row.fixed)


def in_pieces(row: Row, store: tirx.BufferStore, machine: Machine) -> tirx.Stmt:
    """A whole row, cut where a choice changes along it."""
    places = cuts(row, store)
    pieces = [_piece(row, store, start, end, machine) for start, end in zip(places, places[1:])]
    return tirx.SeqStmt(pieces) if len(pieces) > 1 else pieces[0]


def _piece(row: Row, store: tirx.BufferStore, start: int, end: int, machine: Machine) -> tirx.Stmt:
    lanes = best_lanes(end - start, machine.lanes)
    piece = decided(row, store, start, end)
    unrolled = UNROLLED_CALLS if calls_of(piece.value) else UNROLLED
    return along(start, end, lanes, unrolled, lambda first: at_lanes(row, piece, first, lanes))


def along(start: int, end: int, lanes: int, unrolled: int, make: Callable[[Bound], tirx.Stmt]) -> tirx.Stmt:
    """`make` of the first element of each vector; the last vector overlaps the one before if it must."""
    whole = (end - start) // lanes
    if whole > unrolled:
        step = tirx.Var("v", "int64")
        stmts = [tirx.For(step, index(0), index(whole), tirx.ForKind.SERIAL, make(step * lanes + start))]
    else:
        stmts = [make(start + lanes * step) for step in range(whole)]
    if (end - start) % lanes:
        stmts.append(make(end - lanes))
    return tirx.SeqStmt(stmts) if len(stmts) > 1 else stmts[0]


def at_lanes(row: Row, store: tirx.BufferStore, start: Bound, lanes: int) -> tirx.Stmt:
    """The row's elements from `start` on in one vector."""
    if lanes == 1:
        return at_element(row, store, start)
    lane = tirx.Var("l", "int64")
    body = at_element(row, store, lane + start)
    return tirx.For(lane, index(0), index(lanes), tirx.ForKind.VECTORIZED, body)


def at_element(row: Row, stmt: tirx.Stmt, place: Bound) -> tirx.Stmt:
    """The statement with the row's axes at one place along it."""
    place = index(place) if isinstance(place, int) else place
    values, after = {}, row.length
    for position, axis in enumerate(row.inner):
        extent = int(axis.dom.extent)
        after //= extent
        value = tirx.floordiv(place, after) if after > 1 else place
        values[axis.var] = tirx.floormod(value, extent) if position else value
    return substitute(stmt, values)


def cuts(row: Row, store: tirx.BufferStore) -> list[int]:
    """0, where a choice along the row changes, and its end."""
    found = {0, row.length}
    if len(row.inner) == 1:
        for call in calls_of(store.value):
            if is_choice(call):
                found.update(_changes(call.args[0], row.inner[0].var))
    return sorted(place for place in found if 0 <= place <= row.length)


def _changes(condition, variable: tirx.Var) -> Iterator[int]:
    """Where a comparison of a linear index with a constant changes."""
    comparisons: list = []
    structural_walk(condition, (_COMPARISONS, comparisons.append))
    for each in comparisons:
        left, right = (each.a, each.b) if isinstance(each, tirx.LT | tirx.LE) else (each.b, each.a)
        form = sym.detect_linear_equation(left - right, [variable])
        if not form or not all(isinstance(part, tirx.IntImm) for part in form) or int(form[0]) == 0:
            continue
        factor, rest = int(form[0]), int(form[1]) + isinstance(each, tirx.LT | tirx.GT)
        yield -rest // factor + 1 if factor > 0 else -(-rest // -factor)  # factor · c + rest <= 0


def decided(row: Row, store: tirx.BufferStore, start: int, end: int) -> tirx.BufferStore:
    """The store with the choices taken that a part of the row decides."""
    if len(row.inner) != 1:
        return store
    analyzer = sym.Analyzer()
    analyzer.bind(row.inner[0].var, tvm.ir.Range(index(start), index(end)))
    for axis in row.outer:
        analyzer.bind(axis.var, axis.dom)

    def decide(call: tvm.ir.Call):
        if is_choice(call) and analyzer.can_prove(call.args[0]):
            return call.args[1]
        if is_choice(call) and analyzer.can_prove(tirx.Not(call.args[0])):
            return call.args[2]
        return call

    return structural_map(store, (tvm.ir.Call, decide))


def nest_of_rows(name: str, axes: list[tirx.IterVar], row: Row, store: tirx.BufferStore, stmt: tirx.Stmt, allocated=()):
    """A nest that computes a row, or a part of one, in each iteration.

    Args:
        name: of its block.
        axes: of its block.
        row: what they choose.
        store: what computes an element of the row: says what the block reads and writes.
        stmt: what computes the row.
        allocated: buffers of the block's own.
    """
    reads, writes = regions_of(loads_of(store.value), row), [_region(store.buffer, [store.indices], row)]
    return nest_of(s_tir.SBlock(axes or [axis_of("v_row", 1)], reads, writes, name, stmt, None, allocated))


def regions_of(loads: list[TensorLoad], row: Row) -> list:
    """What one row reads of each buffer; TVM wants each buffer once."""
    places: dict = {}
    for load in loads:
        places.setdefault(load.source, []).append(load.indices)
    return [_region(buffer, indices, row) for buffer, indices in places.items()]


def _region(buffer, places: list, row: Row):
    """What one row touches, at these indices: all along an axis that the row runs along, or more than one place."""
    ranges = []
    for positions, extent in zip(zip(*places), buffer.shape):
        first, *others = positions
        whole = uses(first, row.inner) or loads_of(first) or any(not structural_equal(first, each) for each in others)
        ranges.append(tvm.ir.Range(0, extent) if whole else tvm.ir.Range.from_min_extent(first, 1))
    return tirx.BufferRegion(buffer, ranges)
