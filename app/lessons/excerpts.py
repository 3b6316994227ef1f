"""Small parts of real models, for lessons: a dozen operators show more than a hundred."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ago_core.graph.opgraph import OpGraph
from ago_core.partition.partition import Partition, make_partition
from app.services.loaded import Loaded


@dataclass(frozen=True, eq=False)
class Excerpt:
    """Operators of a model that follow each other, as a graph of their own, and TVM's partition of them.

    Attributes:
        graph: the operators, numbered from 0. What they read from outside counts as the model's input.
        ids: their numbers in the whole model.
        heuristic: TVM's subgraphs in the whole model, as far as they lie in this part.
    """

    graph: OpGraph
    ids: tuple[int, ...]
    heuristic: Partition

    def id(self, name: str) -> int:
        """The number of an operator here."""
        return next(op.id for op in self.graph.operators if op.name == name)

    def restrict(self, partition: Partition) -> Partition:
        """A partition of the whole model, as far as it lies in this part."""
        here = {op: index for index, op in enumerate(self.ids)}
        groups = [[here[op] for op in members if op in here] for members in partition.subgraphs]
        return make_partition(self.graph, groups, partition.method)


def excerpt(loaded: Loaded, first: str, last: str) -> Excerpt:
    """The operators from `first` to `last` in the model's order, by name."""
    numbers = {op.name: op.id for op in loaded.graph.operators}
    ids = tuple(range(numbers[first], numbers[last] + 1))
    graph = _part(loaded.graph, ids)
    bare = Excerpt(graph, ids, make_partition(graph, [[op] for op in range(len(ids))], "heuristic"))
    return replace(bare, heuristic=bare.restrict(loaded.heuristic))


def fire(loaded: Loaded) -> Excerpt:
    """The first fire module of SqueezeNet: a pointwise convolution whose result two others read, then a concat."""
    return excerpt(loaded, "pointwise_conv2d_1", "concatenate_1")


def residual(loaded: Loaded) -> Excerpt:
    """An inverted residual of MobileNetV2 with its skip connection, and the convolution before it."""
    return excerpt(loaded, "pointwise_conv2d_3", "add_10")


def _part(graph: OpGraph, ids: tuple[int, ...]) -> OpGraph:
    here = {op: index for index, op in enumerate(ids)}
    operators = tuple(
        replace(
            graph.operators[op], id=index, sources=tuple(here.get(source) for source in graph.operators[op].sources)
        )
        for op, index in here.items()
    )
    results = tuple(here[op] for op in ids if op in graph.results or not here.keys() >= set(graph.successors[op]))
    edges = tuple((here[u], here[v]) for u, v in graph.edges if u in here and v in here)
    return replace(
        graph,
        name=f"{graph.name}, {operators[0].name} to {operators[-1].name}",
        model_hash=f"{graph.model_hash}:{ids[0]}-{ids[-1]}",
        operators=operators,
        edges=edges,
        results=results,
    )


def titles(part: Excerpt) -> list[str]:
    """What to call each of TVM's subgraphs: its number and its first operator."""
    groups = part.heuristic.subgraphs
    return [f"S{index} {part.graph.operators[members[0]].name}" for index, members in enumerate(groups)]


def code(graph: OpGraph, operators: Iterable[int]) -> str:
    """Names of operators in Markdown."""
    return ", ".join(f"`{graph.operators[op].name}`" for op in operators)
