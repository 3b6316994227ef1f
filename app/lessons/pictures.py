"""Pictures and tables of lessons: drawings of small graphs, subgraphs to pick, code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import streamlit as st

from ago_core.graph.opgraph import OpGraph
from ago_core.partition.partition import Partition, make_partition
from app.components.graph_view import Selection, graph_view, tell_panel
from app.components.text import plain, table
from app.lessons.ask import answer_key
from app.lessons.lesson import Scene
from app.services.kept import Kept
from visualizers.elements import elements
from visualizers.layout import layout
from visualizers.marks import Marks

HEIGHT = 400
ASPECT = 1.0
KEPT_DRAWINGS = 64


@cache
def _drawings() -> Kept[tuple, tuple[list[dict], str]]:
    """What was drawn last, with the layout's note, for all sessions."""
    return Kept(KEPT_DRAWINGS)


def single(graph: OpGraph) -> Partition:
    """Every operator by itself."""
    return make_partition(graph, [[op.id] for op in graph.operators], "edited")


def drawing(
    scene: Scene,
    graph: OpGraph,
    partition: Partition,
    label: str,
    marks: Marks | None = None,
    on_select: Callable[[Selection], None] | None = None,
    selected: Sequence[int] = (),
) -> None:
    """A drawing of a partitioned graph; `label` is for those who cannot see it."""

    def draw() -> tuple[list[dict], str]:
        drawn = layout(graph, partition, aspect=ASPECT)
        return elements(graph, partition, drawn), drawn.note

    items, note = _drawings().get((graph.model_hash, partition.subgraphs), draw)
    key = f"{scene.key}-drawing"
    revision = f"{graph.model_hash}-{hash(partition.subgraphs):x}"
    graph_view(items, revision=revision, key=key, height=HEIGHT, label=label, on_select=on_select)
    tell_panel(key, selected, marks)
    if note:
        st.caption(note)


def pickable(scene: Scene, graph: OpGraph, partition: Partition, label: str) -> None:
    """A drawing whose subgraphs are picked by clicks; the answer's buttons follow, and can be used instead."""
    key = answer_key(scene)
    owner = partition.owner

    def picked(selection: Selection) -> None:
        touched = sorted({owner[op] for op in selection.operators})
        before = st.session_state.get(key) or []
        one_more = [*before, *touched] if len(touched) == 1 and len(before) == 1 else touched
        st.session_state[key] = sorted(set(one_more))

    chosen = st.session_state.get(key) or []
    operators = [op for index in chosen for op in partition.subgraphs[index]]
    marks = scene.outcome.marks if scene.outcome else None
    drawing(scene, graph, partition, label, marks, picked, operators)


def rows(items: list[dict[str, str]], wide: str) -> None:
    """A table."""
    table(items, wide)


def sentence(text: str) -> None:
    """A caption with names as they are."""
    st.caption(plain(text))
