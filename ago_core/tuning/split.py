"""SPLIT of the reformer layer: a subgraph into mini-subgraphs of at most one complex operator (AGO, section V)."""

from __future__ import annotations

from ago_core.graph.opgraph import OpGraph
from ago_core.partition.partition import Partition, make_partition

SPLIT = "split"


def split_subgraphs(graph: OpGraph, partition: Partition) -> Partition:
    """Cuts every subgraph into minis that can be called one after the other.

    In topological order a complex operator opens a mini; a simple one joins the latest mini that it reads within its
    subgraph, or opens one. So every edge leads to the same mini or to a later one, and no minis wait for each other.

    Returns:
        A partition in which each subgraph lies inside one of `partition` and holds at most one complex operator.
    """
    minis = [mini for members in partition.subgraphs for mini in _minis(graph, members)]
    return make_partition(graph, minis, SPLIT)


def _minis(graph: OpGraph, members: tuple[int, ...]) -> list[list[int]]:
    minis: list[list[int]] = []
    place: dict[int, int] = {}
    for op in members:  # ascending, so topological
        read = [place[source] for source in graph.predecessors[op] if source in place]
        if graph.operators[op].is_complex or not read:
            place[op] = len(minis)
            minis.append([op])
        else:
            place[op] = max(read)
            minis[place[op]].append(op)
    return minis
