"""What a panel draws of a partition: operators, and folded subgraphs as one node each (level of detail).

A scene is itself an OpGraph with a Partition, in which a folded subgraph is one operator, so every layout engine can
draw it. Folding keeps the quotient graph, which has no cycle; so a scene has none either.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ago_core.graph.opgraph import Operator, OpGraph, Pattern
from ago_core.partition.partition import Partition

Members = tuple[int, ...]
FOLD_ABOVE = 600
"""Models of more operators are first shown by their subgraphs."""


@dataclass(frozen=True)
class Folding:
    """Which subgraphs of several operators are drawn as one node. Subgraphs are named by their members, so that what
    an edit leaves as it was stays folded or unfolded.

    Attributes:
        closed: whether they are folded unless told otherwise.
        others: those of which the opposite holds.
    """

    closed: bool = False
    others: frozenset[Members] = frozenset()

    @classmethod
    def at_first(cls, graph: OpGraph) -> Folding:
        """Small models are shown by their operators, large ones by their subgraphs."""
        return cls(closed=len(graph) > FOLD_ABOVE)

    def folded(self, partition: Partition) -> tuple[int, ...]:
        """Indices of the subgraphs that are drawn as one node, ascending."""
        subgraphs = enumerate(partition.subgraphs)
        return tuple(i for i, members in subgraphs if len(members) > 1 and self.closed != (members in self.others))

    def exceptions(self, partition: Partition) -> tuple[int, ...]:
        """Indices of the subgraphs in `others`, ascending."""
        return tuple(i for i, members in enumerate(partition.subgraphs) if members in self.others)

    def toggled(self, members: Members) -> Folding:
        """With one subgraph the other way."""
        return replace(self, others=self.others ^ {members})


@dataclass(frozen=True)
class Scene:
    """What is drawn.

    Attributes:
        graph, partition: the model and its partition.
        drawn: the graph to lay out; its operator i is node i of the scene.
        groups: `partition` over the nodes: the same subgraphs in the same order.
        members: for each node the operators that it stands for: one, or all of a folded subgraph.
    """

    graph: OpGraph
    partition: Partition
    drawn: OpGraph
    groups: Partition
    members: tuple[Members, ...]

    def name(self, node: int) -> str:
        """The node's id in the browser: "12" for an operator, "S3" for a folded subgraph."""
        members = self.members[node]
        return str(members[0]) if len(members) == 1 else self.drawn.operators[node].name


def make_scene(graph: OpGraph, partition: Partition, folded: Iterable[int] = ()) -> Scene:
    """The scene in which the subgraphs `folded` are one node each."""
    folded = frozenset(folded)
    if not folded:
        return Scene(graph, partition, graph, partition, tuple((op.id,) for op in graph.operators))
    # Subgraphs are in topological order, and so are the operators in each: so are the nodes.
    members: list[Members] = []
    groups: list[Members] = []
    for index, inside in enumerate(partition.subgraphs):
        parts = [inside] if index in folded else [(op,) for op in inside]
        groups.append(tuple(range(len(members), len(members) + len(parts))))
        members += parts
    node = {op: number for number, inside in enumerate(members) for op in inside}
    edges = {(node[u], node[v]) for u, v in graph.edges if node[u] != node[v]}
    owner = partition.owner
    operators = tuple(_operator(graph, owner[inside[0]], number, inside) for number, inside in enumerate(members))
    drawn = replace(graph, operators=operators, edges=tuple(sorted(edges)), results=_results(graph, node))
    return Scene(graph, partition, drawn, replace(partition, subgraphs=tuple(groups)), tuple(members))


def _results(graph: OpGraph, node: dict[int, int]) -> tuple[int, ...]:
    return tuple(sorted({node[op] for op in graph.results}))


def _operator(graph: OpGraph, index: int, number: int, members: Members) -> Operator:
    """A node of subgraph `index` as the layout engines see it: an operator, or what a folded subgraph adds up to."""
    if len(members) == 1:
        return replace(graph.operators[members[0]], id=number)
    operators = [graph.operators[op] for op in members]
    return Operator(
        id=number,
        name=f"S{index}",
        kind=folded_label(index, operators),
        pattern=Pattern.OPAQUE,
        loops=(),
        flops=sum(op.flops for op in operators),
        inputs=(),
        weights=tuple(weight for op in operators for weight in op.weights),
        outputs=(),
        origin=(),
        multiply_adds=sum(op.multiply_adds for op in operators),
    )


def folded_label(index: int, operators: list[Operator]) -> str:
    """What a folded subgraph shows: "S7 · 2/9 complex" for nine operators, two of them complex, or "S7 · 3 ops"."""
    complex_count = sum(op.is_complex for op in operators)
    return (
        f"S{index} · {complex_count}/{len(operators)} complex" if complex_count else f"S{index} · {len(operators)} ops"
    )
