"""What every layout engine needs and hands over. Lengths are pixels at zoom 1, y grows downwards."""

from __future__ import annotations

from dataclasses import dataclass

from ago_core.graph.opgraph import Operator, OpGraph
from ago_core.partition.partition import Partition

Point = tuple[float, float]
Box = tuple[float, float, float, float]

NODE_GAP = 10.0
RANK_GAP = 15.0
BOX_PADDING = 6.0
BOX_TITLE = 15.0
LABEL_CHARACTERS = 20


@dataclass(frozen=True)
class Drawing:
    """An unfolded drawing.

    Attributes:
        centres: centre of each operator, by id.
        boxes: for each subgraph (x1, y1, x2, y2), None for one of a single operator. No box overlaps another one, nor
            an operator that is not its member.
        routes: for each edge the points where it bends, from producer to consumer; () if it is straight, None if the
            engine left the edge out.
    """

    centres: tuple[Point, ...]
    boxes: tuple[Box | None, ...]
    routes: tuple[tuple[Point, ...] | None, ...]


def subgraph_edges(graph: OpGraph, partition: Partition) -> set[tuple[int, int]]:
    """Pairs of subgraphs of which the second reads a result of the first."""
    owner = partition.owner
    return {(owner[u], owner[v]) for u, v in graph.edges if owner[u] != owner[v]}


def node_label(op: Operator) -> str:
    """The operator's kind, shortened to `LABEL_CHARACTERS` characters."""
    return op.kind if len(op.kind) <= LABEL_CHARACTERS else op.kind[: LABEL_CHARACTERS - 1] + "…"


def node_size(op: Operator) -> Point:
    """Width and height of an operator: its label at 13 pixels, a little more for the bold label of a complex one."""
    if op.is_complex:
        return max(60.0, 7.4 * len(node_label(op)) + 18), 26.0
    return max(48.0, 6.8 * len(node_label(op)) + 14), 22.0
