"""An axis of a reduction in two, and that of its epilogue with it, over intermediate sums of one more axis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tvm import s_tir, tirx
from tvm.ir.expr import TensorLoad
from tvm.s_tir import Schedule
from tvm_ffi import structural_map

from ago_core.schedules.apply import epilogue_of
from ago_core.schedules.nest import loads_of
from ago_core.schedules.rewrite import axis_of, index, nest_of, replace_nests, simplified, substitute, uses


@dataclass(frozen=True)
class Cut:
    """How an axis goes in two.

    Attributes:
        outer, inner: extents.
        place: the index on the axis, from those on the two.
        mark: an annotation of both blocks, and its value.
        overlaps: whether some elements are computed twice.
    """

    outer: int
    inner: int
    place: Callable[[tirx.Var, tirx.Var], tirx.Expr]
    mark: tuple[str, int]
    overlaps: bool


def cut_axis(sch: Schedule, block, axis: int, cut: Cut) -> Schedule:
    """The function with a reduction's last spatial axis, the `axis`-th of all, in two; its epilogue's alike.

    before: for c in C: sums[c] += …                  y[c] = f(sums[c])
    after:  for i, j: sums[i, j] += … [place(i, j)]   y[place(i, j)] = f(sums[i, j])
    """
    epilogue = sch.get(epilogue_of(sch, block) or sch.cache_write(block, 0, "global"))
    stmt = sch.get(block)
    sums = stmt.body.buffer
    shape = [*sums.shape[:-1], index(cut.outer), index(cut.inner)]
    wider = tirx.decl_buffer(shape, str(sums.ty.dtype), f"{sums.name}_cut", scope="global", layout=None)
    nests = {
        stmt.name_hint: _cut(stmt, axis, cut, sums, wider),
        epilogue.name_hint: _cut(epilogue, len(epilogue.iter_vars) - 1, cut, sums, wider),
    }
    allocated = sch.mod["main"].body.block.alloc_buffers
    return replace_nests(sch, nests, [wider if buffer.same_as(sums) else buffer for buffer in allocated])


def _cut(block: s_tir.SBlock, axis: int, cut: Cut, sums, wider) -> tirx.Stmt:
    """The block's nest with `axis` in two, over `wider` in place of `sums`."""
    old = block.iter_vars[axis].var
    outer, inner = axis_of(f"{old.name}_o", cut.outer), axis_of(f"{old.name}_i", cut.inner)
    axes = [*block.iter_vars[:axis], outer, inner, *block.iter_vars[axis + 1 :]]

    def load(found: TensorLoad) -> TensorLoad:
        return wider[tuple(_indices(found.indices))] if found.source.same_as(sums) else found

    def store(found: tirx.BufferStore) -> tirx.BufferStore:
        return tirx.BufferStore(wider, found.value, _indices(found.indices)) if found.buffer.same_as(sums) else found

    def _indices(indices) -> list:
        return [*indices[:-1], outer.var, inner.var]

    def rewritten(stmt: tirx.Stmt) -> tirx.Stmt:
        moved = structural_map(stmt, [(TensorLoad, load), (tirx.BufferStore, store)])
        placed = substitute(moved, {old: cut.place(outer.var, inner.var)})
        return placed if cut.overlaps else simplified(placed, axes)

    body, init = rewritten(block.body), rewritten(block.init) if block.init is not None else None
    reads = [_point(load.source, load.indices) for load in loads_of(body.value) if not load.source.same_as(body.buffer)]
    exact = block.init is not None or not cut.overlaps
    writes = [_point(body.buffer, body.indices) if exact else _vector(block, body, outer, cut.inner)]
    marks = {**block.annotations, cut.mark[0]: index(cut.mark[1])}
    return nest_of(s_tir.SBlock(axes, reads, writes, block.name_hint, body, init, annotations=marks))


def _point(buffer, indices):
    """The region of one element."""
    return buffer[tuple(slice(place, place + 1) for place in indices)]


def _vector(block: s_tir.SBlock, store: tirx.BufferStore, vector: tirx.IterVar, lanes: int):
    """The region that a block's vector is for: elements `lanes · v` and up, of those that exist.

    That the last one writes some of its neighbour's as well is not said: TVM could then not find which vectors a block
    must compute for its readers, nor prove that all elements are written. A block that writes elsewhere, which none in
    the function reads, is said to write whole axes.
    """
    if block.body.indices[-1].same_as(block.iter_vars[-1].var):
        points = [slice(place, place + 1) for place in store.indices[:-1]]
        return store.buffer[(*points, slice(vector.var * lanes, vector.var * lanes + lanes))]
    old = block.iter_vars[-1:]
    places = zip(block.body.indices, store.buffer.shape)
    return store.buffer[
        tuple(slice(0, extent) if uses(place, old) else slice(place, place + 1) for place, extent in places)
    ]
