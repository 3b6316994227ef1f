"""One inference of each plan on one axis of time: a bar for each kernel, in the order of the calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from visualizers.charts import titled
from visualizers.palette import NEUTRAL, SUBGRAPH_HUES

LANE_PIXELS, FRAME_PIXELS = 56, 130
PATTERNS = ("", "/", "x", ".", "-", "|")
"""With the hues, so that neighbours differ in more than colour."""


@dataclass(frozen=True)
class Bar:
    """A kernel.

    Attributes:
        name: shown inside where there is room.
        start, seconds: since the inference began.
        kin: bars of the same number belong together, in all lanes; they look alike.
        about: what is shown on hover, plain text.
    """

    name: str
    start: float
    seconds: float
    kin: int
    about: str


def gantt(lanes: Mapping[str, Sequence[Bar]], title: str) -> go.Figure:
    """A lane for each plan. Gaps are the time between kernels."""
    names = list(lanes)
    figure = go.Figure()
    for row, bars in enumerate(lanes.values()):
        figure.add_bar(
            orientation="h",
            y=[row] * len(bars),
            base=[bar.start * 1e6 for bar in bars],
            x=[bar.seconds * 1e6 for bar in bars],
            width=0.72,
            text=[bar.name for bar in bars],
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            constraintext="none",
            customdata=[bar.about for bar in bars],
            hovertemplate="%{text}: %{x:.4g} µs, from %{base:.4g} µs on<br>%{customdata}<extra></extra>",
            marker={
                "color": [SUBGRAPH_HUES[bar.kin % len(SUBGRAPH_HUES)] for bar in bars],
                "line": {"color": NEUTRAL, "width": 0.5},
                "pattern": {
                    "shape": [PATTERNS[bar.kin // len(SUBGRAPH_HUES) % len(PATTERNS)] for bar in bars],
                    "fillmode": "overlay",
                    "fgcolor": "rgba(255, 255, 255, 0.65)",
                },
            },
        )
    figure = titled(figure, title, "µs since the inference began", "")
    figure.update_yaxes(tickvals=list(range(len(names))), ticktext=names, autorange="reversed", showgrid=False)
    figure.update_layout(
        barmode="overlay",
        showlegend=False,
        height=FRAME_PIXELS + LANE_PIXELS * len(names),
        uniformtext={"minsize": 9, "mode": "hide"},
    )
    return figure
