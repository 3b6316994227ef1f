"""Colour scales of quantities, that everybody can read, whatever their colour vision, on light and on dark."""

from __future__ import annotations

import math
from collections.abc import Sequence

from visualizers.palette import BLUE, ORANGE

STEPS = 17
"""Colours of a scale; odd, so that a diverging one has a middle."""

# Samples of viridis (Smith and van der Walt, https://bids.github.io/colormap/, CC0) at 0.08, 0.23, ... 1: its lightness
# grows evenly, so it is a scale for the colour-blind and in grey too. The darkest end is left out: on dark it vanishes.
_VIRIDIS = ("#471365", "#443983", "#31688E", "#21918C", "#35B779", "#90D743", "#FDE725")
_MIDDLE = "#BDBDBD"


def sequential() -> tuple[str, ...]:
    """From little, dark, to much, light."""
    return _blend(_VIRIDIS)


def diverging() -> tuple[str, ...]:
    """From worse, orange, by no difference, grey, to better, blue."""
    return _blend((ORANGE, _MIDDLE, BLUE))


def steps(values: Sequence[float | None], low: float, high: float, logarithmic: bool = False) -> list[int | None]:
    """For each value which of a scale's colours it has; None for None, and on a logarithmic scale for 0.

    Args:
        values: in any unit.
        low, high: of the scale, above 0 on a logarithmic one; values beyond have the colour of its end.
        logarithmic: whether equal ratios, and not equal differences, look equally different.
    """
    if logarithmic:
        values = [math.log(value) if value else None for value in values]
        low, high = math.log(low), math.log(high)
    span = high - low or 1.0
    return [
        None if value is None else round(min(1.0, max(0.0, (value - low) / span)) * (STEPS - 1)) for value in values
    ]


def _blend(stops: Sequence[str]) -> tuple[str, ...]:
    """`STEPS` colours along a line through the stops."""
    found = []
    for step in range(STEPS):
        place = step / (STEPS - 1) * (len(stops) - 1)
        index = min(int(place), len(stops) - 2)
        share = place - index
        pair = zip(_channels(stops[index]), _channels(stops[index + 1]))
        found.append("#" + "".join(f"{round(a + (b - a) * share):02X}" for a, b in pair))
    return tuple(found)


def _channels(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[start : start + 2], 16) for start in (1, 3, 5))
