"""Text from models and files, shown as it is: it may hold what looks like HTML or Markdown."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping

import streamlit as st

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:^=])")
_FACT = (
    '<div style="display:flex;gap:.75rem;padding:.2rem 0;border-bottom:1px solid rgba(138,143,152,.22)"{title}>'
    '<span style="flex:0 0 {width};opacity:.72">{label}</span>'
    '<span style="flex:1;min-width:0;overflow-wrap:anywhere">{value}</span></div>'
)


def plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return _MARKDOWN.sub(r"\\\1", text)


def facts(rows: Iterable[tuple[str, str]], helps: Mapping[str, str] | None = None, width: str = "7rem") -> None:
    """Shows labels and values below each other; `helps` gives labels an explanation on hover."""
    lines = [
        _FACT.format(
            title=f' title="{html.escape((helps or {})[label])}"' if label in (helps or {}) else "",
            width=width,
            label=f"{html.escape(label)}{' ⓘ' if label in (helps or {}) else ''}",
            value=html.escape(value),
        )
        for label, value in rows
    ]
    st.html(f'<div style="font-size:.875rem">{"".join(lines)}</div>')
