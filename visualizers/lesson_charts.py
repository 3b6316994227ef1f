"""Plots of the lessons; their look is that of `tuning`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from visualizers.palette import BLUE, NEUTRAL, ORANGE
from visualizers.units import nbytes

STYLES = ((ORANGE, "dash", "diamond"), (BLUE, "solid", "circle"))
GRID = "rgba(138, 143, 152, 0.25)"
KIB = 1024
HEIGHT = 380


def recompute_curve(caches: Sequence[int], curves: Mapping[str, Sequence[float]], at: int) -> go.Figure:
    """How often an element is computed on average, by the bytes of the cache; a line at `at` bytes.

    Args:
        caches: bytes, ascending.
        curves: by name, a factor for each cache; infinite where no tile fits.
        at: bytes.
    """
    figure = go.Figure()
    for (name, factors), (hue, dash, symbol) in zip(curves.items(), STYLES):
        figure.add_scatter(
            x=[cache / KIB for cache in caches],
            y=[None if factor == float("inf") else factor for factor in factors],
            name=f"read by {name}",
            mode="lines+markers",
            line={"color": hue, "dash": dash},
            marker={"symbol": symbol, "size": 9},
            hovertemplate="%{x:g} KiB: %{y:.2f} times<extra></extra>",
        )
    figure.add_vline(x=at / KIB, line={"color": NEUTRAL, "dash": "dot"})
    figure.update_yaxes(rangemode="tozero")
    figure.update_xaxes(title={"text": "cache (KiB)"}, gridcolor=GRID, zerolinecolor=NEUTRAL, automargin=True)
    figure.update_yaxes(title={"text": "times computed"}, gridcolor=GRID, zerolinecolor=NEUTRAL, automargin=True)
    return figure.update_layout(
        height=HEIGHT,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )


def recompute_curve_text(caches: Sequence[int], curves: Mapping[str, Sequence[float]], at: int) -> str:
    """The same in words: both ends of each curve, and its height at the line. `at` is one of the caches."""
    here = list(caches).index(at)
    parts = [
        f"read by {name}: {_times(factors[0])} with the smallest, {_times(factors[-1])} with the largest, "
        f"{_times(factors[here])} at the line"
        for name, factors in curves.items()
    ]
    span = f"{nbytes(caches[0])} to {nbytes(caches[-1])}, with a line at {nbytes(at)}"
    return f"Line chart: how often an element is computed, over a cache of {span}: {'; '.join(parts)}."


def _times(factor: float) -> str:
    return "no tile fits" if factor == float("inf") else f"{factor:.2f} times"
