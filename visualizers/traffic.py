"""Bytes that a subgraph moves, for each way to run it, as stacked bars."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from visualizers.palette import BLUE, GREEN, ORANGE, SKY
from visualizers.units import nbytes

KINDS = (("inputs", BLUE, ""), ("weights", SKY, "/"), ("between operators", ORANGE, "x"), ("results", GREEN, "."))
"""Name, hue and pattern of each part of a bar."""


def traffic(ways: Sequence[tuple[str, tuple[int, int, int, int]]]) -> go.Figure:
    """One bar for each way, the first on top: (name, bytes of inputs, weights, what passes between, results)."""
    figure = go.Figure()
    for position, (kind, hue, pattern) in enumerate(KINDS):
        values = [sizes[position] for _, sizes in ways]
        figure.add_bar(
            y=[name for name, _ in ways],
            x=values,
            name=kind,
            orientation="h",
            marker={"color": hue, "pattern": {"shape": pattern, "fillmode": "overlay", "fgcolor": "white"}},
            text=[nbytes(value) for value in values],
            hovertemplate="%{y}: %{text} " + kind + "<extra></extra>",
            textposition="none",
        )
    largest = max((sum(sizes) for _, sizes in ways), default=1)
    figure.update_xaxes(tickvals=_ticks(largest), ticktext=[nbytes(value) for value in _ticks(largest)])
    figure.update_yaxes(autorange="reversed")
    figure.update_layout(
        barmode="stack",
        xaxis={"gridcolor": "rgba(138, 143, 152, 0.25)"},
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "traceorder": "normal"},
    )
    return figure


def _ticks(largest: int) -> list[int]:
    """Four or five round numbers of bytes from 0 to the largest."""
    step = 1 << max(0, (largest // 5)).bit_length()
    return list(range(0, largest + step, step))
