"""The plain layout of last resort: layers by longest path, no search for few crossings, only short edges drawn.

Two levels: each subgraph is laid out alone, then the subgraphs, which wait for each other in no cycle, are laid out as
blocks. So boxes cannot overlap, and time is linear in operators and edges, sorting aside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ago_core.graph.opgraph import OpGraph
from ago_core.partition.partition import Partition
from visualizers.drawing import BOX_PADDING, BOX_TITLE, NODE_GAP, RANK_GAP, Box, Drawing, Point, subgraph_edges

STRAIGHT_UP_TO = 120.0


def draw(graph: OpGraph, partition: Partition, sizes: tuple[Point, ...]) -> Drawing:
    """Lays `partition` out, top to bottom."""
    insides = [_inside(graph, members, sizes) for members in partition.subgraphs]
    predecessors: dict[int, tuple[int, ...]] = dict.fromkeys(range(len(partition)), ())
    for first, then in sorted(subgraph_edges(graph, partition)):
        predecessors[then] += (first,)
    blocks = _place(predecessors, {index: size for index, (_, size) in enumerate(insides)}, RANK_GAP, NODE_GAP)
    centres: list[Point] = [(0.0, 0.0)] * len(graph)
    boxes: list[Box | None] = []
    for index, (inner, (width, height)) in enumerate(insides):
        left, top = blocks[index][0] - width / 2, blocks[index][1] - height / 2
        for op, (x, y) in inner.items():
            centres[op] = (left + x, top + y)
        boxes.append((left, top, left + width, top + height) if len(inner) > 1 else None)
    routes = tuple(() if centres[v][1] - centres[u][1] <= STRAIGHT_UP_TO else None for u, v in graph.edges)
    return Drawing(tuple(centres), tuple(boxes), routes)


def _inside(graph: OpGraph, members: tuple[int, ...], sizes: tuple[Point, ...]) -> tuple[dict[int, Point], Point]:
    """Centres of one subgraph's operators from its upper left corner, and its width and height."""
    if len(members) == 1:
        width, height = sizes[members[0]]
        return {members[0]: (width / 2, height / 2)}, (width, height)
    inside = set(members)
    predecessors = {op: tuple(p for p in graph.predecessors[op] if p in inside) for op in members}
    centres = _place(predecessors, {op: sizes[op] for op in members}, RANK_GAP, NODE_GAP)
    right = max(x + sizes[op][0] / 2 for op, (x, _) in centres.items())
    bottom = max(y + sizes[op][1] / 2 for op, (_, y) in centres.items())
    shifted = {op: (x + BOX_PADDING, y + BOX_PADDING + BOX_TITLE) for op, (x, y) in centres.items()}
    return shifted, (right + 2 * BOX_PADDING, bottom + 2 * BOX_PADDING + BOX_TITLE)


def _place(
    predecessors: Mapping[int, tuple[int, ...]], sizes: Mapping[int, Point], rank_gap: float, node_gap: float
) -> dict[int, Point]:
    """Centres of blocks, each row ordered by the mean x of what its blocks read. `predecessors` is topological."""
    rows = _rows(predecessors)
    full = max(_row_width(row, sizes, node_gap) for row in rows)
    centres: dict[int, Point] = {}
    top = 0.0
    for row in rows:
        row.sort(key=lambda node: _mean([centres[p][0] for p in predecessors[node]], full / 2))
        left = (full - _row_width(row, sizes, node_gap)) / 2
        height = max(sizes[node][1] for node in row)
        for node in row:
            centres[node] = (left + sizes[node][0] / 2, top + height / 2)
            left += sizes[node][0] + node_gap
        top += height + rank_gap
    return centres


def _rows(predecessors: Mapping[int, tuple[int, ...]]) -> list[list[int]]:
    """Nodes by the longest path that leads to them."""
    rank: dict[int, int] = {}
    rows: list[list[int]] = []
    for node, sources in predecessors.items():
        rank[node] = 1 + max((rank[source] for source in sources), default=-1)
        if rank[node] == len(rows):
            rows.append([])
        rows[rank[node]].append(node)
    return rows


def _row_width(row: Iterable[int], sizes: Mapping[int, Point], gap: float) -> float:
    widths = [sizes[node][0] for node in row]
    return sum(widths) + gap * (len(widths) - 1)


def _mean(values: list[float], default: float) -> float:
    return sum(values) / len(values) if values else default
