"""Counts the transposes that the import left: each costs time, and between convolutions there should be none."""

from __future__ import annotations

from dataclasses import dataclass

from ago_core.graph.opgraph import OpGraph


@dataclass(frozen=True)
class Transposes:
    """How many transposes a graph holds, and whose they are.

    Attributes:
        of_model: the model itself asks for them (a Transpose, a channel shuffle, a Flatten of an image).
        at_edges: added where a model's input or output has another layout than the code inside.
        inside: added anywhere else; an import without faults has none.
    """

    of_model: int
    at_edges: int
    inside: int


def count_transposes(graph: OpGraph) -> Transposes:
    transposes = [op.id for op in graph.operators if op.kind == "transpose"]
    added = [op for op in transposes if not graph.operators[op].origin]
    edges = [op for op in added if not graph.predecessors[op] or op in graph.results or _leads_out(graph, op)]
    return Transposes(len(transposes) - len(added), len(edges), len(added) - len(edges))


def _leads_out(graph: OpGraph, op: int) -> bool:
    """Whether the model's result is the transposed tensor, reshaped at most."""
    readers = graph.successors[op]
    return bool(readers) and all(graph.operators[r].kind == "reshape" and r in graph.results for r in readers)
