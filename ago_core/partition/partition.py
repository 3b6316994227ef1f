"""Partition: which operators go into one subgraph, valid by construction.

A partition is valid for a graph when every operator is in exactly one subgraph, no extern operator shares one, and the
*quotient graph* (one node a subgraph, an edge wherever an operator of one reads an operator of another) has no cycle: a
cycle would mean two subgraphs that each wait for the other's result, which no order of calls can satisfy.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ago_core.errors import UserError
from ago_core.graph.opgraph import OpGraph

SCHEMA = 1
NAMED_FIRST, NAMED_LAST = 3, 2
"""Subgraphs of a long cycle that a sentence names."""


class InvalidPartition(ValueError):
    """The grouping is not a partition of the graph.

    Attributes:
        cycle: the subgraphs that wait for each other, each read by the next, where that is the reason; else empty.
    """

    def __init__(self, message: str, cycle: Iterable[tuple[int, ...]] = ()):
        super().__init__(message)
        self.cycle = tuple(cycle)


@dataclass(frozen=True)
class Partition:
    """Subgraphs of one model.

    Attributes:
        model_hash: the graph that it belongs to (`OpGraph.model_hash`).
        method: how it was made: "heuristic", "ago" or "edited".
        subgraphs: tuples of operator ids, each ascending. Their order is topological on the quotient graph and
            canonical, so two partitions with the same groups are equal.
    """

    model_hash: str
    method: str
    subgraphs: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return len(self.subgraphs)

    @property
    def owner(self) -> dict[int, int]:
        """Operator id → index of its subgraph."""
        return {op: index for index, members in enumerate(self.subgraphs) for op in members}

    def to_json(self) -> dict:
        subgraphs = [list(members) for members in self.subgraphs]
        return {"schema": SCHEMA, "model_hash": self.model_hash, "method": self.method, "subgraphs": subgraphs}


def partition_from_json(graph: OpGraph, data: object) -> Partition:
    """Reads and checks what `Partition.to_json` wrote.

    Raises:
        UserError: it is no partition, of another version, of another model, or not valid for the graph.
    """
    if not isinstance(data, dict) or not isinstance(data.get("subgraphs"), list):
        raise UserError("The file is not a partition: it has no list of subgraphs.")
    if data.get("schema") != SCHEMA:
        raise UserError(f"The partition has schema {data.get('schema')!r}; this version reads {SCHEMA}.")
    if data.get("model_hash") != graph.model_hash:
        raise UserError(f"The partition was made for another model than {graph.name}, or for other dimensions of it.")
    try:
        if any(type(op) is not int for members in data["subgraphs"] for op in members):  # 1.0 would pass for 1
            raise InvalidPartition("operators are given by their numbers")
        return make_partition(graph, data["subgraphs"], str(data.get("method", "edited")))
    except (InvalidPartition, TypeError) as error:
        raise UserError(f"The partition is not valid for {graph.name}: {error}.") from error


def make_partition(graph: OpGraph, groups: Iterable[Iterable[int]], method: str) -> Partition:
    """Checks `groups` and puts them into canonical order.

    Raises:
        InvalidPartition: an operator is missing, unknown, or in two groups; an extern operator is not alone; the
            quotient graph has a cycle.
    """
    subgraphs = sorted(tuple(sorted(set(group))) for group in groups if group)
    _check_coverage(graph, subgraphs)
    _check_extern(graph, subgraphs)
    readers = quotient(graph, subgraphs)
    order = topological_order(readers)
    if len(order) < len(subgraphs):
        cycle = find_cycle(readers)
        waiting = [subgraphs[i] for i in cycle]
        raise InvalidPartition(f"the subgraphs wait for each other: {_round(graph, waiting)}", waiting)
    return Partition(graph.model_hash, method, tuple(subgraphs[i] for i in order))


def quotient(graph: OpGraph, subgraphs: Sequence[tuple[int, ...]]) -> list[list[int]]:
    """The quotient graph: for each subgraph the indices of those that read one of its results, ascending."""
    owner = [0] * len(graph)
    for index, members in enumerate(subgraphs):
        for op in members:
            owner[op] = index
    readers: list[set[int]] = [set() for _ in subgraphs]
    for u, v in graph.edges:
        if owner[u] != owner[v]:
            readers[owner[u]].add(owner[v])
    return [sorted(row) for row in readers]


def topological_order(readers: list[list[int]]) -> list[int]:
    """Nodes in an order in which each comes before its readers, the lowest free number first (Kahn's algorithm).

    Nodes on a cycle, and those behind one, are left out.
    """
    waiting = [0] * len(readers)
    for row in readers:
        for reader in row:
            waiting[reader] += 1
    free = [node for node, count in enumerate(waiting) if count == 0]
    order = []
    while free:
        node = heapq.heappop(free)
        order.append(node)
        for reader in readers[node]:
            waiting[reader] -= 1
            if waiting[reader] == 0:
                heapq.heappush(free, reader)
    return order


def find_cycle(readers: list[list[int]]) -> list[int]:
    """The nodes of a shortest cycle through the first node that lies on one; each is read by the next."""
    ordered = set(topological_order(readers))
    for start in (node for node in range(len(readers)) if node not in ordered):
        came_from: dict[int, int] = {}
        queue = deque([start])
        while queue:
            node = queue.popleft()
            for reader in readers[node]:
                if reader == start:
                    path = [node]
                    while path[-1] != start:
                        path.append(came_from[path[-1]])
                    return path[::-1]
                if reader not in came_from and reader not in ordered:
                    came_from[reader] = node
                    queue.append(reader)
    raise ValueError("the graph has no cycle")


def _check_coverage(graph: OpGraph, subgraphs: list[tuple[int, ...]]) -> None:
    seen: set[int] = set()
    for members in subgraphs:
        for op in members:
            if not 0 <= op < len(graph):
                raise InvalidPartition(f"operator {op} does not exist: the model has operators 0 to {len(graph) - 1}")
            if op in seen:
                raise InvalidPartition(f"operator {graph.operators[op].name} is in two subgraphs")
            seen.add(op)
    missing = [op.name for op in graph.operators if op.id not in seen]
    if missing:
        raise InvalidPartition(f"{len(missing)} operators are in no subgraph, the first is {missing[0]}")


def _check_extern(graph: OpGraph, subgraphs: list[tuple[int, ...]]) -> None:
    for members in subgraphs:
        for op in members if len(members) > 1 else ():
            if graph.operators[op].extern:
                raise InvalidPartition(f"operator {graph.operators[op].name} is a library call and must be alone")


def _round(graph: OpGraph, cycle: list[tuple[int, ...]]) -> str:
    """A cycle in words, from its first subgraph back to it; of a long one the first few and the last."""
    names = [_describe(graph, members) for members in cycle]
    if (more := len(names) - NAMED_FIRST - NAMED_LAST) > 1:
        names[NAMED_FIRST:-NAMED_LAST] = [f"… {more} more …"]
    return " → ".join((*names, names[0]))


def _describe(graph: OpGraph, members: tuple[int, ...]) -> str:
    first = graph.operators[members[0]].name
    return f"{{{first}}}" if len(members) == 1 else f"{{{first} and {len(members) - 1} more}}"
