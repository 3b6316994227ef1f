"""A person's edits of a partition: merge, split out, move. Each gives a new partition or a refusal with its reason.

An edit is refused only where subgraphs would wait for each other. The refusal names the cycle, operator by operator,
and what would make the edit legal: the subgraphs that wait for the edited one while it waits for them must come along.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import networkx as nx

from ago_core.errors import UserError
from ago_core.graph.opgraph import OpGraph
from ago_core.partition.partition import InvalidPartition, Partition, make_partition, quotient, topological_order

EDITED = "edited"


@dataclass(frozen=True)
class Refusal:
    """Why an edit was not made.

    Attributes:
        reason: one sentence.
        cycle: edges between operators, (producer, reader), that lead from subgraph to subgraph and back to the first.
        take_along: the fewest further operators with which the edited group would be legal.
    """

    reason: str
    cycle: tuple[tuple[int, int], ...]
    take_along: tuple[int, ...]


def merge(graph: OpGraph, partition: Partition, subgraphs: Collection[int]) -> Partition | Refusal:
    """Puts whole subgraphs, by index, into one."""
    _check_indices(subgraphs, len(partition), "subgraph")
    merged = {op for index in subgraphs for op in partition.subgraphs[index]}
    others = [members for index, members in enumerate(partition.subgraphs) if index not in set(subgraphs)]
    return _edited(graph, merged, others)


def split(graph: OpGraph, partition: Partition, operators: Collection[int]) -> Partition | Refusal:
    """Takes operators out of their subgraphs into one of their own.

    What stays behind and hangs together only through them falls apart into subgraphs of its own.
    """
    _check_indices(operators, len(graph), "operator")
    return _edited(graph, set(operators), _without(graph, partition, set(operators), keep=None))


def move(graph: OpGraph, partition: Partition, operators: Collection[int], target: int) -> Partition | Refusal:
    """Takes operators out of their subgraphs into another one, by index."""
    _check_indices(operators, len(graph), "operator")
    _check_indices([target], len(partition), "subgraph")
    moved = set(operators) | set(partition.subgraphs[target])
    return _edited(graph, moved, _without(graph, partition, moved, keep=target))


def _check_indices(indices: Collection[int], limit: int, what: str) -> None:
    if not indices:
        raise UserError(f"Choose at least one {what}.")
    wrong = [index for index in indices if not 0 <= index < limit]
    if wrong:
        raise UserError(f"There is no {what} {wrong[0]}; they are numbered 0 to {limit - 1}.")


def _without(graph: OpGraph, partition: Partition, taken: set[int], keep: int | None) -> list[tuple[int, ...]]:
    """The other subgraphs without the operators taken; one that lost some is cut into its connected parts."""
    rest = []
    for index, members in enumerate(partition.subgraphs):
        left = [op for op in members if op not in taken]
        if index == keep or not left:
            continue
        if len(left) == len(members):
            rest.append(members)
        else:
            parts = nx.weakly_connected_components(graph.digraph.subgraph(left))
            rest.extend(tuple(sorted(part)) for part in parts)
    return rest


def _edited(graph: OpGraph, group: Iterable[int], others: list[tuple[int, ...]]) -> Partition | Refusal:
    group = tuple(sorted(group))
    try:
        return make_partition(graph, [group, *others], EDITED)
    except InvalidPartition as error:
        if not error.cycle:
            raise UserError(f"The edit is not possible: {error}.") from error
        return Refusal(str(error), _edges_of(graph, error.cycle), _take_along(graph, group, others))


def _edges_of(graph: OpGraph, cycle: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, int], ...]:
    """For each subgraph of a cycle one edge from it to the next."""
    edges = []
    for members, following in zip(cycle, cycle[1:] + cycle[:1]):
        readers = set(following)
        edges.append(next((u, v) for u in members for v in graph.successors[u] if v in readers))
    return tuple(edges)


def _take_along(graph: OpGraph, group: tuple[int, ...], others: list[tuple[int, ...]]) -> tuple[int, ...]:
    """The fewest further operators of three ways to be legal.

    All that waits for the group while the group waits for it makes a strongly connected part of the quotient graph.
    Either all its subgraphs come along, or of each only the operators after the group, or only those before it.
    """
    readers = quotient(graph, [group, *others])
    component = next(part for part in _strong_components(readers) if 0 in part) - {0}
    whole = {op for index in component for op in others[index - 1]}
    ways = [whole & _reached(graph.successors, group), whole & _reached(graph.predecessors, group), whole]
    legal = [way for way in ways if _is_legal(graph, {*group, *way}, others)]
    return tuple(sorted(min(legal, key=len)))


def _reached(neighbours: tuple[tuple[int, ...], ...], start: tuple[int, ...]) -> set[int]:
    seen, waiting = set(start), list(start)
    while waiting:
        for other in neighbours[waiting.pop()]:
            if other not in seen:
                seen.add(other)
                waiting.append(other)
    return seen


def _is_legal(graph: OpGraph, group: set[int], others: list[tuple[int, ...]]) -> bool:
    rest = [left for members in others if (left := tuple(op for op in members if op not in group))]
    readers = quotient(graph, [tuple(group), *rest])
    return len(topological_order(readers)) == len(readers)


def _strong_components(readers: list[list[int]]) -> Iterable[set[int]]:
    return nx.strongly_connected_components(nx.DiGraph(dict(enumerate(readers))))
