"""The construction step by step, and answers to "why are these two (not) together?"."""

from __future__ import annotations

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ago_core.graph.model import load_model
from ago_core.partition.ago import Verdict, cluster
from ago_core.partition.explain import explain_ago, explain_heuristic, immediate_post_dominator
from ago_core.partition.heuristic import heuristic_partition
from ago_core.partition.metrics import is_acyclic
from ago_core.partition.settings import Rule, Settings
from ago_core.partition.trace import replay, state_at
from benchmarks.synthetic import inception_graph, residual_graph
from tests.test_partition import random_graphs

settings_of_clustering = st.builds(
    Settings, threshold=st.sampled_from([10, 40, 80, 200]), rule=st.sampled_from(Rule), aware=st.just(False)
)


@given(random_graphs(), settings_of_clustering)
def test_the_steps_lead_to_the_partition(graph, settings):
    clustering = cluster(graph, settings)
    groups = sorted(tuple(sorted(ops)) for ops in replay(graph, clustering, len(clustering.steps)).members.values())
    assert groups == sorted(clustering.partition.subgraphs)
    assert is_acyclic(graph, clustering.partition)


@given(random_graphs(largest=25), settings_of_clustering)
def test_every_verdict_is_true(graph, settings):
    clustering = cluster(graph, settings)
    for index, step in enumerate(clustering.steps):
        state = state_at(graph, clustering, index)
        merged = (*state.cluster, *state.candidate)
        total = step.weight + step.candidate_weight
        assert (step.verdict is Verdict.THRESHOLD) == (total > settings.threshold)
        names = dict(enumerate(range(len(graph)))) | {op: min(g) for g in state.groups for op in g}
        edges = {tuple(-1 if op in merged else names[op] for op in edge) for edge in graph.edges}
        acyclic = nx.is_directed_acyclic_graph(nx.DiGraph((u, v) for u, v in edges if u != v))
        if step.verdict is Verdict.ABSORBED:
            assert acyclic and state.candidate in state.affix_set
        if step.verdict is Verdict.CYCLE and settings.rule is Rule.EXACT:
            assert not acyclic
        assert bool(state.detour) == (step.verdict is Verdict.CYCLE and not acyclic)
        assert graph.operators[step.candidate].name in state.sentence
        if state.detour:
            check_detour(graph, state.detour, names, {names[state.cluster[0]], names[state.candidate[0]]})


@given(random_graphs(largest=25))
def test_the_exact_rule_leaves_nothing_that_could_still_be_merged(graph):
    clustering = cluster(graph, Settings(threshold=1e9, rule=Rule.EXACT, aware=False))
    clusters = replay(graph, clustering, len(clustering.steps))
    for a in clusters.members:
        if a not in clusters.sealed:
            assert all(clusters.detour(a, b) is not None for b in clusters.neighbours(a))


@given(random_graphs(largest=25), settings_of_clustering, st.data())
def test_an_explanation_says_the_truth(graph, settings, data):
    clustering = cluster(graph, settings)
    u, v = (data.draw(st.integers(0, len(graph) - 1)) for _ in range(2))
    answer = explain_ago(graph, clustering, u, v)
    owner = clustering.partition.owner
    assert answer.together == (owner[u] == owner[v])
    assert answer.sentences
    if answer.step is not None:
        before = replay(graph, clustering, answer.step)
        after = replay(graph, clustering, answer.step + 1)
        assert before.of(u) != before.of(v) and after.of(u) == after.of(v)
    if answer.path:
        path = answer.path
        assert all(owner[a] != owner[b] for a, b in zip(path, path[1:])) and len(path) >= 3
        check_detour(graph, answer.detour, owner, {owner[u], owner[v]})
        assert [owner[a] for a, _ in answer.detour] == [owner[op] for op in path[:-1]]
    assert bool(answer.path) == bool(answer.detour)


def check_detour(graph, detour, group_of, ends):
    """It is a path of at least two of the graph's edges, from group to group, from the one end to the other."""
    assert len(detour) >= 2 and set(detour) <= set(graph.edges)
    assert all(group_of[here[1]] == group_of[there[0]] for here, there in zip(detour, detour[1:]))
    assert {group_of[detour[0][0]], group_of[detour[-1][1]]} == ends


def test_mobilenet_explains_thresholds_and_gains():
    model = load_model("mobilenet_v2@56")
    clustering = cluster(model.graph, Settings())
    kinds = {step.verdict for step in clustering.steps}
    assert Verdict.ABSORBED in kinds and Verdict.THRESHOLD in kinds
    first, second = clustering.partition.subgraphs[:2]
    crossing = next((u, v) for u, v in model.graph.edges if u in first and v in second)
    answer = explain_ago(model.graph, clustering, *crossing)
    assert answer.verdict is Verdict.THRESHOLD and "threshold" in answer.sentences[0]


def test_the_heuristic_is_explained_by_tvms_rules():
    model = load_model("mobilenet_v2@56")
    graph, partition = model.graph, heuristic_partition(model)
    by_name = {op.name: op.id for op in graph.operators}
    together = explain_heuristic(graph, partition, by_name["conv2d_1"], by_name["add_1"])
    assert together.together and "pattern" in together.sentences[0]
    two = explain_heuristic(graph, partition, by_name["clip_1"], by_name["depthwise_conv2d_1"])
    assert not two.together and "conv2d_1 and depthwise_conv2d_1" in two.sentences[0]


def test_a_value_read_twice_is_explained_by_its_post_dominator():
    graph = inception_graph(40)
    trunk = next(op.id for op in graph.operators if len(graph.successors[op.id]) > 2)
    join = next(op.id for op in graph.operators if op.kind == "concatenate")
    assert immediate_post_dominator(graph, trunk) == join
    partition = cluster(graph, Settings(threshold=0)).partition
    answer = explain_heuristic(graph, partition, trunk, graph.successors[trunk][0])
    assert any("paths meet again only at concatenate" in text for text in answer.sentences)


@pytest.mark.parametrize("rule", Rule)
def test_residual_networks_keep_their_blocks(rule):
    graph = residual_graph(37)
    clustering = cluster(graph, Settings(rule=rule))
    for members in clustering.partition.subgraphs:
        for op in members:  # no epilogue is torn from its convolution
            if graph.operators[op].kind == "conv2d":
                assert op + 1 in members
