"""Charts hold the numbers they were given; the DOT of one subgraph is complete and cannot be broken by names."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace

import pytest

from ago_core.partition.partition import make_partition
from benchmarks.synthetic import block_groups, inception_graph, residual_graph
from visualizers import charts
from visualizers.dot import subgraph_dot
from visualizers.dot_engine import find_dot
from visualizers.gantt import Bar, gantt
from visualizers.palette import METHOD_HUES
from visualizers.waterfall import Step, signed, waterfall


def bars(figure):
    return {trace.name: dict(zip(trace.x, trace.y)) for trace in figure.data}


def test_subgraph_sizes_counts_by_size():
    figure = charts.subgraph_sizes({"heuristic": [1, 1, 3], "ago": [5]})
    assert bars(figure)["heuristic"] == {"1": 2, "2": 0, "3": 1, "4": 0, "5": 0}
    assert bars(figure)["ago"] == {"1": 0, "2": 0, "3": 0, "4": 0, "5": 1}
    assert figure.data[1].marker.color == METHOD_HUES["ago"]


def test_subgraph_sizes_joins_sizes_where_there_are_many_and_loses_none():
    figure = charts.subgraph_sizes({"ago": list(range(1, 90))})
    counts = bars(figure)["ago"]
    assert len(counts) <= charts.MAX_BARS
    assert sum(counts.values()) == 89
    assert counts["1–5"] == 5


def test_complex_per_subgraph_joins_three_and_more():
    figure = charts.complex_per_subgraph({"heuristic": [0, 1, 1], "ago": [2, 3, 7]})
    assert bars(figure) == {
        "heuristic": {"0": 1, "1": 2, "2": 0, "3+": 0},
        "ago": {"0": 0, "1": 0, "2": 1, "3+": 2},
    }


def test_weights_are_sorted_and_logarithmic_only_if_positive():
    figure = charts.weight_distribution({"ago": [1.0, 5.0, 3.0]})
    assert list(figure.data[0].y) == [5.0, 3.0, 1.0]
    assert figure.layout.yaxis.type == "log"
    assert charts.weight_distribution({"ago": [0.0, 2.0]}).layout.yaxis.type is None


def test_latency_runs_shows_every_run_of_every_series():
    figure = charts.latency_runs({"compiled": [3.0, 1.0, 2.0], "ONNX Runtime": [1.0, 1.5, 2.0]})
    assert [list(box.x) for box in figure.data] == [[3.0, 1.0, 2.0], [1.0, 1.5, 2.0]]
    assert [box.name for box in figure.data] == ["compiled", "ONNX Runtime"]
    low, high = figure.layout.xaxis.range
    assert low < 1.0 and high > 3.0 and figure.layout.xaxis.type is None
    assert figure.layout.title.text == "Latency of 3 runs"


def test_a_slow_run_does_not_squash_the_others_and_is_counted():
    runs = [1.0, 1.1, 1.2, 1.1, 1.0, 1.05, 40.0]
    figure = charts.latency_runs({"compiled": runs, "ONNX Runtime": [1.0] * 7})
    assert figure.layout.xaxis.range[1] < 2
    assert figure.layout.title.text == "Latency of 7 runs, 1 outside"
    assert 40.0 in figure.data[0].x


def test_latencies_far_apart_share_a_logarithmic_axis():
    figure = charts.latency_runs({"compiled": [50.0, 51.0, 52.0], "ONNX Runtime": [5.0, 5.1, 5.2]})
    assert figure.layout.xaxis.type == "log"
    low, high = (10**end for end in figure.layout.xaxis.range)
    assert 4.5 < low < 5.0 and 52.0 < high < 56.0


def test_operator_kinds_counts_every_operator_and_sets_complex_ones_apart():
    graph = inception_graph(60)
    figure = charts.operator_kinds(graph)
    counts = {trace.name: dict(zip(trace.y, trace.x)) for trace in figure.data}
    assert set(counts["complex"]) == {"conv2d"}
    assert sum(sum(rows.values()) for rows in counts.values()) == len(graph)


STEPS = [Step("S1 → S0", -2e-6, "gained"), Step("S2 → S1", 5e-7, "lost"), Step("Not in kernels", 0.0, "")]
LANES = {
    "before": [Bar("S0", 0.0, 4e-6, 0, "conv"), Bar("S1", 4e-6, 1e-8, 9, "relu")],
    "after": [Bar("S0", 0.0, 3e-6, 0, "conv, relu")],
}


def test_a_waterfall_ends_at_the_sum_of_its_steps():
    (trace,) = waterfall(STEPS, "Gains", "All").data
    assert list(trace.measure) == ["relative"] * 3 + ["total"]
    assert list(trace.x[:3]) == pytest.approx([-2.0, 0.5, 0.0])
    assert list(trace.text) == ["−2.00 µs", "+0.50 µs", "0 µs", "−1.50 µs"]
    assert trace.decreasing.marker.color != trace.increasing.marker.color


def test_a_waterfall_has_room_for_its_numbers():
    low, high = waterfall(STEPS, "Gains", "All").layout.xaxis.range
    assert low < -2.0 and high > 0.0


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [(-12.34, "−12.3 µs"), (1234.4, "+1,234 µs"), (0.001, "0 µs"), (-0.5, "−0.50 µs")],
)
def test_changes_carry_their_sign(microseconds, text):
    assert signed(microseconds) == text


def test_kernels_of_the_same_operators_look_alike_in_both_lanes():
    before, after = gantt(LANES, "Kernels").data
    assert before.marker.color[0] == after.marker.color[0]
    looks = list(zip(before.marker.color, before.marker.pattern.shape))
    assert looks[0] != looks[1]
    assert list(before.base) == pytest.approx([0.0, 4.0]) and list(before.x) == pytest.approx([4.0, 0.01])
    assert list(before.text) == ["S0", ""], "a bar that is too narrow says its name on hover alone"
    assert before.customdata[1][0] == "S1"


@pytest.mark.parametrize(
    "figure",
    [
        waterfall(STEPS, "Gains", "All"),
        gantt(LANES, "Kernels"),
        charts.subgraph_sizes({"a": [], "b": [1]}),
        charts.complex_per_subgraph({"a": [1]}),
        charts.weight_distribution({"a": [1.0]}),
        charts.latency_runs({"compiled": [1.0]}),
        charts.operator_kinds(residual_graph(5)),
    ],
    ids=lambda figure: figure.layout.title.text,
)
def test_every_chart_is_titled_labelled_transparent_and_serialisable(figure):
    assert figure.layout.title.text
    assert figure.layout.xaxis.title.text
    assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0, 0, 0, 0)"
    assert figure.layout.font.color is None
    assert figure.to_json()


@pytest.fixture
def blocks():
    graph = residual_graph(40)
    return graph, make_partition(graph, block_groups(graph, 8), "ago")


def test_dot_shows_members_boundary_and_shapes(blocks):
    graph, partition = blocks
    text = subgraph_dot(graph, partition, 1)
    members = partition.subgraphs[1]
    assert {int(name) for name in re.findall(r"^o(\d+) \[label", text, re.MULTILINE)} == set(members)
    readers = [(u, v) for u, v in graph.edges if u in members and v in members]
    assert all(f"o{u} -> o{v} [" in text for u, v in readers)
    producers = {u for u, v in graph.edges if v in members and u not in members}
    assert producers
    assert {int(name) for name in re.findall(r"^i(\d+) \[shape=plaintext", text, re.MULTILINE)} == producers
    written = {u for u, v in graph.edges if u in members and v not in members}
    assert {int(name) for name in re.findall(r"^r(\d+) \[shape=plaintext", text, re.MULTILINE)} == written
    assert "1×32×28×28" in text


def test_dot_draws_complex_operators_bold_and_names_the_models_ends(blocks):
    graph, partition = blocks
    text = subgraph_dot(graph, partition, 0)
    bold = {int(name) for name in re.findall(r"^o(\d+) .*penwidth=2.5", text, re.MULTILINE)}
    assert bold == {op for op in partition.subgraphs[0] if graph.operators[op].is_complex}
    assert "model input" in text
    assert "model output" in subgraph_dot(graph, partition, len(partition) - 1)


@pytest.mark.skipif(find_dot() is None, reason="no Graphviz on this machine")
def test_dot_is_valid_even_with_names_that_would_end_a_string(blocks):
    graph, partition = blocks
    evil = replace(graph.operators[0], name='a"]; evil [label="\\')
    graph = replace(graph, operators=(evil, *graph.operators[1:]))
    result = subprocess.run(
        [find_dot(), "-Tplain"], input=subgraph_dot(graph, partition, 0), capture_output=True, text=True, timeout=20
    )
    assert result.returncode == 0, result.stderr
    assert not re.search(r"^node evil ", result.stdout, re.MULTILINE)


def test_dot_of_a_subgraph_that_does_not_exist_is_an_index_error(blocks):
    with pytest.raises(IndexError):
        subgraph_dot(*blocks, 99)
