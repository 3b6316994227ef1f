"""AGO's partition: weighted clustering with affix sets and topological stages (AGO, section III).

Every operator starts as a cluster. A cluster grows by absorbing members of its *affix set*, the neighbours whose
absorption cannot close a cycle in the quotient graph, up to a weight threshold. Three rounds, heavy seeds first:

1. a complex operator takes the simple operators that follow it (its epilogue), so that nobody else does;
2. what is left of the simple operators joins a neighbour;
3. clusters with complex operators join, the pair that saves the most memory traffic first.

In the third round the *aware* setting asks reuse analysis what fusion can give, and refuses pairs that tuning could
only split again; the paper's plain rule takes any neighbour under the threshold, the lightest first.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ago_core.fusion.reuse import edge_reuse
from ago_core.graph.opgraph import OpGraph
from ago_core.partition.clusters import Clusters
from ago_core.partition.partition import Partition, make_partition
from ago_core.partition.settings import DEFAULT_THRESHOLD, Rule, Settings
from ago_core.partition.weights import operator_weights

Savings = Mapping[tuple[int, int], int]


class Verdict(enum.Enum):
    """What became of a candidate."""

    ABSORBED = "absorbed"
    CYCLE = "would close a cycle"
    THRESHOLD = "over the threshold"
    NO_GAIN = "no gain from fusing"


@dataclass(frozen=True, slots=True)
class Step:
    """One candidate considered.

    Attributes:
        round: 1, 2 or 3.
        cluster: an operator of the growing cluster.
        candidate: an operator of the neighbour considered.
        verdict: what became of it.
        weight: of the growing cluster before the step.
        candidate_weight: of the neighbour.
    """

    round: int
    cluster: int
    candidate: int
    verdict: Verdict
    weight: float
    candidate_weight: float


@dataclass(frozen=True)
class Clustering:
    """A partition and how it came about.

    Attributes:
        partition: the result.
        settings: that it was made with.
        savings: bytes that fusing would save, by edge.
        steps: every candidate considered, in order.
    """

    partition: Partition
    settings: Settings
    savings: Savings
    steps: tuple[Step, ...]


def ago_partition(graph: OpGraph, threshold: float = DEFAULT_THRESHOLD) -> Partition:
    """The partition alone, with the other settings as they are by default."""
    return cluster(graph, Settings(threshold)).partition


def cluster(graph: OpGraph, settings: Settings, savings: Savings | None = None) -> Clustering:
    """Groups operators of any number and kind.

    Args:
        graph: the model.
        settings: threshold and rules.
        savings: bytes that fusing would save, by edge; by default what `fusion.reuse` finds.

    Returns:
        A partition with an acyclic quotient graph. The same graph and settings always give the same one.
    """
    savings = edge_savings(graph, settings) if savings is None else savings
    clusters = Clusters(graph, operator_weights(graph), savings)
    seeds = sorted(range(len(graph)), key=lambda op: (-clusters.weight[op], op))
    steps: list[Step] = []
    for number, admits in enumerate((_is_epilogue, _is_simple, _is_any), start=1):
        grown: set[int] = set()
        for seed in seeds:
            if clusters.of(seed) not in grown:
                growth = _Growth(clusters, settings, number, admits, steps)
                grown.add(growth.grow(clusters.of(seed)))
    partition = make_partition(graph, clusters.members.values(), "ago")
    return Clustering(partition, settings, savings, tuple(steps))


def edge_savings(graph: OpGraph, settings: Settings) -> Savings:
    """What reuse analysis says where it is asked, else all bytes that cross the edge."""
    if settings.aware:
        return {edge: reuse.bytes_saved for edge, reuse in edge_reuse(graph).items()}
    return {(u, v): 2 * graph.operators[u].bytes_written for u, v in graph.edges}


@dataclass
class _Growth:
    """One cluster's growth in one round."""

    clusters: Clusters
    settings: Settings
    round: int
    admits: Callable[[Clusters, int, int], bool]
    steps: list[Step]

    def grow(self, cluster: int) -> int:
        """Absorbs candidates, the best first, until none can be. Returns the cluster's name."""
        if cluster in self.clusters.sealed:
            return cluster
        refused: dict[int, Verdict] = {}
        while True:
            candidates = [
                other
                for other in self.clusters.neighbours(cluster)
                if refused.get(other) is not Verdict.THRESHOLD and self.admits(self.clusters, cluster, other)
            ]
            candidates.sort(key=lambda other: self._rank(cluster, other))
            absorbed = next((other for other in candidates if self._takes(cluster, other, refused)), None)
            if absorbed is None:
                return cluster
            cluster = self.clusters.merge(cluster, absorbed)

    def _rank(self, cluster: int, other: int) -> tuple:
        saving = -self.clusters.saving(cluster, other) if self.round == 3 and self.settings.aware else 0
        return saving, self.clusters.weight[other], other

    def _takes(self, cluster: int, other: int, refused: dict[int, Verdict]) -> bool:
        """Judges a candidate and records it, once for each refusal."""
        verdict = self._verdict(cluster, other)
        if refused.get(other) is not verdict:
            weights = self.clusters.weight
            self.steps.append(Step(self.round, cluster, other, verdict, weights[cluster], weights[other]))
            refused[other] = verdict
        return verdict is Verdict.ABSORBED

    def _verdict(self, cluster: int, other: int) -> Verdict:
        clusters, settings = self.clusters, self.settings
        if clusters.weight[cluster] + clusters.weight[other] > settings.threshold:
            return Verdict.THRESHOLD
        if self.round == 3 and settings.aware and clusters.saving(cluster, other) <= 0:
            return Verdict.NO_GAIN
        if clusters.stages_allow(cluster, other):
            return Verdict.ABSORBED
        if settings.rule is Rule.EXACT and clusters.detour(cluster, other) is None:
            return Verdict.ABSORBED
        return Verdict.CYCLE


def _is_epilogue(clusters: Clusters, cluster: int, other: int) -> bool:
    return cluster in clusters.complex and other not in clusters.complex and other in clusters.after[cluster]


def _is_simple(clusters: Clusters, cluster: int, other: int) -> bool:
    return other not in clusters.complex


def _is_any(clusters: Clusters, cluster: int, other: int) -> bool:
    return True
