"""Rows woven of several runs (channel shuffle): right at any size, and in vectors."""

import numpy as np
import pytest
from tvm import relax

from ago_core.schedules.analytic import schedule_function
from tests.schedule_cases import AVX512, MACHINES, NEON, check, conv, fused, op, outputs, relu


def shuffle(builder, x, shape, groups):
    *outer, channels = shape
    wide = op.reshape(x, (*outer, groups, channels // groups))
    n = len(outer)
    return builder.emit(op.reshape(op.permute_dims(wide, [*range(n), n + 1, n]), shape))


def shuffled(shape, groups):
    return fused(lambda builder, x: shuffle(builder, relu(x), shape, groups), shape)


def branch(h, w, c, k):
    """The end of a block of ShuffleNet v2: convolution, concatenation, shuffle, split."""

    def build(builder, x, weight, bias, other):
        y = relu(op.add(conv(x, weight), bias))
        z = shuffle(builder, op.concat([other, y], 3), (1, h, w, 2 * k), 2)
        halves = builder.emit(op.split(z, 2, 3))
        return op.add(halves[0], op.multiply(halves[1], relax.const(0.5, "float32")))

    return fused(build, (1, h, w, c), (1, 1, c, k), (1, 1, 1, k), (1, h, w, k))


@pytest.mark.parametrize("groups", [2, 3, 4, 5, 8])
@pytest.mark.parametrize("channels", [1, 3, 4, 7, 16, 29, 33, 58, 300])
def test_shuffles(groups, channels):
    check(shuffled((2, 3, 5, groups * channels), groups), MACHINES)


@pytest.mark.parametrize("channels", [4, 7, 16, 29, 58])
def test_shuffled_concatenations(channels):
    def build(builder, x, y, bias):
        z = op.concat([x, relu(op.add(y, bias))], 3)
        return shuffle(builder, z, (1, 4, 3, 2 * channels), 2)

    shape = (1, 4, 3, channels)
    check(fused(build, shape, shape, (channels,)), MACHINES)


@pytest.mark.parametrize("sizes", [(3, 5, 7, 10), (4, 4, 24, 58), (2, 3, 16, 16)], ids=str)
def test_branches(sizes):
    check(branch(*sizes), MACHINES)


@pytest.mark.parametrize("machine", [AVX512, NEON], ids=["AVX-512", "NEON"])
@pytest.mark.parametrize("groups", [2, 3, 4, 8])
def test_shuffles_are_in_vectors(groups, machine):
    script = schedule_function(shuffled((1, 4, 4, groups * 29), groups), machine).script()
    assert "T.Shuffle" in script
    assert "%" not in script and "//" not in script


def test_both_halves_of_a_split_read_what_is_computed_once():
    """The concatenation is no array of its own: each half computes the elements that it has."""

    def build(builder, x, y):
        halves = builder.emit(op.split(op.concat([relu(x), relu(y)], 1), 2, 1))
        return op.matmul(builder.emit(op.exp(halves[0])), op.permute_dims(builder.emit(op.exp(halves[1]))))

    (scheduled,) = check(fused(build, (12, 16), (12, 16)), [AVX512])
    assert "T_concat" not in scheduled.script()


def test_order_of_a_shuffle():
    """A shuffle is a transpose of the channels, as numpy makes it."""
    function = fused(lambda b, x: shuffle(b, op.multiply(x, x), (1, 2, 3, 62), 2), (1, 2, 3, 62))
    plain = fused(lambda b, x: op.multiply(x, x), (1, 2, 3, 62))
    (squares,) = outputs([plain])
    (found,) = outputs([schedule_function(function, AVX512)])
    np.testing.assert_array_equal(found, squares.reshape(6, 2, 31).transpose(0, 2, 1).ravel())
