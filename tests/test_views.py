"""Views against numpy: a chain of reshapes and transposes gives the same elements, with at most one transpose."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ago_core.graph.views import View

NCHW_FROM_NHWC = (0, 3, 1, 2)
NHWC_FROM_NCHW = (0, 2, 3, 1)


def execute(view: View, memory: np.ndarray) -> np.ndarray:
    steps = view.steps()
    if steps is None:
        return memory.reshape(view.shape)
    split, axes, shape = steps
    return memory.reshape(split).transpose(axes).reshape(shape)


@st.composite
def chains(draw):
    shape = tuple(draw(st.lists(st.sampled_from([1, 2, 3, 4, 6]), min_size=1, max_size=4)))
    steps, current = [], shape
    for _ in range(draw(st.integers(1, 6))):
        if draw(st.booleans()):
            axes = tuple(draw(st.permutations(range(len(current)))))
            steps.append(("transpose", axes))
            current = tuple(current[a] for a in axes)
        else:
            left, dims = math.prod(current), []
            while left > 1:
                dims.append(
                    draw(st.sampled_from([d for d in range(1, left + 1) if left % d == 0 and d <= 6] or [left]))
                )
                left //= dims[-1]
                if len(dims) > 5:
                    dims.append(left)
                    break
            current = tuple(dims) or (1,)
            steps.append(("reshape", current))
    return shape, steps


@given(chains())
def test_a_chain_equals_numpy(chain):
    shape, steps = chain
    memory = np.arange(math.prod(shape)).reshape(shape)
    view, expected = View.of(shape), memory
    for kind, argument in steps:
        following = getattr(view, kind)(argument)
        if following is None:  # an uneven cut: the importer starts again from memory
            memory = execute(view, memory)
            following = View.of(memory.shape).reshape(argument)
        view, expected = following, getattr(expected, kind)(argument)
        assert np.array_equal(execute(view, memory), expected)
        axes = view.permutation()
        if axes is not None:
            assert np.array_equal(memory.transpose(axes), expected)


def test_a_round_trip_costs_nothing():
    view = View.of((1, 56, 56, 24)).transpose(NCHW_FROM_NHWC)
    assert view.permutation() == NCHW_FROM_NHWC
    assert view.transpose(NHWC_FROM_NCHW).steps() is None


def test_channel_shuffle_is_one_transpose_of_the_innermost_axis():
    view = View.of((1, 28, 28, 12)).transpose(NCHW_FROM_NHWC)
    shuffled = view.reshape((1, 3, 4, 28, 28)).transpose((0, 2, 1, 3, 4)).reshape((1, 12, 28, 28))
    assert shuffled.transpose(NHWC_FROM_NCHW).steps() == ((784, 3, 4), (0, 2, 1), (1, 28, 28, 12))


def test_flatten_after_global_pooling_is_free():
    assert View.of((1, 1, 1, 1280)).transpose(NCHW_FROM_NHWC).reshape((1, 1280)).steps() is None


def test_an_uneven_cut_is_refused():
    assert View.of((6, 5)).transpose((1, 0)).reshape((2, 15)) is None
