"""Import rules for images: convolution, pooling, resizing. Their results lie as NHWC whatever their inputs are."""

from __future__ import annotations

import math

from tvm import relax, topi

from ago_core.graph.importer import NHWC, Importer, common_storage, constant
from ago_core.graph.resampling import make_taps, resize_te
from ago_core.graph.views import Shape

HWIO: Shape = (2, 3, 1, 0)
INJECTIVE = 2  # of TVM's OpPatternKind (include/tvm/relax/op_attr_types.h)


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


def global_pool(operator):
    def rule(imp: Importer, node, inputs, attrs):
        if len(inputs[0].shape) != 4:
            return None
        return [imp.result(operator(imp.stored(inputs[0], NHWC), [1, 2], keepdims=True), NHWC)]

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
