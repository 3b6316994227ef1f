"""What the graph view shows: OpGraph + Partition + Layout → elements in cytoscape.js' format.

Ids: operator 12 is "12", the box of subgraph 3 is "S3", an edge is "12-13". Classes say what an element is ("op",
"complex", "extern", "box", "edge", "bent", "detour") and which hue it has ("t0", "t1", ... in `palette.SUBGRAPH_HUES`;
without one it is neutral).
"""

from __future__ import annotations

import math

from ago_core.graph.opgraph import Operator, OpGraph
from ago_core.partition.partition import Partition
from visualizers.drawing import Point, node_label, subgraph_edges
from visualizers.layout import Layout
from visualizers.palette import SUBGRAPH_HUES
from visualizers.units import count, flops, nbytes

CARD_NAMES = 4


def elements(graph: OpGraph, partition: Partition, layout: Layout) -> list[dict]:
    """Boxes, then edges, then operators, in the order in which they are painted.

    Every node carries `card`, the rows of its hover card as [label, text] pairs, the first its title. They are plain
    text, to be shown as such: names in a model may look like HTML.
    """
    hues = subgraph_hues(graph, partition)
    boxes = [
        _box(graph, index, members, layout.boxes[index], hues[index])
        for index, members in enumerate(partition.subgraphs)
        if layout.boxes[index]
    ]
    detours = set(layout.detours)
    edges = [_edge(edge, layout, index, index in detours) for index, edge in enumerate(graph.edges)]
    owner = partition.owner
    operators = [_operator(op, layout, partition, owner[op.id], hues[owner[op.id]]) for op in graph.operators]
    return boxes + edges + operators


def subgraph_hues(graph: OpGraph, partition: Partition) -> tuple[int | None, ...]:
    """A hue for each subgraph, None for one of a single operator.

    Greedy: the first hue that neither a neighbour in the quotient graph has nor, if possible, a neighbour's neighbour,
    since branches that start or end together lie side by side. With more neighbours than hues, the one that fewest of
    them have.
    """
    neighbours: list[set[int]] = [set() for _ in range(len(partition))]
    for u, v in subgraph_edges(graph, partition):
        neighbours[u].add(v)
        neighbours[v].add(u)
    hues: list[int | None] = [None] * len(partition)
    for index, members in enumerate(partition.subgraphs):
        if len(members) == 1:
            continue
        near = neighbours[index]
        far = {other for neighbour in near for other in neighbours[neighbour]} - near - {index}
        cost = [0] * len(SUBGRAPH_HUES)
        for others, price in ((near, len(partition)), (far, 1)):
            for other in others:
                if hues[other] is not None:
                    cost[hues[other]] += price
        hues[index] = cost.index(min(cost))
    return tuple(hues)


def describe(items: list[dict]) -> str:
    """One sentence that says what `elements` returned, for those who cannot see it."""
    classes = [set(item["classes"].split()) for item in items]
    total = {name: sum(name in own for own in classes) for name in ("op", "complex", "box", "edge")}
    return (
        f"{count(total['op'], 'operator')}, {total['complex']} of them complex, and {count(total['edge'], 'edge')}; "
        f"{count(total['box'], 'subgraph')} of several operators."
    )


def _operator(op: Operator, layout: Layout, partition: Partition, subgraph: int, hue: int | None) -> dict:
    x, y, width, height = layout.positions[op.id]
    classes = ["op"]
    if op.is_complex:
        classes.append("complex")
    if op.extern:
        classes.append("extern")
    card = [
        [op.name, ""],
        ["Kind", f"{op.kind} ({op.pattern.value})"],
        ["Subgraph", f"S{subgraph}, {count(len(partition.subgraphs[subgraph]), 'operator')}"],
        ["Reads", _shapes(op.inputs)],
        ["Weights", _shapes(op.weights)],
        ["Writes", _shapes(op.outputs)],
        ["Work", flops(op.flops)],
        ["Traffic", f"{nbytes(op.bytes_read)} in, {nbytes(op.bytes_written)} out"],
        ["ONNX", _names(op.origin) if op.origin else "added by the importer"],
    ]
    data = {"id": str(op.id), "label": node_label(op), "name": op.name, "w": width, "h": height}
    return {
        "data": data | {"subgraph": subgraph, "card": [row for row in card if row[0] == op.name or row[1]]},
        "position": {"x": round(x, 1), "y": round(y, 1)},
        "classes": _classes(classes, hue),
    }


def _box(graph: OpGraph, index: int, members: tuple[int, ...], box: tuple, hue: int | None) -> dict:
    x1, y1, x2, y2 = box
    operators = [graph.operators[op] for op in members]
    complex_names = tuple(op.name for op in operators if op.is_complex)
    card = [
        [f"Subgraph S{index}", ""],
        ["Operators", str(len(members))],
        ["Complex", f"{len(complex_names)}: {_names(complex_names)}" if complex_names else "none"],
        ["Work", flops(sum(op.flops for op in operators))],
    ]
    data = {"id": f"S{index}", "label": f"S{index}", "w": round(x2 - x1, 1), "h": round(y2 - y1, 1)}
    return {
        "data": data | {"subgraph": index, "card": card},
        "position": {"x": round((x1 + x2) / 2, 1), "y": round((y1 + y2) / 2, 1)},
        "classes": _classes(["box"], hue),
    }


def _edge(edge: tuple[int, int], layout: Layout, index: int, detour: bool) -> dict:
    u, v = edge
    data = {"id": f"{u}-{v}", "source": str(u), "target": str(v)}
    classes = ["edge"]
    if layout.routes[index]:
        classes.append("bent")
        data |= _segments(layout.positions[u][:2], layout.positions[v][:2], layout.routes[index])
    if detour:
        classes.append("detour")
    return {"data": data, "classes": " ".join(classes)}


def _segments(source: Point, target: Point, route: tuple[Point, ...]) -> dict:
    """A route in cytoscape's terms: of each point how far along the straight line it lies, 0 to 1, and beside it."""
    dx, dy = target[0] - source[0], target[1] - source[1]
    length = max(1e-6, math.hypot(dx, dy))
    relative = [(x - source[0], y - source[1]) for x, y in route]
    weights = [f"{(x * dx + y * dy) / length**2:.4f}" for x, y in relative]
    distances = [f"{(y * dx - x * dy) / length:.1f}" for x, y in relative]
    return {"weights": " ".join(weights), "distances": " ".join(distances)}


def _classes(names: list[str], hue: int | None) -> str:
    return " ".join(names if hue is None else [*names, f"t{hue}"])


def _shapes(tensors: tuple) -> str:
    return ", ".join(str(tensor) for tensor in tensors)


def _names(names: tuple[str, ...]) -> str:
    """The first few names and how many more there are."""
    more = len(names) - CARD_NAMES
    return ", ".join(names[:CARD_NAMES]) + (f" and {more} more" if more > 0 else "")
