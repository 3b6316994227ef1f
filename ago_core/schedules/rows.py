"""Reductions along contiguous rows (softmax, layer norm, sums): partial results in the lanes of several vectors.

before: for i, k in 60: out[i] += x[i, k]
after:  parallel i:  part[48] = x[i, 0:48]    part[0:16] += x[i, 44:60] where not yet added    halves of part added up

One vector would wait for each addition to end before the next; four are under way at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import s_tir, tirx
from tvm.s_tir import Schedule

from ago_core.graph.operators import REDUCTION_AXIS
from ago_core.schedules.machine import Machine
from ago_core.schedules.nest import Nest, loads_of, read_nest
from ago_core.schedules.normalise import is_plain_reduction
from ago_core.schedules.pointwise import UNROLLED, Row, at_element, bound, nest_of_rows
from ago_core.schedules.rewrite import index
from ago_core.schedules.tile import LATENCY, best_lanes, vector_axis, widest_lanes


def row_axis(nest: Nest) -> int | None:
    """The innermost reduction of more than one step, if every load walks it with stride 1 or not at all."""
    last = next((k for k in reversed(nest.reductions) if nest.axes[k].extent > 1), None)
    if last is None or set(nest.axes[last].reads) - {0, 1} or 1 not in nest.axes[last].reads:
        return None
    return last


def reduce_rows(sch: Schedule, block, nest: Nest, machine: Machine, parallel: bool) -> None:
    """Splits the row into vectors and sums their lanes at the end; short or odd rows stay scalar."""
    loops = sch.get_loops(block)[-len(nest.axes) :]
    spatial = [loops[k] for k in nest.spatial]
    row = loops[row_axis(nest)]
    sch.reorder(*(loop for loop in loops if loop is not row), row)
    lanes = widest_lanes(nest.axes[row_axis(nest)].extent, machine)
    if lanes > 1:
        _, lane = sch.split(row, [None, lanes])
        partial = sch.rfactor(lane, factor_axis=len(spatial))
        *loops, lane = sch.get_loops(partial)[-len(nest.axes) - 1 :]
        spatial = loops[: len(spatial)]
        sch.vectorize(lane)
        if spatial:
            sch.reverse_compute_at(block, spatial[-1], preserve_unit_loops=True)
            sch.set_scope(partial, 0, "local")
    if spatial and parallel:
        sch.parallel(sch.fuse(*spatial))
    if lanes > 1:
        start = sch.decompose_reduction(partial, loops[len(spatial)])
        sch.vectorize(sch.get_loops(start)[-1])


def reduces_one_row(block: s_tir.SBlock, machine: Machine) -> bool:
    """Whether it adds up, or takes the maximum of, one row of more elements than a vector has for each result."""
    nest = read_nest(block)
    many = [k for k in nest.reductions if nest.axes[k].extent > 1]
    if vector_axis(nest) is not None or len(many) != 1 or row_axis(nest) != many[0] or nest.guarded:
        return False
    return (
        isinstance(block.body.value, tirx.Add | tirx.Max) and best_lanes(nest.axes[many[0]].extent, machine.lanes) > 1
    )


@dataclass(frozen=True)
class _Sum:
    """A reduction along a row, in vectors.

    Attributes:
        row: the row's axis, and those that choose a row.
        value: what is added.
        combine: how.
        lanes: elements of a vector.
        count: vectors under way.
        part: that many vectors of partial results.
    """

    row: Row
    value: tirx.Expr
    combine: type
    lanes: int
    count: int
    part: tirx.Buffer

    def start(self) -> list[tirx.Stmt]:
        """The first vectors as they are."""
        places = [vector * self.lanes for vector in range(self.count)]
        return [self._vector(lambda lane, p=p: self._store(lane + p, self._at(lane + p))) for p in places]

    def add(self) -> list[tirx.Stmt]:
        """All further whole vectors, each to the one that was added to longest ago."""
        size, whole = self.count * self.lanes, self.row.length // self.lanes
        steps = whole // self.count
        if steps <= UNROLLED // LATENCY:
            return [self._add(vector * self.lanes, vector) for vector in range(self.count, whole)]
        step = tirx.Var("v", "int64")
        adds = [self._add(step * size + vector * self.lanes, vector) for vector in range(self.count)]
        loop = tirx.For(step, index(1), index(steps - 1), tirx.ForKind.SERIAL, tirx.SeqStmt(adds))
        return [loop, *(self._add(vector * self.lanes, vector) for vector in range(steps * self.count, whole))]

    def rest(self, identity: tirx.Expr) -> list[tirx.Stmt]:
        """The row's last vector, less what was added already."""
        rest = self.row.length % self.lanes

        def body(lane):
            value = tirx.Select(lane >= self.lanes - rest, self._at(lane + (self.row.length - self.lanes)), identity)
            return self._store(lane, self.combine(self.part[lane], value))

        return [self._vector(body)] if rest else []

    def fold(self) -> list[tirx.Stmt]:
        """One half of the partial results to the other until one is left."""
        stmts, half = [], self.count * self.lanes // 2
        while half > 1:
            stmts.append(
                self._vector(
                    lambda lane, h=half: self._store(lane, self.combine(self.part[lane], self.part[lane + h])), half
                )
            )
            half //= 2
        return [*stmts, self._store(index(0), self.combine(self.part[index(0)], self.part[index(1)]))]

    def _add(self, place, vector: int) -> tirx.Stmt:
        start = vector % self.count * self.lanes
        return self._vector(
            lambda lane: self._store(lane + start, self.combine(self.part[lane + start], self._at(lane + place)))
        )

    def _at(self, place) -> tirx.Expr:
        return at_element(self.row, self.value, place)

    def _store(self, place, value) -> tirx.Stmt:
        return tirx.BufferStore(self.part, value, [place])

    def _vector(self, body, size: int | None = None) -> tirx.Stmt:
        lane = tirx.Var("l", "int64")
        return tirx.For(lane, index(0), index(size or self.lanes), tirx.ForKind.VECTORIZED, body(lane))


def cut_reduction(block: s_tir.SBlock, machine: Machine) -> tirx.Stmt | None:
    """The nest of a sum or maximum of one row, the row in several vectors; None where it is none such."""
    if not is_plain_reduction(block) or not reduces_one_row(block, machine):
        return None
    fixed = {axis.var: index(0) for axis in block.iter_vars if int(axis.dom.extent) == 1}
    axes = [axis for axis in block.iter_vars if int(axis.dom.extent) > 1]
    spatial = [axis for axis in axes if axis.iter_type != REDUCTION_AXIS]
    row = Row(tuple(spatial), tuple(axis for axis in axes if axis.iter_type == REDUCTION_AXIS), fixed)
    store = bound(row, tirx.BufferStore(block.body.buffer, added(block.body), block.body.indices))
    stmts, part = reduce_row(row, store, type(block.body.value), block.init.value, machine)
    return nest_of_rows(block.name_hint, spatial, row, store, tirx.SeqStmt(stmts), [part])


def reduce_row(
    row: Row, store: tirx.BufferStore, combine: type, identity, machine: Machine
) -> tuple[list, tirx.Buffer]:
    """The statements that reduce a row, and the buffer of partial results that they use.

    Args:
        row: of at least four elements.
        store: where the result goes, and what is combined, at a place along the row.
        combine: how.
        identity: what changes nothing when combined.
        machine: whose vectors to use.
    """
    lanes = best_lanes(row.length, machine.lanes)
    count = next(count for count in (LATENCY, 2, 1) if count * lanes <= row.length)
    out = store.buffer
    part = tirx.decl_buffer([index(count * lanes)], str(out.dtype), f"{out.name}_part", scope="local")
    total = _Sum(row, store.value, combine, lanes, count, part)
    end = tirx.BufferStore(out, part[index(0)], store.indices)
    return [*total.start(), *total.add(), *total.rest(identity), *total.fold(), end], part


def added(store: tirx.BufferStore) -> tirx.Expr:
    """What a reduction adds to its accumulator."""
    left, right = store.value.a, store.value.b
    return right if any(load.source.same_as(store.buffer) for load in loads_of(left)) else left
