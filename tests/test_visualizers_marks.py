"""Marks name elements that exist, and the right ones."""

from __future__ import annotations

import json

from ago_core.partition.ago import Verdict, cluster
from ago_core.partition.compare import Change, compare
from ago_core.partition.edits import merge
from ago_core.partition.partition import make_partition
from ago_core.partition.settings import Settings
from ago_core.partition.trace import state_at
from benchmarks.synthetic import fused_groups, inception_graph, residual_graph
from visualizers import marks
from visualizers.palette import MARK_HUES


def element_ids(graph, partition):
    operators = {str(op.id) for op in graph.operators}
    return operators | {f"{u}-{v}" for u, v in graph.edges} | {f"S{i}" for i in range(len(partition))}


def test_every_step_marks_elements_that_exist_and_colours_that_there_are():
    graph = inception_graph(80)
    clustering = cluster(graph, Settings(threshold=100))
    known = element_ids(graph, clustering.partition)
    for index, step in enumerate(clustering.steps):
        state = state_at(graph, clustering, index)
        found = marks.step_marks(graph, state)
        assert set(found.elements) <= set(MARK_HUES)
        assert all(set(ids) <= known for ids in found.elements.values())
        assert {str(op) for op in state.cluster} <= set(found.elements["cluster"])
        assert {str(op) for op in state.candidate} <= set(found.elements["candidate"])
        assert not set(found.elements["affix"]) & {str(op) for op in state.candidate}
        assert [f"{u}-{v}" for u, v in state.detour] == [i for i in found.elements["cycle"] if "-" in i]
        assert ("cycle" in dict(found.legend)) == (step.verdict is Verdict.CYCLE)
        json.dumps(found.to_json())


def test_a_refusal_marks_its_cycle_and_what_must_come_along():
    graph = residual_graph(12)
    partition = make_partition(graph, [[op] for op in range(12)], "edited")
    refusal = merge(graph, partition, {partition.owner[2], partition.owner[8]})
    found = marks.refusal_marks(graph, (2, 8), refusal)
    assert found.elements["cluster"] == ("2", "8")
    assert found.elements["along"] == ("3", "4", "5", "6", "7")
    assert set(found.elements["cycle"]) == {"2-3", "3-4", "4-5", "5-6", "6-7", "7-8"}


def test_changes_cover_both_drawings_and_the_legend_counts_them():
    graph = residual_graph(40)
    before = make_partition(graph, fused_groups(graph), "heuristic")
    after = cluster(graph, Settings()).partition
    comparison = compare(graph, before, after)
    for second, partition in ((False, before), (True, after)):
        found = marks.change_marks(comparison, second)
        ids = [one for several in found.elements.values() for one in several]
        assert sorted(ids) == sorted([str(i) for i in range(40)] + [f"S{i}" for i in range(len(partition))])
        counts = {change: comparison.count(change) for change in Change}
        assert [text for _, text in found.legend] == [f"{change.value} {count}" for change, count in counts.items()]
