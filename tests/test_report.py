"""The report: one HTML file with pictures, figures and how they were measured, that needs no network."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from ago_core.artifacts.inspect import Opened
from ago_core.partition.partition import make_partition
from app.report import main
from app.services.report import Plan, plan_of, plan_of_run, report
from benchmarks.synthetic import fused_groups, residual_graph
from visualizers.layout import layout
from visualizers.partition_svg import partition_svg

RUNS = [1.0, 1.25, 1.5]
LATENCY = {"median": 1.25, "q1": 1.1, "q3": 1.4, "runs": RUNS}
MANIFEST = {
    "method": "heuristic",
    "tuned": None,
    "threads": 2,
    "machine": "a <machine>",
    "exported_at": "2026-11-23T03:47:51+00:00",
    "versions": {"apache-tvm": "0.27"},
    "target": "llvm",
    "max_rel_error": 1e-6,
    "latency_ms": LATENCY,
    "reference_ms": LATENCY | {"median": 2.5},
    "reloaded": {"max_rel_error": 2e-6, "latency_ms": LATENCY | {"median": 1.375}},
}


@pytest.fixture
def graph():
    return residual_graph(24)


@pytest.fixture
def partition(graph):
    return make_partition(graph, fused_groups(graph), "heuristic")


def opened(graph, partition, **fields):
    commands = ("python -m ago_core export net.onnx --partition partition.json --output again.zip",)
    return Opened("net.zip", MANIFEST | fields, graph, partition, None, (), commands, False)


class Outside(HTMLParser):
    """Finds what a page would fetch."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        self.found += [value for name, value in attributes if name in ("src", "href") and not value.startswith("data:")]


def test_it_shows_what_the_artifact_says_and_how_to_measure_it_again(graph, partition):
    page = report(graph, [plan_of(opened(graph, partition))], {}).decode()
    for text in ("1.38 ms", "2.5 ms", "2.0e-06", "a &lt;machine&gt;", "2026-11-23 03:47:51 UTC", "apache-tvm 0.27"):
        assert text in page, text
    assert "in the folder that net.zip unpacks to" in page and "python -m ago_core export net.onnx" in page
    assert "In a clean process" in page and graph.model_hash in page


def test_names_are_shown_as_they_are(graph, partition):
    hostile = "</script><script>alert(1)</script>"
    named = replace(graph, name=hostile)
    page = report(named, [plan_of(opened(named, partition), hostile)], {}).decode()
    assert hostile not in page and "&lt;script&gt;alert(1)" in page


def test_it_needs_no_network(graph, partition):
    page = report(graph, [plan_of(opened(graph, partition))], {}).decode()
    reader = Outside()
    reader.feed(page)
    assert reader.found == []
    assert page.count("plotly.js v") == 1, "the library is in it once"


def test_the_partition_is_in_the_page(graph, partition):
    page = report(graph, [Plan("AGO", partition)], {}).decode()
    data = re.search(r'download="ago.json" href="data:application/json;base64,([^"]+)"', page)[1]
    assert json.loads(base64.b64decode(data)) == partition.to_json()
    assert "Nothing was measured" in page


def test_plans_stand_beside_each_other(graph, partition):
    single = make_partition(graph, [[op.id] for op in graph.operators], "edited")
    result = {"threads": 1, "machine": "m", "latency_ms": LATENCY, "reference_ms": LATENCY, "max_rel_error": 0.0}
    ran = plan_of_run("Edited", single, result | {"versions": {}, "target": "llvm"}, "today", ("run it",))
    page = report(graph, [plan_of(opened(graph, partition)), ran], {}).decode()
    assert f"Edited: {len(single)} subgraphs" in page and f"TVM heuristic: {len(partition)} subgraphs" in page
    assert page.count('<div class="picture"><svg') == 2 and "run it" in page


def test_the_picture_has_every_operator_edge_and_box_and_is_xml(graph, partition):
    svg = ElementTree.fromstring(partition_svg(graph, partition, layout(graph, partition)))
    tags = [element.tag.rpartition("}")[2] for element in svg.iter()]
    boxes = sum(len(members) > 1 for members in partition.subgraphs)
    assert tags.count("polyline") == len(graph.edges)
    assert tags.count("rect") == len(graph) + boxes + 1, "and the paper"
    names = {element.text for element in svg.iter() if element.tag.endswith("title")}
    assert {op.name for op in graph.operators} < names


def test_the_command_line_says_what_is_wrong(tmp_path, capsys):
    assert main([str(tmp_path / "none.zip"), "--output", str(tmp_path / "r.html")]) == 2
    assert "There is no artifact" in capsys.readouterr().err and not (tmp_path / "r.html").exists()


def test_it_is_written_without_the_compiler():
    code = "import sys, app.report; sys.exit('tvm' in sys.modules or 'streamlit' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
