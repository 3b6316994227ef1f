"""The roofline: what a machine allows for so many operations on so many bytes, and where subgraphs are below it.

    operations per second ≤ min(peak, intensity · bandwidth),    intensity = operations / bytes moved

(Williams, Waterman, Patterson, CACM 52(4), 2009). The sloped lines are bandwidths for working sets of several sizes: a
small one stays in a cache.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from visualizers.palette import BLUE, NEUTRAL, ORANGE
from visualizers.units import flops, nbytes, quantity

MARGIN = 4.0
"""What the axes show beyond the outermost points, as a factor."""


@dataclass(frozen=True)
class Point:
    """A subgraph.

    Attributes:
        name: of it.
        flops: floating-point operations of one call.
        bytes: that it reads and writes, each tensor once.
        seconds: of one call.
        measured: whether it ran; else an estimate.
    """

    name: str
    flops: int
    bytes: int
    seconds: float
    measured: bool

    @property
    def intensity(self) -> float:
        """Operations for each byte."""
        return self.flops / max(1, self.bytes)


def roof(
    peak: float, footprints: Sequence[int], bandwidths: Sequence[float], intensity: float, footprint: float
) -> float:
    """Operations per second that the machine allows at an intensity, for a working set of so many bytes.

    Args:
        peak: operations per second in registers.
        footprints: bytes of working set, ascending, at which bandwidths were measured.
        bandwidths: bytes per second.
        intensity: operations for each byte.
        footprint: bytes; between two measured ones the bandwidth is interpolated over the logarithm.
    """
    return min(peak, intensity * _bandwidth(footprints, bandwidths, footprint))


def _bandwidth(footprints: Sequence[int], bandwidths: Sequence[float], footprint: float) -> float:
    at = math.log2(min(max(footprint, footprints[0]), footprints[-1]))
    above = next(k for k, each in enumerate(footprints) if math.log2(each) >= at)
    if above == 0:
        return bandwidths[0]
    low, high = math.log2(footprints[above - 1]), math.log2(footprints[above])
    share = (at - low) / (high - low)
    return bandwidths[above - 1] * (1 - share) + bandwidths[above] * share


def roofline(
    peak: float,
    footprints: Sequence[int],
    bandwidths: Sequence[float],
    chosen: Point,
    others: Sequence[Point] = (),
    unfused_bytes: int | None = None,
) -> go.Figure:
    """Roofs, the chosen subgraph large, the others small; where it would be if nothing were fused as a dotted line.

    Points without operations are left out: they have no place here.
    """
    shown = [point for point in (chosen, *others) if point.flops and point.seconds > 0]
    intensities = [point.intensity for point in shown] + [chosen.flops / unfused_bytes if unfused_bytes else 1.0]
    ridge = peak / bandwidths[-1]
    low, high = min(*intensities, ridge) / MARGIN, max(*intensities, ridge) * MARGIN
    figure = go.Figure()
    for footprint, bandwidth, dash in _slopes(footprints, bandwidths, chosen.bytes):
        _roof_line(figure, peak, bandwidth, footprint, dash, (low, high))
    if unfused_bytes and chosen.flops:
        where = chosen.flops / unfused_bytes
        figure.add_vline(x=where, line={"color": NEUTRAL, "dash": "dot", "width": 1.5})
        _annotate(figure, where, "each operator by itself")
    _scatter(figure, [point for point in shown if point is not chosen], "others", NEUTRAL, 8)
    _scatter(figure, [point for point in shown if point is chosen], chosen.name, ORANGE, 15)
    lowest = min((point.flops / point.seconds for point in shown), default=peak / 100)
    figure.update_xaxes(
        type="log", range=[math.log10(low), math.log10(high)], title="FLOP for each byte moved", dtick=1
    )
    bottom = math.log10(min(lowest, peak / 30) / MARGIN)
    figure.update_yaxes(type="log", range=[bottom, math.log10(peak * 2)], title="FLOP/s", exponentformat="SI", dtick=1)
    return _styled(figure)


def roofline_text(
    peak: float, footprints: Sequence[int], bandwidths: Sequence[float], chosen: Point, others: Sequence[Point] = ()
) -> str:
    """The roofs and every point of such a figure, in words."""
    slopes = [
        f"{quantity(speed, 'B/s')} for {nbytes(size)}"
        for size, speed, _ in _slopes(footprints, bandwidths, chosen.bytes)
    ]
    points = [
        f"{point.name} {point.intensity:.2f} FLOP a byte, {quantity(point.flops / point.seconds, 'FLOP/s')}"
        for point in (chosen, *others)
        if point.flops and point.seconds > 0
    ]
    return (
        "Roofline: FLOP/s over FLOP for each byte moved, both axes logarithmic. "
        f"The roof rises with the bandwidth, {' and '.join(slopes)}, to the peak of {quantity(peak, 'FLOP/s')}. "
        f"Points: {'; '.join(points)}."
    )


def _slopes(footprints: Sequence[int], bandwidths: Sequence[float], own: int) -> list[tuple[int, float, str]]:
    """(working set, bandwidth, dash): memory, and the size of the chosen subgraph's data where that is smaller."""
    memory = (footprints[-1], bandwidths[-1], "solid")
    if own >= footprints[-1]:
        return [memory]
    return [memory, (own, _bandwidth(footprints, bandwidths, own), "dash")]


def _roof_line(figure: go.Figure, peak: float, bandwidth: float, footprint: int, dash: str, span) -> None:
    ridge = peak / bandwidth
    xs = sorted({span[0], min(max(ridge, span[0]), span[1]), span[1]})
    name = f"{quantity(bandwidth, 'B/s')} for {nbytes(footprint)}, peak {quantity(peak, 'FLOP/s')}"
    figure.add_scatter(
        x=xs,
        y=[min(peak, x * bandwidth) for x in xs],
        name=name,
        mode="lines",
        line={"color": BLUE, "dash": dash, "width": 2},
        hoverinfo="name",
    )


def _scatter(figure: go.Figure, points: Sequence[Point], name: str, hue: str, size: int) -> None:
    if not points:
        return
    figure.add_scatter(
        x=[point.intensity for point in points],
        y=[point.flops / point.seconds for point in points],
        text=[_hover(point) for point in points],
        name=name,
        mode="markers",
        marker={
            "color": hue,
            "size": size,
            "symbol": ["circle" if point.measured else "circle-open" for point in points],
            "line": {"width": 2, "color": hue},
        },
        hovertemplate="%{text}<extra></extra>",
    )


def _annotate(figure: go.Figure, x: float, text: str) -> None:
    """Beside a vertical line, at the bottom; on a logarithmic axis annotations stand at the logarithm."""
    where = {"x": math.log10(x), "y": 0, "yref": "paper", "xanchor": "left", "yanchor": "bottom"}
    figure.add_annotation(**where, text=text, showarrow=False, font={"size": 11, "color": NEUTRAL})


def _hover(point: Point) -> str:
    how = "measured" if point.measured else "estimated"
    reached = quantity(point.flops / point.seconds, "FLOP/s")
    return f"{point.name}<br>{flops(point.flops)} on {nbytes(point.bytes)}<br>{reached}, {how}"


def _styled(figure: go.Figure) -> go.Figure:
    grid = {"gridcolor": "rgba(138, 143, 152, 0.25)", "zeroline": False}
    figure.update_layout(
        xaxis=grid,
        yaxis=grid,
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        margin={"l": 10, "r": 10, "t": 30, "b": 10},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
    )
    return figure
