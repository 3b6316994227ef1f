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

    def strip_at(y: float) -> int:
        return max(0, bisect_right(tops, y) - 1)

    centres = tuple(_move(strips[strip_at(point[1])], point) for point in drawing.centres)
    boxes = tuple(box and _move_box(strips[strip_at(box[1])], box) for box in drawing.boxes)
    routes: list[tuple[Point, ...]] = []
    detours: list[int] = []
    for index, (u, v) in enumerate(edges):
        start, end = (strip_at(drawing.centres[op][1]) for op in (u, v))
        route, lane = drawing.routes[index], len(detours) % LANES
        if route is not None and start == end:
            routes.append(tuple(_move(strips[start], point) for point in route))
            continue
        way = _Way(strips[start], strips[end], _foot(strips[min(start, end) : max(start, end) + 1]), lane)
        if route is None or start > end:
            leave = (centres[u][0], centres[u][1] + sizes[u][1] / 2)
            enter = (centres[v][0], centres[v][1] - sizes[v][1] / 2)
            routes.append(_around(leave, enter, way))
        else:
            routes.append(_onwards((drawing.centres[u], *route, drawing.centres[v]), way))
        detours.append(index)
    return Folded(centres, boxes, tuple(routes), tuple(detours), _bounding_box(centres, sizes, boxes, routes))


@dataclass(frozen=True)
class _Way:
    """How an edge leads from one strip to another: below `foot`, the lowest point of all strips that it passes.

    `lane`, 0 to LANES - 1, keeps edges apart that share a gutter.
    """

    first: Strip
    last: Strip
    foot: float
    lane: int

    @property
    def below(self) -> float:
        return self.foot + LANE * (self.lane + 1)

    @property
    def above(self) -> float:
        return -LANE * (LANES - self.lane)

    @property
    def gutter(self) -> float:
        """In the gutter before the last strip, right of the edges along the side of the strip before."""
        return self.last.x1 + self.last.shift - GUTTER / 2 + LANE * (self.lane - LANES / 2 + 1)

    @property
    def side(self) -> float:
        """To the right of the first strip."""
        return self.first.x2 + self.first.shift + LANE * (self.lane + 1) / 2


def _foot(strips: list[Strip]) -> float:
    return max(strip.bottom - strip.top for strip in strips)


def _move(strip: Strip, point: Point) -> Point:
    return point[0] + strip.shift, point[1] - strip.top


def _move_box(strip: Strip, box: Box) -> Box:
    return (*_move(strip, box[:2]), *_move(strip, box[2:]))


def _onwards(path: tuple[Point, ...], way: _Way) -> tuple[Point, ...]:
    """Bends of an edge that leads into a later strip, along the engine's `path` as far as that lies in the two strips.

    `path` includes the edge's ends.
    """
    first, last = way.first, way.last
    leave = min(max(_x_at(path, first.bottom), first.x1), first.x2) + first.shift
    enter = min(max(_x_at(path, last.top), last.x1), last.x2) + last.shift
    before = [_move(first, point) for point in path[1:-1] if point[1] < first.bottom]
    after = [_move(last, point) for point in path[1:-1] if point[1] > last.top]
    turns = [(leave, way.below), (way.gutter, way.below), (way.gutter, way.above), (enter, way.above)]
    return (*before, *turns, *after)


def _around(leave: Point, enter: Point, way: _Way) -> tuple[Point, ...]:
    """Bends of an edge without a route: out to the side of its strip and back in, between rows of operators.

    `leave` and `enter` are the middle of the producer's lower and of the consumer's upper edge, folded.
    """
    out, back = leave[1] + RANK_GAP / 2, enter[1] - RANK_GAP / 2
    start, end = [(leave[0], out), (way.side, out)], (enter[0], back)
    if way.first is way.last:
        return (*start, (way.side, back), end)
    return (*start, (way.side, way.below), (way.gutter, way.below), (way.gutter, back), end)


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
