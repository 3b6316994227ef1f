"""Convolutions that write their part of a concatenation: right at any size, and without a copy."""

import pytest
import tvm

from ago_core.schedules.analytic import schedule_function
from tests.schedule_cases import AVX512, MACHINES, NEON, check, conv, fused, op, relu


def expands(x, w1, b1, w3, b3):
    """The two halves of SqueezeNet's fire module."""
    return op.concat([relu(op.add(conv(x, w1), b1)), relu(op.add(conv(x, w3), b3))], 3)


def weights(c, k1, k3):
    return (1, 1, c, k1), (1, 1, 1, k1), (3, 3, c, k3), (1, 1, 1, k3)


def fire(h, w, c, k, then=lambda x: x):
    return fused(lambda _, x, *rest: then(expands(x, *rest)), (1, h, w, c), *weights(c, k, k + 4))


def fire_and_squeeze(h, w, c, k):
    def build(_, x, squeeze, *rest):
        return relu(conv(expands(x, *rest), squeeze))

    return fused(build, (1, h, w, c), (1, 1, 2 * k + 3, c), *weights(c, k, k + 3))


def inception(h, w, c, k):
    def build(_, x, a, b, d, other):
        pool = op.nn.max_pool2d(x, [3, 3], [1, 1], 1, layout="NHWC")
        return op.concat([relu(conv(x, a)), conv(x, b), relu(other), conv(pool, d)], 3)

    return fused(build, (1, h, w, c), (1, 1, c, k), (3, 3, c, k), (1, 1, c, 5), (1, h, w, 9))


def dense(h, w, c, k):
    """A layer of DenseNet: what was there, and the result of a convolution of it."""
    return fused(lambda _, x, a: op.concat([x, relu(conv(x, a))], 3), (1, h, w, c), (3, 3, c, k))


def pooled(x):
    return op.nn.max_pool2d(x, [3, 3], [2, 2], 1, layout="NHWC")


CASES = {
    "fire": fire,
    "fire, pooled": lambda *sizes: fire(*sizes, then=pooled),
    "fire, squeezed": fire_and_squeeze,
    "inception": inception,
    "dense": dense,
    "read twice": lambda *sizes: fire(*sizes, then=lambda y: op.add(relu(y), op.exp(y))),
}


@pytest.mark.parametrize("sizes", [(5, 7, 3, 8), (4, 6, 16, 32), (3, 3, 7, 29), (6, 4, 24, 58), (1, 1, 1, 1)], ids=str)
@pytest.mark.parametrize("kind", CASES)
def test_results(kind, sizes):
    check(CASES[kind](*sizes), MACHINES)


@pytest.mark.parametrize("machine", [AVX512, NEON], ids=["AVX-512", "NEON"])
@pytest.mark.parametrize("kind", ["fire", "fire, pooled", "fire, squeezed", "dense"])
def test_convolutions_keep_no_array_of_their_own(kind, machine):
    """What is allocated besides registers is the concatenation, if it is no output, and padded copies."""
    function = schedule_function(CASES[kind](8, 8, 16, 32), machine)
    arrays = {buffer.name for buffer in function.body.block.alloc_buffers if buffer.scope() != "local"}
    assert not {name for name in arrays if name.startswith("conv2d")}


def test_a_result_that_is_needed_elsewhere_too_stays():
    def build(builder, x, w):
        y = builder.emit(relu(conv(x, w)))
        z = builder.emit(op.concat([y, x], 3))
        return op.concat([z, op.exp(y)], 3)

    check(fused(build, (1, 4, 5, 8), (1, 1, 8, 16)), MACHINES)


def test_other_concatenations_stay_one_block():
    def build(_, x, y):
        return op.concat([x, relu(y)], 3)

    function = schedule_function(fused(build, (1, 4, 4, 16), (1, 4, 4, 16)), AVX512)
    sch = tvm.s_tir.Schedule(tvm.IRModule({"main": function}))
    assert len(sch.get_child_blocks(sch.get_sblock("root"))) == 1
