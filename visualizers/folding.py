"""Folds a tall drawing into column strips, read like the columns of a newspaper, so that it fills a panel.

A strip ends only at a height where no box and no operator is cut. An edge that leads into another strip leaves
at the foot of its strip, goes up the gutter before the strip where it ends, and enters at the head.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import accumulate

from visualizers.drawing import Box, Drawing, Point

GUTTER = 34.0
LANES = 4
LANE = 4.0
MARGIN = LANE * LANES
MAX_STRIPS = 60
SCALE_KEPT = 0.97


@dataclass(frozen=True)
class Folded:
    """A folded drawing: `Drawing`'s fields, the indices of the edges that change strip, and the bounding box."""

    centres: tuple[Point, ...]
    boxes: tuple[Box | None, ...]
    routes: tuple[tuple[Point, ...], ...]
    crossing: tuple[int, ...]
    bbox: Box


@dataclass(frozen=True)
class _Strip:
    """Heights `top` to `bottom` of the unfolded drawing, spanning x1 to x2, moved by (`shift`, -`top`)."""

    top: float
    bottom: float
    x1: float
    x2: float
    shift: float = 0.0


def fold(edges: tuple[tuple[int, int], ...], sizes: tuple[Point, ...], drawing: Drawing, aspect: float) -> Folded:
    """Folds `drawing` into as many strips as make it largest in a panel whose width is `aspect` times its height."""
    if not drawing.centres:
        return Folded((), drawing.boxes, (), (), (0.0, 0.0, 0.0, 0.0))
    strips = _place(_choose(edges, sizes, drawing, aspect))
    tops = [strip.top for strip in strips]

    def strip_of(y: float) -> int:
        return max(0, bisect_right(tops, y) - 1)

    def move(point: Point) -> Point:
        strip = strips[strip_of(point[1])]
        return point[0] + strip.shift, point[1] - strip.top

    def move_box(box: Box) -> Box:
        strip = strips[strip_of(box[1])]
        return box[0] + strip.shift, box[1] - strip.top, box[2] + strip.shift, box[3] - strip.top

    routes, crossing = [], []
    for index, (u, v) in enumerate(edges):
        first, last = (strip_of(drawing.centres[end][1]) for end in (u, v))
        if first == last:
            routes.append(tuple(move(point) for point in drawing.routes[index]))
            continue
        path = (drawing.centres[u], *drawing.routes[index], drawing.centres[v])
        routes.append(_detour(path, strips[first], strips[last], lane=len(crossing) % LANES))
        crossing.append(index)
    width = strips[-1].x2 + strips[-1].shift
    height = max(strip.bottom - strip.top for strip in strips)
    centres = tuple(move(point) for point in drawing.centres)
    boxes = tuple(box and move_box(box) for box in drawing.boxes)
    bbox = (0.0, -MARGIN if crossing else 0.0, width, height + (MARGIN if crossing else 0.0))
    return Folded(centres, boxes, tuple(routes), tuple(crossing), bbox)


def _detour(path: tuple[Point, ...], first: _Strip, last: _Strip, lane: int) -> tuple[Point, ...]:
    """An edge's bends from strip to strip; `lane` keeps edges in one gutter apart. `path` has its ends."""
    foot = min(max(_crossing(path, first.bottom), first.x1), first.x2)
    head = min(max(_crossing(path, last.top), last.x1), last.x2)
    before = [(x + first.shift, y - first.top) for x, y in path[1:-1] if y < first.bottom]
    after = [(x + last.shift, y - last.top) for x, y in path[1:-1] if y > last.top]
    below = first.bottom - first.top + LANE * (lane + 1)
    above = -LANE * (LANES - lane)
    gutter = last.x1 + last.shift - GUTTER / 2 + LANE * (lane - LANES / 2)
    turns = [(foot + first.shift, below), (gutter, below), (gutter, above), (head + last.shift, above)]
    return (*before, *turns, *after)


def _crossing(path: tuple[Point, ...], y: float) -> float:
    """The x at which `path` first passes height `y`."""
    for (x1, y1), (x2, y2) in zip(path, path[1:]):
        if y1 <= y <= y2:
            return x1 + (x2 - x1) * (y - y1) / max(1e-9, y2 - y1)
    return path[-1][0]


def _place(strips: list[_Strip]) -> list[_Strip]:
    """Gives each strip its shift: side by side, a gutter between."""
    placed, left = [], 0.0
    for strip in strips:
        placed.append(_Strip(strip.top, strip.bottom, strip.x1, strip.x2, left - strip.x1))
        left += strip.x2 - strip.x1 + GUTTER
    return placed


def _choose(
    edges: tuple[tuple[int, int], ...], sizes: tuple[Point, ...], drawing: Drawing, aspect: float
) -> list[_Strip]:
    """The strips with which the folded drawing, scaled to fit a panel of `aspect` by 1, is largest."""
    bands = _bands(sizes, drawing)

    def scale(strips: list[_Strip]) -> float:
        width = sum(strip.x2 - strip.x1 for strip in strips) + GUTTER * (len(strips) - 1)
        return min(aspect / width, 1 / max(strip.bottom - strip.top for strip in strips))

    counts = range(1, min(MAX_STRIPS, len(bands)) + 1)
    heights = [_least_height(bands, count) for count in counts]
    height = max(heights, key=lambda limit: scale(_strips(bands, _fill(bands, limit))))
    strips = _strips(bands, _fill(bands, height))
    tidy = _strips(bands, _fewest_crossings(bands, _crossings(edges, drawing, bands), height, len(strips)))
    return tidy if scale(tidy) >= SCALE_KEPT * scale(strips) else strips


def _bands(sizes: tuple[Point, ...], drawing: Drawing) -> list[_Strip]:
    """The drawing cut at every height where that splits nothing: the smallest pieces that strips are made of."""
    things = [box for box in drawing.boxes if box]
    things += [(x - w / 2, y - h / 2, x + w / 2, y + h / 2) for (x, y), (w, h) in zip(drawing.centres, sizes)]
    merged: list[list[float]] = []
    for x1, y1, x2, y2 in sorted(things, key=lambda box: box[1]):
        if merged and y1 < merged[-1][1]:
            band = merged[-1]
            band[1:] = [max(band[1], y2), min(band[2], x1), max(band[3], x2)]
        else:
            merged.append([y1, y2, x1, x2])
    starts = [band[0] for band in merged]
    for x, y in (point for route in drawing.routes for point in route):
        band = merged[max(0, bisect_right(starts, y) - 1)]
        band[2:] = [min(band[2], x), max(band[3], x)]
    return [_Strip(*band) for band in merged]


def _crossings(edges: tuple[tuple[int, int], ...], drawing: Drawing, bands: list[_Strip]) -> list[int]:
    """For each band how many edges lead past its bottom."""
    bottoms = [band.bottom for band in bands]
    change = [0] * (len(bands) + 1)
    for u, v in edges:
        change[bisect_left(bottoms, drawing.centres[u][1])] += 1
        change[bisect_left(bottoms, drawing.centres[v][1])] -= 1
    return list(accumulate(change))


def _least_height(bands: list[_Strip], count: int) -> float:
    """The least height, to a pixel, that lets `count` strips hold all bands."""
    low = max(band.bottom - band.top for band in bands)
    high = bands[-1].bottom - bands[0].top
    while high - low > 1:
        middle = (low + high) / 2
        low, high = (low, middle) if len(_fill(bands, middle)) <= count else (middle, high)
    return high


def _fill(bands: list[_Strip], height: float) -> list[int]:
    """Index of each strip's last band where strips of at most `height` are filled one after the other."""
    bottoms = [band.bottom for band in bands]
    ends = [-1]
    while ends[-1] < len(bands) - 1:
        start = ends[-1] + 1
        ends.append(max(start, bisect_right(bottoms, bands[start].top + height) - 1))
    return ends[1:]


def _fewest_crossings(bands: list[_Strip], crossings: list[int], height: float, count: int) -> list[int]:
    """As `_fill`, but of all ways to make at most `count` strips the one that the fewest edges have to leave.

    Dynamic programming from the last band backwards; `best[k][i]` is (edges cut, last band of the first strip) for the
    bands from i on in at most k strips.
    """
    size = len(bands)
    impossible = (sum(crossings) + 1, size)
    best = [[impossible] * size + [(0, size)]]
    for _ in range(count):
        row = [impossible] * size + [(0, size)]
        for start in range(size):
            end = start
            while end < size and (end == start or bands[end].bottom - bands[start].top <= height):
                cut = crossings[end] + best[-1][end + 1][0]
                row[start] = min(row[start], (cut, end))
                end += 1
        best.append(row)
    ends, start = [], 0
    for row in reversed(best[1:]):
        if start < size:
            ends.append(row[start][1])
            start = ends[-1] + 1
    return ends


def _strips(bands: list[_Strip], ends: list[int]) -> list[_Strip]:
    """Strips from each one's last band."""
    parts = [bands[start + 1 : end + 1] for start, end in zip([-1, *ends], ends)]
    return [_Strip(part[0].top, part[-1].bottom, min(b.x1 for b in part), max(b.x2 for b in part)) for part in parts]
