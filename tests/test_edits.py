"""Edits of random partitions: legal ones are valid, refused ones name the cycle and what helps, undo restores."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ago_core.errors import UserError
from ago_core.partition.ago import ago_partition
from ago_core.partition.compare import Change, compare
from ago_core.partition.edits import Refusal, merge, move, split
from ago_core.partition.history import History
from ago_core.partition.metrics import crossing_bytes, is_acyclic
from ago_core.partition.partition import InvalidPartition, Partition, make_partition
from benchmarks.synthetic import inception_graph, residual_graph
from tests.test_partition import random_graphs


@st.composite
def partitioned(draw, largest: int = 30):
    graph = draw(random_graphs(largest))
    return graph, ago_partition(graph, draw(st.sampled_from([0, 20, 40, 80])))


def edit(draw, graph, partition):
    """One random edit: (the group it wants, its result)."""
    what = draw(st.sampled_from(["merge", "split", "move"]))
    operators = draw(st.sets(st.integers(0, len(graph) - 1), min_size=1, max_size=4))
    if what == "merge":
        indices = {partition.owner[op] for op in operators}
        return {op for i in indices for op in partition.subgraphs[i]}, lambda: merge(graph, partition, indices)
    if what == "split":
        return operators, lambda: split(graph, partition, operators)
    target = draw(st.integers(0, len(partition) - 1))
    return operators | set(partition.subgraphs[target]), lambda: move(graph, partition, operators, target)


@given(st.data())
def test_an_edit_is_made_or_refused_with_a_witness(data):
    graph, partition = data.draw(partitioned())
    group, make = edit(data.draw, graph, partition)
    if len(group) > 1 and any(graph.operators[op].extern for op in group):
        with pytest.raises(UserError, match="library call"):
            make()
        return
    result = make()
    if isinstance(result, Partition):
        assert is_acyclic(graph, result)
        assert tuple(sorted(group)) in result.subgraphs
        return
    assert isinstance(result, Refusal)
    assert all(edge in graph.edges for edge in result.cycle) and len(result.cycle) >= 2
    assert result.take_along and not set(result.take_along) & group


@given(st.data())
def test_taking_along_what_the_refusal_names_makes_the_edit_legal(data):
    graph, partition = data.draw(partitioned())
    group, make = edit(data.draw, graph, partition)
    if any(op.extern for op in graph.operators):
        return
    result = make()
    if isinstance(result, Refusal):
        assert isinstance(split(graph, partition, group | set(result.take_along)), Partition)


@given(st.data())
def test_nothing_less_would_make_the_edit_legal(data):
    graph, partition = data.draw(partitioned(largest=9))
    group, make = edit(data.draw, graph, partition)
    if any(op.extern for op in graph.operators):
        return
    result = make()
    if isinstance(result, Refusal):
        others = sorted(set(range(len(graph))) - group)
        for fewer in itertools.combinations(others, len(result.take_along) - 1):
            assert isinstance(split(graph, partition, group | set(fewer)), Refusal)


@given(st.data())
def test_undo_and_redo_restore_every_state(data):
    graph, partition = data.draw(partitioned())
    history, states = History(partition), [partition]
    for _ in range(data.draw(st.integers(0, 5))):
        try:
            result = edit(data.draw, graph, history.present)[1]()
        except UserError:
            continue
        if isinstance(result, Partition):
            history = history.edited(result)
            if history.present != states[-1]:
                states.append(history.present)
    for state in reversed(states):
        assert history.present == state
        history = history.undo()
    for state in states[1:]:
        history = history.redo()
        assert history.present == state
    assert history.redo() == history


def test_an_edit_after_undo_forgets_what_was_undone():
    graph = residual_graph(12)
    single = make_partition(graph, [[op] for op in range(12)], "edited")
    first, second = merge(graph, single, [0, 1]), merge(graph, single, [1, 2])
    history = History(single).edited(first).undo().edited(second)
    assert history.redo() == history
    assert history.undo().present == single
    assert history.edited(second) == history


def test_splitting_the_middle_of_a_chain_leaves_both_ends():
    graph = residual_graph(3)
    whole = make_partition(graph, [range(3)], "edited")
    assert split(graph, whole, [1]).subgraphs == ((0,), (1,), (2,))


def test_a_refused_merge_names_the_branch_to_take_along():
    graph = inception_graph(40)
    single = make_partition(graph, [[op] for op in range(40)], "edited")
    join = next(op.id for op in graph.operators if op.kind == "concatenate")
    trunk = min(graph.predecessors[graph.predecessors[graph.predecessors[join][0]][0]])
    refusal = merge(graph, single, [single.owner[trunk], single.owner[join]])
    assert isinstance(refusal, Refusal)
    assert "wait for each other" in refusal.reason
    assert isinstance(merge(graph, single, [single.owner[op] for op in (trunk, join, *refusal.take_along)]), Partition)


@pytest.mark.parametrize(
    ("operation", "sentence"),
    [
        (lambda g, p: merge(g, p, []), "at least one subgraph"),
        (lambda g, p: split(g, p, [999]), "no operator 999"),
        (lambda g, p: move(g, p, [0], 999), "no subgraph 999"),
    ],
)
def test_numbers_that_do_not_exist_are_refused(operation, sentence):
    graph = residual_graph(12)
    with pytest.raises(UserError, match=sentence):
        operation(graph, ago_partition(graph))


@given(random_graphs(), st.sampled_from([0, 30, 60]), st.sampled_from([0, 30, 60, 120]))
def test_comparison_covers_every_operator_once_and_adds_up(graph, one, other):
    before, after = ago_partition(graph, one), ago_partition(graph, other)
    comparison = compare(graph, before, after)
    assert sorted(op for block in comparison.blocks for op in block.operators) == list(range(len(graph)))
    assert comparison.bytes_saved == crossing_bytes(graph, before) - crossing_bytes(graph, after)
    for block in comparison.blocks:
        left = {op for i in block.before for op in before.subgraphs[i]}
        right = {op for i in block.after for op in after.subgraphs[i]}
        assert left == right == set(block.operators)
        sizes = len(block.before) > 1, len(block.after) > 1
        assert (
            block.change.value
            == {
                (False, False): "same",
                (False, True): "split",
                (True, False): "merged",
                (True, True): "re-cut",
            }[sizes]
        )
    if before.subgraphs == after.subgraphs:
        assert comparison.count(Change.SAME) == len(before)


def test_partitions_of_different_models_are_not_compared():
    with pytest.raises(ValueError, match="one model"):
        compare(residual_graph(9), ago_partition(residual_graph(9)), ago_partition(inception_graph(9)))


def test_make_partition_still_refuses_what_an_edit_cannot_mend():
    with pytest.raises(InvalidPartition):
        make_partition(residual_graph(3), [[0, 1]], "edited")


def test_a_long_cycle_is_named_by_its_ends_and_drawn_whole():
    graph = residual_graph(200)
    partition = make_partition(graph, [[op] for op in range(200)], "edited")
    refusal = merge(graph, partition, {0, 199})
    stations = refusal.reason.removeprefix("the subgraphs wait for each other: ").split(" → ")
    assert len(stations) == 7 and stations[0] == stations[-1] == "{conv2d_0 and 1 more}"
    assert stations[3] == f"… {len(refusal.cycle) - 5} more …" and len(refusal.cycle) > 40
    short = merge(graph, partition, {2, 5}).reason
    assert "…" not in short and short.count(" → ") == 3, short
