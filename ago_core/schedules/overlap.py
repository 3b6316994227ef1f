"""Vectors of whole native width on an axis that they do not divide: the last one overlaps the one before.

An axis of 24 elements is no multiple of 16 lanes; vectors of 8 run at half the speed, vectors of 24 at a sixth. Two
vectors of 16, at 0 and at 8, compute the middle twice, to the same values:

    before: for c in 24:                 sums[c] += x · w[c]                      y[c] = f(sums[c])
    after:  for v in 2: for l in 16:     sums[v, l] += x · w[min(16·v, 8) + l]    y[min(16·v, 8) + l] = f(sums[v, l])

It needs no padded copy of data or weights and no mask, so it works alike on AVX, AVX-512 and NEON.
"""

from __future__ import annotations

import tvm
from tvm import s_tir, tirx
from tvm.ir.expr import TensorLoad
from tvm.s_tir import Schedule
from tvm_ffi import structural_map

from ago_core.schedules.apply import epilogue_of
from ago_core.schedules.machine import Machine
from ago_core.schedules.nest import loads_of, read_nest
from ago_core.schedules.normalise import blocks_of, is_plain_reduction
from ago_core.schedules.tile import vector_axis


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


def best_lanes(extent: int, widest: int) -> int:
    """The width with the most useful elements an instruction, the wider of two equals; 1 below four elements."""
    widths = [widest >> k for k in range(widest.bit_length()) if 4 <= widest >> k <= extent]
    return max(widths, key=lambda lanes: (extent / -(-extent // lanes), lanes), default=1)


def _overlapped(sch: Schedule, block: s_tir.SBlock, epilogue: s_tir.SBlock, axis: int, lanes: int) -> Schedule:
    sums = block.body.buffer
    extent = int(block.iter_vars[axis].dom.extent)
    shape = [*sums.shape[:-1], tirx.const(-(-extent // lanes), "int64"), tirx.const(lanes, "int64")]
    wider = tirx.decl_buffer(shape, str(sums.ty.dtype), f"{sums.name}_vectors", scope="global", layout=None)
    nests = {
        block.name_hint: _cut(block, axis, extent, lanes, sums, wider),
        epilogue.name_hint: _cut(epilogue, len(epilogue.iter_vars) - 1, extent, lanes, sums, wider),
    }
    function = sch.mod["main"]
    root = function.body.block
    body = tirx.SeqStmt([nests.get(_block_of(nest).name_hint, nest) for nest in _nests(root.body)])
    allocated = [wider if buffer.same_as(sums) else buffer for buffer in root.alloc_buffers]
    root = s_tir.SBlock([], [], [], root.name_hint, body, None, allocated)
    function = tirx.PrimFunc(function.params, s_tir.SBlockRealize([], True, root), function.ret_type, function.attrs)
    return Schedule(tvm.IRModule({"main": function}))


def _cut(block: s_tir.SBlock, axis: int, extent: int, lanes: int, sums, wider) -> tirx.Stmt:
    """The block's nest with `axis` in two, over `wider` in place of `sums`."""
    old = block.iter_vars[axis].var
    vector, lane = tirx.Var(f"{old.name}_v", "int64"), tirx.Var(f"{old.name}_l", "int64")
    start = tirx.Min(vector * lanes, tirx.const(extent - lanes, "int64"))

    def load(found: TensorLoad) -> TensorLoad:
        return wider[tuple(_indices(found.indices))] if found.source.same_as(sums) else found

    def store(found: tirx.BufferStore) -> tirx.BufferStore:
        return tirx.BufferStore(wider, found.value, _indices(found.indices)) if found.buffer.same_as(sums) else found

    def _indices(indices) -> list:
        return [*indices[:-1], vector, lane]

    def rewritten(stmt: tirx.Stmt) -> tirx.Stmt:
        moved = structural_map(stmt, [(TensorLoad, load), (tirx.BufferStore, store)])
        return structural_map(moved, (tirx.Var, lambda var: start + lane if var.same_as(old) else var))

    axes = list(block.iter_vars)
    domains = [tvm.ir.Range(0, tirx.const(count, "int64")) for count in (-(-extent // lanes), lanes)]
    axes[axis : axis + 1] = [tirx.IterVar(dom, var, 0) for dom, var in zip(domains, (vector, lane))]
    init = rewritten(block.init) if block.init is not None else None
    return _nest(block, axes, rewritten(block.body), init)


def _nest(block: s_tir.SBlock, axes: list[tirx.IterVar], body: tirx.Stmt, init: tirx.Stmt | None) -> tirx.Stmt:
    """One loop for each axis around the block."""
    reads = [_point(load.source, load.indices) for load in loads_of(body.value) if not load.source.same_as(body.buffer)]
    writes = [(_point if block.init is not None else _row)(body.buffer, body.indices)]
    loops = [tirx.Var(f"i{k}", "int64") for k in range(len(axes))]
    stmt: tirx.Stmt = s_tir.SBlockRealize(
        loops, True, s_tir.SBlock(axes, reads, writes, block.name_hint, body, init, annotations=block.annotations)
    )
    for loop, axis in reversed(list(zip(loops, axes))):
        stmt = tirx.For(loop, tirx.const(0, "int64"), axis.dom.extent, tirx.ForKind.SERIAL, stmt)
    return stmt


def _point(buffer, indices):
    """The region of one element."""
    return buffer[tuple(slice(index, index + 1) for index in indices)]


def _row(buffer, indices):
    """The region of all elements of the innermost axis.

    Said of a block that writes one of them, in overlapping vectors: TVM cannot prove of `min` that all are covered.
    """
    points = [slice(index, index + 1) for index in indices[:-1]]
    return buffer[(*points, slice(0, buffer.shape[-1]))]


def _nests(stmt: tirx.Stmt) -> list[tirx.Stmt]:
    return list(stmt.seq) if isinstance(stmt, tirx.SeqStmt) else [stmt]


def _block_of(stmt: tirx.Stmt) -> s_tir.SBlock:
    while isinstance(stmt, tirx.For):
        stmt = stmt.body
    return stmt.block
