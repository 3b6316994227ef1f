"""Import rules for the operators that care about layout, or that are views.

A rule takes (importer, node, inputs, attributes) and returns the node's outputs as `Value`s, or None where the node has
a form that it does not cover; then TVM's converter does it, on tensors in ONNX's layout.
"""

from __future__ import annotations

import math
from functools import reduce

import numpy as np
from tvm import relax, topi

from ago_core.graph.importer import Importer, Value, constant
from ago_core.graph.resampling import make_taps, resize_te
from ago_core.graph.views import Shape

NHWC: Shape = (0, 2, 3, 1)
HWIO: Shape = (2, 3, 1, 0)
INJECTIVE = 2  # of TVM's OpPatternKind (include/tvm/relax/op_attr_types.h)


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


def chain(combine):
    """Variadic Sum, Max, Min as a chain of binary operators (TVM's converter stacks the inputs and reduces)."""

    def rule(imp: Importer, node, inputs, attrs):
        stored = common_storage(inputs)
        terms = _aligned(imp, inputs, stored)
        return [imp.result(reduce(lambda a, b: imp.emit(combine(a, b)), terms), stored)]

    return rule


def common_storage(inputs: list[Value]) -> Shape:
    """The axis order in which most of the inputs' elements lie already, for tensors of the highest rank.

    Scattered axes stay so only in images that lie as NHWC (a channel shuffle); elsewhere ONNX's order is used.
    """
    rank = max(len(value.shape) for value in inputs)
    votes: dict[Shape, int] = {}
    for value in inputs:
        if len(value.shape) == rank and not value.is_constant:
            order = value.view.storage()
            if value.view.permutation() is None and order != NHWC:
                order = tuple(range(rank))
            votes[order] = votes.get(order, 0) + math.prod(value.shape)
    return max(votes, key=votes.get) if votes else tuple(range(rank))


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


# Convolution and pooling: NHWC.


def conv(imp: Importer, node, inputs, attrs):
    if len(inputs[0].shape) != 4:
        return None
    kernel = inputs[1].shape[2:]
    strides, dilations = attrs.get("strides", [1, 1]), attrs.get("dilations", [1, 1])
    out = imp.emit(
        relax.op.nn.conv2d(
            imp.stored(inputs[0], NHWC),
            imp.stored(inputs[1], HWIO),
            strides=strides,
            padding=_padding(attrs, inputs[0].shape[2:], kernel, strides, dilations),
            dilation=dilations,
            groups=attrs.get("group", 1),
            data_layout="NHWC",
            kernel_layout="HWIO",
        )
    )
    if len(inputs) > 2 and inputs[2] is not None:
        out = relax.op.add(out, imp.stored(imp.reshape(inputs[2], (1, 1, 1, inputs[2].shape[0])), (0, 1, 2, 3)))
    return [imp.result(out, NHWC)]


def conv_transpose(imp: Importer, node, inputs, attrs):
    """TVM's converter ignores output_shape: the padding that it stands for is computed here (ConvTranspose-11)."""
    wanted, spatial = attrs.get("output_shape"), len(inputs[0].shape) - 2
    if wanted is None:
        return None
    begin, end = [], []
    for axis in range(spatial):
        size, kernel = inputs[0].shape[2 + axis], inputs[1].shape[2 + axis]
        stride, dilation = attrs.get("strides", [1] * spatial)[axis], attrs.get("dilations", [1] * spatial)[axis]
        extra = attrs.get("output_padding", [0] * spatial)[axis]
        total = stride * (size - 1) + extra + (kernel - 1) * dilation + 1 - wanted[-spatial:][axis]
        if total < 0:
            raise ValueError(f"the output size {wanted[-spatial:][axis]} is larger than the kernel reaches")
        upper = attrs.get("auto_pad", b"NOTSET") == b"SAME_UPPER"
        begin.append(total // 2 if upper else total - total // 2)
        end.append(total - begin[-1])
    data = [None if value is None else imp.logical(value) for value in inputs]
    return [imp.result(imp.tvm_converter(node, data, {"pads": begin + end, "auto_pad": b"NOTSET"}))]


def pool(operator):
    def rule(imp: Importer, node, inputs, attrs):
        if len(inputs[0].shape) != 4 or len([name for name in node.output if name]) != 1:
            return None
        kernel, strides = attrs["kernel_shape"], attrs.get("strides", [1, 1])
        dilations = attrs.get("dilations", [1, 1])
        out = operator(
            imp.stored(inputs[0], NHWC),
            kernel,
            strides,
            _padding(attrs, inputs[0].shape[2:], kernel, strides, dilations),
            dilations,
            bool(attrs.get("ceil_mode", 0)),
            bool(attrs.get("count_include_pad", 0)),
            "NHWC",
        )
        return [imp.result(out, NHWC)]

    return rule


def _padding(attrs, size, kernel, strides, dilations) -> list[int]:
    """[top, left, bottom, right] from ONNX's `pads` or `auto_pad` (onnx.ai, Conv-11)."""
    mode = attrs.get("auto_pad", b"NOTSET").decode()
    if mode == "NOTSET":
        return list(attrs.get("pads", [0, 0, 0, 0]))
    if mode == "VALID":
        return [0, 0, 0, 0]
    before, after = [], []
    for extent, k, stride, dilation in zip(size, kernel, strides, dilations):
        total = max(0, (math.ceil(extent / stride) - 1) * stride + (k - 1) * dilation + 1 - extent)
        small, large = total // 2, total - total // 2
        before.append(small if mode == "SAME_UPPER" else large)
        after.append(large if mode == "SAME_UPPER" else small)
    return before + after


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


def local_response_norm(imp: Importer, node, inputs, attrs):
    if len(inputs[0].shape) != 4:
        return None
    data = imp.stored(inputs[0], NHWC)
    alpha, beta, bias = attrs.get("alpha", 1e-4), attrs.get("beta", 0.75), attrs.get("bias", 1.0)
    return [imp.result(imp.builder.call_te(topi.nn.lrn, data, attrs["size"], 3, alpha, beta, bias), NHWC)]


def resize(imp: Importer, node, inputs, attrs):
    """Resize, and Upsample before it, on any axes; images in NHWC."""
    source, after = inputs[0], imp.graph.shapes[node.output[0]][0]
    rank, before = len(source.shape), source.shape
    if attrs.get("mode", b"nearest") != b"nearest" and not source.dtype.startswith("float"):
        return None
    scales = _resize_scales(imp, inputs, attrs, after)
    if imp.graph.opset < 11:
        modes = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "simple"}
    else:
        modes = {
            "coordinate_transformation_mode": attrs.get("coordinate_transformation_mode", b"half_pixel").decode(),
            "nearest_mode": attrs.get("nearest_mode", b"round_prefer_floor").decode(),
        }
    stored = NHWC if rank == 4 else common_storage([source])
    axes = [axis for axis in range(rank) if (before[axis], scales[axis]) != (after[axis], 1)]
    taps = [make_taps(before[axis], after[axis], scales[axis], attrs | modes) for axis in axes]
    tables = []
    for t in taps:
        tables += [] if t.repeats else [constant(t.index)]
        tables += [constant(t.weight.astype(source.dtype))] if t.count > 1 else []
    computation = resize_te([stored.index(axis) for axis in axes], taps)
    call = imp.builder.call_te(computation, imp.stored(source, stored), *tables)
    function = imp.builder.get()[call.args[0]].with_attr("op_pattern", INJECTIVE)  # TVM takes look-ups for opaque
    imp.builder.update_func(call.args[0], function)
    return [imp.result(call, stored)]


def _resize_scales(imp: Importer, inputs, attrs, after: Shape) -> list[float]:
    """ONNX's factor for each axis: given, or from the sizes."""
    before = inputs[0].shape
    axes = [int(axis) % len(before) for axis in attrs.get("axes", range(len(before)))]
    given = inputs[1] if imp.graph.opset < 11 and len(inputs) > 1 else inputs[2] if len(inputs) > 2 else None
    scales = attrs.get("scales") if given is None else imp.array(given)
    factors = [b / a for a, b in zip(before, after)]
    if scales is not None and len(scales):
        for axis, scale in zip(axes, scales):
            factors[axis] = float(scale)
    elif attrs.get("keep_aspect_ratio_policy", b"stretch") != b"stretch":
        limit = min if attrs["keep_aspect_ratio_policy"] == b"not_larger" else max
        factor = limit(int(size) / before[axis] for axis, size in zip(axes, imp.array(inputs[3])))
        factors = [factor if axis in axes else 1.0 for axis in range(len(before))]
    return factors


# Operators along axes: done in the layout that is there, with the axes renamed.


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
        kept = imp.result(operator(imp.stored(source, stored), where, keepdims=True), stored)
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


def global_pool(operator):
    def rule(imp: Importer, node, inputs, attrs):
        if len(inputs[0].shape) != 4:
            return None
        return [imp.result(operator(imp.stored(inputs[0], NHWC), [1, 2], keepdims=True), NHWC)]

    return rule


UNARY = {
    *("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Cast", "Ceil", "Celu", "Cos", "Cosh"),
    *("Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "IsNaN", "LeakyRelu"),
    *("Log", "Mish", "Neg", "Not", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh"),
    *("Softplus", "Softsign", "Sqrt", "Tan", "Tanh", "ThresholdedRelu"),
}
NARY = {
    *("Add", "And", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Equal", "Greater", "GreaterOrEqual"),
    *("Less", "LessOrEqual", "Mod", "Mul", "Or", "Pow", "Sub", "Where", "Xor"),
}

RULES = (
    dict.fromkeys(UNARY, unary)
    | dict.fromkeys(NARY, nary)
    | dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), reshape)
    | {
        "Transpose": transpose,
        "DepthToSpace": depth_to_space,
        "SpaceToDepth": space_to_depth,
        "Clip": lambda *args: clip(*args) or unary(*args),
        "Sum": chain(relax.op.add),
        "Max": chain(relax.op.maximum),
        "Min": chain(relax.op.minimum),
        "Conv": conv,
        "Gather": gather,
        "Gemm": gemm,
        "MaxPool": pool(relax.op.nn.max_pool2d),
        "AveragePool": pool(relax.op.nn.avg_pool2d),
        "GlobalAveragePool": global_pool(relax.op.mean),
        "GlobalMaxPool": global_pool(relax.op.max),
        "LRN": local_response_norm,
        "Resize": resize,
        "Upsample": resize,
        "IsInf": is_inf,
        "ConvTranspose": conv_transpose,
        "Concat": concat,
        "Softmax": softmax,
        "Split": split,
        "Slice": slice_,
        "Pad": pad,
        "ReduceMean": reduction(relax.op.mean),
        "ReduceSum": reduction(relax.op.sum),
        "ReduceMax": reduction(relax.op.max),
        "ReduceMin": reduction(relax.op.min),
    }
)
