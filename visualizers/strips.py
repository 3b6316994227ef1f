"""Where to cut a tall drawing into column strips: only at a height where no box and no operator is cut."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from itertools import accumulate

from visualizers.drawing import Drawing, Point

GUTTER = 34.0
MAX_STRIPS = 60
SCALE_KEPT = 0.97


@dataclass(frozen=True)
class Strip:
    """Heights `top` to `bottom` of the unfolded drawing, spanning x1 to x2, moved by (`shift`, -`top`)."""

    top: float
    bottom: float
    x1: float
    x2: float
    shift: float = 0.0


def choose_strips(
    edges: tuple[tuple[int, int], ...], sizes: tuple[Point, ...], drawing: Drawing, aspect: float
) -> list[Strip]:
    """The strips with which the folded drawing, scaled to fit a panel of `aspect` by 1, is largest."""
    bands = _bands(sizes, drawing)

    def scale(strips: list[Strip]) -> float:
        width = sum(strip.x2 - strip.x1 for strip in strips) + GUTTER * (len(strips) - 1)
        return min(aspect / width, 1 / max(strip.bottom - strip.top for strip in strips))

    counts = range(1, min(MAX_STRIPS, len(bands)) + 1)
    heights = [_least_height(bands, count) for count in counts]
    height = max(heights, key=lambda limit: scale(_strips(bands, _fill(bands, limit))))
    strips = _strips(bands, _fill(bands, height))
    tidy = _strips(bands, _fewest_crossings(bands, _crossings(edges, drawing, bands), height, len(strips)))
    return _place(tidy if scale(tidy) >= SCALE_KEPT * scale(strips) else strips)


def _bands(sizes: tuple[Point, ...], drawing: Drawing) -> list[Strip]:
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
    for x, y in (point for route in drawing.routes for point in route or ()):
        band = merged[max(0, bisect_right(starts, y) - 1)]
        band[2:] = [min(band[2], x), max(band[3], x)]
    return [Strip(*band) for band in merged]


def _crossings(edges: tuple[tuple[int, int], ...], drawing: Drawing, bands: list[Strip]) -> list[int]:
    """For each band how many edges lead past its bottom."""
    bottoms = [band.bottom for band in bands]
    change = [0] * (len(bands) + 1)
    for u, v in edges:
        first, last = sorted(bisect_left(bottoms, drawing.centres[end][1]) for end in (u, v))
        change[first] += 1
        change[last] -= 1
    return list(accumulate(change))


def _least_height(bands: list[Strip], count: int) -> float:
    """The least height, to a pixel, that lets `count` strips hold all bands."""
    low = max(band.bottom - band.top for band in bands)
    high = bands[-1].bottom - bands[0].top
    while high - low > 1:
        middle = (low + high) / 2
        low, high = (low, middle) if len(_fill(bands, middle)) <= count else (middle, high)
    return high


def _fill(bands: list[Strip], height: float) -> list[int]:
    """Index of each strip's last band where strips of at most `height` are filled one after the other."""
    bottoms = [band.bottom for band in bands]
    ends = [-1]
    while ends[-1] < len(bands) - 1:
        ends.append(_reach(bands, bottoms, ends[-1] + 1, height))
    return ends[1:]


def _reach(bands: list[Strip], bottoms: list[float], start: int, height: float) -> int:
    """The last band that a strip of at most `height` can hold that begins with band `start`; it holds at least that."""
    return max(start, bisect_right(bottoms, bands[start].top + height) - 1)


def _fewest_crossings(bands: list[Strip], crossings: list[int], height: float, count: int) -> list[int]:
    """As `_fill`, but of all ways to make at most `count` strips the one that the fewest edges have to leave.

    Dynamic programming from the last band backwards; `best[k][i]` is (edges cut, last band of the first strip) for the
    bands from i on in at most k strips.
    """
    size, bottoms = len(bands), [band.bottom for band in bands]
    reach = [_reach(bands, bottoms, start, height) for start in range(size)]
    best = [[(sum(crossings) + 1, size)] * size + [(0, size)]]  # no strip at all: impossible, but for no band
    for _ in range(count):
        cuts = [cut + after for cut, (after, _) in zip(crossings, best[-1][1:])]
        fewest = [min(cuts[start : last + 1]) for start, last in enumerate(reach)]
        best.append([(cut, cuts.index(cut, start)) for start, cut in enumerate(fewest)] + [(0, size)])
    ends, start = [], 0
    for row in reversed(best[1:]):
        if start < size:
            ends.append(row[start][1])
            start = ends[-1] + 1
    return ends


def _strips(bands: list[Strip], ends: list[int]) -> list[Strip]:
    """Strips from each one's last band."""
    parts = [bands[start + 1 : end + 1] for start, end in zip([-1, *ends], ends)]
    return [Strip(part[0].top, part[-1].bottom, min(b.x1 for b in part), max(b.x2 for b in part)) for part in parts]


def _place(strips: list[Strip]) -> list[Strip]:
    """Gives each strip its shift: side by side, a gutter between."""
    placed, left = [], 0.0
    for strip in strips:
        placed.append(replace(strip, shift=left - strip.x1))
        left += strip.x2 - strip.x1 + GUTTER
    return placed
