"""Every chart and picture of the app has a text alternative, and the texts say what their figures hold."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from ago_core.partition.partition import make_partition
from benchmarks.synthetic import block_groups, inception_graph, residual_graph
from visualizers import charts
from visualizers.dot import NAMED_EDGES, subgraph_text
from visualizers.gantt import Bar, gantt_text
from visualizers.lesson_charts import recompute_curve_text
from visualizers.partition_svg import partition_text
from visualizers.roofline import Point, roofline_text
from visualizers.tuning import Line
from visualizers.tuning_history import Effort, Run
from visualizers.tuning_history import Point as Sum
from visualizers.tuning_words import budget_text, lines_text
from visualizers.waterfall import Step, waterfall_text

APP = Path(__file__).resolve().parents[1] / "app"
PICTURES = ("plotly_chart", "graphviz_chart", "image")


def picture_calls(source):
    """Of Streamlit's elements that show a picture: (line, whether a text alternative is given)."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    for call in calls:
        if isinstance(call.func, ast.Attribute) and call.func.attr in PICTURES:
            yield call.lineno, any(keyword.arg == "alt" for keyword in call.keywords)


def test_no_picture_is_without_a_text_alternative():
    found = {
        f"{path.relative_to(APP)}:{line}": has_alt
        for path in sorted(APP.rglob("*.py"))
        for line, has_alt in picture_calls(path.read_text())
    }
    assert len(found) > 10
    assert [place for place, has_alt in found.items() if not has_alt] == []


def test_a_picture_without_one_would_be_found():
    assert list(picture_calls("st.plotly_chart(figure, key='a')\nleft.image(b'', alt='a')")) == [(1, False), (2, True)]


def test_distributions_name_each_partition_with_its_ends():
    text = charts.subgraph_sizes_text({"heuristic": [1, 1, 3], "ago": [5]})
    assert "heuristic: 3 subgraphs of 1 to 3 operators, median 1; ago: 1 subgraph of 5 to 5 operators, median 5" in text
    text = charts.weight_distribution_text({"ago": [2.0, 80.0, 3.5]})
    assert "ago: 3 subgraphs, weights from 80 down to 2, median 3.5" in text
    text = charts.complex_per_subgraph_text({"ago": [0, 1, 2, 3, 7]})
    assert "ago: 1 with none, 1 with one, 1 with two, 2 with more" in text
    assert "heuristic" not in charts.subgraph_sizes_text({"heuristic": [], "ago": [5]})


def test_latencies_are_said_with_their_spread():
    text = charts.latency_runs_text({"compiled": [1.0, 2.0, 3.0, 4.0, 50.0], "ONNX Runtime": [2.0]})
    assert "compiled: 5 runs, median 3 ms, quartiles 2 to 4 ms, fastest 1 ms, slowest 50 ms" in text
    assert "ONNX Runtime: 1 run, median 2 ms" in text


def test_operator_kinds_are_all_counted():
    graph = inception_graph(60)
    heavy = sum(op.is_complex for op in graph.operators)
    assert f"{len(graph)} in all: {heavy} complex (conv2d {heavy})" in charts.operator_kinds_text(graph)


def test_a_waterfall_says_its_sum_and_the_largest_gain_and_loss():
    steps = [Step("S1 → S0", -2e-6, ""), Step("S2 → S1", 5e-7, ""), Step("Not in kernels", 0.0, "")]
    text = waterfall_text(steps, "All")
    assert "All: −1.50 µs over 3 parts" in text
    assert "largest gain is S1 → S0 with −2.00 µs; the largest loss is S2 → S1 with +0.50 µs" in text
    assert "loss is" not in waterfall_text(steps[:1], "All")


def test_lanes_say_how_long_they_take():
    lanes = {"before": [Bar("S0", 0.0, 4e-6, 0, ""), Bar("S1", 4e-6, 1e-6, 9, "")], "after": []}
    assert "before: 2 kernels, 5.00 µs together, the longest S0 with 4.00 µs; after: no kernels" in gantt_text(lanes)


def test_a_roofline_says_the_roofs_and_each_point():
    chosen, other = Point("S1", 2_000, 1_000, 1e-6, True), Point("S2", 900, 1_000, 1e-6, False)
    text = roofline_text(5e9, [1 << 14, 1 << 20], [4e9, 2e9], chosen, [other])
    assert "2 GB/s for 1 MiB and 4 GB/s for 1000 B, to the peak of 5 GFLOP/s" in text
    assert "S1 2.00 FLOP a byte, 2 GFLOP/s; S2 0.90 FLOP a byte, 900 MFLOP/s" in text


def test_the_recompute_curve_says_what_is_at_the_line():
    text = recompute_curve_text([1024, 2048, 4096], {"conv": [float("inf"), 1.5, 1.0]}, 2048)
    assert "1 KiB to 4 KiB, with a line at 2 KiB" in text
    assert "read by conv: no tile fits with the smallest, 1.00 times with the largest, 1.50 times at the line" in text


def test_the_budget_is_said_task_by_task():
    text = budget_text([Effort(3, 1, 1e-6, "mini"), Effort(1_000, 0, None, "join")], ["0 conv", "1 join"])
    assert "1,003 over 2 tasks. 1 join: 1,000; 0 conv: 3." in text


def test_a_tuned_line_is_said_at_both_ends_and_half_way():
    runs = [Run(after, 1.0, (s,), s, s, s, s, "", "here") for after, s in ((1, 4e-3), (10, 2e-3))]
    sums = [Sum(after, 1.0, s) for after, s in ((1, 3.9e-3), (4, 3.6e-3), (6, 3.4e-3), (10, 3e-3))]
    text = lines_text({"one": Line(runs, sums)})
    assert "one: measured 4.00 ms after 1 trial; measured 2.00 ms after 10 trials" in text
    assert "sum of subgraphs 3.90 ms after 1 trial; sum of subgraphs 3.60 ms after 4 trials; sum of" in text
    assert "3.00 ms after 10 trials" in text and "3.40 ms" not in text
    assert "two: nothing measured yet" in lines_text({"two": Line([], [])})


@pytest.fixture
def blocks():
    graph = residual_graph(40)
    return graph, make_partition(graph, block_groups(graph, 8), "ago")


def test_a_subgraph_is_said_by_its_edges(blocks):
    graph, partition = blocks
    text = subgraph_text(graph, partition, 1)
    inside = [(u, v) for u, v in graph.edges if u in partition.subgraphs[1] and v in partition.subgraphs[1]]
    named = [f"{graph.operators[u].name} to {graph.operators[v].name}" for u, v in inside]
    assert "8 operators" in text and sum(name in text for name in named) == min(NAMED_EDGES, len(named))
    assert partition_text(graph, partition).startswith(f"{graph.name}: 40 operators in {len(partition)} subgraphs")
