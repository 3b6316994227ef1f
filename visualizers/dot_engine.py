"""Draws with Graphviz' `dot`, run as a process with a time limit; subgraphs become clusters, which do not overlap.

Edges that span many ranks, such as those of a mask that every layer of a transformer reads, cost `dot` most of its
time, stretch its drawing, and can turn clusters upside down: `Effort.reach` leaves them out.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sysconfig
import time
from collections.abc import Callable
from dataclasses import dataclass

from ago_core.graph.opgraph import OpGraph
from ago_core.partition.partition import Partition
from visualizers.drawing import BOX_PADDING, BOX_TITLE, NODE_GAP, RANK_GAP, Box, Drawing, Point

POINTS_PER_INCH = 72.0
COARSE = "nslimit=0.2; nslimit1=0.2; mclimit=0.1; splines=line;"
CURVE_STEPS = 6
LOOK_EVERY = 0.1
STRAIGHT_WITHIN = 2.0


@dataclass(frozen=True)
class Effort:
    """How hard `dot` is to try.

    Attributes:
        reach: edges that span more ranks are left out; None for none.
        coarse: bound the search for few crossings, and draw every edge straight.
    """

    reach: int | None = None
    coarse: bool = False

    def considers(self, span: int) -> bool:
        return self.reach is None or span <= self.reach


class DotError(RuntimeError):
    """`dot` gave no drawing. The message is a clause, such as "Graphviz took longer than 10 s"."""


class Stopped(DotError):
    """It was told to stop."""


def find_dot() -> str | None:
    """Path of `dot`, or of the executable of the pip package `graphviz-pure`, or None."""
    scripts = sysconfig.get_path("scripts")
    return shutil.which("dot") or shutil.which("graphviz-pure", path=scripts) or shutil.which("graphviz-pure")


def draw(
    executable: str,
    graph: OpGraph,
    partition: Partition,
    sizes: tuple[Point, ...],
    effort: Effort,
    seconds: float,
    stop: Callable[[], bool] = lambda: False,
) -> Drawing:
    """Draws within `seconds`; edges that `effort` leaves out have no route.

    Raises:
        Stopped: `stop`, asked every tenth of a second, said so.
        DotError: it took longer, failed, or wrote something else than a drawing.
    """
    edges = tuple(edge for edge, span in zip(graph.edges, edge_spans(graph)) if effort.considers(span))
    source = _source(edges, partition, sizes, COARSE if effort.coarse else "")
    output = _run(executable, source, seconds, stop)
    try:
        centres, boxes, routes = _parse(json.loads(output), partition, len(graph))
    except (ValueError, KeyError) as error:
        raise DotError(f"Graphviz' answer could not be read ({type(error).__name__}: {error})") from None
    drawn = dict.fromkeys(edges, ()) if effort.coarse else routes
    return Drawing(centres, boxes, tuple(drawn.get(edge) for edge in graph.edges))


def _run(executable: str, source: str, seconds: float, stop: Callable[[], bool]) -> str:
    """What `dot` writes about `source`. Raises as `draw`."""
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen([executable, "-Tjson0"], stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    except OSError as error:
        raise DotError(f"Graphviz could not be started ({error.strerror})") from None
    with process:
        end, unsent = time.monotonic() + seconds, source
        while True:
            try:
                output, errors = process.communicate(unsent, timeout=LOOK_EVERY)
                break
            except subprocess.TimeoutExpired:
                unsent = None  # the first call goes on sending
                if stop() or time.monotonic() > end:
                    process.kill()
                    raise (Stopped("you stopped Graphviz") if stop() else _too_long(seconds)) from None
    if process.returncode:
        lines = errors.strip().splitlines() or ["no message"]
        raise DotError(f"Graphviz failed ({lines[0][:120]})")
    return output


def _too_long(seconds: float) -> DotError:
    return DotError(f"Graphviz took longer than {seconds:g} s")


def edge_spans(graph: OpGraph) -> list[int]:
    """For each edge how many ranks it spans, the rank of an operator being the longest path that leads to it."""
    ranks = [0] * len(graph)
    for u, v in sorted(graph.edges, key=lambda edge: edge[1]):
        ranks[v] = max(ranks[v], ranks[u] + 1)
    return [ranks[v] - ranks[u] for u, v in graph.edges]


def _source(edges: tuple[tuple[int, int], ...], partition: Partition, sizes: tuple[Point, ...], attributes: str) -> str:
    """The graph in DOT: operator i is node `oi`, subgraph j of several operators is cluster `cluster_j`."""
    lines = [
        "digraph {",
        f"nodesep={NODE_GAP / POINTS_PER_INCH:.3f}; ranksep={RANK_GAP / POINTS_PER_INCH:.3f}; {attributes}",
        'node [shape=box, fixedsize=true, label=""]; edge [arrowhead=none];',
    ]
    for index, members in enumerate(partition.subgraphs):
        nodes = " ".join(_node(op, sizes[op]) for op in members)
        lines.append(_cluster(index, nodes) if len(members) > 1 else nodes)
    lines += [f"o{u} -> o{v};" for u, v in edges]
    return "\n".join([*lines, "}"])


def _node(op: int, size: Point) -> str:
    width, height = (length / POINTS_PER_INCH for length in size)
    return f"o{op} [width={width:.3f}, height={height:.3f}];"


def _cluster(index: int, nodes: str) -> str:
    """A cluster whose (empty) label keeps the room for the box's title free."""
    return f'subgraph cluster_{index} {{ margin={BOX_PADDING:g}; label=" "; fontsize={BOX_TITLE - 4:g}; {nodes} }}'


def _parse(
    answer: dict, partition: Partition, size: int
) -> tuple[tuple[Point, ...], tuple[Box | None, ...], dict[tuple[int, int], tuple[Point, ...]]]:
    """Centres of `size` operators, boxes, routes by edge. Raises KeyError or ValueError if something is missing."""
    height = float(answer["bb"].split(",")[3])
    objects = {item["name"]: item for item in answer.get("objects", [])}
    names = {item["_gvid"]: item["name"] for item in answer.get("objects", [])}
    centres = tuple(_point(objects[f"o{op}"]["pos"], height) for op in range(size))
    boxes = tuple(
        _box(objects[f"cluster_{index}"]["bb"], height) if len(members) > 1 else None
        for index, members in enumerate(partition.subgraphs)
    )
    routes = {
        (int(names[edge["tail"]][1:]), int(names[edge["head"]][1:])): _route(edge["pos"], height)
        for edge in answer.get("edges", [])
    }
    return centres, boxes, routes


def _point(text: str, height: float) -> Point:
    x, y = text.split(",")
    return float(x), height - float(y)


def _box(text: str, height: float) -> Box:
    x1, y1, x2, y2 = (float(number) for number in text.split(","))
    return x1, height - y2, x2, height - y1


def _route(text: str, height: float) -> tuple[Point, ...]:
    """The points where dot's curve, a chain of cubic Béziers, bends: its two ends are left out."""
    knots = [_point(point, height) for point in text.split()]
    curve = [knots[0]]
    for start in range(0, len(knots) - 3, 3):
        curve += [_bezier(knots[start : start + 4], step / CURVE_STEPS) for step in range(1, CURVE_STEPS + 1)]
    return tuple(simplify(curve, STRAIGHT_WITHIN)[1:-1])


def _bezier(knots: list[Point], t: float) -> Point:
    weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
    return sum(w * x for w, (x, _) in zip(weights, knots)), sum(w * y for w, (_, y) in zip(weights, knots))


def simplify(points: list[Point], tolerance: float) -> list[Point]:
    """Ramer-Douglas-Peucker: few of `points`, so that none lies further than `tolerance` from their line."""
    if len(points) < 3:
        return points
    (x1, y1), (x2, y2) = points[0], points[-1]
    length = max(1e-9, ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5)
    distances = [abs((x2 - x1) * (y1 - y) - (x1 - x) * (y2 - y1)) / length for x, y in points[1:-1]]
    farthest = max(range(len(distances)), key=distances.__getitem__)
    if distances[farthest] <= tolerance:
        return [points[0], points[-1]]
    middle = farthest + 1
    return simplify(points[: middle + 1], tolerance)[:-1] + simplify(points[middle:], tolerance)
