"""Fused loop nests of every kind, at any size, and processors of every kind, for tests of schedules."""

from __future__ import annotations

import itertools

import numpy as np
import tvm
from tvm import relax, s_tir
from tvm_ffi import structural_walk

from ago_core.artifacts.reference import relative_error
from ago_core.devices.local import host_target
from ago_core.graph.model import legalise
from ago_core.graph.operators import REDUCTION_AXIS
from ago_core.lowering.build import build_functions
from ago_core.schedules.analytic import schedule_function
from ago_core.schedules.machine import Machine
from ago_core.schedules.normalise import blocks_of, is_reduction

op = relax.op
LAYOUT = {"data_layout": "NHWC", "kernel_layout": "HWIO"}

AVX512 = Machine(lanes=16, registers=32, loads=True, cores=1)
AVX2 = Machine(lanes=8, registers=16, loads=True, cores=2)
SSE = Machine(lanes=4, registers=16, loads=True, cores=1)
NEON = Machine(lanes=4, registers=32, loads=False, cores=3)
MACHINES = (AVX512, AVX2, SSE, NEON)

ALL_MACHINES = tuple(
    Machine(lanes, registers, loads, cores)
    for lanes, registers, loads, cores in itertools.product((4, 8, 16), (16, 32), (False, True), (1, 2, 3))
)


def fused(build, *shapes: tuple[int, ...]) -> tvm.tirx.PrimFunc:
    """One PrimFunc of all that `build(builder, *inputs)` computes from inputs of these shapes."""
    builder = relax.BlockBuilder()
    inputs = [relax.Var(f"x{k}", relax.TensorType(shape, "float32")) for k, shape in enumerate(shapes)]
    with builder.function("main", inputs):
        with builder.dataflow():
            result = builder.emit_output(builder.normalize(build(builder, *inputs)))
        builder.emit_func_output(result)
    module = legalise(builder.get())
    main = module["main"].with_attr("Primitive", 1).without_attr("global_symbol")
    caller = relax.BlockBuilder(tvm.IRModule({g: f for g, f in module.functions_items() if g.name_hint != "main"}))
    callee = caller.add_func(main, "whole")
    with caller.function("main", inputs):
        caller.emit_func_output(caller.emit(relax.Call(callee, inputs)))
    return relax.transform.FuseTIR()(caller.get())["whole"]


def outputs(functions: list[tvm.tirx.PrimFunc]) -> list[np.ndarray]:
    """What functions of one signature compute from the same random inputs, all their outputs in one row.

    Every array lies between values that are not a number: what a function reads outside spoils its result.

    Raises:
        AssertionError: a function wrote outside its output, or not all of it.
    """
    names = [f"f{k}" for k in range(len(functions))]
    module = tvm.IRModule({name: f.with_attr("global_symbol", name) for name, f in zip(names, functions)})
    library = build_functions(module, host_target())
    written = _written(functions[0])
    inputs = [parameter for parameter in functions[0].params if not any(parameter.same_as(out) for out in written)]
    rng = np.random.default_rng(0)
    arrays = [_guarded(parameter)[1] for parameter in inputs]
    for array in arrays:
        array[...] = rng.standard_normal(array.shape)
    every = [[_guarded(out) for out in written] for _ in names]
    for name, results in zip(names, every):
        library[name](*map(tvm.runtime.from_dlpack, [*arrays, *(result for _, result in results)]))
        for whole, result in results:
            assert _unwritten(whole) == whole.size - result.size, f"{name} left elements out or wrote outside"
    return [np.concatenate([result.ravel() for _, result in results]) for results in every]


def _written(function: tvm.tirx.PrimFunc) -> list[tvm.tirx.Var]:
    """The parameters that a function writes, its last ones."""
    stores: list[tvm.tirx.BufferStore] = []
    structural_walk(function.body, (tvm.tirx.BufferStore, stores.append))
    return [parameter for parameter in function.params if any(store.buffer.same_as(parameter) for store in stores)]


GUARD = 64
"""Elements on either side of an array; TVM wants it at a multiple of 64 bytes."""


def _guarded(parameter: tvm.tirx.Var) -> tuple[np.ndarray, np.ndarray]:
    """An array for a parameter, in the middle of a larger one; NaN, or -1 for integers, in all of it."""
    shape, dtype = tuple(int(extent) for extent in parameter.shape), np.dtype(str(parameter.dtype))
    size = int(np.prod(shape))
    whole = np.full(size + 3 * GUARD, np.nan if dtype.kind == "f" else -1, dtype)
    start = GUARD + (-whole.ctypes.data // whole.itemsize) % GUARD
    return whole, whole[start : start + size].reshape(shape)


def _unwritten(array: np.ndarray) -> int:
    return int(np.isnan(array).sum() if array.dtype.kind == "f" else (array == -1).sum())


def check(function: tvm.tirx.PrimFunc, machines=MACHINES) -> list[tvm.tirx.PrimFunc]:
    """The function scheduled for each machine; every one of them was compared with the unscheduled one."""
    scheduled = [schedule_function(function, machine) for machine in machines]
    expected, *found = outputs([function, *scheduled])
    for machine, result in zip(machines, found):
        assert relative_error(result, expected) <= 1e-5, machine
    return scheduled


def reductions(function: tvm.tirx.PrimFunc) -> list[s_tir.SBlock]:
    """The blocks that reduce."""
    sch = s_tir.Schedule(tvm.IRModule({"main": function}))
    return [block for block in map(sch.get, blocks_of(sch)) if is_reduction(block)]


def scalar_reductions(function: tvm.tirx.PrimFunc) -> list[str]:
    """Names of the blocks that reduce with no loop in vectors around them; what adds up the lanes at the end may."""
    sch = s_tir.Schedule(tvm.IRModule({"main": function}))
    blocks = {sch.get(block).name_hint: block for block in blocks_of(sch)}
    return [
        name
        for name, block in blocks.items()
        if any(axis.iter_type == REDUCTION_AXIS for axis in sch.get(block).iter_vars)
        and f"{name}_rf_update" not in blocks
        and all(sch.get(loop).kind != tvm.tirx.ForKind.VECTORIZED for loop in sch.get_loops(block))
    ]


def conv(x, w, stride=1, groups=1, padding=None):
    padding = int(w.ty.shape[0]) // 2 if padding is None else padding
    return op.nn.conv2d(x, w, stride, padding, groups=groups, **LAYOUT)


def relu(value):
    return op.nn.relu(value)


def convolution(kernel, stride=1):
    def case(h, w, c, k):
        def build(_, x, weight, bias):
            return relu(op.add(conv(x, weight, stride), bias))

        return fused(build, (1, h, w, c), (kernel, kernel, c, k), (1, 1, 1, k))

    return case


def depthwise(kernel, stride=1):
    def case(h, w, c, _):
        def build(_, x, weight, bias):
            return op.clip(op.add(conv(x, weight, stride, groups=c), bias), 0.0, 6.0)

        return fused(build, (1, h, w, c), (kernel, kernel, 1, c), (1, 1, 1, c))

    return case


def grouped(h, w, c, k):
    groups = 3
    weight = (3, 3, c, groups * k)
    return fused(lambda _, x, v: relu(conv(x, v, groups=groups)), (1, h, w, groups * c), weight)


def grouped_pointwise(h, w, c, k):
    def build(builder, x, weight, bias):
        y = builder.emit(relu(op.add(conv(x, weight, groups=2), bias)))
        return shuffled(builder, y, h, w, k)

    return fused(build, (1, h, w, 2 * c), (1, 1, c, 2 * k), (1, 1, 1, 2 * k))


def bare_grouped(h, w, c, k):
    return fused(lambda _, x, v: conv(x, v, 2, groups=3), (1, h, w, 3 * c), (5, 5, c, 3 * k))


def grouped_unit(h, w, c, k):
    """As in ShuffleNet: grouped, shuffled, depthwise, grouped, and a shortcut."""

    def build(builder, x, first, depth, last):
        y = shuffled(builder, builder.emit(relu(conv(x, first, groups=2))), h, w, k)
        y = builder.emit(conv(y, depth, groups=2 * k))
        return relu(op.add(x, conv(y, last, groups=2)))

    return fused(build, (1, h, w, 2 * c), (1, 1, c, 2 * k), (3, 3, 1, 2 * k), (1, 1, k, 2 * c))


def bare_convolution(h, w, c, k):
    return fused(lambda _, x, v: conv(x, v, 2), (1, h, w, c), (3, 3, c, k))


def batch_of_images(h, w, c, k):
    return fused(lambda _, x, v: relu(conv(x, v)), (3, h, w, c), (3, 3, c, k))


def channels_first(h, w, c, k):
    return fused(lambda _, x, v: relu(op.nn.conv2d(x, v, padding=1)), (1, c, h, w), (k, c, 3, 3))


def product(transpose_a, transpose_b, *batch):
    def case(h, _, c, k):
        def build(_, a, b):
            n = len(batch)
            turned = [*range(n), n + 1, n]
            return op.matmul(
                op.permute_dims(a, turned) if transpose_a else a, op.permute_dims(b, turned) if transpose_b else b
            )

        return fused(
            build, (*batch, *((c, h) if transpose_a else (h, c))), (*batch, *((k, c) if transpose_b else (c, k)))
        )

    return case


def shared_weights(h, w, c, k):
    return fused(lambda _, a, b, bias: op.add(op.matmul(a, b), bias), (h, w, c), (c, k), (k,))


def transposed_result(h, _, c, k):
    return fused(lambda _, a, b: op.permute_dims(op.matmul(a, b)), (h, c), (c, k))


def pool(kind, kernel, stride, padding, layout="NHWC"):
    def case(h, w, c, _):
        h, w = max(h, kernel), max(w, kernel)
        shape = (1, h, w, c) if layout == "NHWC" else (1, c, h, w)
        return fused(lambda _, x: getattr(op.nn, kind)(x, [kernel] * 2, [stride] * 2, padding, layout=layout), shape)

    return case


def reduce(kind, axes, keep=False):
    def case(h, w, c, _):
        return fused(lambda _, x: getattr(op, kind)(x, axes, keep), (h, w, c))

    return case


def argmax(h, w, c, _):
    return fused(lambda _, x: op.argmax(relu(x), 1), (h, w, c))


def softmax(axis):
    return lambda h, w, c, _: fused(lambda _, x: op.nn.softmax(x, axis), (h, w, c))


def layer_norm(h, _, c, k):
    def build(_, x, w, scale, shift):
        return op.nn.layer_norm(op.matmul(x, w), scale, shift, axes=[-1])

    return fused(build, (h, c), (c, k), (k,), (k,))


def layer_norm_that_is_an_output(h, _, c, k):
    def build(builder, x, w, scale, shift):
        rows = builder.emit(op.nn.layer_norm(x, scale, shift, axes=[-1]))
        first = builder.emit(op.tanh(op.strided_slice(rows, [0], [0], [1])))
        return relax.Tuple([rows, builder.emit(op.matmul(first, w))])

    return fused(build, (h, c), (c, k), (c,), (c,))


def convolution_that_is_an_output(h, w, c, k):
    def build(builder, x, weight, depth):
        first = builder.emit(relu(conv(x, weight)))
        return relax.Tuple([first, builder.emit(relu(conv(first, depth, groups=k)))])

    return fused(build, (1, h, w, c), (1, 1, c, k), (3, 3, 1, k))


def elementwise(h, w, c, _):
    def build(builder, x, y):
        for step in (relu, op.tanh, op.sigmoid, op.erf, op.negative):
            x = builder.emit(op.add(step(x), y))
        return x

    return fused(build, (h, w, c), (c,))


def residual(h, w, c, k):
    def build(_, x, weight, bias, shortcut):
        return relu(op.add(op.add(conv(x, weight), bias), shortcut))

    return fused(build, (1, h, w, c), (1, 1, c, k), (1, 1, 1, k), (1, h, w, k))


def silu(h, w, c, k):
    def build(builder, x, weight, bias):
        y = builder.emit(op.add(conv(x, weight), bias))
        return op.multiply(y, op.sigmoid(y))

    return fused(build, (1, h, w, c), (3, 3, c, k), (1, 1, 1, k))


def silu_without_bias(h, w, c, k):
    def build(builder, x, weight):
        y = builder.emit(conv(x, weight))
        return op.multiply(y, op.sigmoid(y))

    return fused(build, (1, h, w, c), (1, 1, c, k))


def gelu_of_a_product(h, _, c, k):
    def build(builder, a, b, bias):
        return op.nn.gelu(builder.emit(op.add(op.matmul(a, b), bias)))

    return fused(build, (h, c), (c, k), (k,))


def concat(h, w, c, k):
    return fused(lambda _, x, y: op.concat([x, relu(y)], 3), (1, h, w, c), (1, h, w, k))


def convolution_of_concat(h, w, c, k):
    def build(_, x, y, weight):
        return conv(op.concat([x, relu(y)], 3), weight)

    return fused(build, (1, h, w, c), (1, h, w, 7), (3, 3, c + 7, k))


def shuffled(builder, x, h, w, c):
    y = op.permute_dims(op.reshape(x, (1, h, w, 2, c)), [0, 1, 2, 4, 3])
    return builder.emit(op.reshape(y, (1, h, w, 2 * c)))


def channel_shuffle(h, w, c, _):
    return fused(lambda builder, x: shuffled(builder, relu(x), h, w, c), (1, h, w, 2 * c))


def convolution_of_shuffle(h, w, c, k):
    def build(builder, x, weight):
        half = op.strided_slice(shuffled(builder, x, h, w, c), [3], [0], [c])
        return relu(conv(half, weight))

    return fused(build, (1, h, w, 2 * c), (1, 1, c, k))


def squeeze_and_excite(h, w, c, _):
    def build(_, x, down, up):
        gate = op.sigmoid(conv(relu(conv(op.mean(x, [1, 2], True), down)), up))
        return op.multiply(x, gate)

    return fused(build, (1, h, w, c), (1, 1, c, 4), (1, 1, 4, c))


def attention(h, w, c, _):
    def build(_, q, k, v):
        return op.matmul(op.nn.softmax(op.matmul(q, op.permute_dims(k, [0, 2, 1]))), v)

    return fused(build, (2, h, c), (2, w, c), (2, w, c))


def inverted_residual(stride):
    def case(h, w, c, _):
        def build(_, x, expand, depth, project):
            y = relu(conv(relu(conv(x, expand)), depth, stride, groups=2 * c))
            return conv(y, project)

        return fused(build, (1, h, w, c), (1, 1, c, 2 * c), (3, 3, 1, 2 * c), (1, 1, 2 * c, c))

    return case


def two_convolutions(h, w, c, k):
    def build(_, x, first, second):
        return op.add(x, conv(relu(conv(x, first)), second))

    return fused(build, (1, h, w, c), (3, 3, c, k), (1, 1, k, c))


def downsampled_shortcut(h, w, c, k):
    def build(_, x, main, shortcut):
        return relu(op.add(conv(x, main), conv(x, shortcut)))

    return fused(build, (1, h, w, c), (3, 3, c, k), (1, 1, c, k))


def resize(h, w, c, _):
    def build(_, x):
        return op.image.resize2d(x, (2 * h, 2 * w), layout="NHWC", method="linear")

    return fused(build, (1, h, w, c))


KINDS = {
    "pointwise": convolution(1),
    "pointwise, stride 2": convolution(1, 2),
    "3x3": convolution(3),
    "3x3, stride 2": convolution(3, 2),
    "5x5": convolution(5),
    "depthwise 3x3": depthwise(3),
    "depthwise 3x3, stride 2": depthwise(3, 2),
    "depthwise 5x5": depthwise(5),
    "depthwise 5x5, stride 2": depthwise(5, 2),
    "grouped": grouped,
    "grouped pointwise, shuffled": grouped_pointwise,
    "grouped, no bias": bare_grouped,
    "grouped unit": grouped_unit,
    "no bias": bare_convolution,
    "three images": batch_of_images,
    "channels first": channels_first,
    "product": product(False, False),
    "product, left transposed": product(True, False),
    "product, right transposed": product(False, True),
    "batched product, right transposed": product(False, True, 2, 3),
    "shared weights": shared_weights,
    "transposed result": transposed_result,
    "max pool": pool("max_pool2d", 3, 2, 1),
    "average pool": pool("avg_pool2d", 3, 1, 1),
    "max pool, channels first": pool("max_pool2d", 3, 2, 1, "NCHW"),
    "mean of an image": reduce("mean", [0, 1], True),
    "mean of rows": reduce("mean", [2]),
    "max of columns": reduce("max", [1]),
    "argmax": argmax,
    "sum of all": reduce("sum", None),
    "softmax": softmax(2),
    "softmax along columns": softmax(1),
    "layer norm": layer_norm,
    "layer norm that is an output": layer_norm_that_is_an_output,
    "convolution that is an output": convolution_that_is_an_output,
    "elementwise": elementwise,
    "residual": residual,
    "SiLU": silu,
    "SiLU, no bias": silu_without_bias,
    "GELU of a product": gelu_of_a_product,
    "concat": concat,
    "convolution of concat": convolution_of_concat,
    "channel shuffle": channel_shuffle,
    "convolution of shuffle": convolution_of_shuffle,
    "squeeze and excite": squeeze_and_excite,
    "attention": attention,
    "inverted residual": inverted_residual(1),
    "inverted residual, stride 2": inverted_residual(2),
    "two convolutions": two_convolutions,
    "downsampled shortcut": downsampled_shortcut,
    "resize": resize,
}
"""Name → function of (height, width, channels, output channels); not each uses all of them."""
