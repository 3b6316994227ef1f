"""Where everything goes: an OpGraph and its Partition → positions of operators, boxes of subgraphs, routes of edges.

Graphviz' `dot` draws (`visualizers.dot_engine`); where it cannot, a plain layered layout does (`visualizers.layered`),
and the result says so. The drawing, a thread for a deep model, is then folded into column strips
(`visualizers.folding`). Lengths are in pixels at zoom 1; x grows to the right, y downwards, the way data flows.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass

from ago_core.graph.opgraph import OpGraph
from ago_core.partition.partition import Partition
from visualizers import dot_engine, layered
from visualizers.drawing import Box, Drawing, Point, node_size
from visualizers.folding import fold

DOT_SECONDS = 10.0
RETRY_SECONDS = 5.0


@dataclass(frozen=True)
class Layout:
    """A drawing of one partition, ready to be shown.

    Attributes:
        positions: for each operator id its centre's x, y, its width and height.
        boxes: for each subgraph (x1, y1, x2, y2), or None for a subgraph of one operator.
        routes: for each edge of `OpGraph.edges` the points where it bends, producer first; () if it is straight.
        folded: indices of the edges whose ends lie in different strips, ascending.
        bbox: (x1, y1, x2, y2) of the whole drawing.
        engine: what drew it: "dot", "dot (coarse)" or "layered".
        seconds: how long drawing and folding took.
        note: what a person should know about this drawing, or "".
    """

    positions: tuple[tuple[float, float, float, float], ...]
    boxes: tuple[Box | None, ...]
    routes: tuple[tuple[Point, ...], ...]
    folded: tuple[int, ...]
    bbox: Box
    engine: str
    seconds: float
    note: str

    def to_json(self) -> dict:
        """A JSON-able dictionary from which `from_json` makes an equal layout."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict) -> Layout:
        """The layout that `to_json` wrote."""
        return cls(
            positions=tuple(tuple(p) for p in data["positions"]),
            boxes=tuple(box and tuple(box) for box in data["boxes"]),
            routes=tuple(tuple(tuple(point) for point in route) for route in data["routes"]),
            folded=tuple(data["folded"]),
            bbox=tuple(data["bbox"]),
            engine=data["engine"],
            seconds=data["seconds"],
            note=data["note"],
        )


def layout(graph: OpGraph, partition: Partition, aspect: float = 1.0) -> Layout:
    """Draws `partition`, folded to fill a panel whose width is `aspect` times its height as well as it can."""
    start = time.perf_counter()
    sizes = tuple(node_size(op) for op in graph.operators)
    drawing, engine, note = _draw(graph, partition, sizes)
    folded = fold(graph.edges, sizes, drawing, aspect)
    positions = tuple((*point, *size) for point, size in zip(folded.centres, sizes))
    seconds = round(time.perf_counter() - start, 3)
    return Layout(positions, folded.boxes, folded.routes, folded.crossing, folded.bbox, engine, seconds, note)


def _draw(graph: OpGraph, partition: Partition, sizes: tuple[Point, ...]) -> tuple[Drawing, str, str]:
    """The drawing, the engine's name and a note. Tries `dot`, then `dot` with less effort, then the layered layout."""
    executable = dot_engine.find_dot()
    if executable is None:
        reason = "no Graphviz was found (install graphviz, or the Python package graphviz-pure)"
        return layered.draw(graph, partition, sizes), "layered", f"Drawn with a simple layout: {reason}."
    try:
        return dot_engine.draw(executable, graph, partition, sizes, DOT_SECONDS), "dot", ""
    except dot_engine.DotError as error:
        first = str(error)
    try:
        drawing = dot_engine.draw(executable, graph, partition, sizes, RETRY_SECONDS, coarse=True)
        return drawing, "dot (coarse)", f"Drawn with less care for crossings: {first}."
    except dot_engine.DotError as error:
        note = f"Drawn with a simple layout: {first}, then with less effort {error}."
        return layered.draw(graph, partition, sizes), "layered", note
