"""AGO's partition: weighted clustering with affix sets and topological stages (AGO, section III).

Every operator starts as a cluster. A cluster grows by absorbing members of its *affix set*: neighbours whose absorption
cannot close a cycle in the quotient graph. With the *topological stage* TS(v) = length of the longest path from an
input to v, contracting an edge u → v with TS(v) = TS(u) + 1 closes none: any other path from u to v has length two or
more, so TS(v) would be at least TS(u) + 2. Growth stops at a weight threshold. Stages are kept up to date after each
contraction.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ago_core.graph.opgraph import OpGraph
from ago_core.partition.partition import Partition, make_partition
from ago_core.partition.weights import operator_weights

DEFAULT_THRESHOLD = 120.0


def ago_partition(graph: OpGraph, threshold: float = DEFAULT_THRESHOLD) -> Partition:
    """Groups operators of any number and kind.

    Args:
        graph: the model.
        threshold: a cluster's weight limit, in bits of schedule space; one operator may exceed it by itself.

    Returns:
        A partition with an acyclic quotient graph. The same graph and threshold always give the same one.
    """
    clusters = Clusters(graph, operator_weights(graph))
    seeds = sorted(range(len(graph)), key=lambda op: (-clusters.weight[op], op))
    for admits in (_is_epilogue, _is_simple, _is_any):
        for seed in seeds:
            if seed in clusters.members:
                _grow(clusters, seed, threshold, admits)
    return make_partition(graph, clusters.members.values(), "ago")


def _grow(clusters: Clusters, cluster: int, threshold: float, admits: Callable[[Clusters, int, int], bool]) -> None:
    """Absorbs the affix members that the round admits, the lightest first, until none fits under the threshold."""
    while True:
        room = threshold - clusters.weight[cluster]
        fitting = [
            other
            for other in clusters.affix_set(cluster)
            if clusters.weight[other] <= room and admits(clusters, cluster, other)
        ]
        if not fitting:
            return
        lightest = min(fitting, key=lambda other: (clusters.weight[other], other))
        cluster = clusters.merge(cluster, lightest)


def _is_epilogue(clusters: Clusters, cluster: int, other: int) -> bool:
    """First round: a complex operator takes the simple ones that follow it, so that nobody else does."""
    return cluster in clusters.complex and other not in clusters.complex and other in clusters.after[cluster]


def _is_simple(clusters: Clusters, cluster: int, other: int) -> bool:
    """Second round: what is left of the simple operators."""
    return other not in clusters.complex


def _is_any(clusters: Clusters, cluster: int, other: int) -> bool:
    """Third round: several complex operators in one subgraph, which a heuristic partition would not allow."""
    return True


class Clusters:
    """The quotient graph while it is being contracted. A cluster is named by its smallest operator.

    Attributes:
        members: cluster → its operators.
        weight: cluster → sum of its operators' weights.
        stage: cluster → its topological stage.
        after, before: cluster → its neighbours.
        complex: clusters that hold a complex operator.
    """

    def __init__(self, graph: OpGraph, weights: tuple[float, ...]):
        size = len(graph)
        self.members = {op: [op] for op in range(size)}
        self.weight = dict(enumerate(weights))
        self.complex = {op.id for op in graph.operators if op.is_complex}
        self._sealed = {op.id for op in graph.operators if op.extern}
        self.after = {op: set(graph.successors[op]) for op in range(size)}
        self.before = {op: set(graph.predecessors[op]) for op in range(size)}
        self.stage = {}
        for op in range(size):  # ids are topological
            self.stage[op] = max((self.stage[p] + 1 for p in self.before[op]), default=0)

    def affix_set(self, cluster: int) -> list[int]:
        """Neighbours that can be absorbed: one stage away, which no cycle can be (see the module's text)."""
        if cluster in self._sealed:
            return []
        stage = self.stage[cluster]
        after = [other for other in self.after[cluster] if self.stage[other] == stage + 1]
        before = [other for other in self.before[cluster] if self.stage[other] == stage - 1]
        return [other for other in before + after if other not in self._sealed]

    def merge(self, a: int, b: int) -> int:
        """Contracts two neighbours of adjacent stages and updates the stages after them. Returns the new name."""
        keep, gone = min(a, b), max(a, b)
        self.members[keep] += self.members.pop(gone)
        self.weight[keep] += self.weight.pop(gone)
        for mine, theirs in ((self.after, self.before), (self.before, self.after)):
            moved = mine.pop(gone)
            mine[keep] = (mine[keep] | moved) - {keep, gone}
            for other in moved - {keep}:
                theirs[other].discard(gone)
                theirs[other].add(keep)
        if gone in self.complex:
            self.complex.remove(gone)
            self.complex.add(keep)
        del self.stage[gone]
        self._restage(keep)
        return keep

    def _restage(self, start: int) -> None:
        """Recomputes the stage of `start` and of what follows from it, stopping where nothing changes."""
        waiting = deque([start])
        while waiting:
            node = waiting.popleft()
            stage = max((self.stage[p] + 1 for p in self.before[node]), default=0)
            if stage != self.stage[node] or node == start:
                self.stage[node] = stage
                waiting.extend(sorted(self.after[node]))
