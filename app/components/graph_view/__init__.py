"""The graph view: a partitioned model as an interactive drawing in the browser, drawn by cytoscape.js.

The browser side is `frontend/src/`; its bundle in `assets/` is committed, so only who changes it needs Node:
`cd app/components/graph_view/frontend && npm ci && npm run build`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from app.services.pictures import Picture
from visualizers.colouring import Paint
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
_message = st.components.v2.component("ago_graph_message", js=_asset("message.js"))


@dataclass(frozen=True)
class Selection:
    """What the user selected in one panel: operator ids, ascending, and the subgraph if they clicked its box."""

    operators: tuple[int, ...] = ()
    subgraph: int | None = None


@dataclass(frozen=True)
class MenuEntry:
    """What the colours can say: a key, the text, and whether it can be chosen now."""

    key: str
    text: str
    enabled: bool = True


@dataclass(frozen=True)
class Request:
    """What the user asked of the page in a panel.

    Attributes:
        kind: "fold" (fold or unfold), "colour" (other colours), or "dot" (the graph in DOT).
        subgraph: to fold or to unfold; None for all.
        closed: whether all are to be folded.
        colour: key of the menu's entry.
    """

    kind: str
    subgraph: int | None = None
    closed: bool = False
    colour: str = ""


def graph_view(
    picture: Picture,
    *,
    key: str,
    model: str,
    height: int = 560,
    label: str = "Operator graph",
    file: str = "graph",
    on_select: Callable[[Selection], None] | None = None,
    on_request: Callable[[Request], None] | None = None,
) -> Selection:
    """Shows one panel and returns what the user last selected in it. What it emphasises comes from `tell_panel`.

    Args:
        picture: what to draw; the browser draws anew when its revision changes.
        key: names this panel among the session's widgets.
        model: names the model; the camera stays over another picture of the same one.
        height: of the drawing, in pixels; toolbar and legend take about 70 more.
        label: says what is shown, for those who cannot see it; counts of operators and subgraphs are added.
        file: name, without its ending, under which the drawing is saved.
        on_select: called with the new selection before the rerun that selecting starts, so a page can store it and
            give it to another panel as `selected`.
        on_request: called with what the user asked for, before the rerun; without it the panel offers nothing that
            needs it.
    """
    data = {
        "panel": key,
        "elements": picture.elements,
        "index": picture.index,
        "revision": picture.revision,
        "model": model,
        "file": file,
        "height": height,
        "label": f"{label}: {picture.description}",
        "answers": on_request is not None,
        "hues": SUBGRAPH_HUES,
        "marks": MARK_HUES,
    }

    def selected() -> None:
        if on_select:
            on_select(_selection(st.session_state[key]))

    def requested() -> None:
        wanted = st.session_state[key].get("request")
        if on_request and wanted:
            on_request(Request(**wanted))

    return _selection(_drawing(key=key, data=data, on_selection_change=selected, on_request_change=requested))


def tell_panel(key: str, selected: Iterable[int] = (), marks: Marks | None = None) -> None:
    """Tells a panel, which may be anywhere on the page, what is selected and emphasised in it.

    It shows nothing itself and costs little, so a fragment that holds this and no drawing can change the picture often.

    Args:
        key: of the panel.
        selected: operators to select, whenever this changes. Selecting them here does not call `on_select`.
        marks: what to emphasise; the drawing stays where it is.
    """
    _tell(
        key,
        "selected",
        selected=sorted(selected),
        sequence=_sequence(st.session_state.get(key)),
        marks=marks.to_json() if marks else None,
    )


def tell_colours(key: str, menu: Sequence[MenuEntry], chosen: str, paint: Paint | None) -> None:
    """Tells a panel what its colours can say, and the colours; the drawing stays where it is.

    Args:
        key: of the panel.
        menu: what can be chosen.
        chosen: key of the entry that is chosen.
        paint: the colours; None for those of the subgraphs.
    """
    entries = [[entry.key, entry.text, entry.enabled] for entry in menu]
    _tell(key, "colours", menu=entries, chosen=chosen, paint=paint.to_json() if paint else None)


def send_file(key: str, name: str, text: str) -> None:
    """Has the browser save a text file, once, as the answer to what the user asked of a panel."""
    _tell(key, "file", name=name, text=text, serial=time.time_ns())


def _tell(key: str, kind: str, **content: object) -> None:
    _message(key=f"{key}-{kind}", data={"panel": key, "kind": kind, **content})


def _sequence(state: Mapping | None) -> int:
    """The number of the panel's last message; see `frontend/src/selection.js`."""
    return ((state or {}).get("selection") or {}).get("sequence", 0)


def _selection(state: Mapping) -> Selection:
    value = state.get("selection") or {}
    return Selection(tuple(value.get("operators", ())), value.get("subgraph"))
