"""Scheduled code against the same code unscheduled, on odd shapes; and that chains do not blow up."""

import time

import numpy as np
import pytest
import tvm
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tvm import relax

from ago_core.artifacts.reference import relative_error
from ago_core.devices.local import host_target
from ago_core.graph.model import legalise
from ago_core.schedules import analytic
from ago_core.schedules.analytic import schedule_function, schedule_module
from ago_core.schedules.machine import machine_of

FEW = settings(max_examples=6, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
SIZE = st.integers(1, 9)
CHANNELS = st.sampled_from([1, 3, 4, 7, 8, 13, 16, 17, 32, 48])
op = relax.op
MACHINE = machine_of(host_target())


def fused(build, *shapes) -> tvm.tirx.PrimFunc:
    """One PrimFunc of all that `build` computes from inputs of these shapes."""
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


def run(function: tvm.tirx.PrimFunc) -> np.ndarray:
    """Its output for fixed random inputs."""
    library = tvm.compile(function.with_attr("global_symbol", "main"), target=host_target())
    *inputs, out = function.params
    rng = np.random.default_rng(0)
    arrays = [tvm.runtime.tensor(rng.standard_normal(_shape(buffer)).astype("float32")) for buffer in inputs]
    result = tvm.runtime.tensor(np.full(_shape(out), np.nan, "float32"))
    library["main"](*arrays, result)
    return result.numpy()


def _shape(buffer) -> tuple[int, ...]:
    return tuple(int(extent) for extent in buffer.shape)


def check(build, *shapes) -> tvm.tirx.PrimFunc:
    """The scheduled function, which was compared with the unscheduled one."""
    function = fused(build, *shapes)
    scheduled = schedule_function(function, MACHINE)
    assert relative_error(run(scheduled), run(function)) <= 1e-5
    return scheduled


def relu(value):
    return op.nn.relu(value)


@FEW
@given(SIZE, SIZE, CHANNELS, CHANNELS, st.sampled_from([1, 3]), st.integers(1, 2))
def test_convolution_with_bias_and_relu(height, width, channels, out, kernel, stride):
    def build(_, x, w, b):
        y = op.nn.conv2d(x, w, stride, kernel // 2, data_layout="NHWC", kernel_layout="HWIO")
        return relu(op.add(y, b))

    check(build, (1, height, width, channels), (kernel, kernel, channels, out), (1, 1, 1, out))


@FEW
@given(SIZE, SIZE, CHANNELS, st.integers(1, 2), st.integers(1, 2))
def test_depthwise_convolution(height, width, channels, multiplier, stride):
    def build(_, x, w):
        padded = op.nn.conv2d(
            x, w, stride, 1, groups=channels, data_layout="NHWC", kernel_layout="HWIO", out_layout="NHWC"
        )
        return op.clip(padded, 0.0, 6.0)

    check(build, (1, height, width, channels), (3, 3, 1, channels * multiplier))


@FEW
@given(SIZE, CHANNELS, CHANNELS)
def test_two_convolutions_in_one_function(size, channels, out):
    def build(_, x, w, v):
        y = relu(op.nn.conv2d(x, w, data_layout="NHWC", kernel_layout="HWIO"))
        return op.add(x, op.nn.conv2d(y, v, data_layout="NHWC", kernel_layout="HWIO"))

    check(build, (1, size, size, channels), (1, 1, channels, out), (1, 1, out, channels))


@FEW
@given(st.lists(SIZE, max_size=2), SIZE, CHANNELS, CHANNELS)
def test_matmul(batch, rows, inner, columns):
    check(lambda _, a, b: op.matmul(a, b), (*batch, rows, inner), (*batch, inner, columns))


@FEW
@given(st.integers(3, 9), CHANNELS, st.sampled_from(["max_pool2d", "avg_pool2d"]), st.integers(0, 1))
def test_pooling(size, channels, kind, padding):
    check(
        lambda _, x: getattr(op.nn, kind)(x, [3, 3], [2, 2], padding, layout="NHWC"),
        (1, size, size, channels),
    )


@FEW
@given(st.lists(SIZE, min_size=1, max_size=3), CHANNELS, st.data())
def test_softmax(outer, channels, data):
    axis = data.draw(st.integers(0, len(outer)))
    check(lambda _, x: op.nn.softmax(x, axis), (*outer, channels))


@FEW
@given(SIZE, CHANNELS)
def test_layer_norm_of_a_matmul(rows, channels):
    check(
        lambda _, x, w, s, t: op.nn.layer_norm(op.matmul(x, w), s, t, axes=[-1]),
        (rows, channels),
        (channels, channels),
        (channels,),
        (channels,),
    )


@FEW
@given(st.lists(st.sampled_from([1, 2, 3, 5, 16]), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_reshapes_and_transposes(shape, random):
    axes = random.sample(range(len(shape)), len(shape))

    def build(_, x):
        y = op.permute_dims(op.multiply(x, x), axes)
        return op.exp(op.reshape(y, (int(np.prod(shape)),)))

    check(build, tuple(shape))


@pytest.mark.parametrize("axes", [None, [0], [1], [0, 2]], ids=str)
def test_reductions(axes):
    check(lambda _, x: op.sum(relu(x), axes), (3, 5, 7))


def test_scalars():
    check(lambda _, x: op.exp(op.negative(x)), ())


def test_concatenation_read_by_a_convolution():
    def build(_, x, w):
        y = op.concat([x, relu(x)], 3)
        return op.nn.conv2d(y, w, padding=1, data_layout="NHWC", kernel_layout="HWIO")

    check(build, (1, 5, 6, 7), (3, 3, 14, 9))


def chain(step, length):
    def build(builder, x):
        for _ in range(length):
            x = builder.emit(step(x))
        return x

    return build


CHAINS = {
    "x/2 + tanh x": lambda x: op.add(op.multiply(x, relax.const(0.5, "float32")), op.tanh(x)),
    "halves of a concatenation": lambda x: op.strided_slice(op.concat([x, x], 0), [0], [2], [5]),
    "exp(-x)": lambda x: op.exp(op.negative(x)),
}


@pytest.mark.parametrize("name", CHAINS)
def test_chains_with_two_readers_do_not_double_work(name):
    start = time.perf_counter()
    function = fused(chain(CHAINS[name], 30), (3, 8))
    start = time.perf_counter()
    scheduled = schedule_function(function, MACHINE)
    assert time.perf_counter() - start < 10
    assert len(scheduled.script()) < 80_000
    assert relative_error(run(scheduled), run(function)) <= 1e-5


def test_a_chain_with_one_reader_becomes_one_nest():
    scheduled = check(chain(lambda x: relu(op.negative(x)), 5), (4, 16))
    assert scheduled.script().count("T.sblock(") == 2  # the root and one


def test_at_most_two_exponentials_in_one_expression():
    scheduled = check(chain(CHAINS["exp(-x)"], 6), (4, 16))
    assert scheduled.script().count("T.sblock(") == 4


@pytest.mark.parametrize("refused", [{"_tile", "_vectorise"}, {"_tile", "_vectorise", "_parallelise"}])
def test_moves_that_are_refused_leave_correct_code(refused, monkeypatch):
    """A move that fails half-way must leave no trace."""

    def failing(sch, block, machine, **_):
        sch.parallel(sch.get_loops(block)[0])
        raise tvm.s_tir.ScheduleError("refused")

    for name in refused:
        monkeypatch.setattr(analytic, name, failing)
    scheduled = check(lambda _, a, b: relu(op.matmul(a, b)), (5, 7), (7, 16))
    assert ("T.parallel" in scheduled.script()) == ("_parallelise" not in refused)


def test_equal_functions_are_scheduled_once(monkeypatch):
    function = fused(lambda _, x: op.exp(x), (3, 4))
    seen = []
    monkeypatch.setattr(analytic, "schedule_function", lambda f, machine: seen.append(f) or f)
    module = tvm.IRModule({name: function.with_attr("global_symbol", name) for name in ("a", "b")})
    result = schedule_module(module, MACHINE)
    assert len(seen) == 1
    assert {str(result[name].attrs["global_symbol"]) for name in ("a", "b")} == {"a", "b"}
