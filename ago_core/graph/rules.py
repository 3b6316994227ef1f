"""Import rules for views, elementwise operators and matrices, and the table of all rules.

A rule takes (importer, node, inputs, attributes) and returns the node's outputs as `Value`s, or None where the node has
a form that it does not cover; then TVM's converter does it, on tensors in ONNX's layout.
"""

from __future__ import annotations

import math
from functools import reduce

import numpy as np
from tvm import relax, tirx

from ago_core.graph import rules_axes, rules_images
from ago_core.graph.importer import Importer, Value, common_storage, constant
from ago_core.graph.views import Shape

# Views: no work, only another way to see the same memory.


def reshape(imp: Importer, node, inputs, attrs):
    known = imp.graph.shapes.get(node.output[0])
    if known is None or 0 in known[0]:
        return None
    return [imp.reshape(inputs[0], known[0])]


def transpose(imp: Importer, node, inputs, attrs):
    axes = attrs.get("perm", tuple(reversed(range(len(inputs[0].shape)))))
    return [imp.transpose(inputs[0], tuple(axes))]


def depth_to_space(imp: Importer, node, inputs, attrs):
    n, c, h, w = inputs[0].shape
    b = attrs["blocksize"]
    if attrs.get("mode", b"DCR") == b"DCR":
        split, axes = (n, b, b, c // b**2, h, w), (0, 3, 4, 1, 5, 2)
    else:
        split, axes = (n, c // b**2, b, b, h, w), (0, 1, 4, 2, 5, 3)
    value = imp.transpose(imp.reshape(inputs[0], split), axes)
    return [imp.reshape(value, (n, c // b**2, h * b, w * b))]


def space_to_depth(imp: Importer, node, inputs, attrs):
    n, c, h, w = inputs[0].shape
    b = attrs["blocksize"]
    axes = (0, 3, 5, 1, 2, 4) if attrs.get("mode", b"DCR") == b"DCR" else (0, 1, 3, 5, 2, 4)
    value = imp.transpose(imp.reshape(inputs[0], (n, c, h // b, b, w // b, b)), axes)
    return [imp.reshape(value, (n, c * b * b, h // b, w // b))]


# Elementwise operators: any layout will do.


def unary(imp: Importer, node, inputs, attrs):
    """Computed on memory as it lies; the view stays."""
    source = inputs[0]
    if source.is_constant or any(value is not None and not value.is_constant for value in inputs[1:]):
        return None
    others = [None if value is None else imp.logical(value) for value in inputs[1:]]
    return [_like(imp, source, imp.tvm_converter(node, [source.data, *others]))]


def clip(imp: Importer, node, inputs, attrs):
    """One operator; TVM's converter makes two."""
    bounds = [attrs.get("min"), attrs.get("max")]
    for k, value in enumerate(inputs[1:]):
        array = imp.array(value)
        if value is not None and array is None:
            return None
        bounds[k] = None if array is None else array.item()
    low, high = bounds
    source = inputs[0]
    if source.is_constant or low is None or high is None or not low <= high:
        return None
    if not str(source.data.ty.dtype).startswith("float"):
        return None
    return [_like(imp, source, relax.op.clip(source.data, float(low), float(high)))]


def is_inf(imp: Importer, node, inputs, attrs):
    """TVM's converter does not ask for the sign."""
    signs = {attrs.get("detect_positive", 1) and np.inf, attrs.get("detect_negative", 1) and -np.inf} - {0}
    source = inputs[0]
    if len(signs) != 1 or source.is_constant:
        return None if len(signs) == 2 else [Value.constant(np.zeros(source.shape, bool))]
    return [_like(imp, source, relax.op.equal(source.data, relax.const(signs.pop(), source.dtype)))]


def nary(imp: Importer, node, inputs, attrs):
    stored = common_storage(inputs)
    return [imp.result(imp.tvm_converter(node, _aligned(imp, inputs, stored)), stored)]


def power(imp: Importer, node, inputs, attrs):
    """ONNX allows an exponent of another type than the base, TVM does not."""
    base, exponent = inputs
    if exponent.is_constant and exponent.dtype != base.dtype:
        exponent = Value.constant(imp.array(exponent).astype(base.dtype))
    return nary(imp, node, [base, exponent], attrs)


def chain(combine):
    """Variadic Sum, Max, Min as a chain of binary operators (TVM's converter stacks the inputs and reduces)."""

    def rule(imp: Importer, node, inputs, attrs):
        stored = common_storage(inputs)
        terms = _aligned(imp, inputs, stored)
        return [imp.result(reduce(lambda a, b: imp.emit(combine(a, b)), terms), stored)]

    return rule


def _aligned(imp: Importer, inputs: list[Value], stored: Shape) -> list[relax.Expr]:
    """The inputs in memory in the order `stored`; lower ranks padded with ones, as broadcasting does; scalars left."""
    aligned = []
    for value in inputs:
        if not value.shape:
            aligned.append(imp.logical(value))
            continue
        view = value.view.reshape((1,) * (len(stored) - len(value.shape)) + value.shape)
        aligned.append(imp.stored(Value(value.data, view, value.trail), stored))
    return aligned


def _like(imp: Importer, source: Value, expr: relax.Expr) -> Value:
    return Value(imp.emit(expr), source.view, source.trail)


# Matrices and look-ups.


def gemm(imp: Importer, node, inputs, attrs):
    """α·A·B + β·C with constant B and C: transposes and factors go into the constants."""
    a, b, c = (*inputs, None)[:3]
    if not b.is_constant or attrs.get("transA", 0) or (c is not None and not c.is_constant):
        return None
    weight = imp.array(b).T if attrs.get("transB", 0) else imp.array(b)
    out = imp.emit(relax.op.matmul(imp.logical(a), _scaled(weight, attrs.get("alpha", 1.0))))
    return [imp.result(out if c is None else relax.op.add(out, _scaled(imp.array(c), attrs.get("beta", 1.0))))]


def gather(imp: Importer, node, inputs, attrs):
    """Negative indices count from the end. Others out of range are clipped, so that memory stays safe."""
    data, indices = inputs
    axis = attrs.get("axis", 0) % len(data.shape)
    extent = data.shape[axis]
    if indices.is_constant:
        given = imp.array(indices)
        if given.size and not -extent <= given.min() <= given.max() < extent:
            raise ValueError(f"its indices go from {given.min()} to {given.max()} on an axis of {extent}")
        index = constant(given % extent)
    else:
        given = imp.logical(indices)
        dtype = str(given.ty.dtype)
        negative = imp.emit(relax.op.less(given, relax.const(0, dtype)))
        from_end = imp.emit(relax.op.add(given, relax.const(extent, dtype)))
        index = imp.emit(relax.op.where(negative, from_end, given))
    return [imp.result(relax.op.take(imp.logical(data), index, axis, "clip"))]


def _scaled(array: np.ndarray, factor: float) -> relax.Expr:
    return constant(array if factor == 1 else (array * factor).astype(array.dtype))


UNARY = {
    *("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Cast", "Ceil", "Celu", "Cos", "Cosh"),
    *("Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "IsNaN", "LeakyRelu"),
    *("Log", "Mish", "Neg", "Not", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh"),
    *("Softplus", "Softsign", "Sqrt", "Tan", "Tanh", "ThresholdedRelu"),
}
NARY = {
    *("Add", "And", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Equal", "Greater", "GreaterOrEqual"),
    *("Less", "LessOrEqual", "Mod", "Mul", "Or", "Sub", "Where", "Xor"),
}

OWN_LAYOUT = {  # their results are NHWC whatever their inputs are
    *("Conv", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LRN", "Resize", "Upsample"),
}
RULES = (
    dict.fromkeys(UNARY, unary)
    | dict.fromkeys(NARY, nary)
    | dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), reshape)
    | {
        "Transpose": transpose,
        "DepthToSpace": depth_to_space,
        "SpaceToDepth": space_to_depth,
        "Pow": power,
        "Clip": lambda *args: clip(*args) or unary(*args),
        "Sum": chain(relax.op.add),
        "Max": chain(relax.op.maximum),
        "Min": chain(relax.op.minimum),
        "Conv": rules_images.conv,
        "Gather": gather,
        "Gemm": gemm,
        "MaxPool": rules_images.pool(relax.op.nn.max_pool2d),
        "AveragePool": rules_images.pool(relax.op.nn.avg_pool2d),
        "GlobalAveragePool": rules_images.global_pool(relax.op.mean),
        "GlobalMaxPool": rules_images.global_pool(relax.op.max),
        "LRN": rules_images.local_response_norm,
        "Resize": rules_images.resize,
        "Upsample": rules_images.resize,
        "IsInf": is_inf,
        "ConvTranspose": rules_images.conv_transpose,
        "Concat": rules_axes.concat,
        "Softmax": rules_axes.softmax,
        "Split": rules_axes.split,
        "Slice": rules_axes.slice_,
        "Pad": rules_axes.pad,
        "ReduceMean": rules_axes.reduction(rules_axes.by_relax(relax.op.mean)),
        "ReduceSum": rules_axes.reduction(rules_axes.by_relax(relax.op.sum)),
        "ReduceMax": rules_axes.reduction(rules_axes.extreme("max", tirx.max, -math.inf)),
        "ReduceMin": rules_axes.reduction(rules_axes.extreme("min", tirx.min, math.inf)),
    }
)
