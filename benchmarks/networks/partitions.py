"""Partition statistics as the paper's (AGO, section VI): subgraphs, trivial ones, weights, fairness."""

from __future__ import annotations

import statistics
from dataclasses import asdict

from ago_core.graph.model import Model
from ago_core.graph.opgraph import OpGraph
from ago_core.partition.ago import cluster
from ago_core.partition.heuristic import heuristic_partition
from ago_core.partition.metrics import measure, subgraph_weights
from ago_core.partition.partition import Partition
from ago_core.partition.settings import Settings


def statistics_of(model: Model) -> dict[str, dict]:
    """Of both partitions: `metrics.Metrics`, and the weights' deciles in expected trials."""
    graph = model.graph
    partitions = {"heuristic": heuristic_partition(model), "ago": cluster(graph, Settings()).partition}
    return {name: _described(graph, partition) for name, partition in partitions.items()}


def _described(graph: OpGraph, partition: Partition) -> dict:
    weights = sorted(subgraph_weights(graph, partition))
    deciles = statistics.quantiles(weights, n=10, method="inclusive") if len(weights) > 1 else weights
    spread = [round(value, 2) for value in (weights[0], *deciles, weights[-1])]
    return asdict(measure(graph, partition)) | {"weights": spread}
