"""Vectors of whole native width on an axis that they do not divide: the last one overlaps the one before.

An axis of 24 elements is no multiple of 16 lanes; vectors of 8 run at half the speed, vectors of 24 at a sixth. Two
vectors of 16, at 0 and at 8, compute the middle twice, to the same values:

    before: for c in 24:                 sums[c] += x · w[c]                      y[c] = f(sums[c])
    after:  for v in 2: for l in 16:     sums[v, l] += x · w[min(16·v, 8) + l]    y[min(16·v, 8) + l] = f(sums[v, l])

It needs no padded copy of data or weights and no mask, so it works alike on AVX, AVX-512 and NEON.
"""

from __future__ import annotations

from tvm import s_tir, tirx
from tvm.ir.expr import TensorLoad
from tvm.s_tir import Schedule
from tvm_ffi import structural_map

from ago_core.schedules.apply import epilogue_of
from ago_core.schedules.machine import Machine
from ago_core.schedules.nest import loads_of, read_nest
from ago_core.schedules.normalise import blocks_of, is_plain_reduction
from ago_core.schedules.rewrite import axis_of, index, nest_of, replace_nests, substitute, uses
from ago_core.schedules.tile import best_lanes, vector_axis

OVERLAPPING = "ago.overlapping"
"""Annotation of a block whose last two axes are overlapping vectors and their lanes: how many lanes."""


def overlapping_lanes(block: s_tir.SBlock) -> int:
    """The lanes of the overlapping vectors that a block's last axis is in; 1 if it is in none."""
    return int(block.annotations.get(OVERLAPPING, 1))


def overlap_vectors(sch: Schedule, machine: Machine) -> Schedule:
    """A schedule of the function with every reduction's odd vector axis cut into overlapping vectors."""
    for name in [sch.get(block).name_hint for block in blocks_of(sch)]:
        block = sch.get_sblock(name)
        if not is_plain_reduction(sch.get(block)):
            continue
        nest = read_nest(sch.get(block))
        axis = vector_axis(nest)
        innermost = axis is not None and axis == nest.spatial[-1] and len(nest.spatial) == axis + 1
        lanes = best_lanes(nest.axes[axis].extent, machine.lanes) if innermost else 1
        if lanes > 1 and nest.axes[axis].extent % lanes:
            epilogue = epilogue_of(sch, block) or sch.cache_write(block, 0, "global")
            sch = _overlapped(sch, sch.get(block), sch.get(epilogue), axis, lanes)
    return sch


def _overlapped(sch: Schedule, block: s_tir.SBlock, epilogue: s_tir.SBlock, axis: int, lanes: int) -> Schedule:
    sums = block.body.buffer
    extent = int(block.iter_vars[axis].dom.extent)
    shape = [*sums.shape[:-1], index(-(-extent // lanes)), index(lanes)]
    wider = tirx.decl_buffer(shape, str(sums.ty.dtype), f"{sums.name}_vectors", scope="global", layout=None)
    nests = {
        block.name_hint: _cut(block, axis, extent, lanes, sums, wider),
        epilogue.name_hint: _cut(epilogue, len(epilogue.iter_vars) - 1, extent, lanes, sums, wider),
    }
    allocated = sch.mod["main"].body.block.alloc_buffers
    return replace_nests(sch, nests, [wider if buffer.same_as(sums) else buffer for buffer in allocated])


def _cut(block: s_tir.SBlock, axis: int, extent: int, lanes: int, sums, wider) -> tirx.Stmt:
    """The block's nest with `axis` in two, over `wider` in place of `sums`."""
    old = block.iter_vars[axis].var
    vector, lane = axis_of(f"{old.name}_v", -(-extent // lanes)), axis_of(f"{old.name}_l", lanes)
    place = tirx.Min(vector.var * lanes, index(extent - lanes)) + lane.var

    def load(found: TensorLoad) -> TensorLoad:
        return wider[tuple(_indices(found.indices))] if found.source.same_as(sums) else found

    def store(found: tirx.BufferStore) -> tirx.BufferStore:
        return tirx.BufferStore(wider, found.value, _indices(found.indices)) if found.buffer.same_as(sums) else found

    def _indices(indices) -> list:
        return [*indices[:-1], vector.var, lane.var]

    def rewritten(stmt: tirx.Stmt) -> tirx.Stmt:
        moved = structural_map(stmt, [(TensorLoad, load), (tirx.BufferStore, store)])
        return substitute(moved, {old: place})

    axes = [*block.iter_vars[:axis], vector, lane, *block.iter_vars[axis + 1 :]]
    body, init = rewritten(block.body), rewritten(block.init) if block.init is not None else None
    reads = [_point(load.source, load.indices) for load in loads_of(body.value) if not load.source.same_as(body.buffer)]
    writes = [_point(body.buffer, body.indices) if block.init is not None else _vector(block, body, vector, lanes)]
    marks = {**block.annotations, OVERLAPPING: index(lanes)}
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
