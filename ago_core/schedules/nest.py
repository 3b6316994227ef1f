"""What a loop nest does with its axes: the facts that a tile is chosen by.

For `out[n, h, w, o] += data[n, h, w, k] · weight[k, o]` the axis w walks data (stride K) and not weight (stride 0), so
a register tile of several w reads each weight once; o walks weight and out with stride 1, so it goes into vectors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import tvm
from tvm import s_tir, sym, tirx
from tvm.ir.expr import TensorLoad
from tvm_ffi import structural_walk

from ago_core.graph.operators import REDUCTION_AXIS

_IF_THEN_ELSE = tvm.ir.Op.get("prim.if_then_else")

Stride = int | None
"""In elements; None where an index is not linear in the axis."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a block.

    Attributes:
        extent: iterations.
        reduces: whether it is summed (or maximised) over.
        write: elements between two neighbours in what the block writes.
        reads: the same for each load, in the order of the body; the accumulator is not among them.
    """

    extent: int
    reduces: bool
    write: Stride
    reads: tuple[Stride, ...]


@dataclass(frozen=True, slots=True)
class Nest:
    """A block's axes, outermost first, and the bytes that lie behind each of its loads.

    Attributes:
        axes: in the order of the block's iteration variables.
        read_bytes: size of the buffer behind each load.
        guarded: whether some load stands under a condition (padding).
    """

    axes: tuple[Axis, ...]
    read_bytes: tuple[int, ...]
    guarded: bool

    @property
    def spatial(self) -> tuple[int, ...]:
        """Positions of the axes that are not reduced over."""
        return tuple(k for k, axis in enumerate(self.axes) if not axis.reduces)

    @property
    def reductions(self) -> tuple[int, ...]:
        return tuple(k for k, axis in enumerate(self.axes) if axis.reduces)

    @property
    def iterations(self) -> int:
        return math.prod(axis.extent for axis in self.axes)


def read_nest(block: s_tir.SBlock) -> Nest:
    """The facts of a block with one store."""
    store = block.body
    analyzer = sym.Analyzer()
    for axis in block.iter_vars:
        analyzer.bind(axis.var, axis.dom)
    loads = [load for load in loads_of(store.value) if not load.source.same_as(store.buffer)]
    strides = [_strides(load.indices, load.source, block, analyzer) for load in loads]
    writes = _strides(store.indices, store.buffer, block, analyzer)
    axes = tuple(
        Axis(int(axis.dom.extent), axis.iter_type == REDUCTION_AXIS, writes[k], tuple(each[k] for each in strides))
        for k, axis in enumerate(block.iter_vars)
    )
    guarded = any(is_choice(call) for call in calls_of(store.value))
    return Nest(axes, tuple(_bytes(load.source) for load in loads), guarded)


def spatial_axes(block: s_tir.SBlock) -> list[tirx.IterVar]:
    """The axes of a block that are not reduced over."""
    return [axis for axis in block.iter_vars if axis.iter_type != REDUCTION_AXIS]


def loads_of(part: tirx.Stmt | tvm.ir.Expr) -> list[TensorLoad]:
    """Every load in a statement or an expression, in order."""
    loads: list[TensorLoad] = []
    structural_walk(part, (TensorLoad, loads.append))
    return loads


def _strides(indices, buffer, block: s_tir.SBlock, analyzer) -> list[Stride]:
    """For each axis of the block the distance in elements that one step along it makes in the buffer."""
    flat = tirx.const(0, "int64")
    for index, extent in zip(indices, buffer.shape):
        flat = flat * extent + index
    flat = analyzer.simplify(flat)
    return [0 if int(axis.dom.extent) == 1 else _stride(flat, axis.var) for axis in block.iter_vars]


def _stride(flat, variable: tirx.Var) -> Stride:
    form = sym.detect_linear_equation(flat, [variable])
    if not form:
        return None
    return int(form[0]) if isinstance(form[0], tirx.IntImm) else None


def _bytes(buffer) -> int:
    size = tvm.DataType(str(buffer.dtype)).bits // 8 if hasattr(buffer, "dtype") else 4
    return size * math.prod(int(extent) for extent in buffer.shape)


def is_choice(value) -> bool:
    """Whether an expression picks one of two values by a condition, as padding does."""
    return isinstance(value, tvm.ir.Call) and value.op.same_as(_IF_THEN_ELSE)


def calls_of(part: tirx.Stmt | tvm.ir.Expr) -> list[tvm.ir.Call]:
    """Every call of an intrinsic in a statement or an expression."""
    calls: list[tvm.ir.Call] = []
    structural_walk(part, (tvm.ir.Call, calls.append))
    return calls


@dataclass(frozen=True, slots=True)
class Window:
    """How a block reads one axis of a buffer.

    Attributes:
        extent: of the buffer's axis.
        walked_by: which of the block's spatial axes, counted among these, moves along it; None if none does.
        outputs: extent of that axis, 1 if none.
        stride: elements it moves for one step.
        size: elements read for one output.
    """

    extent: int
    walked_by: int | None
    outputs: int
    stride: int
    size: int

    def needed(self, outputs: int) -> int:
        """Elements that so many neighbouring outputs read, of those that exist."""
        return min(self.extent, (outputs - 1) * self.stride + self.size)


def read_windows(block: s_tir.SBlock, buffer) -> tuple[Window, ...] | None:
    """How a block reads each axis of a buffer; None where it does not, or not by linear indices.

    An axis that it reads in overlapping vectors counts as read whole."""
    load = next((load for load in loads_of(block.body.value) if load.source.same_as(buffer)), None)
    if load is None:
        return None
    spatial = spatial_axes(block)
    windows = [_window(block, spatial, index, int(extent)) for index, extent in zip(load.indices, buffer.shape)]
    return None if None in windows else tuple(windows)


def _window(block: s_tir.SBlock, spatial: list, index, extent: int) -> Window | None:
    size, walkers = 1, []
    for axis in block.iter_vars:
        stride = 0 if int(axis.dom.extent) == 1 else _stride(index, axis.var)
        if stride is None and _overlapping(index):
            return Window(extent, None, 1, 0, extent)
        if stride is None or stride < 0:
            return None
        if stride and axis.iter_type == REDUCTION_AXIS:
            size += stride * (int(axis.dom.extent) - 1)
        elif stride:
            position = next(k for k, other in enumerate(spatial) if other.same_as(axis))
            walkers.append((position, int(axis.dom.extent), stride))
    if len(walkers) > 1:
        return None
    walked_by, outputs, stride = walkers[0] if walkers else (None, 1, 0)
    return Window(extent, walked_by, outputs, stride, size)


def _overlapping(index) -> bool:
    """Whether an index is that of a vector which may overlap the one before."""
    found: list[tirx.Min] = []
    structural_walk(index, (tirx.Min, found.append))
    return bool(found)
