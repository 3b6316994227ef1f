"""Lesson 1: what a partition is, and what it decides."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import streamlit as st

from ago_core.partition.edits import Refusal, merge
from ago_core.partition.metrics import crossing_bytes
from ago_core.partition.partition import InvalidPartition, Partition, make_partition
from app.components.text import table
from app.lessons import ask
from app.lessons.excerpts import Excerpt, code, fire, titles
from app.lessons.lesson import Exercise, Lesson, Outcome, Scene, Step
from app.lessons.pictures import drawing, pickable, single
from app.services.loaded import Loaded
from visualizers.units import nbytes

READ = "relu_2"
KIB = 1024
TOLERANCE = 0.01
"""Of a predicted figure."""


def _show_operators(scene: Scene) -> None:
    graph = fire(scene.loaded).graph
    drawing(scene, graph, single(graph), "A fire module of SqueezeNet, each operator by itself")
    st.caption(
        f"{len(graph)} of SqueezeNet's {len(scene.loaded.graph)} operators. Arrows go from an operator to those that "
        "read its result. Bold: complex operators. Hover for shapes."
    )


def _readers(loaded: Loaded, answer: float) -> Outcome:
    graph = fire(loaded).graph
    readers = graph.successors[fire(loaded).id(READ)]
    if answer == len(readers):
        return Outcome(True, f"`{READ}` is read by {code(graph, readers)}.")
    return Outcome(
        False,
        f"Find `{READ}` in the drawing and count the arrows that leave it: each goes to a reader.",
    )


def groupings(part: Excerpt) -> list[tuple[str, list[list[int]]]]:
    """Three ways to group the operators, of which not all are partitions, each with a description."""
    groups = [list(members) for members in part.heuristic.subgraphs]
    first, last = part.graph.operators[groups[0][-1]].name, part.graph.operators[groups[-1][-1]].name
    start = part.graph.operators[groups[0][0]].name
    return [
        (f"TVM's groups, and {first} in a second group too", [groups[0], [groups[0][-1], *groups[1]], *groups[2:]]),
        (f"TVM's groups, but {last} in none", groups[:-1]),
        (f"TVM's groups, but {start} in a group of its own", [groups[0][:1], groups[0][1:], *groups[1:]]),
    ]


def _show_groups(scene: Scene) -> None:
    part = fire(scene.loaded)
    drawing(scene, part.graph, part.heuristic, "A fire module of SqueezeNet as TVM partitions it")
    st.caption("Each box is a subgraph of TVM's partition; an operator without a box is a subgraph by itself.")


def _is_partition(loaded: Loaded, answer: int) -> Outcome:
    part = fire(loaded)
    label, groups = groupings(part)[answer]
    try:
        found = make_partition(part.graph, groups, "edited")
    except InvalidPartition as error:
        return Outcome(False, f"That is none: {_named(str(error))}.")
    return Outcome(
        True, f"Every operator is in exactly one of the {len(found)} subgraphs, and they can be called in order."
    )


def _named(text: str) -> str:
    """Names of operators in a sentence, marked as code."""
    return " ".join(f"`{word}`" if "_" in word else word for word in text.split(" "))


def _show_bytes(scene: Scene) -> None:
    part = fire(scene.loaded)
    owner = part.heuristic.owner
    items = []
    for op in part.graph.operators:
        readers = sorted({owner[reader] for reader in part.graph.successors[op.id]})
        items.append(
            {
                "Operator": op.name,
                "In": f"S{owner[op.id]}",
                "Read in": ", ".join(f"S{index}" for index in readers) or "(after this part)",
                "Result": str(op.outputs[0]),
            }
        )
    table(items, "Result")
    st.caption("A float32 number takes 4 bytes; 1 KiB is 1024 bytes.")


def _crossing(loaded: Loaded, answer: float) -> Outcome:
    part = fire(loaded)
    owner, expected = part.heuristic.owner, crossing_bytes(part.graph, part.heuristic)
    crossing = sorted({u for u, v in part.graph.edges if owner[u] != owner[v]})
    terms = " + ".join(nbytes(part.graph.operators[op].bytes_written) for op in crossing)
    if abs(answer * KIB - expected) <= TOLERANCE * expected:
        return Outcome(True, f"The results of {code(part.graph, crossing)} cross: {terms} = {nbytes(expected)}.")
    if answer * KIB > expected:
        return Outcome(
            False, "Too much. A result counts once, however many read it, and only if another subgraph reads it."
        )
    return Outcome(False, f"Too little. Look for rows where *In* and *Read in* differ: there are {len(crossing)}.")


def savings(part: Excerpt) -> dict[tuple[int, int], int]:
    """For each two subgraphs that can be merged how many bytes fewer cross then."""
    before = crossing_bytes(part.graph, part.heuristic)
    return {pair: before - crossing_bytes(part.graph, merged) for pair, merged in _merged(part)}


def _merged(part: Excerpt) -> Iterator[tuple[tuple[int, int], Partition]]:
    for pair in combinations(range(len(part.heuristic)), 2):
        result = merge(part.graph, part.heuristic, pair)
        if not isinstance(result, Refusal):
            yield pair, result


def _show_pick(scene: Scene) -> None:
    part = fire(scene.loaded)
    pickable(scene, part.graph, part.heuristic, "A fire module of SqueezeNet as TVM partitions it")
    st.caption("Click a box or an operator to pick its subgraph, or use the buttons on the left.")


def _best_merge(loaded: Loaded, answer: tuple[int, ...]) -> Outcome:
    part = fire(loaded)
    if len(answer) != 2:
        return Outcome(False, f"Pick two subgraphs; there are {len(answer)} now.")
    found = savings(part)
    if answer not in found:
        return Outcome(False, "These two cannot be merged: others would wait for them and they for others (lesson 3).")
    best = max(found.values())
    if found[answer] == best:
        return Outcome(True, f"{nbytes(best)} fewer go through memory. No other pair saves more.")
    if found[answer] == 0:
        return Outcome(
            False,
            "That saves nothing: what crosses between them is read by a third subgraph too, so it is written anyway.",
        )
    return Outcome(False, f"That saves {nbytes(found[answer])}. Another pair saves more: look for the largest result.")


LESSON = Lesson(
    key="partition",
    title="What a partition is",
    about="A compiler cuts a model into subgraphs, and each becomes one function. What that decides.",
    model="squeezenet@56",
    steps=(
        Step(
            "A model is a graph of operators",
            "To a compiler a model is a graph: operators, and edges from each to those that read its result. The "
            "drawing shows SqueezeNet's first *fire module*: a convolution makes few channels out of many, two others "
            "read its result, and a concatenation puts theirs side by side. Bias and activation are operators of "
            "their own.",
            _show_operators,
            Exercise(f"How many operators read the result of `{READ}`?", ask.number(), _readers),
        ),
        Step(
            "A partition puts each operator into one subgraph",
            "A *partition* groups the operators into subgraphs, and the compiler makes one function of each. Every "
            "operator is in exactly one subgraph. The functions are called one after the other, so there must be an "
            "order in which each comes after those whose results it reads. The drawing shows the partition that TVM "
            "makes.",
            _show_groups,
            Exercise(
                "Which of these groupings is a partition too?",
                ask.choose(lambda loaded: [label for label, _ in groupings(fire(loaded))]),
                _is_partition,
            ),
        ),
        Step(
            "Between subgraphs, results go through memory",
            "Inside a function a result can stay in registers or in a cache. What another function reads must be "
            "written to memory as a whole first, and be read back. Such results *cross*; their bytes are traffic "
            "that a better partition avoids. The table shows where each result is made, and where it is read.",
            _show_bytes,
            Exercise("How many KiB cross between the subgraphs of this part?", ask.number("KiB", 2), _crossing),
        ),
        Step(
            "Merging two subgraphs keeps results inside",
            "If two neighbours become one subgraph, a result that only they use need not cross any more. But a "
            "result that a third subgraph reads is still written to memory. Merging is also not free: a larger "
            "function is harder to schedule well. How TVM and AGO weigh this is what the next lessons are about.",
            _show_pick,
            Exercise(
                "Pick the two subgraphs whose merge saves the most bytes.",
                ask.several(lambda loaded: titles(fire(loaded))),
                _best_merge,
            ),
        ),
    ),
)
