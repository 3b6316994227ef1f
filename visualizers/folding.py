"""Folds a tall drawing into column strips, read like the columns of a newspaper, so that it fills a panel.

An edge that leads into another strip leaves at the foot of its strip, goes up the gutter before the strip where it
ends, and enters at the head. One without a route from the engine goes along the right side of the strip it starts in.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from visualizers.drawing import RANK_GAP, Box, Drawing, Point
from visualizers.strips import GUTTER, Strip, choose_strips

LANES = 4
LANE = 4.0


@dataclass(frozen=True)
class Folded:
    """A folded drawing: `Drawing`'s fields, the indices of the edges that take a detour, and the bounding box."""

    centres: tuple[Point, ...]
    boxes: tuple[Box | None, ...]
    routes: tuple[tuple[Point, ...], ...]
    detours: tuple[int, ...]
    bbox: Box


def fold(edges: tuple[tuple[int, int], ...], sizes: tuple[Point, ...], drawing: Drawing, aspect: float) -> Folded:
    """Folds `drawing` into as many strips as make it largest in a panel whose width is `aspect` times its height."""
    if not drawing.centres:
        return Folded((), drawing.boxes, (), (), (0.0, 0.0, 0.0, 0.0))
    strips = choose_strips(edges, sizes, drawing, aspect)
    tops = [strip.top for strip in strips]

    def strip_at(y: float) -> Strip:
        return strips[max(0, bisect_right(tops, y) - 1)]

    centres = tuple(_move(strip_at(point[1]), point) for point in drawing.centres)
    boxes = tuple(box and _move_box(strip_at(box[1]), box) for box in drawing.boxes)
    routes: list[tuple[Point, ...]] = []
    detours: list[int] = []
    for index, (u, v) in enumerate(edges):
        first, last = (strip_at(drawing.centres[end][1]) for end in (u, v))
        route, lane = drawing.routes[index], len(detours) % LANES
        if route is not None and first is last:
            routes.append(tuple(_move(first, point) for point in route))
            continue
        if route is None or first.top > last.top:
            leave = (centres[u][0], centres[u][1] + sizes[u][1] / 2)
            enter = (centres[v][0], centres[v][1] - sizes[v][1] / 2)
            routes.append(_around(leave, enter, first, last, lane))
        else:
            routes.append(_onwards((drawing.centres[u], *route, drawing.centres[v]), first, last, lane))
        detours.append(index)
    return Folded(centres, boxes, tuple(routes), tuple(detours), _bounding_box(centres, sizes, boxes, routes))


def _move(strip: Strip, point: Point) -> Point:
    return point[0] + strip.shift, point[1] - strip.top


def _move_box(strip: Strip, box: Box) -> Box:
    return (*_move(strip, box[:2]), *_move(strip, box[2:]))


def _onwards(path: tuple[Point, ...], first: Strip, last: Strip, lane: int) -> tuple[Point, ...]:
    """Bends of an edge that leads into a later strip, along the engine's `path` as far as that lies in the two strips.

    `path` includes the edge's ends; `lane`, 0 to LANES - 1, keeps edges that share a gutter apart.
    """
    foot = min(max(_x_at(path, first.bottom), first.x1), first.x2) + first.shift
    head = min(max(_x_at(path, last.top), last.x1), last.x2) + last.shift
    before = [_move(first, point) for point in path[1:-1] if point[1] < first.bottom]
    after = [_move(last, point) for point in path[1:-1] if point[1] > last.top]
    below, above, gutter = _below(first, lane), -LANE * (LANES - lane), _gutter(last, lane)
    return (*before, (foot, below), (gutter, below), (gutter, above), (head, above), *after)


def _around(leave: Point, enter: Point, first: Strip, last: Strip, lane: int) -> tuple[Point, ...]:
    """Bends of an edge without a route: out to the side of its strip and back in, between rows of operators.

    `leave` and `enter` are the middle of the producer's lower and of the consumer's upper edge, folded.
    """
    out, back = leave[1] + RANK_GAP / 2, enter[1] - RANK_GAP / 2
    side = first.x2 + first.shift + LANE * (lane + 1) / 2
    if first is last:
        return (leave[0], out), (side, out), (side, back), (enter[0], back)
    below, gutter = _below(first, lane), _gutter(last, lane)
    return (leave[0], out), (side, out), (side, below), (gutter, below), (gutter, back), (enter[0], back)


def _below(strip: Strip, lane: int) -> float:
    return strip.bottom - strip.top + LANE * (lane + 1)


def _gutter(strip: Strip, lane: int) -> float:
    """The x of a lane in the gutter before `strip`, right of the lanes along the side of the strip before."""
    return strip.x1 + strip.shift - GUTTER / 2 + LANE * (lane - LANES / 2 + 1)


def _x_at(path: tuple[Point, ...], y: float) -> float:
    """The x at which `path` first passes height `y`."""
    for (x1, y1), (x2, y2) in zip(path, path[1:]):
        if y1 <= y <= y2:
            return x1 + (x2 - x1) * (y - y1) / max(1e-9, y2 - y1)
    return path[-1][0]


def _bounding_box(
    centres: tuple[Point, ...],
    sizes: tuple[Point, ...],
    boxes: tuple[Box | None, ...],
    routes: list[tuple[Point, ...]],
) -> Box:
    areas = [(x - w / 2, y - h / 2, x + w / 2, y + h / 2) for (x, y), (w, h) in zip(centres, sizes)]
    areas += [box for box in boxes if box]
    areas += [(*point, *point) for route in routes for point in route]
    x1s, y1s, x2s, y2s = zip(*areas)
    return min(x1s), min(y1s), max(x2s), max(y2s)
