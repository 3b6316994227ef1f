"""Rows of pointwise nests: whole vectors at any length, against the same code unscheduled."""

import pytest
import tvm
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from ago_core.devices.local import host_target
from ago_core.schedules.analytic import schedule_function
from ago_core.schedules.machine import machine_of
from ago_core.schedules.pointwise import read_row
from tests.schedule_cases import ALL_MACHINES, AVX2, AVX512, MACHINES, NEON, check, fused, op, relu, shuffled

FEW = settings(max_examples=8, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
LENGTH = st.sampled_from([1, 2, 3, 4, 5, 7, 13, 16, 17, 24, 30, 36, 49, 58, 116, 120, 196, 257, 301, 1000])
SHAPE = st.lists(st.sampled_from([1, 2, 3, 5, 7, 14]), max_size=3)
MACHINE = st.lists(st.sampled_from(ALL_MACHINES), min_size=1, max_size=3, unique=True)


@FEW
@given(SHAPE, LENGTH, MACHINE)
@example([1, 28, 28], 58, [AVX512])
@example([3, 11], 1, [AVX2, NEON])
def test_bias_and_relu(outer, channels, machines):
    check(fused(lambda _, x, b: relu(op.add(x, b)), (*outer, channels), (channels,)), machines)


@FEW
@given(SHAPE, LENGTH, MACHINE)
@example([1, 14, 14], 24, [AVX512])
@example([101], 3, [AVX512])
@example([], 12345, [AVX2])
def test_one_input(outer, length, machines):
    check(fused(lambda _, x: op.exp(relu(x)), (*outer, length)), machines)


@FEW
@given(SHAPE, st.lists(LENGTH, min_size=2, max_size=4), st.data(), MACHINE)
def test_concatenation(outer, lengths, data, machines):
    shape = [*outer, 6]
    axis = data.draw(st.integers(0, len(outer)))
    shapes = [(*shape[:axis], length, *shape[axis + 1 :]) for length in lengths]
    check(fused(lambda _, *parts: relu(op.concat(parts, axis)), *shapes), machines)


@FEW
@given(SHAPE, LENGTH, st.integers(0, 20), MACHINE)
def test_slice(outer, length, start, machines):
    shape = (*outer, start + length + 3)
    axis = len(outer)
    check(fused(lambda _, x: op.strided_slice(relu(x), [axis], [start], [start + length]), shape), machines)


@FEW
@given(st.lists(st.sampled_from([1, 2, 3, 4, 7]), min_size=2, max_size=4), LENGTH, st.randoms(use_true_random=False))
def test_transpose_that_keeps_the_innermost_axis(outer, channels, random):
    axes = [*random.sample(range(len(outer)), len(outer)), len(outer)]
    check(fused(lambda _, x: op.permute_dims(x, axes), (*outer, channels)), MACHINES)


@FEW
@given(st.integers(1, 5), st.integers(1, 5), LENGTH, MACHINE)
def test_shuffle(height, width, channels, machines):
    function = fused(lambda builder, x: shuffled(builder, x, height, width, channels), (1, height, width, 2 * channels))
    check(function, machines)


@FEW
@given(st.integers(1, 9), st.integers(1, 40), st.integers(0, 3), MACHINE)
def test_padding(rows, length, width, machines):
    check(fused(lambda _, x: op.nn.pad(x, [width, 1, 2, width]), (rows, length)), machines)


@FEW
@given(st.integers(1, 5), LENGTH, MACHINE)
def test_pointwise_after_a_reduction_and_before(rows, length, machines):
    def build(builder, x):
        y = builder.emit(op.tanh(x))
        return op.add(op.sigmoid(op.sum(y, [0], True)), y)

    check(fused(build, (rows, length)), machines)


@FEW
@given(SHAPE, LENGTH, st.sampled_from(["sum", "max", "mean", "variance"]), st.booleans(), MACHINE)
@example([3, 4], 196, "max", False, [AVX512])
@example([2], 301, "sum", True, [AVX2, NEON])
@example([], 12345, "sum", False, [AVX512, NEON])
def test_reductions_of_rows(outer, length, kind, keep, machines):
    """Of negative numbers too, so that a maximum shows what was never there."""
    check(fused(lambda _, x: getattr(op, kind)(op.subtract(x, op.exp(x)), [-1], keep), (*outer, length)), machines)


@FEW
@given(SHAPE, LENGTH, st.booleans(), MACHINE)
@example([4, 4, 14], 196, True, [AVX512, NEON])
def test_softmax_and_layer_norm(outer, length, is_softmax, machines):
    if is_softmax:
        check(fused(lambda _, x: op.nn.softmax(x), (*outer, length)), machines)
    else:
        build = lambda _, x, s, t: op.nn.layer_norm(op.add(x, x), s, t, axes=[-1])  # noqa: E731
        check(fused(build, (*outer, length), (length,), (length,)), machines)


@pytest.mark.parametrize("length", [1, 3, 58])
def test_a_scalar_for_all(length):
    check(fused(lambda _, x, y: op.add(op.multiply(x, y), op.sum(x)), (5, length), ()))


def llvm(build, *shapes) -> str:
    target = host_target()
    scheduled = schedule_function(fused(build, *shapes), machine_of(target)).with_attr("global_symbol", "main")
    return tvm.tirx.build(scheduled, target).inspect_source("ll")


@pytest.mark.parametrize(
    "shape", [(1, 28, 28, 24), (4, 4, 196, 24), (1, 14, 14, 80), (1, 28, 28, 58), (196, 7, 20), (50000,), (7, 7, 116)]
)
def test_elements_are_loaded_in_vectors(shape):
    """Divisions that do not cancel in the address would gather each lane by itself."""
    code = llvm(lambda _, x: relu(x), shape)
    assert " load <" in code and " load float" not in code


@pytest.mark.parametrize("channels", [58, 116, 232])
def test_concatenation_is_copies_of_vectors(channels):
    function = fused(lambda _, x, y: op.concat([x, y], 3), (1, 14, 14, channels), (1, 14, 14, channels))
    for scheduled in check(function):
        assert "T.vectorized" in scheduled.script() and "if_then_else" not in scheduled.script()


@pytest.mark.parametrize(
    ("shape", "outer", "length"),
    [((5, 7, 64), [5, 7], 64), ((5, 8, 58), [5, 2], 232), ((3, 5, 7), [], 105), ((2, 1, 1000), [2], 1000)],
)
def test_rows(shape, outer, length):
    """An axis that vectors divide is a row; others join, the last of them in part."""
    sch = tvm.s_tir.Schedule(tvm.IRModule({"main": fused(lambda _, x: relu(x), shape)}))
    (block,) = sch.get_child_blocks(sch.get_sblock("root"))
    row = read_row(sch.get(block), AVX512)
    assert [int(axis.dom.extent) for axis in row.outer] == outer and row.length == length


def test_rows_end_where_an_access_does():
    sch = tvm.s_tir.Schedule(tvm.IRModule({"main": fused(lambda _, x, b: op.add(x, b), (4, 6), (6,))}))
    (block,) = sch.get_child_blocks(sch.get_sblock("root"))
    assert read_row(sch.get(block), AVX512).length == 6
