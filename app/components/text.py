"""Text from models and files, shown as it is: it may hold what looks like HTML or Markdown."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping

import streamlit as st

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:^=])")
_LABEL = '<span style="flex:0 0 {width};opacity:.72">{text}</span>'
_HELP = (
    '<span title="{help}" style="cursor:help;text-decoration:underline dotted;text-underline-offset:3px">{text}</span>'
)
_VALUE = '<span style="flex:1;min-width:0;overflow-wrap:anywhere">{text}</span>'
_ROW = (
    '<div style="display:flex;gap:.75rem;padding:.2rem 0;border-bottom:1px solid rgba(138,143,152,.22)">{cells}</div>'
)
_CELL = (
    '<{tag} style="text-align:left;padding:.2rem 1.25rem .2rem 0;vertical-align:top;'
    'border-bottom:1px solid rgba(138,143,152,.22);{style}">{text}</{tag}>'
)
_FIGURE = "white-space:nowrap;font-variant-numeric:tabular-nums"

Rows = Iterable[tuple[str, str]]


def plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return _MARKDOWN.sub(r"\\\1", text)


def facts(rows: Rows, helps: Mapping[str, str] | None = None, width: str = "6.5rem") -> None:
    """Shows labels and values below each other; `helps` gives labels an explanation on hover."""
    lines = [_ROW.format(cells=_label(label, helps, width) + _value(value)) for label, value in rows]
    st.html(f'<div style="font-size:.875rem">{"".join(lines)}</div>')


def fact_line(rows: Rows, helps: Mapping[str, str] | None = None) -> None:
    """The same, beside each other."""
    cells = [f"<span>{_label(label, helps, 'auto')} <b>{html.escape(value)}</b></span>" for label, value in rows]
    st.html(f'<div style="display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;font-size:.875rem">{"".join(cells)}</div>')


def table(rows: list[dict[str, str]], wide: str) -> None:
    """Shows rows with the same keys as a table; the column `wide` takes the room that is left."""
    head = "".join(
        _CELL.format(tag="th", style="font-weight:400;opacity:.72;white-space:nowrap", text=html.escape(key))
        for key in rows[0]
    )
    lines = [
        "".join(
            _CELL.format(tag="td", style="opacity:.8;width:99%" if key == wide else _FIGURE, text=html.escape(value))
            for key, value in row.items()
        )
        for row in rows
    ]
    body = "".join(f"<tr>{line}</tr>" for line in (head, *lines))
    st.html(f'<table style="border-collapse:collapse;width:100%;font-size:.875rem">{body}</table>')


def _label(label: str, helps: Mapping[str, str] | None, width: str) -> str:
    text = html.escape(label)
    if explanation := (helps or {}).get(label):
        text = _HELP.format(help=html.escape(explanation), text=text)
    return _LABEL.format(width=width, text=text)


def _value(value: str) -> str:
    """Shapes may break after a ×, not inside a number."""
    return _VALUE.format(text=html.escape(value).replace("×", "×<wbr>"))
