"""From one time to another, step by step: what each part gained or lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from visualizers.charts import titled
from visualizers.palette import BLUE, NEUTRAL, VERMILLION
from visualizers.units import count

ROW_PIXELS = 26
FRAME_PIXELS = 130


@dataclass(frozen=True)
class Step:
    """One bar.

    Attributes:
        name: of the part.
        change: seconds that it takes longer; negative where it gained.
        about: what is shown on hover, plain text.
    """

    name: str
    change: float
    about: str


def waterfall(steps: Sequence[Step], title: str, total: str) -> go.Figure:
    """Bars from top to bottom, each beginning where the one above it ended, and their sum at the foot.

    Gains go left in blue, losses right in vermillion, and each carries its sign: colour is not the only one.
    """
    changes = [step.change * 1e6 for step in steps]
    names = [*(step.name for step in steps), total]
    figure = go.Figure(
        go.Waterfall(
            orientation="h",
            measure=[*("relative" for _ in steps), "total"],
            x=[*changes, 0.0],
            y=list(range(len(names))),
            text=[*map(signed, changes), signed(sum(changes))],
            textposition="outside",
            cliponaxis=False,
            customdata=[*(step.about for step in steps), "the sum of all above"],
            hovertemplate="%{text}<br>%{customdata}<extra></extra>",
            decreasing={"marker": {"color": BLUE}},
            increasing={"marker": {"color": VERMILLION}},
            totals={"marker": {"color": NEUTRAL}},
            connector={"line": {"color": NEUTRAL, "width": 1, "dash": "dot"}},
        )
    )
    figure = titled(figure, title, "µs: left is gained, right is lost", "")
    figure.update_xaxes(range=_room(changes))
    figure.update_yaxes(
        tickvals=list(range(len(names))), ticktext=names, autorange="reversed", showgrid=False, zeroline=False
    )
    figure.update_layout(height=FRAME_PIXELS + ROW_PIXELS * len(names), showlegend=False)
    return figure


def waterfall_text(steps: Sequence[Step], total: str) -> str:
    """The sum, and the largest gain and loss, in words."""
    parts = [f"{total}: {signed(1e6 * sum(step.change for step in steps))} over {count(len(steps), 'part')}"]
    gain, loss = (choose(steps, key=lambda step: step.change, default=None) for choose in (min, max))
    if gain and gain.change < 0:
        parts.append(f"the largest gain is {gain.name} with {signed(gain.change * 1e6)}")
    if loss and loss.change > 0:
        parts.append(f"the largest loss is {loss.name} with {signed(loss.change * 1e6)}")
    return f"Waterfall chart in microseconds: what each part gained (minus) or lost (plus). {'; '.join(parts)}."


def signed(microseconds: float) -> str:
    """With its sign and three digits: "−12.3 µs"."""
    digits = 0 if abs(microseconds) >= 100 else 1 if abs(microseconds) >= 10 else 2
    text = f"{abs(microseconds):,.{digits}f}"
    return f"{'−' if microseconds < 0 else '+'}{text} µs" if float(text.replace(",", "")) else "0 µs"


def _room(changes: Sequence[float]) -> list[float]:
    """An axis with room for the numbers beside the bars."""
    ends, level = [0.0], 0.0
    for change in changes:
        level += change
        ends.append(level)
    low, high = min(ends), max(ends)
    margin = 0.18 * ((high - low) or 1.0)
    return [low - margin, high + margin]
