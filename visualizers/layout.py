"""Where everything goes: an OpGraph and its Partition → positions of operators, boxes of subgraphs, routes of edges.

Graphviz' `dot` draws (`visualizers.dot_engine`); where it cannot, a plain layered layout does (`visualizers.layered`),
and the result says so. The drawing, a thread for a deep model, is then folded into column strips
(`visualizers.folding`). Lengths are in pixels at zoom 1; x grows to the right, y downwards, the way data flows.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from ago_core.graph.opgraph import OpGraph
from ago_core.partition.partition import Partition
from visualizers import dot_engine, layered
from visualizers.dot_engine import Effort
from visualizers.drawing import Box, Drawing, Point, node_size
from visualizers.folding import fold
from visualizers.units import count

DOT_SECONDS = 5.0
EFFORTS = (Effort(), Effort(reach=30), Effort(reach=15), Effort(reach=15, coarse=True))
UPWARD_SHARE = 0.01
LARGE = 800
"""From so many nodes on, long edges are left out at once: with them `dot` takes too long."""


@dataclass(frozen=True)
class Layout:
    """A drawing of one partition, ready to be shown.

    Attributes:
        positions: for each operator id its centre's x, y, its width and height.
        boxes: for each subgraph (x1, y1, x2, y2), or None for a subgraph of one operator.
        routes: for each edge of `OpGraph.edges` the points where it bends, producer first; () if it is straight.
        detours: indices of the edges that lead around: into another strip, or too long for the engine; ascending.
        bbox: (x1, y1, x2, y2) of the whole drawing.
        engine: what drew it: "dot", "dot (coarse)" or "layered".
        seconds: how long drawing and folding took.
        note: what a person should know about this drawing, or "".
    """

    positions: tuple[tuple[float, float, float, float], ...]
    boxes: tuple[Box | None, ...]
    routes: tuple[tuple[Point, ...], ...]
    detours: tuple[int, ...]
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
            detours=tuple(data["detours"]),
            bbox=tuple(data["bbox"]),
            engine=data["engine"],
            seconds=data["seconds"],
            note=data["note"],
        )


def layout(
    graph: OpGraph, partition: Partition, aspect: float = 1.0, stop: Callable[[], bool] = lambda: False
) -> Layout:
    """Draws `partition`, folded to fill a panel whose width is `aspect` times its height as well as it can.

    Args:
        graph: what to draw: a model, or a scene's `drawn`.
        partition: its subgraphs, or a scene's `groups`.
        aspect: of the panel.
        stop: asked while Graphviz works; once it says so, the simple layout, which is quick, takes over.
    """
    start = time.perf_counter()
    sizes = tuple(node_size(op) for op in graph.operators)
    drawing, engine, note = _draw(graph, partition, sizes, stop)
    folded = fold(graph.edges, sizes, drawing, aspect)
    positions = tuple((*point, *size) for point, size in zip(folded.centres, sizes))
    seconds = round(time.perf_counter() - start, 3)
    return Layout(positions, folded.boxes, folded.routes, folded.detours, folded.bbox, engine, seconds, note)


def _draw(
    graph: OpGraph, partition: Partition, sizes: tuple[Point, ...], stop: Callable[[], bool]
) -> tuple[Drawing, str, str]:
    """The drawing, the engine's name and a note."""
    executable = dot_engine.find_dot()
    if executable is None:
        failures = ["no Graphviz was found (install graphviz, or the Python package graphviz-pure)"]
        tries = []
    else:
        tries, failures = _try(executable, graph, partition, sizes, stop)
    if not tries:
        return layered.draw(graph, partition, sizes), "layered", f"Drawn with a simple layout: {failures[-1]}."
    drawing, effort = min(tries, key=lambda pair: upward(graph, pair[0]))
    return drawing, "dot (coarse)" if effort.coarse else "dot", _note(graph, drawing, failures)


def _try(
    executable: str, graph: OpGraph, partition: Partition, sizes: tuple[Point, ...], stop: Callable[[], bool]
) -> tuple[list[tuple[Drawing, Effort]], list[str]]:
    """Drawings with less and less effort until one has hardly any edge that leads upwards, and why others failed."""
    tries, failures = [], []
    for effort in EFFORTS[1:] if len(graph) > LARGE else EFFORTS:
        try:
            drawing = dot_engine.draw(executable, graph, partition, sizes, effort, DOT_SECONDS, stop)
        except dot_engine.Stopped as error:
            failures.append(str(error))
            break
        except dot_engine.DotError as error:
            failures.append(str(error))
            continue
        tries.append((drawing, effort))
        if upward(graph, drawing) <= UPWARD_SHARE * len(graph.edges):
            break
    return tries, failures


def upward(graph: OpGraph, drawing: Drawing) -> int:
    """How many edges lead upwards: dot lets them, where clusters have long edges between them."""
    return sum(drawing.centres[u][1] >= drawing.centres[v][1] for u, v in graph.edges)


def _note(graph: OpGraph, drawing: Drawing, failures: list[str]) -> str:
    left_out, up = drawing.routes.count(None), upward(graph, drawing)
    notes = [f"Drawn with less care: {failures[0]}." if failures else ""]
    notes.append(f"{count(left_out, 'long edge')} had no say in where operators are." if left_out else "")
    notes.append(f"Upwards, against the flow: {count(up, 'edge')}." if up else "")
    return " ".join(filter(None, notes))
