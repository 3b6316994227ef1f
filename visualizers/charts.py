"""Charts of partitions and measurements: plain data → plotly figures.

Backgrounds are transparent and texts have no colour of their own, so `st.plotly_chart` gives them that of its theme.
Series are told apart by pattern, dash or symbol as well as by hue. After each chart comes what it shows in words, for
those who cannot see it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import median, quantiles

import plotly.graph_objects as go

from ago_core.graph.opgraph import OpGraph
from visualizers.palette import BLUE, NEUTRAL, series_hue
from visualizers.units import count as counted

PATTERNS = ("", "/", "x", ".")
DASHES = ("solid", "dash", "dot", "dashdot")
SYMBOLS = ("circle", "diamond", "square", "cross")
MAX_BARS = 20
FAR_APART = 4.0
MOST_NAMED = 5
"""Kinds of operators that a text names."""


def subgraph_sizes(sizes: Mapping[str, Sequence[int]]) -> go.Figure:
    """Histogram of operators per subgraph, for each named partition a list with one number for each subgraph."""
    largest = max((size for values in sizes.values() for size in values), default=1)
    width = math.ceil(largest / MAX_BARS)
    starts = range(1, largest + 1, width)
    labels = [str(start) if width == 1 else f"{start}–{start + width - 1}" for start in starts]
    counts = {name: Counter((size - 1) // width for size in values) for name, values in sizes.items()}
    figure = _bars(labels, {name: [count[i] for i in range(len(labels))] for name, count in counts.items()})
    return titled(figure, "Subgraph sizes", "operators in a subgraph", "subgraphs")


def subgraph_sizes_text(sizes: Mapping[str, Sequence[int]]) -> str:
    parts = [
        f"{name}: {counted(len(values), 'subgraph')} of {min(values)} to {max(values)} operators, median "
        f"{median(values):g}"
        for name, values in sizes.items()
        if values
    ]
    return f"Bar chart: how many subgraphs have how many operators. {'; '.join(parts)}."


def complex_per_subgraph(counts: Mapping[str, Sequence[int]]) -> go.Figure:
    """Histogram of complex operators per subgraph: none, one (all that a heuristic allows), two, three or more."""
    grouped = {name: Counter(min(value, 3) for value in values) for name, values in counts.items()}
    figure = _bars(["0", "1", "2", "3+"], {name: [count[i] for i in range(4)] for name, count in grouped.items()})
    return titled(figure, "Complex operators per subgraph", "complex operators in a subgraph", "subgraphs")


def complex_per_subgraph_text(counts: Mapping[str, Sequence[int]]) -> str:
    parts = []
    for name, values in counts.items():
        found = Counter(min(value, 3) for value in values)
        parts.append(f"{name}: {found[0]} with none, {found[1]} with one, {found[2]} with two, {found[3]} with more")
    return f"Bar chart: how many subgraphs hold how many complex operators. {'; '.join(parts)}."


def weight_distribution(weights: Mapping[str, Sequence[float]]) -> go.Figure:
    """Weight of every subgraph, heaviest first: a line's length tells how many there are, its slope how even they are.

    The vertical axis is logarithmic if all weights are positive.
    """
    figure = go.Figure()
    for position, (name, values) in enumerate(weights.items()):
        hue = series_hue(name, position)
        style = position % len(DASHES)
        figure.add_scatter(
            x=list(range(1, len(values) + 1)),
            y=sorted(values, reverse=True),
            name=name,
            mode="lines+markers",
            line={"color": hue, "dash": DASHES[style]},
            marker={"color": hue, "symbol": SYMBOLS[style], "size": 6},
            hovertemplate="%{y:.4g}<br>number %{x} by weight<extra>%{fullData.name}</extra>",
        )
    if all(value > 0 for values in weights.values() for value in values):
        figure.update_yaxes(type="log", dtick=1)
    return titled(figure, "Weights of subgraphs", "subgraphs, heaviest first", "weight")


def weight_distribution_text(weights: Mapping[str, Sequence[float]]) -> str:
    parts = [
        f"{name}: {counted(len(values), 'subgraph')}, weights from {max(values):.4g} down to {min(values):.4g}, median "
        f"{median(values):.4g}"
        for name, values in weights.items()
        if values
    ]
    return f"Line chart: the weight of each subgraph, heaviest first. {'; '.join(parts)}."


def latency_runs(runs: Mapping[str, Sequence[float]]) -> go.Figure:
    """Every measured run in milliseconds as a point, with a box of the quartiles and the median, for each series.

    A few slow runs do not squash the boxes: the axis ends at Tukey's outer fences (the quartiles ± 3 times their
    distance), and the title says how many runs lie outside. It is logarithmic where medians are far apart.
    """
    figure = go.Figure()
    for position, (name, values) in enumerate(runs.items()):
        hue = series_hue(name, position + 1)
        figure.add_box(
            x=list(values),
            name=name,
            boxpoints="all",
            jitter=0.6,
            pointpos=0,
            line={"color": hue, "width": 1.5},
            marker={"color": hue, "size": 5, "opacity": 0.8, "symbol": SYMBOLS[position % len(SYMBOLS)]},
            hovertemplate="%{x:.4g} ms<extra>%{fullData.name}</extra>",
        )
    low, high = _fences(runs.values())
    outside = sum(not low <= value <= high for values in runs.values() for value in values)
    medians = [median(values) for values in runs.values()]
    if max(medians) > FAR_APART * min(medians) > 0:
        figure.update_xaxes(type="log", range=[math.log10(low), math.log10(high)], dtick="D2")
    else:
        figure.update_xaxes(range=[low, high])
    figure.update_layout(showlegend=False)
    counts = " and ".join(str(number) for number in dict.fromkeys(len(values) for values in runs.values()))
    note = f", {outside} outside" if outside else ""
    return titled(figure, f"Latency of {counts} runs{note}", "latency (ms)", "")


def latency_runs_text(runs: Mapping[str, Sequence[float]]) -> str:
    parts = []
    for name, values in runs.items():
        first, third = _quartiles(values)
        parts.append(
            f"{name}: {counted(len(values), 'run')}, median {median(values):.3g} ms, quartiles {first:.3g} to "
            f"{third:.3g} ms, fastest {min(values):.3g} ms, slowest {max(values):.3g} ms"
        )
    return f"Box plot of measured latencies in milliseconds, each run a point. {'; '.join(parts)}."


def _fences(series: Iterable[Sequence[float]]) -> tuple[float, float]:
    """The least interval that holds of each series what lies within its outer fences, and a margin."""
    lows, highs = [], []
    for values in series:
        first, third = _quartiles(values)
        reach = 3 * max(third - first, 0.01 * third)
        lows.append(min(value for value in values if value >= first - reach))
        highs.append(max(value for value in values if value <= third + reach))
    return 0.96 * min(lows), 1.04 * max(highs)


def _quartiles(values: Sequence[float]) -> tuple[float, float]:
    if len(values) == 1:
        return values[0], values[0]
    first, _, third = quantiles(values, n=4, method="inclusive")
    return first, third


def operator_kinds(graph: OpGraph) -> go.Figure:
    """How many operators of each kind the model has, complex kinds apart from the others."""
    complex_kinds = {op.kind for op in graph.operators if op.is_complex}
    counts = sorted(Counter(op.kind for op in graph.operators).items(), key=lambda item: (item[1], item[0]))
    figure = go.Figure()
    for name, hue, pattern, complex_kind in (("complex", BLUE, "", True), ("other", NEUTRAL, "/", False)):
        rows = [(kind, count) for kind, count in counts if (kind in complex_kinds) == complex_kind]
        figure.add_bar(
            x=[count for _, count in rows],
            y=[kind for kind, _ in rows],
            name=name,
            orientation="h",
            marker={"color": hue, "pattern": {"shape": pattern}},
            hovertemplate="%{y}: %{x}<extra></extra>",
        )
    figure.update_yaxes(categoryorder="array", categoryarray=[kind for kind, _ in counts])
    figure.update_layout(barmode="overlay", height=110 + 22 * max(4, len(counts)))
    return titled(figure, "Operators by kind", "operators", "")


def operator_kinds_text(graph: OpGraph) -> str:
    groups = {"complex": [op.kind for op in graph.operators if op.is_complex]}
    groups["other"] = [op.kind for op in graph.operators if not op.is_complex]
    parts = [
        f"{len(kinds)} {name}" + (f" ({_most_frequent(kinds)})" if kinds else "") for name, kinds in groups.items()
    ]
    return f"Bar chart: operators of each kind, {len(graph)} in all: {' and '.join(parts)}."


def _most_frequent(kinds: Sequence[str]) -> str:
    """Such as "pointwise_conv2d 17, conv2d 9 and 2 other kinds"."""
    ranked = Counter(kinds).most_common()
    named = ", ".join(f"{kind} {number}" for kind, number in ranked[:MOST_NAMED])
    rest = len(ranked) - MOST_NAMED
    return named + (f" and {counted(rest, 'other kind')}" if rest > 0 else "")


def _bars(labels: list[str], heights: Mapping[str, list[int]]) -> go.Figure:
    """Grouped bars: for each named series a height for each label."""
    figure = go.Figure()
    for position, (name, values) in enumerate(heights.items()):
        pattern = {"shape": PATTERNS[position % len(PATTERNS)], "fillmode": "overlay", "fgcolor": "white"}
        figure.add_bar(x=labels, y=values, name=name, marker={"color": series_hue(name, position), "pattern": pattern})
    figure.update_xaxes(type="category")
    return figure


def titled(figure: go.Figure, title: str, x_title: str, y_title: str) -> go.Figure:
    """The figure in the style of all charts."""
    grid = {"gridcolor": "rgba(138, 143, 152, 0.25)", "zerolinecolor": NEUTRAL}
    figure.update_layout(
        title={"text": title, "font": {"size": 15}},
        xaxis={"title": {"text": x_title}, **grid},
        yaxis={"title": {"text": y_title}, **grid},
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        margin={"l": 10, "r": 10, "t": 60, "b": 10},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"},
    )
    return figure
