"""Layout: what any drawing must hold, whichever engine drew it, and what happens when Graphviz gives none."""

from __future__ import annotations

import json
import shutil
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ago_core.graph.opgraph import OpGraph
from ago_core.partition.partition import Partition, make_partition
from benchmarks.synthetic import attention_graph, block_groups, fused_groups, inception_graph, residual_graph
from visualizers import dot_engine, layered
from visualizers.dot_engine import Effort, edge_spans, simplify
from visualizers.drawing import Drawing, node_size
from visualizers.folding import fold
from visualizers.layout import Layout, layout

needs_dot = pytest.mark.skipif(dot_engine.find_dot() is None, reason="no Graphviz on this machine")
NETWORKS = st.sampled_from([residual_graph, inception_graph, attention_graph])
ASPECTS = st.sampled_from([0.2, 1.0, 3.0])


def partition_of(graph: OpGraph, block: int) -> Partition:
    """Blocks of `block` operators; 0 stands for a heuristic's chains."""
    return make_partition(graph, block_groups(graph, block) if block else fused_groups(graph), "ago")


def rectangle(position):
    x, y, width, height = position
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def contains(outer, inner, slack=0.5):
    return (
        outer[0] - slack <= inner[0]
        and outer[1] - slack <= inner[1]
        and outer[2] + slack >= inner[2]
        and outer[3] + slack >= inner[3]
    )


def overlap(a, b, slack=0.5):
    return a[0] < b[2] - slack and b[0] < a[2] - slack and a[1] < b[3] - slack and b[1] < a[3] - slack


def check(graph: OpGraph, partition: Partition, result: Layout) -> None:
    """Boxes hold their members and nothing else; nothing overlaps or is lost; the bounding box holds everything."""
    operators = [rectangle(position) for position in result.positions]
    assert len(operators) == len(graph)
    assert len(result.routes) == len(graph.edges)
    assert [box is None for box in result.boxes] == [len(members) == 1 for members in partition.subgraphs]
    for index, members in enumerate(partition.subgraphs):
        box = result.boxes[index]
        if box is None:
            continue
        for op, area in enumerate(operators):
            assert contains(box, area) if op in members else not overlap(box, area)
        assert not any(overlap(box, other) for other in result.boxes[:index] if other)
    assert not any(overlap(a, b) for i, a in enumerate(operators) for b in operators[:i])
    inside = operators + [box for box in result.boxes if box] + [(*p, *p) for route in result.routes for p in route]
    assert all(contains(result.bbox, area) for area in inside)


@needs_dot
@settings(max_examples=25, deadline=None)
@given(network=NETWORKS, size=st.integers(1, 70), block=st.integers(0, 12), aspect=ASPECTS)
def test_graphviz_drawing_holds_what_it_must(network, size, block, aspect):
    graph = network(size)
    partition = partition_of(graph, block)
    result = layout(graph, partition, aspect)
    assert (result.engine, result.note) == ("dot", "")
    check(graph, partition, result)


@settings(max_examples=40, deadline=None)
@given(network=NETWORKS, size=st.integers(1, 70), block=st.integers(0, 12), aspect=ASPECTS)
def test_layered_drawing_holds_what_it_must(network, size, block, aspect):
    graph = network(size)
    partition = partition_of(graph, block)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dot_engine, "find_dot", lambda: None)
        result = layout(graph, partition, aspect)
    assert result.engine == "layered"
    assert "no Graphviz was found" in result.note
    check(graph, partition, result)


@settings(max_examples=40, deadline=None)
@given(network=NETWORKS, size=st.integers(2, 90), block=st.integers(0, 12), aspect=ASPECTS)
def test_strips_never_split_a_box(network, size, block, aspect):
    graph = network(size)
    partition = partition_of(graph, block)
    sizes = tuple(node_size(op) for op in graph.operators)
    drawing = layered.draw(graph, partition, sizes)
    folded = fold(graph.edges, sizes, drawing, aspect)
    for index, members in enumerate(partition.subgraphs):
        if drawing.boxes[index] is None:
            continue
        for op in members:
            before = [drawing.centres[op][axis] - drawing.boxes[index][axis] for axis in (0, 1)]
            after = [folded.centres[op][axis] - folded.boxes[index][axis] for axis in (0, 1)]
            assert after == pytest.approx(before)


def chain(count: int) -> tuple[tuple, tuple, Drawing]:
    """Edges, sizes and a drawing of operators one below the other, 40 pixels apart."""
    edges = tuple((i, i + 1) for i in range(count - 1))
    centres = tuple((25.0, 40.0 * i + 10) for i in range(count))
    return edges, ((50.0, 20.0),) * count, Drawing(centres, (None,) * count, ((),) * len(edges))


def test_a_long_chain_is_folded_to_fill_the_panel():
    edges, sizes, drawing = chain(200)
    folded = fold(edges, sizes, drawing, aspect=1.0)
    width, height = folded.bbox[2] - folded.bbox[0], folded.bbox[3] - folded.bbox[1]
    assert 0.7 < width / height < 1.4
    strips = len({round(x) for x, _ in folded.centres})
    assert len(folded.detours) == strips - 1


def test_a_wider_panel_gets_a_wider_drawing():
    edges, sizes, drawing = chain(100)
    narrow, wide = (fold(edges, sizes, drawing, aspect).bbox for aspect in (0.5, 2.0))
    assert wide[2] - wide[0] > narrow[2] - narrow[0]
    assert wide[3] - wide[1] < narrow[3] - narrow[1]


def test_an_edge_to_another_strip_goes_around_the_operators():
    edges, sizes, drawing = chain(60)
    folded = fold(edges, sizes, drawing, aspect=1.0)
    for index in folded.detours:
        route = folded.routes[index]
        assert len(route) >= 4
        for x, y in route:
            assert not any(abs(x - cx) < 25 and abs(y - cy) < 10 for cx, cy in folded.centres)


def test_a_long_edge_passes_below_every_strip_on_its_way():
    """A tall box makes the strip in the middle taller than the others; edges lead from the first operator past it."""
    edges, sizes, drawing = chain(60)
    long_edges = tuple((0, v) for v in range(46, 60))
    box = (0.0, 40.0 * 15, 50.0, 40.0 * 45 + 20)
    drawing = Drawing(drawing.centres, (*drawing.boxes, box), (*drawing.routes, *[None] * len(long_edges)))
    folded = fold(edges + long_edges, sizes, drawing, aspect=1.5)
    lowest = max(y + 10 for _, y in folded.centres)
    assert lowest == pytest.approx(folded.centres[45][1] + 10)
    for index in range(len(edges), len(edges) + len(long_edges)):
        assert index in folded.detours
        assert max(y for _, y in folded.routes[index]) > lowest


def test_a_chain_that_fits_is_not_folded():
    edges, sizes, drawing = chain(4)
    folded = fold(edges, sizes, drawing, aspect=0.4)
    assert folded.detours == ()
    assert folded.centres == drawing.centres


def test_an_empty_graph_has_an_empty_layout():
    graph = residual_graph(0)
    result = layout(graph, make_partition(graph, [], "ago"))
    assert (result.positions, result.boxes, result.bbox) == ((), (), (0.0, 0.0, 0.0, 0.0))


def test_a_layout_survives_json():
    graph = residual_graph(40)
    result = layout(graph, partition_of(graph, 7))
    assert Layout.from_json(json.loads(json.dumps(result.to_json()))) == result


def script(tmp_path, text: str) -> str:
    path = tmp_path / "dot"
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import time; time.sleep(30)", "longer than 0.3 s"),
        ("import sys; sys.exit('trouble in init_rank')", "trouble in init_rank"),
        ("print('{}')", "could not be read"),
        ("print('no json')", "could not be read"),
    ],
)
def test_when_graphviz_gives_nothing_the_layered_layout_says_why(tmp_path, monkeypatch, text, reason):
    executable = script(tmp_path, text)
    monkeypatch.setattr(dot_engine, "find_dot", lambda: executable)
    monkeypatch.setattr("visualizers.layout.DOT_SECONDS", 0.3)
    graph = inception_graph(30)
    partition = partition_of(graph, 0)
    result = layout(graph, partition)
    assert result.engine == "layered"
    assert reason in result.note
    check(graph, partition, result)


@needs_dot
def test_a_second_try_with_less_effort_follows_the_first(tmp_path, monkeypatch):
    """The fake `dot` fails unless it is told to limit its effort, then hands over to the real one."""
    real = dot_engine.find_dot()
    text = f"""import subprocess, sys
source = sys.stdin.read()
if "nslimit" not in source:
    sys.exit("too hard")
sys.exit(subprocess.run([{real!r}, *sys.argv[1:]], input=source, text=True).returncode)"""
    executable = script(tmp_path, text)
    monkeypatch.setattr(dot_engine, "find_dot", lambda: executable)
    graph = inception_graph(40)
    partition = partition_of(graph, 0)
    result = layout(graph, partition)
    assert result.engine == "dot (coarse)"
    assert "too hard" in result.note
    check(graph, partition, result)


@needs_dot
def test_edges_as_long_as_the_model_neither_stretch_it_nor_lead_upwards():
    graph = attention_graph(300)
    partition = partition_of(graph, 0)
    result = layout(graph, partition)
    assert result.engine == "dot"
    assert "had no say" in result.note
    assert "pwards" not in result.note
    check(graph, partition, result)
    area = sum(width * height for _, _, width, height in result.positions)
    drawn = (result.bbox[2] - result.bbox[0]) * (result.bbox[3] - result.bbox[1])
    assert drawn < 12 * area


def test_the_span_of_an_edge_counts_ranks():
    graph = residual_graph(9)
    spans = dict(zip(graph.edges, edge_spans(graph)))
    assert spans[0, 1] == 1
    assert spans[2, 8] == 6


def test_a_graphviz_that_cannot_be_started_is_an_error_of_its_own():
    graph = residual_graph(3)
    with pytest.raises(dot_engine.DotError, match="could not be started"):
        dot_engine.draw("/nonexistent/dot", graph, partition_of(graph, 0), ((50.0, 20.0),) * 3, Effort(), seconds=1)


def test_dot_on_the_path_comes_before_the_pip_package(tmp_path, monkeypatch):
    executable = script(tmp_path, "")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("dot") == executable
    assert dot_engine.find_dot() == executable


def test_simplify_keeps_ends_and_corners_only():
    assert simplify([(0, 0), (5, 0.1), (10, 0)], 1) == [(0, 0), (10, 0)]
    assert simplify([(0, 0), (5, 0), (10, 0), (10, 5), (10, 10)], 1) == [(0, 0), (10, 0), (10, 10)]
