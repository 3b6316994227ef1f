"""Colours by quantities: right, comparable over panels, and told apart with every kind of colour vision."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace

import pytest

from ago_core.partition.partition import make_partition
from benchmarks.synthetic import block_groups, fused_groups, inception_graph, residual_graph
from visualizers import colouring
from visualizers.colouring import Shown
from visualizers.dot import partition_dot
from visualizers.palette import MARK_HUES, METHOD_HUES, NEUTRAL, SUBGRAPH_HUES
from visualizers.scales import STEPS, diverging, sequential, steps

# Machado, Oliveira and Fernandes, "A physiologically-based model for simulation of color vision deficiency", 2009, of
# severity 1: what the eye makes of linear RGB.
VISION = {
    "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
}
JUST_NOTICEABLE = 2.3  # of CIE 1976 Lab distances


def seen(colour, vision):
    """CIE 1976 Lab, D65, of a colour "#rrggbb" as someone sees it."""
    linear = [_linear(int(colour[start : start + 2], 16) / 255) for start in (1, 3, 5)]
    rgb = [min(1.0, max(0.0, sum(a * b for a, b in zip(row, linear)))) for row in VISION[vision]]
    to_xyz = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
    white = (0.95047, 1.0, 1.08883)
    x, y, z = (_cube_root(sum(a * b for a, b in zip(row, rgb)) / one) for row, one in zip(to_xyz, white))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def _linear(value):
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def _cube_root(value):
    return value ** (1 / 3) if value > 216 / 24389 else (24389 / 27 * value + 16) / 116


@pytest.mark.parametrize("vision", VISION)
def test_hues_of_subgraphs_are_told_apart(vision):
    for a, b in itertools.combinations(SUBGRAPH_HUES, 2):
        assert math.dist(seen(a, vision), seen(b, vision)) > 6 * JUST_NOTICEABLE, (a, b)


@pytest.mark.parametrize("vision", VISION)
def test_scales_grow_lighter_step_by_step_and_their_ends_differ(vision):
    lightness = [seen(colour, vision)[0] for colour in sequential()]
    assert lightness == sorted(lightness) and lightness[-1] - lightness[0] > 60
    worse, middle, better = (seen(diverging()[step], vision) for step in (0, STEPS // 2, STEPS - 1))
    assert min(math.dist(worse, middle), math.dist(middle, better), math.dist(worse, better)) > 10 * JUST_NOTICEABLE


def test_every_hue_is_a_colour():
    for hue in (*SUBGRAPH_HUES, *METHOD_HUES.values(), *MARK_HUES.values(), NEUTRAL, *sequential(), *diverging()):
        assert len(hue) == 7 and int(hue[1:], 16) >= 0


def test_steps_are_even_in_differences_or_in_ratios():
    assert steps([0, 4, 8, None, 99, -1], 0, 8) == [0, 8, 16, None, 16, 0]
    assert steps([1, 10, 100, 0, None], 1, 100, logarithmic=True) == [0, 8, 16, None, None]
    assert steps([5.0, 5.0], 5.0, 5.0) == [0, 0]


@pytest.fixture(scope="module")
def panels():
    graph = inception_graph(60)
    heuristic = make_partition(graph, fused_groups(graph), "heuristic")
    return graph, (Shown(heuristic), Shown(make_partition(graph, block_groups(graph, 7), "ago"), (1, 3)))


@pytest.mark.parametrize("by", [colouring.by_flops, colouring.by_bytes, colouring.by_weight, colouring.by_kind])
def test_both_panels_have_one_scale_and_a_colour_for_all_that_is_drawn(panels, by):
    graph, shown = panels
    left, right = by(graph, shown)
    assert (left.title, left.palette, left.ends, left.names) == (right.title, right.palette, right.ends, right.names)
    assert bool(left.ends) != bool(left.names), "a scale or names"
    for paint, one in zip((left, right), shown):
        assert len(paint.subgraphs) == len(one.partition) and len(paint.operators) in (0, len(graph))
        used = {place for place in (*paint.operators, *paint.subgraphs) if place is not None}
        assert used and max(used) < len(paint.palette)
        json.dumps(paint.to_json())


def test_the_scale_of_flops_reaches_over_folded_subgraphs(panels):
    graph, (left, right) = panels
    open_ = colouring.by_flops(graph, (left, Shown(right.partition)))[0]
    folded = colouring.by_flops(graph, (left, right))[0]
    assert open_.ends[0] == folded.ends[0] == "25.1 kFLOP" and open_.ends[1] == "14.5 MFLOP"
    most = max(sum(graph.operators[op].flops for op in right.partition.subgraphs[index]) for index in right.folded)
    assert folded.ends[1] == f"{most / 1e6:.1f} MFLOP"


def test_rare_kinds_share_one_colour():
    graph = residual_graph(20)
    operators = tuple(replace(op, kind=f"kind {min(op.id // 2, op.id % 10)}") for op in graph.operators)
    several = replace(graph, operators=operators)
    paint = colouring.by_kind(several, [Shown(make_partition(several, fused_groups(several), "heuristic"))])[0]
    kinds = {op.kind for op in operators}
    assert len(paint.names) == len(paint.palette) == len(SUBGRAPH_HUES) + 1
    assert paint.names[-1] == f"{len(kinds) - len(SUBGRAPH_HUES)} others" and paint.palette[-1] == NEUTRAL
    for op, place in zip(operators, paint.operators):
        assert paint.names[place] == op.kind if op.kind in paint.names else place == len(SUBGRAPH_HUES)


def test_latency_is_shown_where_it_was_measured():
    left, right = colouring.by_latency([(0.001, 0.0025), None])
    assert right is None
    assert left.ends == ("0 ms", "2.5 ms") and left.texts == ("1 ms", "2.5 ms") and left.subgraphs[1] == STEPS - 1
    assert "measured" in left.title


def test_a_speed_up_compares_what_covers_the_same_operators():
    graph = residual_graph(9)
    before = make_partition(graph, [range(3), range(3, 6), range(6, 9)], "heuristic")
    after = make_partition(graph, [range(6), range(6, 9)], "ago")
    shown = (Shown(before), Shown(after))
    left, right = colouring.by_speedup(graph, shown, ((0.002, 0.001, 0.001), (0.002, 0.002)), ("TVM", "AGO"))
    assert right.texts == ("1.50× faster", "2.00× slower")
    assert left.texts == ("1.50× faster", "1.50× faster", "2.00× slower")
    assert right.ends == ("2.00× slower", "2.00× faster") and right.subgraphs[1] == 0 < STEPS // 2 < right.subgraphs[0]
    silent = colouring.by_speedup(graph, shown, ((0.002, 0.001, 0.001), (0.002, 0.0)), ("TVM", "AGO"))[1]
    assert silent.texts[1] == "not measured by itself" and silent.subgraphs[1] is None


def test_a_whole_model_in_dot_has_every_subgraph_and_edge():
    graph = inception_graph(60)
    partition = make_partition(graph, fused_groups(graph), "heuristic")
    text = partition_dot(graph, partition)
    several = sum(len(members) > 1 for members in partition.subgraphs)
    assert text.count("subgraph cluster_") == several
    assert all(f"o{u} -> o{v} " in text for u, v in graph.edges) and "input -> o0" in text
    assert text.count(" -> ") == len(graph.edges) + 1
