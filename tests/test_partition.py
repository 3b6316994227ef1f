"""Partitions of random graphs: valid, acyclic, under the threshold, deterministic; refusals say why."""

import itertools
import json
import math
import random

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ago_core.errors import UserError
from ago_core.graph.opgraph import Loop, Operator, OpGraph, Pattern, Tensor, Totals
from ago_core.partition.ago import ago_partition, cluster
from ago_core.partition.clusters import Clusters
from ago_core.partition.metrics import is_acyclic, jain_index, measure
from ago_core.partition.partition import (
    InvalidPartition,
    find_cycle,
    make_partition,
    partition_from_json,
    topological_order,
)
from ago_core.partition.settings import Rule, Settings
from ago_core.partition.weights import operator_weights, ordered_factorisations
from benchmarks.synthetic import inception_graph, residual_graph

TENSOR = Tensor((1, 8), "float32")


@st.composite
def random_graphs(draw, largest: int = 40) -> OpGraph:
    size = draw(st.integers(1, largest))
    edges = [
        (source, node)
        for node in range(1, size)
        for source in sorted(draw(st.sets(st.integers(max(0, node - 6), node - 1), max_size=3)))
    ]
    operators = []
    for node in range(size):
        extents = draw(st.lists(st.sampled_from([1, 3, 7, 8, 16, 56]), min_size=1, max_size=4))
        loops = tuple(Loop(f"i{k}", extent, "spatial") for k, extent in enumerate(extents))
        pattern, extern = draw(st.sampled_from([(Pattern.ELEMENTWISE, False)] * 9 + [(Pattern.OPAQUE, True)]))
        multiply_adds = 0 if extern else draw(st.sampled_from([0, 0, 100]))
        operators.append(
            Operator(node, f"op_{node}", "op", pattern, loops, 1, (TENSOR,), (), (TENSOR,), (), multiply_adds, extern)
        )
    results = tuple(sorted(set(range(size)) - {u for u, _ in edges}))
    return OpGraph("random", "hash", tuple(operators), tuple(edges), results, (("x", TENSOR),), Totals(0, 0, 0, 0))


@given(random_graphs(), st.floats(0, 200))
def test_ago_partition_is_valid_under_the_threshold_and_deterministic(graph, threshold):
    partition = ago_partition(graph, threshold)
    weights = operator_weights(graph)
    assert sorted(op for members in partition.subgraphs for op in members) == list(range(len(graph)))
    assert is_acyclic(graph, partition)
    for members in partition.subgraphs:
        assert len(members) == 1 or sum(weights[op] for op in members) <= threshold + 1e-9
        assert len(members) == 1 or not any(graph.operators[op].extern for op in members)
        assert nx.is_weakly_connected(graph.digraph.subgraph(members))
    assert ago_partition(graph, threshold) == partition


@given(random_graphs(), st.randoms(use_true_random=False), st.booleans())
def test_merges_that_are_allowed_close_no_cycle_and_keep_the_labelling(graph, random, exact):
    clusters = Clusters(graph, operator_weights(graph))
    for _ in range(len(graph)):
        pairs = [(a, b) for a in clusters.members for b in clusters.neighbours(a) if a not in clusters.sealed]
        legal = [pair for pair in pairs if clusters.detour(*pair) is None]
        by_stages = [pair for pair in pairs if clusters.stages_allow(*pair)]
        assert set(by_stages) <= set(legal) == {pair for pair in pairs if _brute_force_legal(graph, clusters, pair)}
        choice = legal if exact else by_stages
        if not choice:
            break
        clusters.merge(*random.choice(choice))
        _check_quotient(graph, clusters)


def _check_quotient(graph, clusters):
    edges = {(clusters.of(u), clusters.of(v)) for u, v in graph.edges if clusters.of(u) != clusters.of(v)}
    assert edges == {(u, v) for u, readers in clusters.after.items() for v in readers}
    assert edges == {(u, v) for v, sources in clusters.before.items() for u in sources}
    assert all(clusters.stage[u] < clusters.stage[v] for u, v in edges)
    assert sorted(op for members in clusters.members.values() for op in members) == list(range(len(graph)))
    assert all(clusters.of(op) == name for name, members in clusters.members.items() for op in members)


def _brute_force_legal(graph, clusters, pair):
    merged = {name: min(pair) if name in pair else name for name in clusters.members}
    edges = {(merged[clusters.of(u)], merged[clusters.of(v)]) for u, v in graph.edges}
    return nx.is_directed_acyclic_graph(nx.DiGraph((u, v) for u, v in edges if u != v))


@given(random_graphs())
def test_savings_add_up_over_edges(graph):
    savings = {edge: 7 * k + 1 for k, edge in enumerate(graph.edges)}
    clusters = Clusters(graph, operator_weights(graph), savings)
    while pairs := [(a, b) for a in clusters.members for b in clusters.neighbours(a) if clusters.stages_allow(a, b)]:
        clusters.merge(*pairs[0])
        for u, readers in clusters.after.items():
            for v, saving in readers.items():
                crossing = [e for e in graph.edges if clusters.of(e[0]) == u and clusters.of(e[1]) == v]
                assert saving == sum(savings[e] for e in crossing)


@settings(max_examples=25)
@given(st.integers(1, 300), st.integers(), st.floats(0, 400), st.sampled_from(Rule))
def test_large_random_graphs_are_partitioned_validly(size, seed, threshold, rule):
    graph = random_dag(size, random.Random(seed))
    clustering = cluster(graph, Settings(threshold, rule, aware=False))
    partition, weights = clustering.partition, operator_weights(graph)
    assert sorted(op for members in partition.subgraphs for op in members) == list(range(size))
    assert is_acyclic(graph, partition)
    assert all(len(m) == 1 or sum(weights[op] for op in m) <= threshold + 1e-9 for m in partition.subgraphs)
    assert cluster(graph, Settings(threshold, rule, aware=False)) == clustering


def random_dag(size: int, rng: random.Random) -> OpGraph:
    """Operators that read up to three others, most of them near."""
    operators, edges = [], []
    for node in range(size):
        near = [rng.randrange(max(0, node - 12), node) for _ in range(rng.randrange(4))] if node else []
        edges += [(source, node) for source in sorted(set(near))]
        kind, multiply_adds = rng.choice([("spatial", 0), ("reduction", 0), ("reduction", 100)])
        loops = (Loop("i", rng.choice([7, 16, 56]), "spatial"), Loop("k", rng.choice([3, 64]), kind))
        fields = (f"op_{node}", "op", Pattern.ELEMENTWISE, loops, 1, (TENSOR,), (), (TENSOR,), (), multiply_adds)
        operators.append(Operator(node, *fields, extern=rng.random() < 0.03))
    results = tuple(sorted(set(range(size)) - {u for u, _ in edges}))
    totals = Totals(0, 0, 0, 0)
    return OpGraph("random", "hash", tuple(operators), tuple(edges), results, (("x", TENSOR),), totals)


@given(random_graphs())
def test_json_round_trips(graph):
    partition = ago_partition(graph, 60)
    assert partition_from_json(graph, json.loads(json.dumps(partition.to_json()))) == partition
    assert OpGraph.from_json(json.loads(json.dumps(graph.to_json()))) == graph


@given(st.integers(1, 12).flatmap(lambda n: st.lists(st.sets(st.integers(0, n - 1)), min_size=n, max_size=n)))
def test_order_and_cycle_agree_with_networkx(rows):
    readers = [sorted(row - {node}) for node, row in enumerate(rows)]
    reference = nx.DiGraph((u, v) for u, row in enumerate(readers) for v in row)
    reference.add_nodes_from(range(len(readers)))
    order = topological_order(readers)
    if nx.is_directed_acyclic_graph(reference):
        assert order == list(nx.lexicographical_topological_sort(reference))
    else:
        cycle = find_cycle(readers)
        assert len(order) < len(readers) and len(set(cycle)) == len(cycle) >= 2
        assert all(v in readers[u] for u, v in zip(cycle, cycle[1:] + cycle[:1]))


@given(random_graphs(largest=25))
def test_subgraphs_come_in_an_order_of_calls(graph):
    partition = ago_partition(graph, 80)
    owner = partition.owner
    assert all(owner[u] <= owner[v] for u, v in graph.edges)


def test_groups_that_wait_for_each_other_are_refused_with_the_cycle():
    graph = residual_graph(12)
    u, v = next((u, v) for u, v in graph.edges if graph.operators[v].kind == "add" and len(graph.predecessors[v]) == 2)
    w = next(p for p in graph.predecessors[v] if p != u)
    first, last = min(u, w), v
    groups = [[first, last]] + [[op.id] for op in graph.operators if op.id not in (first, last)]
    with pytest.raises(InvalidPartition, match="wait for each other") as caught:
        make_partition(graph, groups, "edited")
    assert len(caught.value.cycle) >= 2


@pytest.mark.parametrize(
    ("groups", "sentence"),
    [
        ([[0, 1]], "operators are in no subgraph, the first is"),
        ([[0, 1, 2], [2, 3, 4, 5]], "is in two subgraphs"),
        ([[0, 1, 2], [3, 4, 5, 6]], "operator 6 does not exist"),
    ],
)
def test_groups_that_do_not_cover_the_graph_are_refused(groups, sentence):
    with pytest.raises(InvalidPartition, match=sentence):
        make_partition(residual_graph(6), groups, "edited")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"schema": 99}, "schema 99"),
        ({"model_hash": "other"}, "another model"),
        ({"subgraphs": [[0]]}, "not valid for residual"),
        ({"subgraphs": "none"}, "not a partition"),
        ({"subgraphs": [["a"]]}, "not valid for residual"),
        ({"subgraphs": [[float(op) for op in range(9)]]}, "given by their numbers"),
    ],
)
def test_a_foreign_partition_file_is_refused_in_one_sentence(change, sentence):
    graph = residual_graph(9)
    with pytest.raises(UserError, match=sentence):
        partition_from_json(graph, ago_partition(graph).to_json() | change)


def test_order_of_groups_does_not_matter():
    graph = inception_graph(30)
    groups = ago_partition(graph).subgraphs
    assert make_partition(graph, groups[::-1], "ago") == make_partition(graph, groups, "ago")


@given(st.integers(1, 60), st.integers(1, 4))
def test_ordered_factorisations_agree_with_counting(extent, parts):
    divisors = [d for d in range(1, extent + 1) if extent % d == 0]
    counted = sum(math.prod(choice) == extent for choice in itertools.product(divisors, repeat=parts))
    assert ordered_factorisations(extent, parts) == counted


def test_metrics_of_one_group_and_of_single_operators():
    graph = residual_graph(9)
    whole = measure(graph, make_partition(graph, [range(9)], "edited"))
    single = measure(graph, make_partition(graph, [[op] for op in range(9)], "edited"))
    assert (whole.subgraphs, whole.crossing_bytes, whole.fairness) == (1, 0, 1.0)
    readers = {u for u, _ in graph.edges}
    assert single.crossing_bytes == sum(graph.operators[op].bytes_written for op in readers)
    assert single.kept_bytes == 0
    assert whole.kept_bytes == sum(op.bytes_written for op in graph.operators if op.id not in graph.results)
    assert single.trivial == sum(not op.is_complex for op in graph.operators)
    assert whole.complex_operators == single.complex_operators == sum(op.is_complex for op in graph.operators)


def test_jain_index_bounds():
    assert jain_index([3, 3, 3]) == pytest.approx(1)
    assert jain_index([1, 0, 0, 0]) == pytest.approx(1 / 4)
