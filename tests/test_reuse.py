"""Reuse analysis against counting: which elements of the intermediate each tile needs, one by one."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ago_core.fusion.reuse import Axis, analyse, edge_reuse
from ago_core.graph.model import load_model
from ago_core.graph.opgraph import Loop, Term
from benchmarks.synthetic import residual_graph


@given(
    outputs=st.integers(1, 20),
    stride=st.integers(1, 3),
    kernel=st.integers(1, 5),
    dilation=st.integers(1, 3),
    tile=st.integers(1, 20),
)
def test_recompute_factor_agrees_with_counting(outputs, stride, kernel, dilation, tile):
    assume(tile <= outputs)
    window = (kernel - 1) * dilation + 1
    extent = (outputs - 1) * stride + window
    axis = Axis(extent, outputs, stride, window, cuttable=True)

    def span(first, last):
        return set(range(first * stride, last * stride + window))

    tiles = [span(start, min(start + tile, outputs) - 1) for start in range(0, outputs, tile)]
    assert len(span(0, tile - 1)) == axis.needed(tile)
    times = sum(map(len, tiles)) / len(span(0, outputs - 1))
    assert axis.recompute(tile) == pytest.approx(max(1.0, times))  # below 1: a stride over the window skips elements


def conv_edge():
    """The first edge of a residual network that leads, through no simple operator, into a convolution."""
    graph = residual_graph(12)
    return graph, next((u, v) for u, v in graph.edges if graph.operators[v].is_complex)


def with_access(graph, consumer, access, loops):
    op = dataclasses.replace(graph.operators[consumer], access=(access,), loops=loops)
    operators = tuple(op if other.id == consumer else other for other in graph.operators)
    return dataclasses.replace(graph, operators=operators)


def loops(**kinds):
    return tuple(Loop(name, extent, kind) for name, (extent, kind) in kinds.items())


def test_a_pointwise_convolution_reads_again_for_every_output_channel_and_recomputes_nothing():
    graph, (u, v) = conv_edge()
    nest = loops(n=(1, "spatial"), o=(64, "spatial"), y=(28, "spatial"), x=(28, "spatial"), c=(32, "reduction"))
    access = ((Term("n", 1),), (Term("c", 1),), (Term("y", 1),), (Term("x", 1),))
    reuse = analyse(with_access(graph, v, access, nest), u, v)
    assert reuse.reread_by == ("o",)
    assert reuse.recompute == 1 and reuse.pays
    assert reuse.tile[1] == 32  # all input channels


def test_a_depthwise_convolution_is_cut_by_channel_where_the_image_fits():
    graph, (u, v) = conv_edge()
    nest = loops(
        n=(1, "spatial"),
        c=(32, "spatial"),
        y=(26, "spatial"),
        x=(26, "spatial"),
        r=(3, "reduction"),
        q=(3, "reduction"),
    )
    access = ((Term("n", 1),), (Term("c", 1),), (Term("y", 1), Term("r", 1)), (Term("x", 1), Term("q", 1)))
    reuse = analyse(with_access(graph, v, access, nest), u, v)
    assert reuse.reread_by == () and reuse.recompute == 1
    assert reuse.tile == (1, 1, 28, 28)
    tight = analyse(with_access(graph, v, access, nest), u, v, cache_bytes=28 * 10 * 4)
    assert tight.tile == (1, 1, 10, 28)
    rows = [len(range(start, min(start + 8, 26) + 2)) for start in range(0, 26, 8)]
    assert tight.recompute == pytest.approx(sum(rows) / 28)


def test_a_window_that_costs_more_than_the_traffic_it_saves_does_not_pay():
    graph, (u, v) = conv_edge()
    reuse = analyse(graph, u, v, cache_bytes=32 * 3 * 28 * 4)
    assert reuse.recompute > 1.5 and not reuse.pays
    assert "overlaps" in reuse.reason


def test_an_index_that_is_not_linear_needs_the_whole_axis():
    graph, (u, v) = conv_edge()
    nest = loops(i=(28 * 28 * 32, "spatial"))
    access = ((), (Term("i", None),), (Term("i", None),), (Term("i", None),))
    whole = analyse(with_access(graph, v, access, nest), u, v)
    assert whole.tile == (1, 32, 28, 28)
    assert not analyse(with_access(graph, v, access, nest), u, v, cache_bytes=1024).pays


def test_unknown_access_and_library_calls_do_not_pay():
    graph, (u, v) = conv_edge()
    assert "not known" in analyse(with_access(graph, v, None, loops()), u, v).reason
    extern = dataclasses.replace(graph.operators[v], extern=True)
    operators = tuple(extern if op.id == v else op for op in graph.operators)
    assert "library call" in analyse(dataclasses.replace(graph, operators=operators), u, v).reason


def test_mobilenet_fuses_its_pairs_as_the_paper_says():
    graph = load_model("mobilenet_v2@224").graph
    reuse = edge_reuse(graph)
    assert set(reuse) == set(graph.edges)
    for (_, v), found in reuse.items():
        op = graph.operators[v]
        if op.kind == "pointwise_conv2d":
            assert found.recompute == 1 and "ff" in found.reread_by
        if op.kind == "depthwise_conv2d" and op.inputs[0].shape[1] <= 56:
            assert found.recompute == 1 and found.reread_by == ()
        assert math.prod(found.tile) * 4 == found.tile_bytes or not found.tile
