"""The colours of everything that AGO Explorer draws; the only module that names a hue.

The first seven hues are Okabe and Ito's (https://jfly.uni-koeln.de/color/), told apart with every common kind of colour
blindness; the eighth is Tol's wine (https://personal.sron.nl/~pault/), as far from them as they are from each other.
Colour is never the only sign: boxes carry names, complex operators have their own shape, the lines of a chart their own
dash.
"""

from __future__ import annotations

BLUE = "#0072B2"
ORANGE = "#E69F00"
GREEN = "#009E73"
PURPLE = "#CC79A7"
SKY = "#56B4E9"
VERMILLION = "#D55E00"
YELLOW = "#F0E442"
WINE = "#882255"
SKY_TINT = "#D3EAF8"

NEUTRAL = "#8A8F98"
"""Axes, grids and whatever carries no meaning: a grey that shows on white and on dark alike."""

SUBGRAPH_HUES = (ORANGE, BLUE, GREEN, PURPLE, SKY, VERMILLION, YELLOW, WINE)
"""Hues of subgraph boxes, in the order in which the colouring of the quotient graph prefers them."""

KIND_HUES = SUBGRAPH_HUES
"""Hues of the kinds of operators that a model has most of; operators carry their kind as text."""

METHOD_HUES = {"heuristic": ORANGE, "ago": BLUE, "edited": GREEN}
"""Hue of each way to make a partition (`Partition.method`), the same in every chart."""

MARK_HUES = {
    "same": NEUTRAL,
    "split": ORANGE,
    "merged": BLUE,
    "recut": PURPLE,
    "group": NEUTRAL,
    "affix": BLUE,
    "cluster": BLUE,
    "candidate": ORANGE,
    "along": PURPLE,
    "cycle": VERMILLION,
}
"""Hue of each mark of the graph view; the later one wins. A mark has its own kind of line too."""


def series_hue(name: str, position: int) -> str:
    """The hue of the series `name` of a chart, its `position`-th: its method's, else the palette's."""
    return METHOD_HUES.get(name.lower(), SUBGRAPH_HUES[position % len(SUBGRAPH_HUES)])
