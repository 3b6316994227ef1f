"""One inference of each plan on one axis of time: a bar for each kernel, in the order of the calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from visualizers.charts import titled
from visualizers.palette import NEUTRAL, ORANGE, PURPLE, SKY, SUBGRAPH_HUES, YELLOW
from visualizers.units import count, milliseconds

LANE_PIXELS, FRAME_PIXELS = 56, 130
PATTERNS = ("", "/", "x", ".", "-", "|")
"""With the hues, so that neighbours differ in more than colour."""
LIGHT = (ORANGE, PURPLE, SKY, YELLOW)
"""Hues on which text is black."""
NAMED = 0.025
"""Part of the longest lane that a bar needs for its name."""


@dataclass(frozen=True)
class Bar:
    """A kernel.

    Attributes:
        name: shown inside where there is room.
        start: seconds since the first kernel began.
        seconds: that it took.
        kin: bars of the same number belong together, in all lanes; they look alike.
        about: what is shown on hover, plain text.
    """

    name: str
    start: float
    seconds: float
    kin: int
    about: str


def gantt(lanes: Mapping[str, Sequence[Bar]], title: str) -> go.Figure:
    """A lane for each plan."""
    names = list(lanes)
    least = NAMED * max((bar.start + bar.seconds for bars in lanes.values() for bar in bars), default=0.0)
    figure = go.Figure()
    for row, bars in enumerate(lanes.values()):
        figure.add_bar(
            orientation="h",
            y=[row] * len(bars),
            base=[bar.start * 1e6 for bar in bars],
            x=[bar.seconds * 1e6 for bar in bars],
            width=0.72,
            text=[bar.name if bar.seconds >= least else "" for bar in bars],
            textfont={"color": [_ink(bar) for bar in bars]},
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            constraintext="none",
            customdata=[(bar.name, bar.about) for bar in bars],
            hovertemplate="%{customdata[0]}: %{x:.4g} µs<br>%{customdata[1]}<extra></extra>",
            marker={
                "color": [_hue(bar) for bar in bars],
                "line": {"color": NEUTRAL, "width": 0.5},
                "pattern": {
                    "shape": [PATTERNS[bar.kin // len(SUBGRAPH_HUES) % len(PATTERNS)] for bar in bars],
                    "fillmode": "overlay",
                    "fgcolor": "rgba(255, 255, 255, 0.65)",
                },
            },
        )
    figure = titled(figure, title, "µs of kernels", "")
    figure.update_yaxes(
        tickvals=list(range(len(names))), ticktext=names, autorange="reversed", showgrid=False, zeroline=False
    )
    figure.update_layout(
        barmode="overlay",
        showlegend=False,
        height=FRAME_PIXELS + LANE_PIXELS * len(names),
    )
    return figure


def gantt_text(lanes: Mapping[str, Sequence[Bar]]) -> str:
    """How many kernels each lane has, how long they take together, and the longest, in words."""
    parts = [f"{name}: {_lane_text(bars)}" for name, bars in lanes.items()]
    return f"The kernels of one inference as bars on an axis of microseconds, a lane for each plan. {'; '.join(parts)}."


def _lane_text(bars: Sequence[Bar]) -> str:
    if not bars:
        return "no kernels"
    longest = max(bars, key=lambda bar: bar.seconds)
    together = milliseconds(sum(bar.seconds for bar in bars))
    return (
        f"{count(len(bars), 'kernel')}, {together} together, the longest {longest.name} with "
        f"{milliseconds(longest.seconds)}"
    )


def _hue(bar: Bar) -> str:
    return SUBGRAPH_HUES[bar.kin % len(SUBGRAPH_HUES)]


def _ink(bar: Bar) -> str:
    return "black" if _hue(bar) in LIGHT else "white"
