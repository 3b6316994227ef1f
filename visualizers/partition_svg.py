"""A partition as one SVG picture that stands alone: for a report, a paper, a slide."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from ago_core.graph.opgraph import Operator, OpGraph
from ago_core.partition.partition import Partition
from visualizers.drawing import Point, node_label
from visualizers.elements import subgraph_hues
from visualizers.layout import Layout
from visualizers.palette import BLUE, NEUTRAL, SKY_TINT, SUBGRAPH_HUES
from visualizers.units import count

MARGIN = 12.0
STYLE = (
    "text{font:12px Helvetica,Arial,sans-serif;fill:#1c1e21}.s{font-size:10px}"
    f".e{{fill:none;stroke:{NEUTRAL};stroke-width:1}}.d{{stroke-dasharray:4 3;opacity:.55}}"
    f".o{{fill:#fff;stroke:{NEUTRAL}}}.c{{fill:{SKY_TINT};stroke:{BLUE};stroke-width:2}}.b{{font-weight:bold}}.p{{fill:#fff}}"
)


def partition_svg(graph: OpGraph, partition: Partition, arranged: Layout) -> str:
    """Operators in the boxes of their subgraphs, complex operators bold; hovering over one shows its name.

    Args:
        arranged: the layout of `graph` under `partition`.
    """
    x1, y1, x2, y2 = arranged.bbox
    width, height = x2 - x1 + 2 * MARGIN, y2 - y1 + 2 * MARGIN
    about = escape(partition_text(graph, partition))
    hues = subgraph_hues(graph, partition)
    boxes = (_box(index, box, hues[index]) for index, box in enumerate(arranged.boxes) if box)
    detours = set(arranged.detours)
    edges = (_edge(arranged, index, edge, index in detours) for index, edge in enumerate(graph.edges))
    nodes = (_node(op, arranged.positions[op.id]) for op in graph.operators)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" role="img" '
        f'viewBox="{x1 - MARGIN:.0f} {y1 - MARGIN:.0f} {width:.0f} {height:.0f}">'
        f'<title>{about}</title><style>{STYLE}</style><rect class="p" x="{x1 - MARGIN:.0f}" '
        f'y="{y1 - MARGIN:.0f}" width="100%" height="100%"/>{"".join([*boxes, *edges, *nodes])}</svg>'
    )


def partition_text(graph: OpGraph, partition: Partition) -> str:
    """The picture in a few words."""
    largest = max(partition.subgraphs, key=len)
    return (
        f"{graph.name}: {count(len(graph), 'operator')} in {count(len(partition), 'subgraph')}, the largest, "
        f"S{partition.subgraphs.index(largest)}, of {len(largest)}"
    )


def _box(index: int, box: tuple[float, float, float, float], hue: int | None) -> str:
    x1, y1, x2, y2 = box
    colour = NEUTRAL if hue is None else SUBGRAPH_HUES[hue]
    size = f'x="{x1:.0f}" y="{y1:.0f}" width="{x2 - x1:.0f}" height="{y2 - y1:.0f}"'
    shape = f'<rect {size} rx="4" fill="{colour}" fill-opacity=".16" stroke="{colour}"/>'
    return f'{shape}<text class="s" x="{x1 + 4:.0f}" y="{y1 + 11:.0f}">S{index}</text>'


def _edge(arranged: Layout, index: int, edge: tuple[int, int], detour: bool) -> str:
    u, v = (arranged.positions[op][:2] for op in edge)
    points = _points([u, *arranged.routes[index], v])
    return f'<polyline class="{"e d" if detour else "e"}" points="{points}"/>'


def _points(points: Iterable[Point]) -> str:
    return " ".join(f"{x:.0f},{y:.0f}" for x, y in points)


def _node(op: Operator, place: tuple[float, float, float, float]) -> str:
    x, y, width, height = place
    size = f'x="{x - width / 2:.0f}" y="{y - height / 2:.0f}" width="{width:.0f}" height="{height:.0f}"'
    label = f'<text class="{"b" if op.is_complex else ""}" x="{x:.0f}" y="{y + 4:.0f}" text-anchor="middle">'
    return (
        f"<g><title>{escape(op.name)}</title>"
        f'<rect class="{"c" if op.is_complex else "o"}" {size} rx="4"/>{label}{escape(node_label(op))}</text></g>'
    )
