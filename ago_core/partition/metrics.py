"""Figures that describe a partition, as the paper's partition statistics do (AGO, section VI)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import networkx as nx

from ago_core.graph.opgraph import OpGraph
from ago_core.partition.partition import Partition
from ago_core.partition.weights import operator_weights


@dataclass(frozen=True)
class Metrics:
    """Figures of one partition.

    Attributes:
        operators: in the model.
        subgraphs: in the partition.
        trivial: subgraphs without a complex operator.
        complex_operators: in the model.
        largest: operators in the largest subgraph.
        mean_weight: of the subgraphs, in expected trials.
        largest_weight: of the subgraphs.
        fairness: Jain's index of the weights, from 1/subgraphs (one has all) to 1 (all the same).
        crossing_bytes: bytes that a subgraph writes for another one to read.
        kept_bytes: bytes of intermediates that only their own subgraph reads, so that they need not reach main memory.
        acyclic: whether the quotient graph has an order of calls.
    """

    operators: int
    subgraphs: int
    trivial: int
    complex_operators: int
    largest: int
    mean_weight: float
    largest_weight: float
    fairness: float
    crossing_bytes: int
    kept_bytes: int
    acyclic: bool


def measure(graph: OpGraph, partition: Partition) -> Metrics:
    weights = subgraph_weights(graph, partition)
    complex_counts = complex_per_subgraph(graph, partition)
    return Metrics(
        operators=len(graph),
        subgraphs=len(partition),
        trivial=sum(count == 0 for count in complex_counts),
        complex_operators=sum(complex_counts),
        largest=max(len(members) for members in partition.subgraphs),
        mean_weight=sum(weights) / len(weights),
        largest_weight=max(weights),
        fairness=jain_index(weights),
        crossing_bytes=crossing_bytes(graph, partition),
        kept_bytes=kept_bytes(graph, partition),
        acyclic=is_acyclic(graph, partition),
    )


def subgraph_weights(graph: OpGraph, partition: Partition) -> tuple[float, ...]:
    weights = operator_weights(graph)
    return tuple(sum(weights[op] for op in members) for members in partition.subgraphs)


def complex_per_subgraph(graph: OpGraph, partition: Partition) -> tuple[int, ...]:
    return tuple(sum(graph.operators[op].is_complex for op in members) for members in partition.subgraphs)


def jain_index(values: Sequence[float]) -> float:
    """(Σx)² / (n·Σx²), Jain, Chiu and Hawe 1984; 1 for equal values."""
    return sum(values) ** 2 / (len(values) * sum(value * value for value in values))


def crossing_bytes(graph: OpGraph, partition: Partition) -> int:
    owner = partition.owner
    crossing = {u for u, v in graph.edges if owner[u] != owner[v]}
    return sum(graph.operators[op].bytes_written for op in crossing)


def kept_bytes(graph: OpGraph, partition: Partition) -> int:
    owner, results = partition.owner, set(graph.results)
    inner = (
        op
        for op in graph.operators
        if op.id not in results and graph.successors[op.id]
        if all(owner[reader] == owner[op.id] for reader in graph.successors[op.id])
    )
    return sum(op.bytes_written for op in inner)


def is_acyclic(graph: OpGraph, partition: Partition) -> bool:
    """Whether the quotient graph has no cycle; by networkx, so independent of how partitions are made and checked."""
    owner = partition.owner
    return nx.is_directed_acyclic_graph(
        nx.DiGraph((owner[u], owner[v]) for u, v in graph.edges if owner[u] != owner[v])
    )
