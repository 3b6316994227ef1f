"""Small models, one for each thing that an import rule must get right, by family and name."""

from __future__ import annotations

import numpy as np

from tests.onnx_models import floats, ints, make, node

IMAGE = (1, 8, 9, 7)


def conv(x=IMAGE, w=(16, 8, 3, 3), bias=False, **attributes):
    constants = {"w": floats(*w)} | ({"b": floats(w[0], seed=1)} if bias else {})
    return make(node("Conv", "x w b" if bias else "x w", "y", **attributes), {"x": x}, constants)


def unary(operator, x=IMAGE, opset=18, constants=None, inputs="x", **attributes):
    """The operator between two convolutions, so that it meets an image in NHWC."""
    nodes = [
        node("Conv", "x weight", "image"),
        node(operator, inputs.replace("x", "image", 1), "result", **attributes),
        node("Relu", "result", "y"),
    ]
    return make(nodes, {"x": x}, {"weight": floats(x[1], x[1], 1, 1)} | (constants or {}), opset=opset)


def plain(operator, x=IMAGE, inputs="x", constants=None, opset=18, outputs="y", **attributes):
    shapes = x if isinstance(x, dict) else {"x": x}
    return make(node(operator, inputs, outputs, **attributes), shapes, constants, outputs=outputs, opset=opset)


def binary(left, right, operator="Add"):
    nodes = [node("Conv", "x w", "a"), node(operator, "a s", "y")]
    return make(nodes, {"x": left, "s": right}, {"w": floats(left[1], left[1], 1, 1)})


def squeeze_excite():
    nodes = [
        node("Conv", "x w", "a"),
        node("GlobalAveragePool", "a", "p"),
        node("Conv", "p w1", "q"),
        node("Relu", "q", "r"),
        node("Conv", "r w2", "s"),
        node("HardSigmoid", "s", "t"),
        node("Mul", "a t", "y"),
    ]
    weights = {"w": floats(8, 8, 1, 1), "w1": floats(4, 8, 1, 1), "w2": floats(8, 4, 1, 1)}
    return make(nodes, {"x": IMAGE}, weights)


def shuffle(groups=2):
    n, c, h, w = IMAGE
    nodes = [
        node("Conv", "x w", "a"),
        node("Reshape", "a s1", "b"),
        node("Transpose", "b", "c", perm=[0, 2, 1, 3, 4]),
        node("Reshape", "c s2", "d"),
        node("Conv", "d w", "y"),
    ]
    shapes = {"s1": ints(n, groups, c // groups, h, w), "s2": ints(n, c, h, w)}
    return make(nodes, {"x": IMAGE}, {"w": floats(c, c, 1, 1)} | shapes)


def unfold():
    """MobileViT: an image is cut into patches, attended to, and folded back."""
    nodes = [
        node("Conv", "x w", "a"),
        node("Reshape", "a s1", "b"),
        node("Transpose", "b", "c", perm=[0, 2, 1, 3]),
        node("Reshape", "c s2", "d"),
        node("Transpose", "d", "e", perm=[0, 3, 2, 1]),
        node("Reshape", "e s3", "f"),
        node("MatMul", "f m", "g"),
        node("Softmax", "g", "h", axis=-1),
        node("Reshape", "h s4", "i"),
        node("Transpose", "i", "j", perm=[0, 3, 2, 1]),
        node("Reshape", "j s5", "k"),
        node("Transpose", "k", "l", perm=[0, 2, 1, 3]),
        node("Reshape", "l s6", "m6"),
        node("Conv", "m6 w", "y"),
    ]
    constants = {
        "w": floats(8, 8, 1, 1),
        "m": floats(8, 8, seed=3),
        "s1": ints(16, 2, 2, 2),
        "s2": ints(1, 8, 4, 4),
        "s3": ints(4, 4, 8),
        "s4": ints(1, 4, 4, 8),
        "s5": ints(16, 2, 2, 2),
        "s6": ints(1, 8, 4, 4),
    }
    return make(nodes, {"x": (1, 8, 4, 4)}, constants)


def two_outputs(*nodes, outputs="y z", **constants):
    return make(list(nodes), {"x": IMAGE}, {"w": floats(8, 8, 1, 1)} | constants, outputs=outputs)


CONVOLUTIONS = {
    "1x1": conv(w=(16, 8, 1, 1)),
    "3x3 with bias": conv(pads=[1, 1, 1, 1], bias=True),
    "stride 2 on an odd image": conv(strides=[2, 2], pads=[1, 1, 1, 1]),
    "dilation": conv(dilations=[2, 3], pads=[2, 3, 2, 3]),
    "same upper": conv(auto_pad="SAME_UPPER", strides=[2, 2]),
    "same lower": conv(auto_pad="SAME_LOWER", strides=[2, 2], dilations=[1, 1]),
    "same upper even kernel": conv(w=(16, 8, 2, 4), auto_pad="SAME_UPPER"),
    "valid": conv(auto_pad="VALID"),
    "asymmetric pads": conv(pads=[0, 1, 2, 3]),
    "grouped": conv(w=(12, 2, 3, 3), group=4),
    "depthwise": conv(w=(8, 1, 3, 3), group=8, pads=[1, 1, 1, 1]),
    "depthwise, multiplier 2": conv(w=(16, 1, 3, 3), group=8, strides=[2, 2]),
    "7 → 13 channels": conv(x=(1, 7, 6, 6), w=(13, 7, 3, 3)),
    "13 → 17 channels, batch 2": conv(x=(2, 13, 5, 5), w=(17, 13, 1, 1), bias=True),
    "depthwise, 13 channels": conv(x=(1, 13, 5, 5), w=(13, 1, 3, 3), group=13),
    "1x1 image": conv(x=(1, 8, 1, 1), w=(16, 8, 1, 1)),
    "kernel as large as the image": conv(w=(16, 8, 9, 7)),
    "conv1d": conv(x=(1, 6, 11), w=(4, 6, 3), pads=[1, 1], bias=True),
    "conv3d": conv(x=(1, 3, 5, 6, 7), w=(4, 3, 3, 3, 3)),
    "weights as an input": make(node("Conv", "x w", "y"), {"x": IMAGE, "w": (4, 8, 3, 3)}),
    "transposed": plain("ConvTranspose", inputs="x w", constants={"w": floats(8, 4, 3, 3)}, strides=[2, 2]),
    "transposed, grouped, padded": plain(
        "ConvTranspose",
        inputs="x w b",
        constants={"w": floats(8, 2, 3, 3), "b": floats(4)},
        group=2,
        pads=[1, 1, 1, 1],
        strides=[2, 2],
        output_padding=[1, 1],
    ),
    "transposed, output shape": plain(
        "ConvTranspose", inputs="x w", constants={"w": floats(8, 4, 3, 3)}, strides=[2, 2], output_shape=[18, 14]
    ),
    "transposed, same": plain(
        "ConvTranspose", inputs="x w", constants={"w": floats(8, 4, 3, 3)}, strides=[2, 2], auto_pad="SAME_UPPER"
    ),
    "transposed, 1-d": plain("ConvTranspose", x=(1, 4, 7), inputs="x w", constants={"w": floats(4, 3, 3)}),
}

POOLS = {
    "max": plain("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    "max, ceil": plain("MaxPool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    "max, dilated": plain("MaxPool", kernel_shape=[2, 2], dilations=[2, 3]),
    "max, same": plain("MaxPool", kernel_shape=[3, 2], strides=[2, 2], auto_pad="SAME_UPPER"),
    "max, negative pixels": make(
        [node("Abs", "x", "a"), node("Neg", "a", "b"), node("MaxPool", "b", "y", kernel_shape=[3, 3], pads=[1] * 4)],
        {"x": IMAGE},
    ),
    "average": plain("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    "average, padding counted": plain("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
    "average, asymmetric": plain("AveragePool", kernel_shape=[3, 3], pads=[0, 1, 2, 1], strides=[2, 2]),
    "average, same lower": plain("AveragePool", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_LOWER"),
    "average, ceil": plain("AveragePool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    "average, 1-d": plain("AveragePool", x=(1, 4, 9), kernel_shape=[3]),
    "max, 3-d": plain("MaxPool", x=(1, 2, 5, 5, 5), kernel_shape=[2, 2, 2]),
    "global average": unary("GlobalAveragePool"),
    "global max": unary("GlobalMaxPool"),
    "global average, 1-d": plain("GlobalAveragePool", x=(1, 4, 9)),
    "local response norm": unary("LRN", size=3, alpha=0.5, beta=0.75, bias=2.0),
}


def resize(scales=None, sizes=None, x=IMAGE, **attributes):
    constants = {"scales": np.array(scales, np.float32)} if scales else {"sizes": ints(*sizes)}
    inputs = "x - scales" if scales else "x - - sizes"
    nodes = [node("Conv", "x w", "a"), node("Resize", inputs.replace("x", "a"), "y", **attributes)]
    return make(nodes, {"x": x}, {"w": floats(x[1], x[1], 1, 1)} | constants)


LINEAR = {"mode": "linear"}
RESIZES = {
    "nearest ×2": resize([1, 1, 2, 2], coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
    "nearest ×2, defaults": resize([1, 1, 2, 3]),
    "nearest to odd sizes": resize(sizes=(1, 8, 13, 11)),
    "nearest, ceil": resize(sizes=(1, 8, 13, 5), nearest_mode="round_prefer_ceil"),
    "nearest down": resize([1, 1, 0.5, 0.5]),
    "linear ×2": resize([1, 1, 2, 2], **LINEAR),
    "linear, align corners": resize(sizes=(1, 8, 17, 20), coordinate_transformation_mode="align_corners", **LINEAR),
    "linear, asymmetric, down": resize(sizes=(1, 8, 4, 5), coordinate_transformation_mode="asymmetric", **LINEAR),
    "linear, pytorch, to one": resize(
        sizes=(1, 8, 1, 5), coordinate_transformation_mode="pytorch_half_pixel", **LINEAR
    ),
    "linear, uneven scale": resize([1, 1, 0.6, 1.7], **LINEAR),
    "cubic": resize([1, 1, 2, 1.5], mode="cubic", cubic_coeff_a=-0.5),
    "cubic, exclude outside": resize([1, 1, 0.7, 1.5], mode="cubic", exclude_outside=1),
    "channels": plain("Resize", inputs="x - s", constants={"s": np.array([1, 2, 1, 1], np.float32)}),
    "rank 3": plain("Resize", x=(1, 4, 9), inputs="x - s", constants={"s": np.array([1, 1, 2], np.float32)}, **LINEAR),
    "nothing": resize([1, 1, 1, 1]),
    "upsample": plain("Upsample", inputs="x s", constants={"s": np.array([1, 1, 2, 2], np.float32)}, opset=9),
    "opset 10": plain("Resize", inputs="x s", constants={"s": np.array([1, 1, 2, 2], np.float32)}, opset=10, **LINEAR),
}


def joined(axis):
    nodes = [node("Conv", "x w", "a"), node("Relu", "a", "b"), node("Concat", "a b x", "y", axis=axis)]
    return make(nodes, {"x": IMAGE}, {"w": floats(8, 8, 1, 1)})


def cut(axis, sizes, opset=13):
    attributes = {"split": list(sizes)} if opset < 13 else {}
    constants = {"w": floats(8, 8, 1, 1)} | ({"s": ints(*sizes)} if opset >= 13 else {})
    nodes = [
        node("Conv", "x w", "a"),
        node("Split", "a s" if opset >= 13 else "a", "y z", axis=axis, **attributes),
    ]
    return make(nodes, {"x": IMAGE}, constants, outputs="y z", opset=opset)


def sliced(starts, ends, axes, steps=None):
    constants = {"begin": ints(*starts), "end": ints(*ends), "n": ints(*axes)}
    if steps is None:
        return unary("Slice", inputs="x begin end n", constants=constants)
    return unary("Slice", inputs="x begin end n step", constants=constants | {"step": ints(*steps)})


def padded(pads, **attributes):
    return unary("Pad", inputs="x p", constants={"p": ints(*pads)}, **attributes)


ALONG_AXES = {
    **{f"concat {axis}": joined(axis) for axis in (0, 1, 2, -1)},
    **{f"split {axis}": cut(axis, sizes) for axis, sizes in ((1, (3, 5)), (2, (4, 5)), (-1, (6, 1)))},
    "split by attribute": cut(1, (2, 6), opset=11),
    "split evenly": make(node("Split", "x", "y z", axis=1, num_outputs=2), {"x": IMAGE}, outputs="y z"),
    **{f"slice {axis}": sliced([1], [-1], [axis]) for axis in (1, 2, 3)},
    "slice with steps": sliced([0, 1], [9, 100], [-2, -1], [2, 3]),
    "slice backwards": sliced([-1], [-100], [2], [-2]),
    "slice by attributes": plain("Slice", starts=[1, 2], ends=[5, 6], axes=[1, 2], opset=9),
    "pad the image": padded([0, 0, 1, 2, 0, 0, 3, 0]),
    "pad channels": padded([0, 1, 0, 0, 0, 2, 0, 0]),
    "pad with a value": unary("Pad", inputs="x p v", constants={"p": ints(0, 0, 1, 1, 0, 0, 1, 1), "v": np.float32(2)}),
    "pad, reflect": padded([0, 0, 2, 1, 0, 0, 1, 2], mode="reflect"),
    "pad, edge": padded([0, 0, 2, 1, 0, 0, 1, 2], mode="edge"),
    "pad by axes": unary("Pad", inputs="x p - n", constants={"p": ints(1, 2), "n": ints(2)}),
    "crop by negative pads": padded([0, 0, -1, 0, 0, 0, 0, -2]),
    "pad by attribute": plain("Pad", pads=[0, 0, 1, 1, 0, 0, 1, 1], value=1.5, opset=9),
}

REDUCTIONS = {
    f"{operator} {axes} keepdims {keep}": unary(
        operator,
        inputs="x n" if operator == "ReduceSum" else "x",
        constants={"n": ints(*axes)} if operator == "ReduceSum" else None,
        keepdims=keep,
        opset=13,
        **({} if operator == "ReduceSum" else {"axes": axes}),
    )
    for operator, axes, keep in (
        ("ReduceMean", [2, 3], 1),
        ("ReduceMean", [2, 3], 0),
        ("ReduceMean", [1], 1),
        ("ReduceMean", [-1], 0),
        ("ReduceSum", [1], 0),
        ("ReduceSum", [-2, -1], 1),
        ("ReduceMax", [1, 3], 0),
        ("ReduceMin", [0, 2], 1),
    )
}
REDUCTIONS |= {
    "all axes": unary("ReduceMean", keepdims=0),
    "no axes, nothing done": plain("ReduceSum", inputs="x n", constants={"n": ints()}, noop_with_empty_axes=1),
    "axes as an input of opset 18": unary("ReduceMax", inputs="x n", constants={"n": ints(2)}),
    "L2": unary("ReduceL2", opset=13, axes=[1]),
    "argmax": two_outputs(node("Conv", "x w", "a"), node("ArgMax", "a", "y", axis=1), outputs="y"),
}

SOFTMAXES = {
    **{f"axis {axis}": unary("Softmax", axis=axis) for axis in (1, 2, -1)},
    "old, last axis": plain("Softmax", x=(3, 5), axis=1, opset=11),
    "old, over several axes": plain("Softmax", axis=1, opset=11),
    "old, default": plain("Softmax", x=(2, 3, 4), opset=11),
    "log": unary("LogSoftmax", axis=1),
}

MATRICES = {
    "gemm": plain("Gemm", x=(3, 5), inputs="x w b", constants={"w": floats(5, 7), "b": floats(7)}),
    "gemm, transposed, scaled": plain(
        "Gemm",
        x=(3, 5),
        inputs="x w b",
        constants={"w": floats(7, 5), "b": floats(3, 1)},
        transB=1,
        alpha=0.5,
        beta=2.0,
    ),
    "gemm without bias": plain("Gemm", x=(3, 5), inputs="x w", constants={"w": floats(5, 7)}, alpha=3.0),
    "gemm, left transposed": plain("Gemm", x=(5, 3), inputs="x w", constants={"w": floats(5, 7)}, transA=1),
    "gemm of inputs": plain("Gemm", x={"x": (3, 5), "w": (7, 5), "b": (7,)}, inputs="x w b", transB=1, beta=0.5),
    "matmul": plain("MatMul", x={"x": (2, 3, 5, 7), "w": (2, 3, 7, 4)}, inputs="x w"),
    "matmul, broadcast": plain("MatMul", x={"x": (2, 3, 5, 7), "w": (7, 4)}, inputs="x w"),
    "matmul, vector": plain("MatMul", x={"x": (5, 7), "w": (7,)}, inputs="x w"),
    "einsum": plain("Einsum", x={"x": (2, 3, 5), "w": (2, 5, 4)}, inputs="x w", equation="bij,bjk->bik"),
    "layer norm": plain("LayerNormalization", x=(2, 5, 8), inputs="x s b", constants={"s": floats(8), "b": floats(8)}),
    "instance norm": unary("InstanceNormalization", inputs="x s b", constants={"s": floats(8), "b": floats(8)}),
}

ELEMENTWISE = {
    "clip": unary("Clip", inputs="x l h", constants={"l": np.float32(0), "h": np.float32(6)}),
    "clip by attributes": unary("Clip", opset=9, min=-0.5, max=0.5),
    "clip from below": unary("Clip", inputs="x l", constants={"l": np.float32(0.1)}),
    "clip, crossed": unary("Clip", inputs="x l h", constants={"l": np.float32(1), "h": np.float32(-1)}),
    "clip by inputs": make(node("Clip", "x l h", "y"), {"x": IMAGE, "l": (), "h": ()}),
    **{operator: unary(operator) for operator in ("HardSwish", "Elu", "Sigmoid", "LeakyRelu", "Softplus", "Erf")},
    "gelu": unary("Gelu", opset=20),
    "prelu": unary("PRelu", inputs="x s", constants={"s": floats(8, 1, 1)}),
    "sum of three": make([node("Conv", "x w", "a"), node("Sum", "a x c", "y")], {"x": IMAGE},
                         {"w": floats(8, 8, 1, 1), "c": floats(8, 1, 1)}),
    "max of three": plain("Max", x={"a": IMAGE, "b": (8, 1, 1), "c": (7,)}, inputs="a b c"),
    "min of one": plain("Min", inputs="x"),
    "mean of two": plain("Mean", x={"a": IMAGE, "b": IMAGE}, inputs="a b"),
    "squeeze and excite": squeeze_excite(),
    "gate (1, C, 1, 1)": binary(IMAGE, (1, 8, 1, 1), "Mul"),
    "lower rank (C, 1, 1)": binary(IMAGE, (8, 1, 1)),
    "lower rank (W)": binary(IMAGE, (7,)),
    "scalar": binary(IMAGE, ()),
    "higher rank": binary((2, 3, 4, 5), (2, 1, 3, 4, 5), "Sub"),
    "both broadcast": plain("Mul", x={"a": (1, 8, 1, 7), "b": (2, 1, 9, 1)}, inputs="a b"),
    "power": unary("Pow", inputs="x p", constants={"p": np.float32(2)}),
    "where": make([node("Greater", "x t", "c"), node("Where", "c x t", "y")], {"x": IMAGE, "t": (8, 1, 1)}),
    "cast": make([node("Cast", "x", "a", to=6), node("Cast", "a", "y", to=1)], {"x": IMAGE}),
}  # fmt: skip

MOVES = {
    "depth to space": unary("DepthToSpace", blocksize=2),
    "depth to space, CRD": unary("DepthToSpace", blocksize=2, mode="CRD"),
    "space to depth": unary("SpaceToDepth", x=(1, 3, 4, 6), blocksize=2),
    "channel shuffle": shuffle(),
    "MobileViT unfold": unfold(),
    "flatten": unary("Flatten"),
    "flatten from axis 2": unary("Flatten", axis=2),
    "squeeze": unary("Squeeze", inputs="x n", constants={"n": ints(0)}),
    "unsqueeze": unary("Unsqueeze", inputs="x n", constants={"n": ints(0, 3)}),
    "reshape with -1 and 0": unary("Reshape", inputs="x s", constants={"s": ints(0, -1, 3)}),
    "uneven reshape": make(
        [node("Transpose", "x", "a", perm=[1, 0]), node("Reshape", "a s", "y")], {"x": (5, 6)}, {"s": ints(2, 15)}
    ),
    "transpose": unary("Transpose", perm=[3, 1, 0, 2]),
    "transpose, default": plain("Transpose"),
    "expand": plain("Expand", x=(1, 3, 1), inputs="x s", constants={"s": ints(2, 3, 4)}),
    "tile": unary("Tile", inputs="x r", constants={"r": ints(1, 2, 1, 3)}),
    "gather constant": unary("Gather", inputs="x i", constants={"i": ints(-1, 2, 0)}, axis=1),
    "gather one": unary("Gather", inputs="x i", constants={"i": np.int64(-2)}, axis=2),
    "embedding": make(node("Gather", "t i", "y"), {"i": ((2, 5), np.int64)}, {"t": floats(11, 6)}),
    "top k": make(node("TopK", "x k", "y z", axis=1), {"x": (3, 9)}, {"k": ints(4)}, outputs="y z"),
    "cumulative sum": plain("CumSum", x=(3, 9), inputs="x a", constants={"a": np.int64(1)}),
    "triangle": plain("Trilu", x=(5, 6), inputs="x k", constants={"k": np.int64(1)}, upper=0),
}

OUTPUTS = {
    "two": two_outputs(node("Conv", "x w", "y"), node("Relu", "y", "z")),
    "an input": two_outputs(node("Conv", "x w", "y"), outputs="y x"),
    "a constant": two_outputs(node("Conv", "x w", "y"), outputs="w y"),
    "a folded constant": two_outputs(node("Conv", "x w", "y"), node("Neg", "w", "z")),
    "one twice": two_outputs(node("Conv", "x w", "y"), node("Identity", "y", "z")),
    "an identity of an input": two_outputs(node("Conv", "x w", "y"), node("Identity", "x", "z")),
    "two views of one": two_outputs(node("Conv", "x w", "a"), node("Flatten", "a", "y"), node("Transpose", "a", "z")),
    "an input not used": make(node("Relu", "x", "y"), {"x": (2, 3), "spare": (4,)}),
    "only a view": make(node("Transpose", "x", "y"), {"x": (2, 3)}),
    "only a reshape": make(node("Flatten", "x", "y"), {"x": IMAGE}),
    "int64": make(node("Add", "x c", "y"), {"x": ((3, 4), np.int64)}, {"c": ints(2**40, 1, 2, 3)}),
    "int32": make(node("Mul", "x c", "y"), {"x": ((3, 4), np.int32)}, {"c": np.array([3], np.int32)}),
    "bool": make([node("Not", "x", "a"), node("And", "a b", "y")], {"x": ((3, 4), np.bool_), "b": ((4,), np.bool_)}),
    "float64": make(node("Mul", "x c", "y"), {"x": ((3, 4), np.float64)}, {"c": np.array([1 / 3])}),
    "scalar": make(node("Relu", "x", "y"), {"x": ()}),
}

FAMILIES = {
    "convolution": CONVOLUTIONS,
    "pool": POOLS,
    "resize": RESIZES,
    "along axes": ALONG_AXES,
    "reduction": REDUCTIONS,
    "softmax": SOFTMAXES,
    "matrix": MATRICES,
    "elementwise": ELEMENTWISE,
    "move": MOVES,
    "outputs": OUTPUTS,
}
CASES = {f"{family}: {name}": model for family, models in FAMILIES.items() for name, model in models.items()}
