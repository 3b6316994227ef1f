"""Pieces of a report: one HTML page that needs no network, with plotly.js in it once."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2rem auto; padding: 0 1rem; color: #1c1e21; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; } h3 { font-size: 1rem; margin-top: 1.5rem; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; }
th, td { text-align: left; vertical-align: top; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid #ddd; }
th { font-weight: 400; color: #5b6168; } td, th { white-space: nowrap; }
td:last-child { white-space: normal; overflow-wrap: anywhere; width: 99%; } p.note { color: #5b6168; }
pre { background: #f4f5f7; padding: .6rem .8rem; white-space: pre-wrap; overflow-wrap: anywhere; font-size: .8rem; }
.picture svg { width: 100%; height: auto; max-height: 900px; }
@media print { .picture, table { break-inside: avoid; } }
"""


def page(title: str, parts: Iterable[str]) -> bytes:
    """The whole page, UTF-8, in a light theme: it is meant to be printed and sent too."""
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    script = f"<script>{get_plotlyjs()}</script>"
    return f'<!doctype html><html lang="en"><head>{head}{script}</head><body>{"".join(parts)}</body></html>'.encode()


def heading(text: str, level: int = 2) -> str:
    return f"<h{level}>{html.escape(text)}</h{level}>"


def note(text: str) -> str:
    return f'<p class="note">{html.escape(text)}</p>'


def code(lines: Iterable[str]) -> str:
    text = "\n".join(lines)
    return f"<pre>{html.escape(text)}</pre>"


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows with the same keys; the last column takes the room that is left."""
    head = "".join(f"<th>{html.escape(key)}</th>" for key in rows[0])
    lines = ["".join(f"<td>{html.escape(value)}</td>" for value in row.values()) for row in rows]
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """Labels and values."""
    return table([{"": label, "What": value} for label, value in rows])


def figure(drawn: go.Figure, text: str, height: int | None = None) -> str:
    """A chart; `text` is for those who cannot see it."""
    drawn.update_layout(template="plotly_white", height=height or drawn.layout.height)
    shown = drawn.to_html(full_html=False, include_plotlyjs=False, config={"displaylogo": False})
    return f'<div role="img" aria-label="{html.escape(text)}">{shown}</div>'
