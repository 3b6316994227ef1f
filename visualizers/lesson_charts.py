"""Plots of the lessons; their look is that of `tuning`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from visualizers.palette import BLUE, NEUTRAL, ORANGE

STYLES = ((ORANGE, "dash", "diamond"), (BLUE, "solid", "circle"))
GRID = "rgba(138, 143, 152, 0.25)"
KIB = 1024


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
    return framed(figure, "cache (KiB)", "times computed")


def framed(figure: go.Figure, x_title: str, y_title: str, height: int = 380) -> go.Figure:
    """Transparent, with quiet grids and the legend above."""
    figure.update_xaxes(title={"text": x_title}, gridcolor=GRID, zerolinecolor=NEUTRAL, automargin=True)
    figure.update_yaxes(title={"text": y_title}, gridcolor=GRID, zerolinecolor=NEUTRAL, automargin=True)
    return figure.update_layout(
        height=height,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )


def roofline_chart(
    peak: float, roofs: Mapping[str, float], points: Sequence[tuple[str, float, float, float]]
) -> go.Figure:
    """Operators under roofs (Williams, Waterman, Patterson, CACM 52(4), 2009), both axes logarithmic.

    Args:
        peak: operations a second.
        roofs: bytes a second, by where the data lie.
        points: of each operator its name, FLOP a byte, FLOP/s measured, and FLOP/s that are possible at most.
    """
    low, high = min(point[1] for point in points) / 2, 2 * max(point[1] for point in points)
    figure = go.Figure()
    for (name, bandwidth), dash in zip(roofs.items(), ("dot", "dash", "solid")):
        ridge = peak / bandwidth
        corners = [x for x in (low, ridge, high) if low <= x <= high]
        figure.add_scatter(
            x=corners,
            y=[min(peak, x * bandwidth) / 1e9 for x in corners],
            name=name,
            mode="lines",
            line={"color": NEUTRAL, "dash": dash},
            hoverinfo="skip",
        )
    figure.add_scatter(
        x=[point[1] for point in points],
        y=[point[2] / 1e9 for point in points],
        text=[point[0] for point in points],
        customdata=[point[3] / 1e9 for point in points],
        name="operators, measured",
        mode="markers",
        marker={"color": BLUE, "symbol": "diamond", "size": 10},
        hovertemplate="%{text}: %{y:.3g} of at most %{customdata:.3g} GFLOP/s<extra></extra>",
    )
    figure.update_xaxes(type="log")
    figure.update_yaxes(type="log")
    return framed(figure, "arithmetic intensity (FLOP a byte)", "GFLOP/s", height=400)
