"""Neighbouring complex operators of a network: which chains there are, and their code, fused and apart.

A chain starts at a convolution, a matmul or their like and follows the data to the second or third of them. Nothing
that it computes on the way is read elsewhere, so that code for the whole chain never has to write it. What other
operators give, such as the other side of a residual add, it reads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from tvm import tirx

from ago_core.fusion.reuse import analyse
from ago_core.graph.model import Model, load_model
from ago_core.graph.opgraph import Operator, OpGraph, Pattern
from ago_core.lowering.regroup import regroup_one
from ago_core.partition.partition import make_partition

POINTWISE = (Pattern.ELEMENTWISE, Pattern.BROADCAST)
MOVES = (*POINTWISE, Pattern.INJECTIVE)
LENGTHS = (2, 3)


@dataclass(frozen=True, eq=False)
class Chain:
    """Operators of one network.

    Attributes:
        model: the first network that has the chain.
        name: of its complex operators, such as "mnasnet@224 conv2d_1 → conv2d_2".
        kind: what they are, such as "pointwise → depthwise".
        shape: of the first input and of what each part gives.
        operators: ids, ascending.
        verdicts: for each intermediate whether fusing pays by the reuse analysis, and its reason.
        calls: how often each network has the chain.
    """

    model: str
    name: str
    kind: str
    shape: str
    operators: tuple[int, ...]
    verdicts: tuple[tuple[bool, str], ...]
    calls: Counter[str] = field(default_factory=Counter)

    @property
    def length(self) -> int:
        """Complex operators."""
        return self.name.count(" → ") + 1


def distinct_chains(specs: tuple[str, ...]) -> list[Chain]:
    """Chains of two and of three complex operators in these networks, equal ones once."""
    found: dict[tuple, Chain] = {}
    for spec in specs:
        graph = model_of(spec).graph
        for length in LENGTHS:
            for operators in chains(graph, length):
                key = key_of(graph, operators)
                if key not in found:
                    found[key] = _describe(spec, graph, operators)
                found[key].calls[spec] += 1
    return list(found.values())


@cache
def model_of(spec: str) -> Model:
    return load_model(spec)


def chains(graph: OpGraph, length: int) -> Iterator[tuple[int, ...]]:
    """Ids of each chain of so many complex operators, with the pointwise operators that follow the last."""
    for op in graph.operators:
        if op.is_complex and not op.extern and (found := _follow(graph, op.id, length)):
            yield found


def _follow(graph: OpGraph, first: int, length: int) -> tuple[int, ...]:
    """The longest chain from an operator; empty where there is none of that length.

    It takes the lowest reader each time, so nothing that a chain reads from outside can depend on the chain.
    """
    members, count, ended = [first], 1, ()
    while True:
        waiting = _waiting(graph, members)
        if count == length and len(waiting) == 1:
            ended = tuple(members)
        readers = sorted({reader for op in waiting for reader in graph.successors[op]} - set(members))
        if not readers or any(op in graph.results for op in members):
            return ended
        reader = graph.operators[readers[0]]
        if reader.extern or not _continues(reader, alone=len(readers) == 1, last=count == length):
            return ended
        count += reader.is_complex
        members.append(reader.id)


def _waiting(graph: OpGraph, members: list[int]) -> list[int]:
    """Members that something outside reads; the last always counts."""
    inside = set(members)
    return [op for op in members if op == members[-1] or not inside.issuperset(graph.successors[op])]


def _continues(reader: Operator, alone: bool, last: bool) -> bool:
    """Whether a chain goes on to a reader of what it computes.

    Args:
        reader: the operator.
        alone: whether nothing else reads from the chain. Otherwise only pointwise operators can join, such as the two
            of x · sigmoid(x), which together leave one result.
        last: whether the chain has all its complex operators: then only pointwise ones follow.
    """
    return reader.pattern in POINTWISE or (alone and not last)


def cut(graph: OpGraph, operators: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Cuts a chain before each operator that is neither pointwise nor moves data."""
    parts: list[list[int]] = []
    for op in operators:
        if not parts or graph.operators[op].pattern not in MOVES:
            parts.append([])
        parts[-1].append(op)
    return tuple(map(tuple, parts))


def kind_of(op: Operator) -> str:
    if op.kind == "matmul" and not op.weights:
        return "batched matmul"
    return op.kind.removesuffix("_conv2d").replace("_", " ")


def key_of(graph: OpGraph, operators: tuple[int, ...]) -> tuple:
    """Equal for chains of the same operators, shapes and connections."""
    place = {op: k for k, op in enumerate(operators)}
    members = [graph.operators[op] for op in operators]
    return tuple(
        (op.kind, op.loops, op.inputs, op.weights, op.outputs, op.access, tuple(place.get(s) for s in op.sources))
        for op in members
    )


def _describe(spec: str, graph: OpGraph, operators: tuple[int, ...]) -> Chain:
    parts = cut(graph, operators)
    heads = [graph.operators[part[0]] for part in parts]
    shapes = [heads[0].inputs[0], *(graph.operators[part[-1]].outputs[0] for part in parts)]
    into = [op for op in operators[1:] if graph.operators[op].is_complex]
    edges = [(next(s for s in graph.operators[op].sources if s in operators), op) for op in into]
    found = [analyse(graph, *edge) for edge in edges]
    return Chain(
        model=spec,
        name=f"{spec} {' → '.join(graph.operators[op].name for op in operators if graph.operators[op].is_complex)}",
        kind=" → ".join(map(kind_of, heads)),
        shape=" → ".join("×".join(map(str, tensor.shape)) for tensor in shapes),
        operators=operators,
        verdicts=tuple((reuse.pays, reuse.reason) for reuse in found),
    )


def function_of(model: Model, operators: tuple[int, ...]) -> tirx.PrimFunc:
    """One function of these operators, not scheduled; it writes its result to its last argument."""
    rest = [[op.id] for op in model.graph.operators if op.id not in operators]
    partition = make_partition(model.graph, [operators, *rest], "edited")
    return regroup_one(model, partition, partition.owner[operators[0]]).without_attr("global_symbol")
