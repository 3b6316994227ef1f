"""Import rules for operators along axes: done in the layout that is there, with the axes renamed."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from tvm import relax, te, tirx

from ago_core.graph.importer import Importer, common_storage


def concat(imp: Importer, node, inputs, attrs):
    stored = common_storage(inputs)
    axis = attrs["axis"] % len(stored)
    return [imp.result(relax.op.concat([imp.stored(value, stored) for value in inputs], stored.index(axis)), stored)]


def split(imp: Importer, node, inputs, attrs):
    stored = common_storage(inputs[:1])
    axis = attrs.get("axis", 0) % len(stored)
    sizes = [imp.graph.shapes[name][0][axis] for name in node.output]
    at = [int(offset) for offset in np.cumsum(sizes)[:-1]]
    parts = imp.emit(relax.op.split(imp.stored(inputs[0], stored), at, stored.index(axis)))
    return [imp.result(relax.TupleGetItem(parts, k), stored) for k in range(len(sizes))]


def slice_(imp: Importer, node, inputs, attrs):
    source = inputs[0]
    given = [imp.array(value) for value in inputs[1:]]
    if any(value is not None and array is None for value, array in zip(inputs[1:], given)):
        return None
    by_attribute = [attrs.get(name) for name in ("starts", "ends", "axes")]
    starts, ends, axes, steps = (*(given or by_attribute), None, None)[:4]
    axes = range(len(starts)) if axes is None else [int(axis) % len(source.shape) for axis in axes]
    steps = [1] * len(starts) if steps is None else [int(step) for step in steps]
    if any(step < 1 for step in steps):
        return None
    stored = common_storage([source])
    spans = [slice(int(b), int(e), s).indices(source.shape[a])[:2] for a, b, e, s in zip(axes, starts, ends, steps)]
    begin, end = [b for b, _ in spans], [max(b, e) for b, e in spans]
    where = [stored.index(axis) for axis in axes]
    return [imp.result(relax.op.strided_slice(imp.stored(source, stored), where, begin, end, steps), stored)]


def pad(imp: Importer, node, inputs, attrs):
    pads = attrs.get("pads") if len(inputs) < 2 else imp.array(inputs[1])
    fill = attrs.get("value", 0.0) if len(inputs) < 3 or inputs[2] is None else imp.array(inputs[2])
    if attrs.get("mode", b"constant") != b"constant" or len(inputs) > 3 or pads is None or fill is None:
        return None
    if min(pads) < 0:
        return None
    stored, rank = common_storage(inputs[:1]), len(inputs[0].shape)
    width = [int(pads[axis + side]) for axis in stored for side in (0, rank)]
    fill = float(np.asarray(fill).item())
    return [imp.result(relax.op.nn.pad(imp.stored(inputs[0], stored), width, "constant", fill), stored)]


def reduction(operator):
    """`operator(importer, tensor, axes)` reduces over axes and keeps them."""

    def rule(imp: Importer, node, inputs, attrs):
        source, rank = inputs[0], len(inputs[0].shape)
        axes = attrs.get("axes") if len(inputs) < 2 or inputs[1] is None else imp.array(inputs[1])
        known = imp.graph.shapes.get(node.output[0])
        if source.is_constant or known is None or (axes is None and len(inputs) > 1 and inputs[1] is not None):
            return None
        if axes is None or len(axes) == 0:
            if attrs.get("noop_with_empty_axes", 0):
                return None
            axes = range(rank)
        stored = common_storage([source])
        where = [stored.index(int(axis) % rank) for axis in axes]
        kept = imp.result(operator(imp, imp.stored(source, stored), where), stored)
        return [imp.reshape(kept, known[0])]

    return rule


def softmax(imp: Importer, node, inputs, attrs):
    """Before opset 13, softmax ran over all axes from `axis` on; only the case where that is one axis is done here."""
    source, modern = inputs[0], imp.graph.opset >= 13
    axis = attrs.get("axis", -1 if modern else 1) % len(source.shape)
    if not modern and math.prod(source.shape[axis + 1 :]) != 1:
        return None
    stored = common_storage([source])
    return [imp.result(relax.op.nn.softmax(imp.stored(source, stored), stored.index(axis)), stored)]


def extreme(name: str, combine: Callable, identity: float):
    """The largest or smallest element over axes, kept as ones. Unlike TVM's own it is right where all are infinite."""

    def operator(imp: Importer, data: relax.Expr, axes: list[int]) -> relax.Expr:
        if not str(data.ty.dtype).startswith("float"):
            return getattr(relax.op, name)(data, axes, keepdims=True)
        return imp.builder.call_te(computation, data, axes)

    def computation(data: te.Tensor, axes: list[int]) -> te.Tensor:
        reducer = te.comm_reducer(lambda a, b: combine(a, b), lambda dtype: tirx.const(identity, dtype), name=name)
        over = {int(axis): te.reduce_axis((0, data.shape[int(axis)]), name=f"k{axis}") for axis in axes}
        shape = [tirx.const(1, "int64") if axis in over else data.shape[axis] for axis in range(data.ndim)]

        def value(*point):
            where = tuple(over.get(axis, index) for axis, index in enumerate(point))
            return reducer(data[where], axis=list(over.values()))

        return te.compute(shape, value, name=name)

    computation.__name__ = name
    return operator


def by_relax(operator: Callable):
    """A reduction that Relax has."""
    return lambda imp, data, axes: operator(data, axes, keepdims=True)
