"""What the graph view shows: Scene + Layout → elements in cytoscape.js' format.

Ids: operator 12 is "12", subgraph 3 is "S3" (its box, or the node that it is folded into), an edge is "12-13" or
"S3-13". Classes say what an element is ("op", "complex", "extern", "folded", "box", "edge", "bent", "detour") and which
hue it has ("t0", "t1", ... in `palette.SUBGRAPH_HUES`; without one it is neutral).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from ago_core.graph.opgraph import OpGraph, Tensor
from ago_core.partition.partition import Partition
from visualizers.drawing import Point, node_label, subgraph_edges
from visualizers.layout import Layout
from visualizers.palette import SUBGRAPH_HUES
from visualizers.scene import Scene
from visualizers.units import count, flops, nbytes

CARD_NAMES = 4


def elements(scene: Scene, layout: Layout) -> list[dict]:
    """Boxes, then edges, then nodes, in the order in which they are painted.

    Every node carries `card`, the rows of its hover card as [label, text] pairs, the first its title. They are plain
    text, to be shown as such: names in a model may look like HTML. A folded subgraph carries its `members`.

    Args:
        scene: what is drawn.
        layout: of `scene.drawn` and `scene.groups`.
    """
    hues = subgraph_hues(scene.graph, scene.partition)
    boxes = [
        _box(scene.graph, index, scene.partition.subgraphs[index], box, hues[index])
        for index, box in enumerate(layout.boxes)
        if box
    ]
    detours, tensors = set(layout.detours), _tensors(scene)
    edges = [
        _edge(scene, edge, layout, index, index in detours, tensors) for index, edge in enumerate(scene.drawn.edges)
    ]
    owner = scene.groups.owner
    nodes = [_node(scene, node, layout, owner[node], hues[owner[node]]) for node in range(len(scene.drawn))]
    return boxes + edges + nodes


def search_index(graph: OpGraph) -> list[list[str]]:
    """For each operator what it is found by: its name, its kind, TVM's pattern and its ONNX nodes."""
    return [[op.name, op.kind, op.pattern.value, " ".join(op.origin)] for op in graph.operators]


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
    total = {name: sum(name in own for own in classes) for name in ("op", "complex", "edge")}
    folded = [item["data"] for item in items if "members" in item["data"]]
    boxes = sum("box" in own for own in classes)
    text = (
        f"{count(total['op'] - len(folded), 'operator')}, {total['complex']} of them complex, "
        f"and {count(total['edge'], 'edge')}; {count(boxes, 'subgraph')} of several operators."
    )
    inside = sum(len(data["members"]) for data in folded)
    return text + (f" {count(len(folded), 'more subgraph')} folded, of {count(inside, 'operator')}." if folded else "")


def _node(scene: Scene, node: int, layout: Layout, subgraph: int, hue: int | None) -> dict:
    x, y, width, height = layout.positions[node]
    drawn, members = scene.drawn.operators[node], scene.members[node]
    several = len(members) > 1
    marked = {"complex": drawn.is_complex, "extern": drawn.extern, "folded": several}
    card = _subgraph_card(scene.graph, subgraph, members) if several else _operator_card(scene, members[0], subgraph)
    data = {"id": scene.name(node), "label": node_label(drawn), "name": drawn.name, "w": width, "h": height}
    data |= {"subgraph": subgraph, "card": card} | ({"members": list(members)} if several else {})
    classes = ["op", *(name for name, holds in marked.items() if holds)]
    return {"data": data, "position": {"x": round(x, 1), "y": round(y, 1)}, "classes": _classes(classes, hue)}


def _operator_card(scene: Scene, operator: int, subgraph: int) -> list[list[str]]:
    op = scene.graph.operators[operator]
    rows = [
        ["Kind", f"{op.kind} ({op.pattern.value})"],
        ["Subgraph", f"S{subgraph}, {count(len(scene.partition.subgraphs[subgraph]), 'operator')}"],
        ["Reads", _shapes(op.inputs)],
        ["Weights", _shapes(op.weights)],
        ["Writes", _shapes(op.outputs)],
        ["Work", flops(op.flops)],
        ["Traffic", f"{nbytes(op.bytes_read)} in, {nbytes(op.bytes_written)} out"],
        ["ONNX", _names(op.origin) if op.origin else "added by the importer"],
    ]
    return [[op.name, ""], *(row for row in rows if row[1])]


def _subgraph_card(graph: OpGraph, index: int, members: Iterable[int]) -> list[list[str]]:
    operators = [graph.operators[op] for op in members]
    complex_names = tuple(op.name for op in operators if op.is_complex)
    return [
        [f"Subgraph S{index}", ""],
        ["Operators", f"{len(operators)}: {_names(tuple(op.name for op in operators))}"],
        ["Complex", f"{len(complex_names)}: {_names(complex_names)}" if complex_names else "none"],
        ["Work", flops(sum(op.flops for op in operators))],
    ]


def _box(graph: OpGraph, index: int, members: tuple[int, ...], box: tuple, hue: int | None) -> dict:
    x1, y1, x2, y2 = box
    data = {"id": f"S{index}", "label": f"S{index}", "w": round(x2 - x1, 1), "h": round(y2 - y1, 1)}
    return {
        "data": data | {"subgraph": index, "card": _subgraph_card(graph, index, members)},
        "position": {"x": round((x1 + x2) / 2, 1), "y": round((y1 + y2) / 2, 1)},
        "classes": _classes(["box"], hue),
    }


def _tensors(scene: Scene) -> dict[tuple[int, int], list[Tensor]]:
    """For each edge of the scene the tensors that flow along it, those that two nodes share once."""
    node = {op: number for number, members in enumerate(scene.members) for op in members}
    found: dict[tuple[int, int], dict[tuple[int, Tensor], None]] = {}
    for op in scene.graph.operators:
        for source, tensor in zip(op.sources, op.inputs):
            if source is not None and node[source] != node[op.id]:
                found.setdefault((node[source], node[op.id]), {})[source, tensor] = None
    return {edge: [tensor for _, tensor in several] for edge, several in found.items()}


def _edge(
    scene: Scene,
    edge: tuple[int, int],
    layout: Layout,
    index: int,
    detour: bool,
    tensors: dict[tuple[int, int], list[Tensor]],
) -> dict:
    u, v = edge
    source, target = scene.name(u), scene.name(v)
    data = {"id": f"{source}-{target}", "source": source, "target": target, "shape": _extents(tensors.get(edge, []))}
    classes = ["edge"]
    if layout.routes[index]:
        classes.append("bent")
        data |= _segments(layout.positions[u][:2], layout.positions[v][:2], layout.routes[index])
    if detour:
        classes.append("detour")
    return {"data": data, "classes": " ".join(classes)}


def _extents(tensors: list[Tensor]) -> str:
    """The first tensor's extents, and how many more tensors there are."""
    if not tensors:
        return ""
    first = "×".join(map(str, tensors[0].shape)) or "scalar"
    return first + (f" and {len(tensors) - 1} more" if len(tensors) > 1 else "")


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
