"""Pictures of the results as SVG, drawn from the JSON: one row a model, one dot a peer, on a logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

from benchmarks.networks.peers import AGO, PEERS
from benchmarks.networks.report import ordered
from benchmarks.networks.summary import milliseconds, share

COLOURS = ("#4e79a7", "#f28e2b", "#9c755f", "#bab0ac", "#79706e", "#59a14f", "#edc948", "#b07aa1", "#e15759")
"""Of the peers in their order; they are told apart on white and on black."""
WIDTH, ROW, TOP, LEFT, MARGIN = 1180, 22, 70, 170, 20
STYLE = (
    "text{font:12px sans-serif;fill:#333}.title{font-size:15px;font-weight:bold}.grid{stroke:#ccc}.one{stroke:#888}"
    ".back{fill:#fff}@media(prefers-color-scheme:dark){text{fill:#ddd}.back{fill:#111}.grid{stroke:#444}}"
)

Rows = Mapping[str, Mapping[str, float]]
"""By model and peer."""


def pictures(results: dict) -> dict[str, str]:
    """SVG by file name: for each number of threads and budget how fast peers are beside AGO, and beside the limit."""
    found = {}
    for threads, trials in sorted({(cell["threads"], cell["trials"]) for cell in results["cells"].values()}):
        cells = [cell for cell in ordered(results) if (cell["threads"], cell["trials"]) == (threads, trials)]
        speeds = {cell["model"]: _speeds(cell) for cell in cells}
        shares = {cell["model"]: _shares(results, cell) for cell in cells}
        what = f"{threads} thread{'s' * (threads > 1)}, {trials} trials"
        name = f"networks-{threads}-threads-{trials}-trials"
        found[f"{name}.svg"] = dots(f"Speed relative to AGO, {what}", speeds)
        found[f"{name}-limit.svg"] = dots(f"Share of the roofline's speed, {what}", shares)
    return found


def _speeds(cell: dict) -> dict[str, float]:
    """Above 1: faster than AGO."""
    ours = milliseconds(cell, [AGO])
    taken = {name: milliseconds(cell, [name]) for name in PEERS}
    return {name: ours / ms for name, ms in taken.items() if ours and ms}


def _shares(results: dict, cell: dict) -> dict[str, float]:
    found = {name: share(results, cell, name) for name in PEERS}
    return {name: value for name, value in found.items() if value}


def dots(title: str, rows: Rows) -> str:
    """The picture of such values."""
    values = [value for row in rows.values() for value in row.values()] or [1.0]
    low, high = math.floor(math.log2(min(values))), max(math.ceil(math.log2(max(values))), 0)
    x = _axis(low, max(high, low + 1))
    height = TOP + ROW * len(rows) + 40
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
        f'<style>{STYLE}</style><rect class="back" width="{WIDTH}" height="{height}"/>',
        f'<text class="title" x="{MARGIN}" y="24">{escape(title)}</text>',
        *_legend({name for row in rows.values() for name in row}),
    ]
    for power in range(low, max(high, low + 1) + 1):
        at, kind = x(2.0**power), "one" if power == 0 else "grid"
        lines.append(f'<line class="{kind}" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP - 8}" y2="{height - 30}"/>')
        lines.append(f'<text x="{at:.1f}" y="{height - 12}" text-anchor="middle">{_tick(power)}</text>')
    for number, (model, row) in enumerate(rows.items()):
        y = TOP + ROW * number + ROW // 2
        lines.append(f'<text x="{LEFT - 12}" y="{y + 4}" text-anchor="end">{escape(model)}</text>')
        lines += [_dot(x(value), y, name, value) for name, value in row.items()]
    return "\n".join([*lines, "</svg>", ""])


def _tick(power: int) -> str:
    return f"{2**power}×" if power >= 0 else f"1/{2**-power}"


def _axis(low: int, high: int):
    """Powers of two → pixels."""
    scale = (WIDTH - LEFT - 2 * MARGIN) / (high - low)
    return lambda value: LEFT + (math.log2(value) - low) * scale


def _legend(shown: set[str]) -> list[str]:
    lines, x = [], MARGIN
    for name in (name for name in PEERS if name in shown):
        title = PEERS[name].title
        lines.append(_dot(x + 5, 44, name))
        lines.append(f'<text x="{x + 14}" y="48">{escape(title)}</text>')
        x += 7 * len(title) + 24
    return lines


def _dot(x: float, y: float, name: str, value: float | None = None) -> str:
    colour = COLOURS[list(PEERS).index(name)]
    tip = "" if value is None else f"<title>{escape(PEERS[name].title)}: {value:.2f}</title>"
    return f'<circle cx="{x:.1f}" cy="{y}" r="{5 if name == AGO else 4}" fill="{colour}">{tip}</circle>'
