"""Why a subgraph's operators are together, and why its neighbours are not in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ago_core.graph.opgraph import OpGraph
from ago_core.partition.partition import Partition
from app.services.answers import answer, reuse_sentence
from app.services.study import Study

MAX_PAIRS = 8
"""Neighbours, and pairs inside, that are explained: each takes some milliseconds."""


@dataclass(frozen=True)
class Reason:
    """About two operators.

    Attributes:
        operators: ids, ascending.
        about: "a and b", or the neighbour.
        sentences: why, the most telling first.
    """

    operators: tuple[int, int]
    about: str
    sentences: tuple[str, ...]


def together(study: Study, method: str, index: int) -> list[Reason]:
    """Why a subgraph's complex operators are together, each with the next; without two of them, its first edge."""
    partition, graph = study.partitions[method], study.graph
    members = partition.subgraphs[index]
    heavy = [op for op in members if graph.operators[op].is_complex]
    pairs = list(zip(heavy, heavy[1:])) or _first_edge(graph, members)
    return [found for pair in pairs[:MAX_PAIRS] if (found := _reason(study, method, pair, _names(graph, pair)))]


def neighbours(study: Study, method: str, index: int) -> list[Reason]:
    """Why each subgraph that it reads from, or that reads from it, is another one."""
    partition, graph = study.partitions[method], study.graph
    found = []
    for other, (pair, reads) in list(_edges_out(graph, partition, index).items())[:MAX_PAIRS]:
        verb = "reads from" if reads else "feeds"
        names = _names(graph, pair)
        if reason := _reason(study, method, pair, f"S{index} {verb} S{other}: {names}"):
            found.append(reason)
    return found


def count_neighbours(graph: OpGraph, partition: Partition, index: int) -> int:
    return len(_edges_out(graph, partition, index))


def _edges_out(graph: OpGraph, partition: Partition, index: int) -> dict[int, tuple[tuple[int, int], bool]]:
    """For each neighbour one edge that joins it with the subgraph, and whether the subgraph reads from it."""
    owner = partition.owner
    found: dict[int, tuple[tuple[int, int], bool]] = {}
    for op in partition.subgraphs[index]:
        for before in graph.predecessors[op]:
            if owner[before] != index:
                found.setdefault(owner[before], ((before, op), True))
        for after in graph.successors[op]:
            if owner[after] != index:
                found.setdefault(owner[after], ((op, after), False))
    return found


def _first_edge(graph: OpGraph, members: Iterable[int]) -> list[tuple[int, int]]:
    inside = set(members)
    edges = ((u, v) for u in sorted(inside) for v in graph.successors[u] if v in inside)
    return [edge for edge in [next(edges, None)] if edge]


def _reason(study: Study, method: str, pair: tuple[int, int], about: str) -> Reason | None:
    said = answer(study, method, pair)
    if said is None:
        return None
    reuse = reuse_sentence(study.graph, *pair)
    return Reason(pair, about, said.sentences + ((reuse,) if reuse else ()))


def _names(graph: OpGraph, pair: tuple[int, int]) -> str:
    return " and ".join(graph.operators[op].name for op in pair)
