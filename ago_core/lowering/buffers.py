"""Where a scheduled function keeps its intermediates, and how much of each: what is left for memory to carry.

    before: a[28, 28, 192] whole; for …: a = …    for …: y += a …
    after:  parallel 7: a[4, 28, 32] a tile; for …: a = …; for …: y += a …

TVM shrinks each buffer to what its nest needs at a time (CompactBufferAllocation, src/s_tir/transform); this runs that
pass and compares. Nothing is measured: sizes are those that the code allocates.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import tvm
from tvm import s_tir, tirx

from ago_core.graph.operators import sblocks
from ago_core.lowering.held import Held, Place


def held_buffers(function: tirx.PrimFunc) -> tuple[Held, ...]:
    """The intermediates of a scheduled function, in the order in which they are allocated."""
    before = {buffer.name: buffer for _, buffer in _allocated(function)}
    found = []
    for block, buffer in _allocated(_compacted(function)):
        whole = before.get(buffer.name, buffer)
        if not all(isinstance(extent, tirx.IntImm) for extent in (*whole.shape, *buffer.shape)):
            continue
        inside = block.name_hint != "root"
        place = Place.REGISTERS if buffer.scope() == "local" else Place.TILE if inside else Place.MEMORY
        shape = tuple(map(int, whole.shape))
        found.append(Held(buffer.name, shape, _bytes(whole), _bytes(buffer), place))
    return tuple(found)


def _compacted(function: tirx.PrimFunc) -> tirx.PrimFunc:
    passes = s_tir.transform
    lower = tvm.ir.transform.Sequential(
        [
            passes.LowerInitBlock(),
            passes.PlanAndUpdateBufferAllocationLocation(),
            passes.ConvertBlocksToOpaque(),
            passes.CompactBufferAllocation(),
        ]
    )
    return lower(tvm.IRModule({"main": function}))["main"]


def _allocated(function: tirx.PrimFunc) -> Iterator[tuple[s_tir.SBlock, tirx.Buffer]]:
    """Buffers with the block that allocates each."""
    return ((block, buffer) for block in sblocks(function.body) for buffer in block.alloc_buffers)


def _bytes(buffer: tirx.Buffer) -> int:
    width = int("".join(c for c in str(buffer.dtype) if c.isdigit()) or 8)
    return math.prod(map(int, buffer.shape)) * max(1, width // 8)
