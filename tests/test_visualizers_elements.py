"""Elements of the graph view: complete, consistent, coloured so that neighbours differ; and texts with units."""

from __future__ import annotations

import math

import pytest

from ago_core.partition.partition import make_partition
from benchmarks.synthetic import block_groups, fused_groups, inception_graph, residual_graph
from visualizers.elements import describe, elements, search_index, subgraph_hues
from visualizers.layout import Layout, layout
from visualizers.palette import SUBGRAPH_HUES, series_hue
from visualizers.scene import Folding, make_scene
from visualizers.units import flops, nbytes, quantity


@pytest.fixture(scope="module", params=[residual_graph, inception_graph])
def case(request):
    graph = request.param(80)
    partition = make_partition(graph, fused_groups(graph), "heuristic")
    drawn = layout(graph, partition)
    return graph, partition, drawn, elements(make_scene(graph, partition), drawn)


def by_class(items, name):
    return [item for item in items if name in item["classes"].split()]


def test_every_operator_edge_and_box_is_there_once(case):
    graph, partition, _, items = case
    ids = [item["data"]["id"] for item in items]
    assert len(ids) == len(set(ids))
    assert {item["data"]["id"] for item in by_class(items, "op")} == {str(op.id) for op in graph.operators}
    ends = [(int(item["data"]["source"]), int(item["data"]["target"])) for item in by_class(items, "edge")]
    assert ends == list(graph.edges)
    boxes = {item["data"]["id"] for item in by_class(items, "box")}
    assert boxes == {f"S{i}" for i, members in enumerate(partition.subgraphs) if len(members) > 1}


def test_boxes_are_painted_first_and_operators_last(case):
    kinds = [item["classes"].split()[0] for item in case[3]]
    assert kinds == sorted(kinds, key=["box", "edge", "op"].index)


def test_complex_operators_look_different(case):
    graph, _, _, items = case
    expected = {str(op.id) for op in graph.operators if op.is_complex}
    assert {item["data"]["id"] for item in by_class(items, "complex")} == expected


def test_a_subgraph_of_one_operator_has_no_box_and_no_hue(case):
    _, partition, _, items = case
    alone = {str(members[0]) for members in partition.subgraphs if len(members) == 1}
    for item in by_class(items, "op"):
        hues = [name for name in item["classes"].split() if name[0] == "t"]
        assert bool(hues) == (item["data"]["id"] not in alone)


def test_bends_in_relative_terms_are_those_of_the_route(case):
    """Computes a bend as cytoscape does: along the line between the ends, then at right angles to it."""
    graph, _, drawn, items = case
    bent = by_class(items, "bent")
    assert bent
    routes = dict(zip(graph.edges, drawn.routes))
    for item in bent:
        u, v = int(item["data"]["source"]), int(item["data"]["target"])
        (x1, y1), (x2, y2) = drawn.positions[u][:2], drawn.positions[v][:2]
        length = math.hypot(x2 - x1, y2 - y1)
        weights = [float(text) for text in item["data"]["weights"].split()]
        distances = [float(text) for text in item["data"]["distances"].split()]
        points = [
            (x1 + w * (x2 - x1) - d * (y2 - y1) / length, y1 + w * (y2 - y1) + d * (x2 - x1) / length)
            for w, d in zip(weights, distances)
        ]
        assert len(points) == len(routes[u, v])
        for point, expected in zip(points, routes[u, v]):
            assert point == pytest.approx(expected, abs=0.1 + 0.0001 * length)


def test_edges_that_lead_around_are_marked(case):
    graph, _, drawn, items = case
    expected = {f"{graph.edges[index][0]}-{graph.edges[index][1]}" for index in drawn.detours}
    assert {item["data"]["id"] for item in by_class(items, "detour")} == expected


@pytest.mark.parametrize("network", [residual_graph, inception_graph])
@pytest.mark.parametrize("block", [0, 2, 5, 11])
def test_neighbouring_subgraphs_have_different_hues(network, block):
    graph = network(120)
    partition = make_partition(graph, block_groups(graph, block) if block else fused_groups(graph), "ago")
    hues = subgraph_hues(graph, partition)
    for u, v in graph.edges:
        first, second = partition.owner[u], partition.owner[v]
        assert first == second or None in (hues[first], hues[second]) or hues[first] != hues[second]
    assert [hue is None for hue in hues] == [len(members) == 1 for members in partition.subgraphs]
    assert max((hue for hue in hues if hue is not None), default=0) < len(SUBGRAPH_HUES)


def test_the_card_says_what_an_operator_does_as_plain_text(case):
    graph, _, _, items = case
    operator = graph.operators[0]
    card = dict(next(item for item in by_class(items, "op") if item["data"]["id"] == "0")["data"]["card"])
    assert card["conv2d_0"] == ""
    assert card["Kind"] == "conv2d (out-elementwise-fusable)"
    assert card["Weights"] == "float32[32×32×3×3]"
    assert card["Work"] == flops(operator.flops) == "14.5 MFLOP"
    assert card["Traffic"] == "134 KiB in, 98 KiB out"
    assert card["ONNX"] == operator.origin[0] == "/conv2d/0<b>"


def test_the_description_counts(case):
    graph, partition, _, items = case
    several = sum(len(members) > 1 for members in partition.subgraphs)
    assert describe(items).startswith(f"{len(graph)} operators, ")
    assert describe(items).endswith(f"{several} subgraphs of several operators.")


def test_the_same_elements_come_from_a_layout_read_back(case):
    graph, partition, drawn, items = case
    assert elements(make_scene(graph, partition), Layout.from_json(drawn.to_json())) == items


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 FLOP"),
        (999, "999 FLOP"),
        (1000, "1 kFLOP"),
        (1234567, "1.23 MFLOP"),
        (45.6e9, "45.6 GFLOP"),
        (3e15, "3000 TFLOP"),
    ],
)
def test_quantities_have_three_digits_and_a_prefix(value, text):
    assert flops(value) == text


def test_bytes_use_binary_prefixes():
    assert [nbytes(value) for value in (1, 2048, 1536 * 1024)] == ["1 B", "2 KiB", "1.5 MiB"]
    assert quantity(100 * 1024, "B", 1024) == "100 KiB"


def test_a_method_has_one_hue_everywhere():
    assert series_hue("ago", 0) == series_hue("AGO", 3)
    assert series_hue("heuristic", 0) != series_hue("ago", 0)
    assert series_hue("something else", 1) == SUBGRAPH_HUES[1]


def folded_case(folded):
    graph = residual_graph(80)
    partition = make_partition(graph, block_groups(graph, 8), "ago")
    scene = make_scene(graph, partition, folded)
    return graph, partition, scene, elements(scene, layout(scene.drawn, scene.groups))


def test_a_folded_subgraph_is_one_node_that_knows_its_members():
    graph, partition, scene, items = folded_case((0, 3, 9))
    nodes = {item["data"]["id"]: item for item in by_class(items, "op")}
    for index in (0, 3, 9):
        node = nodes[f"S{index}"]
        assert tuple(node["data"]["members"]) == partition.subgraphs[index]
        inside = [graph.operators[op] for op in partition.subgraphs[index]]
        complex_count = sum(op.is_complex for op in inside)
        assert node["data"]["label"] == f"S{index} · {complex_count}/{len(inside)} complex"
        assert ("complex" in node["classes"].split()) == (complex_count > 0)
    inside = {op for index in (0, 3, 9) for op in partition.subgraphs[index]}
    assert set(nodes) == {"S0", "S3", "S9"} | {str(op.id) for op in graph.operators if op.id not in inside}
    assert not {"S0", "S3", "S9"} & {item["data"]["id"] for item in by_class(items, "box")}
    assert describe(items).endswith(f"3 more subgraphs folded, of {len(inside)} operators.")


@pytest.mark.parametrize("folded", [(), (0, 3, 9), tuple(range(10))])
def test_folding_keeps_every_edge_between_what_is_drawn(folded):
    graph, partition, scene, items = folded_case(folded)
    owner = partition.owner
    name = {op: f"S{owner[op]}" if owner[op] in folded else str(op) for op in range(len(graph))}
    expected = {f"{name[u]}-{name[v]}" for u, v in graph.edges if name[u] != name[v]}
    assert {item["data"]["id"] for item in by_class(items, "edge")} == expected
    assert all(u < v for u, v in scene.drawn.edges), "nodes are in topological order"


def test_a_hue_stays_when_subgraphs_are_folded():
    hues = [
        {item["data"]["subgraph"]: item["classes"].split()[-1] for item in by_class(folded_case(folded)[3], "op")}
        for folded in ((), (0, 3, 9))
    ]
    assert hues[0] == hues[1]


def test_edges_carry_the_shape_of_what_flows_along_them():
    graph, _, _, items = folded_case((3,))
    shapes = {item["data"]["id"]: item["data"]["shape"] for item in by_class(items, "edge")}
    assert shapes["0-1"] == "1×32×28×28"
    assert all(shapes.values())


def test_what_an_edit_leaves_as_it_was_stays_folded():
    graph = residual_graph(80)
    before = make_partition(graph, block_groups(graph, 8), "edited")
    groups = [*before.subgraphs[0], *before.subgraphs[1]], *before.subgraphs[2:]
    after = make_partition(graph, groups, "edited")
    folding = Folding().toggled(before.subgraphs[4]).toggled(before.subgraphs[0])
    assert folding.folded(before) == (0, 4)
    assert [after.subgraphs[index] for index in folding.folded(after)] == [before.subgraphs[4]]
    assert folding.toggled(before.subgraphs[4]).folded(before) == (0,)
    assert Folding(closed=True).toggled(before.subgraphs[4]).folded(before) == (0, 1, 2, 3, 5, 6, 7, 8, 9)


def test_large_models_are_first_shown_by_their_subgraphs():
    assert not Folding.at_first(residual_graph(500)).closed
    assert Folding.at_first(residual_graph(1500)).closed


def test_operators_are_found_by_name_kind_pattern_and_onnx_node():
    assert search_index(residual_graph(3))[1] == ["add_1", "add", "broadcast", "/add/1<b>"]
