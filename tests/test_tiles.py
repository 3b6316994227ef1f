"""The facts of a loop nest, and the tile chosen from them."""

import pytest
import tvm
from hypothesis import given
from hypothesis import strategies as st

from ago_core.devices.local import host_target
from ago_core.schedules import tile as tile_module
from ago_core.schedules.machine import machine_of
from ago_core.schedules.nest import Axis, Nest, read_nest
from ago_core.schedules.normalise import blocks_of, inline_blocks, is_reduction
from ago_core.schedules.rows import row_axis
from ago_core.schedules.tile import (
    ISSUE,
    LATENCY,
    MAX_STREAMED,
    SPARE,
    best_lanes,
    choose_tile,
    column_axes,
    loads,
    vector_axis,
    widest_lanes,
)
from tests.schedule_cases import ALL_MACHINES, AVX2, AVX512, LAYOUT, MACHINES, NEON, SSE, fused, op

MANY = st.sampled_from([2, 3, 7, 8, 13, 17, 24, 58, 96, 116, 320, 960])
EXTENT = st.sampled_from([1, 2, 3, 4, 7, 8, 12, 13, 14, 17, 24, 28, 56, 58, 64, 96, 112, 116, 128, 960])


def nest_of(build, *shapes) -> Nest:
    """The first reduction that remains once data movements are inlined."""
    sch = tvm.s_tir.Schedule(tvm.IRModule({"main": fused(build, *shapes)}))
    inline_blocks(sch)
    return next(read_nest(sch.get(block)) for block in blocks_of(sch) if is_reduction(sch.get(block)))


def pointwise(height: int, width: int, inputs: int, outputs: int) -> Nest:
    """As a pointwise convolution: axes h, w, o, k."""
    axes = (
        Axis(height, False, width * outputs, (width * inputs, 0)),
        Axis(width, False, outputs, (inputs, 0)),
        Axis(outputs, False, 1, (0, 1)),
        Axis(inputs, True, 0, (1, outputs)),
    )
    return Nest(axes, (4 * height * width * inputs, 4 * inputs * outputs), False)


def depthwise(size: int, channels: int, kernel: int) -> Nest:
    """Axes h, w, c, ry, rx; data are padded."""
    padded = size + kernel - 1
    axes = (
        Axis(size, False, size * channels, (padded * channels, 0)),
        Axis(size, False, channels, (channels, 0)),
        Axis(channels, False, 1, (1, 1)),
        Axis(kernel, True, 0, (padded * channels, kernel * channels)),
        Axis(kernel, True, 0, (channels, channels)),
    )
    return Nest(axes, (4 * padded * padded * channels, 4 * kernel * kernel * channels), False)


def facts(nest: Nest) -> list[tuple]:
    return [(axis.extent, axis.reduces, axis.write, axis.reads) for axis in nest.axes]


def test_strides_of_a_strided_convolution():
    nest = nest_of(lambda _, x, w: op.nn.conv2d(x, w, 2, **LAYOUT), (1, 9, 11, 5), (3, 3, 5, 7))
    assert facts(nest) == [
        (1, False, 0, (0, 0)),
        (4, False, 35, (110, 0)),
        (5, False, 7, (10, 0)),
        (7, False, 1, (0, 1)),
        (3, True, 0, (55, 105)),
        (3, True, 0, (5, 35)),
        (5, True, 0, (1, 7)),
    ]
    assert nest.read_bytes == (4 * 9 * 11 * 5, 4 * 3 * 3 * 5 * 7)
    assert nest.spatial == (0, 1, 2, 3) and nest.reductions == (4, 5, 6)
    assert nest.iterations == 4 * 5 * 7 * 3 * 3 * 5
    assert not nest.guarded


def test_strides_of_a_depthwise_convolution_and_its_padding():
    nest = nest_of(lambda _, x, w: op.nn.conv2d(x, w, padding=1, groups=6, **LAYOUT), (1, 4, 5, 6), (3, 3, 1, 6))
    extents = [axis.extent for axis in nest.axes]
    channels = max(nest.spatial)
    assert nest.guarded
    assert nest.axes[channels].write == 1 and nest.axes[channels].reads == (1, 1)
    assert [extents[k] for k in nest.reductions] == [3, 3, 1]
    assert row_axis(nest) is None and vector_axis(nest) == channels


def test_strides_of_a_product():
    nest = nest_of(lambda _, a, b: op.matmul(a, b), (5, 7), (7, 11))
    assert facts(nest) == [(5, False, 11, (7, 0)), (11, False, 1, (0, 1)), (7, True, 0, (1, 11))]


def test_a_transposed_operand_stays_a_copy_of_its_own():
    """Inlined, the product would read it with stride 7 and have no axis for vectors."""
    nest = nest_of(lambda _, a, b: op.matmul(a, op.permute_dims(b)), (5, 7), (11, 7))
    assert facts(nest) == [(5, False, 11, (7, 0)), (11, False, 1, (0, 1)), (7, True, 0, (1, 11))]


def test_an_index_that_is_not_linear_has_no_stride():
    nest = nest_of(lambda _, x, w: op.nn.conv2d(x, w, groups=2, **LAYOUT), (1, 3, 3, 4), (1, 1, 2, 8))
    assert None in nest.axes[max(nest.spatial)].reads


def test_axes_of_a_product():
    nest = pointwise(14, 14, 64, 96)
    assert vector_axis(nest) == 2
    assert column_axes(nest, 2) == (0, 1)
    assert row_axis(nest) is None


def test_axes_of_a_depthwise_convolution():
    nest = depthwise(14, 96, 3)
    assert vector_axis(nest) == 2
    assert column_axes(nest, 2) == (0, 1)


def test_the_widest_axis_goes_into_vectors():
    axes = (Axis(8, False, 1, (1,)), Axis(32, False, 1, (1,)), Axis(5, True, 0, (32,)))
    assert vector_axis(Nest(axes, (4,), False)) == 1


@pytest.mark.parametrize(("write", "reads"), [(7, (0, 1)), (1, (2, 0)), (1, (None, 1)), (None, (0, 1)), (0, (1, 1))])
def test_no_axis_for_vectors(write, reads):
    axes = (Axis(16, False, write, reads), Axis(5, True, 0, (1, 7)))
    assert vector_axis(Nest(axes, (4, 4), False)) is None


def test_axes_of_extent_1_are_no_columns():
    assert column_axes(pointwise(1, 14, 64, 96), 2) == (1,)


def test_at_most_the_three_innermost_columns():
    axes = (*(Axis(4, False, 64, (64, 0)) for _ in range(5)), Axis(16, False, 1, (0, 1)), Axis(3, True, 0, (1, 16)))
    assert column_axes(Nest(axes, (4, 4), False), 5) == (2, 3, 4)


def rows(*reductions: Axis) -> Nest:
    return Nest((Axis(6, False, 1, (48,)), *reductions), (4,), False)


@pytest.mark.parametrize(
    ("reductions", "axis"),
    [
        ([Axis(48, True, 0, (1,))], 1),
        ([Axis(4, True, 0, (12,)), Axis(12, True, 0, (1,))], 2),
        ([Axis(48, True, 0, (1,)), Axis(1, True, 0, (0,))], 1),
        ([Axis(48, True, 0, (6,))], None),
        ([Axis(48, True, 0, (None,))], None),
        ([Axis(1, True, 0, (0,))], None),
        ([], None),
    ],
    ids=["row", "two", "and an axis of extent 1", "strided", "not linear", "one element", "no reduction"],
)
def test_rows(reductions, axis):
    assert row_axis(rows(*reductions)) == axis


@pytest.mark.parametrize(
    ("extent", "widest", "lanes"),
    [(96, 16, 16), (24, 16, 16), (8, 16, 8), (58, 16, 16), (13, 16, 8), (17, 8, 8), (5, 4, 4), (7, 4, 4), (3, 16, 1)],
)
def test_best_lanes(extent, widest, lanes):
    assert best_lanes(extent, widest) == lanes


@given(st.integers(1, 2000), st.sampled_from([4, 8, 16]))
def test_best_lanes_fit_and_no_width_needs_fewer_vectors(extent, widest):
    lanes = best_lanes(extent, widest)
    assert lanes == 1 if extent < 4 else 4 <= lanes <= min(extent, widest)
    if extent >= widest:
        assert -(-extent // lanes) == -(-extent // widest), "the native width is best wherever it fits"


@pytest.mark.parametrize(
    ("extent", "machine", "lanes"),
    [(96, AVX512, 16), (24, AVX512, 8), (24, AVX2, 8), (58, AVX512, 2), (116, SSE, 4), (13, NEON, 1), (1, AVX2, 1)],
)
def test_widest_lanes(extent, machine, lanes):
    assert widest_lanes(extent, machine) == lanes


@given(EXTENT, EXTENT, MANY, MANY, st.sampled_from(ALL_MACHINES))
def test_a_tile_of_a_product_divides_and_fits(height, width, inputs, outputs, machine):
    nest = pointwise(height, width, inputs, outputs)
    tile = choose_tile(nest, machine)
    assert_divides(nest, tile)
    assert tile.lanes == widest_lanes(outputs, machine)
    assert tile.accumulators == 1 or tile.accumulators + tile.vectors <= machine.registers - SPARE


@given(EXTENT, MANY, st.sampled_from([3, 5, 7]), st.sampled_from(ALL_MACHINES))
def test_a_tile_of_a_depthwise_convolution_divides_and_fits(size, channels, kernel, machine):
    nest = depthwise(size, channels, kernel)
    tile = choose_tile(nest, machine)
    assert_divides(nest, tile)
    assert tile.accumulators <= MAX_STREAMED
    assert tile.unrolled == (kernel <= 5)


def assert_divides(nest: Nest, tile):
    assert nest.axes[tile.vector].extent % (tile.lanes * tile.vectors) == 0
    assert all(nest.axes[axis].extent % extent == 0 for axis, extent in tile.columns)
    assert tile.vector not in dict(tile.columns)
    assert set(tile.outermost) <= set(nest.spatial)


@pytest.mark.parametrize("machine", MACHINES, ids=["AVX-512", "AVX2", "SSE", "NEON"])
@pytest.mark.parametrize(
    "nest",
    [pointwise(14, 14, 64, 96), pointwise(56, 56, 24, 144), pointwise(7, 7, 160, 960), pointwise(1, 64, 96, 128)],
    ids=["14x14 64->96", "56x56 24->144", "7x7 160->960", "matmul 64x96x128"],
)
def test_tiles_of_known_products_keep_the_multipliers_busy(nest, machine):
    """Full vectors, sums that hide an addition's latency, hardly more loads than multiply-adds.

    One less than enough on 7x7 images and 16 registers: twice 7 sums with their operands do not fit.
    """
    tile = choose_tile(nest, machine)
    assert tile.lanes == machine.lanes
    assert tile.accumulators >= ISSUE * LATENCY - 1
    assert loads(nest, tile) <= tile.accumulators + 1


@pytest.mark.parametrize("times, rows", [(1.0, 2), (tile_module.GUARDED_ROWS, 1)])
def test_a_padded_product_keeps_to_one_row_since_each_has_conditions_of_its_own(times, rows, monkeypatch):
    """Of one vector of channels, where twice 8 sums hide more than 14 do."""
    monkeypatch.setattr(tile_module, "GUARDED_ROWS", times)
    images, weights = (1, 112, 112, 3), (3, 3, 3, 16)
    nest = nest_of(lambda _, x, w: op.nn.conv2d(x, w, padding=1, strides=2, **LAYOUT), images, weights)
    (_, height), (_, width) = choose_tile(nest, AVX512).columns
    assert nest.guarded and height == rows and width >= 8


def test_without_an_axis_for_vectors_the_tile_is_one_element():
    axes = (Axis(16, False, 3, (2, 1)), Axis(5, True, 0, (1, 7)))
    tile = choose_tile(Nest(axes, (4, 4), False), AVX2)
    assert (tile.vector, tile.lanes, tile.accumulators) == (None, 1, 1)


def test_large_weights_are_read_once():
    """7x7 images with 960 x 320 weights: an image fits the second cache, its weights do not."""
    assert 2 in choose_tile(pointwise(7, 7, 960, 320), AVX512).outermost


def test_large_images_are_read_once():
    assert choose_tile(pointwise(112, 112, 16, 96), AVX512).outermost == ()


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ({"mcpu": "skylake-avx512", "num-cores": 3}, (16, 32, True, 3)),
        ({"mcpu": "haswell", "num-cores": 2}, (8, 16, True, 2)),
        ({"mcpu": "x86-64"}, (4, 16, True, 1)),
        ({"mtriple": "aarch64-linux-gnu", "mcpu": "cortex-a76", "num-cores": 4}, (4, 32, False, 4)),
        ({"mtriple": "aarch64-linux-android"}, (4, 32, False, 1)),
    ],
    ids=["AVX-512", "AVX2", "SSE", "NEON", "Android"],
)
def test_machine_of_a_target(target, expected):
    triple = {} if "mtriple" in target else {"mtriple": "x86_64-linux-gnu"}
    machine = machine_of(tvm.target.Target({"kind": "llvm", **triple, **target}))
    assert (machine.lanes, machine.registers, machine.loads, machine.cores) == expected


def test_machine_of_this_processor():
    assert machine_of(host_target()).lanes in (4, 8, 16)
