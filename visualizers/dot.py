"""Partitions in DOT: the inside of one subgraph, which the browser draws, and a whole model to take away."""

from __future__ import annotations

from collections.abc import Iterable

from ago_core.graph.opgraph import Operator, OpGraph, Tensor
from ago_core.partition.partition import Partition
from visualizers.palette import BLUE, NEUTRAL, SKY_TINT
from visualizers.units import count

NAMED_CONSUMERS = 3
NAMED_EDGES = 10


def subgraph_dot(graph: OpGraph, partition: Partition, index: int) -> str:
    """Operators of `partition.subgraphs[index]`, complex ones bold, with what they read from and write to the rest.

    Edges carry the tensors that flow along them.

    Raises:
        IndexError: there is no such subgraph.
    """
    members = partition.subgraphs[index]
    inside = set(members)
    lines = [
        f"digraph {_quote(f'S{index}')} {{",
        "bgcolor=transparent; nodesep=0.25; ranksep=0.35;",
        'node [fontname=Helvetica, fontsize=11, shape=box, style="rounded,filled", fillcolor=white, fontcolor=black];',
        f'edge [fontname=Helvetica, fontsize=9, color="{NEUTRAL}", fontcolor="{NEUTRAL}"];',
    ]
    for op in members:
        operator = graph.operators[op]
        lines.append(_operator(operator))
        lines += _inputs(graph, operator, inside)
        readers = [graph.operators[v] for v in graph.successors[op] if v in inside]
        lines += [_edge(f"o{op}", f"o{reader.id}", _read_from(op, reader)) for reader in readers]
        lines += _outputs(graph, operator, inside)
    return "\n".join([*lines, "}"])


def subgraph_text(graph: OpGraph, partition: Partition, index: int) -> str:
    """The drawing of a subgraph in words: which operator passes on to which, the first of them by name."""
    members = partition.subgraphs[index]
    names = {op: graph.operators[op].name for op in members}
    steps = [f"{names[u]} to {names[v]}" for u in members for v in graph.successors[u] if v in names]
    rest = f" and {len(steps) - NAMED_EDGES} more" if len(steps) > NAMED_EDGES else ""
    inside = f": {', '.join(steps[:NAMED_EDGES])}{rest}" if steps else f": {', '.join(names.values())}"
    return f"Drawing of S{index}, {count(len(members), 'operator')}, data flows downwards{inside}."


def partition_dot(graph: OpGraph, partition: Partition) -> str:
    """The whole model, every subgraph of several operators a cluster; edges carry the tensors that flow along them."""
    lines = [
        f"digraph {_quote(graph.name)} {{",
        "compound=true; nodesep=0.25; ranksep=0.35;",
        'node [fontname=Helvetica, fontsize=11, shape=box, style="rounded,filled", fillcolor=white, fontcolor=black];',
        f'edge [fontname=Helvetica, fontsize=9, color="{NEUTRAL}", fontcolor="{NEUTRAL}"];',
    ]
    for index, members in enumerate(partition.subgraphs):
        nodes = [_operator(graph.operators[op]) for op in members]
        if len(members) > 1:
            nodes = [f'subgraph cluster_{index} {{ label="S{index}"; fontname=Helvetica;', *nodes, "}"]
        lines += nodes
    lines.append(_plain("input", "model input"))
    first = [(op, tensors) for op in graph.operators if (tensors := _read_from(None, op))]
    lines += [_edge("input", f"o{op.id}", tensors) for op, tensors in first]
    lines += [_edge(f"o{u}", f"o{v}", _read_from(u, graph.operators[v])) for u, v in graph.edges]
    return "\n".join([*lines, "}"])


def _operator(operator: Operator) -> str:
    label = operator.name + "".join(f"\nweights {_shape(weight)}" for weight in operator.weights)
    bold = f', penwidth=2.5, color="{BLUE}", fillcolor="{SKY_TINT}", fontname="Helvetica-Bold"'
    look = bold if operator.is_complex else f', color="{NEUTRAL}"'
    return f"o{operator.id} [label={_quote(label)}{look}];"


def _inputs(graph: OpGraph, operator: Operator, inside: set[int]) -> list[str]:
    """What an operator reads from outside: each producer is one plain node, however many members read it."""
    producers = [graph.operators[u] for u in graph.predecessors[operator.id]]
    lines = []
    for producer in producers:
        if producer.id not in inside:
            lines.append(_plain(f"i{producer.id}", producer.name))
            lines.append(_edge(f"i{producer.id}", f"o{operator.id}", _read_from(producer.id, operator)))
    from_model = _read_from(None, operator)
    if from_model:
        lines.append(_plain("input", "model input"))
        lines.append(_edge("input", f"o{operator.id}", from_model))
    return lines


def _outputs(graph: OpGraph, operator: Operator, inside: set[int]) -> list[str]:
    """Who reads an operator from outside, in one plain node."""
    readers = [graph.operators[v].name for v in graph.successors[operator.id] if v not in inside]
    if operator.id in graph.results:
        readers.insert(0, "model output")
    if not readers:
        return []
    more = len(readers) - NAMED_CONSUMERS
    label = "\n".join(readers[:NAMED_CONSUMERS]) + (f"\nand {more} more" if more > 0 else "")
    target = f"r{operator.id}"
    return [_plain(target, label), _edge(f"o{operator.id}", target, dict.fromkeys(operator.outputs))]


def _read_from(source: int | None, reader: Operator) -> list[Tensor]:
    """What an operator reads of another one, or of the model's inputs; equal tensors once."""
    return list(dict.fromkeys(tensor for tensor, of in zip(reader.inputs, reader.sources) if of == source))


def _plain(node: str, label: str) -> str:
    return f'{node} [shape=plaintext, style="", label={_quote(label)}, fontcolor="{NEUTRAL}"];'


def _edge(tail: str, head: str, tensors: Iterable[Tensor]) -> str:
    label = "\n".join(f" {_shape(tensor)} " for tensor in tensors)
    return f"{tail} -> {head} [label={_quote(label)}];"


def _shape(tensor: Tensor) -> str:
    """Extents, and the element type unless it is float32."""
    extents = "×".join(map(str, tensor.shape)) or "scalar"
    return extents if tensor.dtype == "float32" else f"{extents} {tensor.dtype}"


def _quote(text: str) -> str:
    """A DOT string: a name from a model cannot end it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
