"""Why two operators are, or are not, in one subgraph."""

from __future__ import annotations

from dataclasses import dataclass

import networkx as nx

from ago_core.fusion.reuse import analyse
from ago_core.graph.opgraph import Operator, OpGraph, Pattern
from ago_core.partition.ago import Clustering, Verdict
from ago_core.partition.clusters import Clusters
from ago_core.partition.partition import Partition
from ago_core.partition.settings import Rule
from ago_core.partition.trace import Edge, path_edges, replay, sentence


@dataclass(frozen=True)
class Explanation:
    """An answer for a pair of operators.

    Attributes:
        together: whether they share a subgraph.
        sentences: the reason, the most telling first.
        verdict: for AGO, what stands between the two subgraphs now; None where they are together or no neighbours.
        path: operators of the cycle that merging would close, one a subgraph; empty for other reasons.
        detour: the same path as edges between operators, (producer, reader), that lead from subgraph to subgraph.
        step: index of the step that joined them, where the construction is known.
    """

    together: bool
    sentences: tuple[str, ...]
    verdict: Verdict | None = None
    path: tuple[int, ...] = ()
    detour: tuple[Edge, ...] = ()
    step: int | None = None


def explain_ago(graph: OpGraph, clustering: Clustering, u: int, v: int) -> Explanation:
    """From the steps of the construction, and from what would happen if the two subgraphs were merged now."""
    clusters = replay(graph, clustering, len(clustering.steps))
    a, b = clusters.of(u), clusters.of(v)
    if a == b:
        return _joined(graph, clustering, u, v)
    if b not in {*clusters.after[a], *clusters.before[a]}:
        text = "No operator of the one subgraph reads a result of the other, and AGO only joins neighbours."
        return Explanation(False, (text,))
    return _apart(graph, clustering, clusters, a, b)


def _joined(graph: OpGraph, clustering: Clustering, u: int, v: int) -> Explanation:
    if u == v:
        return Explanation(True, ("It is one operator.",))
    clusters = replay(graph, clustering, 0)
    for index, step in enumerate(clustering.steps):
        if step.verdict is not Verdict.ABSORBED:
            continue
        clusters.merge(step.cluster, step.candidate)
        if clusters.of(u) == clusters.of(v):
            why = sentence(graph, clustering, step, False)
            return Explanation(True, (f"Joined in step {index + 1}, round {step.round}: {why}",), step=index)
    raise ValueError("the steps do not join two operators of one subgraph")


def _apart(graph: OpGraph, clustering: Clustering, clusters: Clusters, a: int, b: int) -> Explanation:
    settings = clustering.settings
    total = clusters.weight[a] + clusters.weight[b]
    detour = clusters.detour(a, b)
    found: list[tuple[Verdict, str]] = []
    if graph.operators[a].extern or graph.operators[b].extern:
        found.append((Verdict.NO_GAIN, "One of them is a library call, which no subgraph can hold with others."))
    if detour is not None:
        names = " → ".join(graph.operators[min(clusters.members[name])].name for name in detour)
        found.append((Verdict.CYCLE, f"Merging would close a cycle: another path leads {names}."))
    elif settings.rule is Rule.STAGES and not clusters.stages_allow(a, b):
        found.append(
            (Verdict.CYCLE, "Their stages do not prove that merging closes no cycle; the exact rule would allow it.")
        )
    if total > settings.threshold:
        weights = f"{clusters.weight[a]:.0f} + {clusters.weight[b]:.0f} = {total:.0f}"
        found.append(
            (Verdict.THRESHOLD, f"Together they would weigh {weights}, over the threshold of {settings.threshold:.0f}.")
        )
    if settings.aware and clusters.saving(a, b) <= 0:
        found.append((Verdict.NO_GAIN, f"Fusing gives no gain: {_no_gain(graph, clusters, a, b)}."))
    if not found:
        found.append(
            (Verdict.NO_GAIN, "Nothing stands between them now; when one of them grew, the other was refused.")
        )
    path = tuple(min(clusters.members[name]) for name in detour or ())
    edges = path_edges(graph, clusters, detour or ())
    return Explanation(False, tuple(text for _, text in found), found[0][0], path, edges)


def _no_gain(graph: OpGraph, clusters: Clusters, a: int, b: int) -> str:
    crossing = [(u, v) for u, v in graph.edges if {clusters.of(u), clusters.of(v)} == {a, b}]
    return analyse(graph, *crossing[0]).reason


def explain_heuristic(graph: OpGraph, partition: Partition, u: int, v: int) -> Explanation:
    """As far as TVM's rules tell (src/relax/transform/fuse_ops.cc): pattern kinds, dominators, one complex operator.

    FuseOps fuses an operator with its immediate post-dominator, the first operator that every path from it passes, if
    the pattern kinds on all these paths allow it.
    """
    owner = partition.owner
    first, second = graph.operators[min(u, v)], graph.operators[max(u, v)]
    if owner[u] == owner[v]:
        kinds = f"{first.name} is {first.pattern.value}, {second.name} is {second.pattern.value}"
        return Explanation(True, (f"TVM's pattern kinds allow it: {kinds}.",))
    reasons = [
        *_opaque(first, second),
        *_two_complex(graph, partition, first, second),
        *_not_dominated(graph, first, second),
        *_pattern_refused(graph, partition, first, second),
    ]
    return Explanation(
        False, tuple(reasons) or ("TVM left them apart; its pattern kinds and dominators do not say why.",)
    )


def _opaque(*operators: Operator) -> list[str]:
    return [
        f"{op.name} is opaque to TVM, which fuses it with nothing." for op in operators if op.pattern is Pattern.OPAQUE
    ]


def _two_complex(graph: OpGraph, partition: Partition, first: Operator, second: Operator) -> list[str]:
    def heavy(op: Operator) -> list[str]:
        members = partition.subgraphs[partition.owner[op.id]]
        return [
            graph.operators[m].name for m in members if graph.operators[m].pattern is Pattern.OUT_ELEMENTWISE_FUSABLE
        ]

    a, b = heavy(first), heavy(second)
    if not a or not b:
        return []
    pattern = Pattern.OUT_ELEMENTWISE_FUSABLE.value
    return [f"TVM allows one operator of pattern {pattern} a subgraph, and here are {a[0]} and {b[0]}."]


def _not_dominated(graph: OpGraph, first: Operator, second: Operator) -> list[str]:
    post_dominator = immediate_post_dominator(graph, first.id)
    if second.id not in graph.successors[first.id]:
        return [f"{second.name} does not read {first.name}; TVM fuses along edges to a post-dominator."]
    if post_dominator == second.id:
        return []
    others = ", ".join(graph.operators[r].name for r in graph.successors[first.id] if r != second.id)
    where = "the end of the model" if post_dominator is None else graph.operators[post_dominator].name
    return [f"{first.name} is also read by {others or 'the model’s result'}: its paths meet again only at {where}."]


def _pattern_refused(graph: OpGraph, partition: Partition, first: Operator, second: Operator) -> list[str]:
    light = (Pattern.ELEMENTWISE, Pattern.BROADCAST)
    members = [graph.operators[op] for op in partition.subgraphs[partition.owner[first.id]]]
    head = next((op for op in members if op.pattern is Pattern.OUT_ELEMENTWISE_FUSABLE and op.id <= first.id), first)
    if head.pattern is Pattern.OUT_ELEMENTWISE_FUSABLE and second.pattern not in light:
        rule = f"After {head.name} TVM fuses only elementwise and broadcast operators"
        return [f"{rule}; {second.name} is {second.pattern.value}."]
    if first.pattern is Pattern.REDUCTION:
        return [f"{first.name} is a reduction, and TVM fuses nothing after one."]
    return []


def immediate_post_dominator(graph: OpGraph, op: int) -> int | None:
    """The first operator on every path from `op` to a result; None where its paths meet only at the end."""
    end = len(graph)
    reverse = nx.DiGraph((v, u) for u, v in graph.edges)
    reverse.add_edges_from((end, result) for result in graph.results)
    reverse.add_edges_from((end, other.id) for other in graph.operators if not graph.successors[other.id])
    dominator = nx.immediate_dominators(reverse, end)[op]
    return None if dominator == end else dominator
