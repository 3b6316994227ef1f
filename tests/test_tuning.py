"""SPLIT and tasks: what a tuner would be given."""

from hypothesis import given
from hypothesis import strategies as st

from ago_core.graph.model import load_model
from ago_core.partition.ago import ago_partition, cluster
from ago_core.partition.metrics import complex_per_subgraph, is_acyclic
from ago_core.partition.settings import Rule, Settings
from ago_core.tuning.split import split_subgraphs
from ago_core.tuning.tasks import tasks_of
from tests.test_partition import random_graphs


@given(random_graphs(), st.sampled_from([40, 120, 1e9]))
def test_minis_lie_inside_subgraphs_and_hold_one_complex_operator_at_most(graph, threshold):
    partition = cluster(graph, Settings(threshold, Rule.EXACT, aware=False)).partition
    minis = split_subgraphs(graph, partition)
    assert is_acyclic(graph, minis)
    assert all(count <= 1 for count in complex_per_subgraph(graph, minis))
    owner = partition.owner
    assert all(len({owner[op] for op in members}) == 1 for members in minis.subgraphs)
    for members in partition.subgraphs:
        if sum(graph.operators[op].is_complex for op in members) == 0:
            continue
        inside = [mini for mini in minis.subgraphs if set(mini) <= set(members)]
        assert len(inside) >= sum(graph.operators[op].is_complex for op in members)


def test_equal_subgraphs_are_one_task():
    model = load_model("mobilenet_v2@56")
    minis = split_subgraphs(model.graph, ago_partition(model.graph))
    tasks = tasks_of(model, minis)
    assert sorted(index for task in tasks for index in task.subgraphs) == list(range(len(minis)))
    assert len(tasks) < len(minis)
    for task in tasks:
        kinds = {tuple(model.graph.operators[op].kind for op in minis.subgraphs[index]) for index in task.subgraphs}
        shapes = {model.graph.operators[minis.subgraphs[index][0]].outputs for index in task.subgraphs}
        assert len(kinds) == len(shapes) == 1
