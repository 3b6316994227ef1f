"""Pictures and tables of lessons: drawings of small graphs, subgraphs to pick, code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import streamlit as st

from ago_core.graph.opgraph import Operator, OpGraph
from ago_core.partition.partition import Partition, make_partition
from app.components.graph_view import Selection, graph_view, tell_panel
from app.components.text import table
from app.lessons.ask import answer_key
from app.lessons.lesson import Scene
from app.services.kept import Kept
from app.services.pictures import Picture, draw
from visualizers.marks import Marks

HEIGHT = 400
ASPECT = 1.0
KEPT_DRAWINGS = 64


@cache
def _drawings() -> Kept[tuple, Picture]:
    """What was drawn last, for all sessions."""
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

    def drawn() -> Picture:
        return draw(_named(graph), partition, aspect=ASPECT)

    picture = _drawings().get((graph.model_hash, partition.subgraphs), drawn)
    key = f"{scene.key}-drawing"
    graph_view(picture, key=key, model=graph.model_hash, height=HEIGHT, label=label, on_select=on_select)
    tell_panel(key, selected, marks)
    if picture.note:
        st.caption(picture.note)


def loop_table(op: Operator) -> None:
    """The loops of an operator's main nest; those of one iteration are left out."""
    kinds = {"spatial": "indexes the output", "reduction": "sums"}
    loops = [loop for loop in op.loops if loop.extent > 1]
    rows = [{"Loop": one.name, "Iterations": str(one.extent), "What it does": kinds[one.kind]} for one in loops]
    table(rows, "What it does")


def _named(graph: OpGraph) -> OpGraph:
    """With names for kinds: the texts of a lesson speak of operators by name."""
    return replace(graph, operators=tuple(replace(op, kind=op.name) for op in graph.operators))


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
