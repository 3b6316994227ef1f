"""The graph view: a partitioned model as an interactive drawing in the browser, drawn by cytoscape.js.

The browser side is `frontend/src/`; its bundle in `assets/` is committed, so only who changes it needs Node:
`cd app/components/graph_view/frontend && npm ci && npm run build`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from visualizers.elements import describe
from visualizers.marks import Marks
from visualizers.palette import MARK_HUES, SUBGRAPH_HUES

_ASSETS = Path(__file__).parent / "assets"


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


# Streamlit sends a component's data and its whole source again when any of the data changes. What changes with every
# click or step is therefore a component of its own, which draws nothing.
_drawing = st.components.v2.component(
    "ago_graph_view", html=_asset("graph_view.html"), css=_asset("graph_view.css"), js=_asset("graph_view.js")
)
_selected = st.components.v2.component("ago_graph_selected", js=_asset("selected.js"))


@dataclass(frozen=True)
class Selection:
    """What the user selected in one panel: operator ids, ascending, and the subgraph if they clicked its box."""

    operators: tuple[int, ...] = ()
    subgraph: int | None = None


def graph_view(
    elements: list[dict],
    *,
    revision: str,
    key: str,
    height: int = 560,
    label: str = "Operator graph",
    on_select: Callable[[Selection], None] | None = None,
) -> Selection:
    """Shows one panel and returns what the user last selected in it. What it emphasises comes from `tell_panel`.

    Args:
        elements: what `visualizers.elements.elements` returned.
        revision: names these elements; the browser is sent and draws them anew when it changes.
        key: names this panel among the session's widgets.
        height: of the drawing, in pixels; the legend below it takes about 30 more.
        label: says what is shown, for those who cannot see it; counts of operators and subgraphs are added.
        on_select: called with the new selection before the rerun that selecting starts, so a page can store it and
            give it to another panel as `selected`.
    """
    data = {
        "panel": key,
        "elements": elements,
        "revision": revision,
        "height": height,
        "label": f"{label}: {describe(elements)}",
        "hues": SUBGRAPH_HUES,
        "marks": MARK_HUES,
    }

    def changed() -> None:
        if on_select:
            on_select(_selection(st.session_state[key]))

    return _selection(_drawing(key=key, data=data, on_selection_change=changed))


def tell_panel(key: str, selected: Iterable[int] = (), marks: Marks | None = None) -> None:
    """Tells a panel, which may be anywhere on the page, what is selected and emphasised in it.

    It shows nothing itself and costs little, so a fragment that holds this and no drawing can change the picture often.

    Args:
        key: of the panel.
        selected: operators to select, whenever this changes. Selecting them here does not call `on_select`.
        marks: what to emphasise; the drawing stays where it is.
    """
    message = {
        "panel": key,
        "selected": sorted(selected),
        "sequence": _sequence(st.session_state.get(key)),
        "marks": marks.to_json() if marks else None,
    }
    _selected(key=f"{key}-selected", data=message)


def _sequence(state: Mapping | None) -> int:
    """The number of the panel's last message; see `frontend/src/selection.js`."""
    return ((state or {}).get("selection") or {}).get("sequence", 0)


def _selection(state: Mapping) -> Selection:
    value = state.get("selection") or {}
    return Selection(tuple(value.get("operators", ())), value.get("subgraph"))
