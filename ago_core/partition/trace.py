"""A clustering step by step: what the picture looked like at each step, for a reader who goes forward and back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from ago_core.graph.opgraph import OpGraph
from ago_core.partition.ago import Clustering, Step, Verdict
from ago_core.partition.clusters import Clusters
from ago_core.partition.settings import Rule
from ago_core.partition.weights import operator_weights

Edge = tuple[int, int]


@dataclass(frozen=True)
class State:
    """The construction at one step, before its verdict is carried out.

    Attributes:
        index: of the step, from 0.
        step: cluster, candidate, verdict and weights.
        cluster: operators of the growing cluster.
        candidate: operators of the neighbour considered.
        affix_set: for each neighbour that could be absorbed without closing a cycle, its operators.
        detour: edges between operators, (producer, reader), that lead from cluster to cluster and that merging would
            close into a cycle, where that is the verdict; else none.
        groups: all clusters with more than one operator.
        sentence: the verdict in words.
    """

    index: int
    step: Step
    cluster: tuple[int, ...]
    candidate: tuple[int, ...]
    affix_set: tuple[tuple[int, ...], ...]
    detour: tuple[Edge, ...]
    groups: tuple[tuple[int, ...], ...]
    sentence: str


def state_at(graph: OpGraph, clustering: Clustering, index: int) -> State:
    """Replays the merges before step `index` (O(n) work). Raises IndexError where there is no such step."""
    step = clustering.steps[index]
    clusters = replay(graph, clustering, index)
    a, b = step.cluster, step.candidate
    detour = clusters.detour(a, b) if step.verdict is Verdict.CYCLE else None
    return State(
        index=index,
        step=step,
        cluster=_members(clusters, a),
        candidate=_members(clusters, b),
        affix_set=tuple(_members(clusters, other) for other in affix_set(clusters, a, clustering.settings.rule)),
        detour=path_edges(graph, clusters, detour or ()),
        groups=tuple(sorted(_members(clusters, name) for name, ops in clusters.members.items() if len(ops) > 1)),
        sentence=sentence(graph, clustering, step, detour is not None),
    )


def replay(graph: OpGraph, clustering: Clustering, steps: int) -> Clusters:
    """The clusters after so many steps."""
    clusters = Clusters(graph, operator_weights(graph), clustering.savings)
    for step in clustering.steps[:steps]:
        if step.verdict is Verdict.ABSORBED:
            clusters.merge(step.cluster, step.candidate)
    return clusters


def path_edges(graph: OpGraph, clusters: Clusters, path: Iterable[int]) -> tuple[Edge, ...]:
    """For a path of clusters, each read by the next, an edge between operators of each two."""

    def edge(here: int, there: int) -> Edge:
        producers = clusters.members[here]
        return next((u, v) for u in producers for v in graph.successors[u] if clusters.of(v) == there)

    return tuple(edge(here, there) for here, there in pairwise(path))


def affix_set(clusters: Clusters, cluster: int, rule: Rule) -> list[int]:
    """Neighbours whose absorption closes no cycle, as far as the rule can tell."""
    neighbours = clusters.neighbours(cluster)
    allowed = [other for other in neighbours if clusters.stages_allow(cluster, other)]
    if rule is Rule.EXACT:
        allowed += [o for o in neighbours if o not in allowed and clusters.detour(cluster, o) is None]
    return sorted(allowed)


def sentence(graph: OpGraph, clustering: Clustering, step: Step, has_detour: bool) -> str:
    """What became of the candidate, and why."""
    name = graph.operators[step.candidate].name
    total, limit = step.weight + step.candidate_weight, clustering.settings.threshold
    if step.verdict is Verdict.ABSORBED:
        return f"{name} joins: weight {step.weight:.0f} + {step.candidate_weight:.0f} = {total:.0f}, limit {limit:.0f}."
    if step.verdict is Verdict.THRESHOLD:
        return f"{name} is too much: {step.weight:.0f} + {step.candidate_weight:.0f} = {total:.0f} is over {limit:.0f}."
    if step.verdict is Verdict.NO_GAIN:
        return f"{name} stays out: fusing saves no memory traffic that would outweigh its cost."
    if has_detour:
        return f"{name} stays out: another path leads there, and merging would close it into a cycle."
    return f"{name} stays out: its stage does not prove that no cycle closes, though in fact none would."


def _members(clusters: Clusters, name: int) -> tuple[int, ...]:
    return tuple(sorted(clusters.members[name]))
