"""Lesson 3: how a cycle arises, and how it is avoided."""

from __future__ import annotations

import streamlit as st

from ago_core.partition.clusters import Clusters
from ago_core.partition.edits import Refusal, merge, split
from ago_core.partition.partition import quotient
from ago_core.partition.weights import operator_weights
from app.components.text import plain, table
from app.lessons import ask
from app.lessons.excerpts import Excerpt, code, residual, titles
from app.lessons.lesson import Exercise, Lesson, Outcome, Scene, Step
from app.lessons.pictures import drawing, pickable
from app.services.loaded import Loaded
from visualizers.marks import cycle_marks, refusal_marks

LABEL = "An inverted residual of MobileNetV2 as TVM partitions it"


def _show(scene: Scene) -> None:
    part = residual(scene.loaded)
    drawing(scene, part.graph, part.heuristic, LABEL)


def _after_first(loaded: Loaded, answer: tuple[int, ...]) -> Outcome:
    """Which subgraphs can be called when the first one is done: all that they read is there."""
    part = residual(loaded)
    readers = quotient(part.graph, part.heuristic.subgraphs)
    read = {later: {first for first, row in enumerate(readers) if later in row} for later in range(len(readers))}
    ready = tuple(sorted(index for index, needs in read.items() if needs == {0}))
    if answer == ready:
        names = ", ".join(titles(part)[index] for index in ready)
        return Outcome(True, f"Only {plain(names)} reads nothing else.")
    wrong = min(set(answer) ^ set(ready))
    if wrong in ready:
        return Outcome(False, f"S{wrong} reads a result of S0 only, so it could be called.")
    needs = ", ".join(f"S{index}" for index in sorted(read[wrong] - {0})) or "nothing of S0"
    return Outcome(
        False, f"S{wrong} cannot be next: it also needs {needs}." if wrong else "S0 has been called already."
    )


def _show_pick(scene: Scene) -> None:
    part = residual(scene.loaded)
    pickable(scene, part.graph, part.heuristic, LABEL)
    st.caption("Click boxes to pick them, or use the buttons on the left.")


def _closes(loaded: Loaded, answer: tuple[int, ...]) -> Outcome:
    part = residual(loaded)
    if len(answer) != 2:
        return Outcome(False, f"Pick two subgraphs; there are {len(answer)} now.")
    result = merge(part.graph, part.heuristic, answer)
    if not isinstance(result, Refusal):
        return Outcome(
            False,
            f"S{answer[0]} and S{answer[1]} can be merged: nothing between them waits for the one and is waited for "
            "by the other.",
        )
    group = [op for index in answer for op in part.heuristic.subgraphs[index]]
    steps = " → ".join(f"`{part.graph.operators[v].name}`" for _, v in result.cycle)
    why = f"The merged subgraph would wait for what is made from its own result: {steps} and back."
    return Outcome(True, why, refusal_marks(part.graph, group, result))


def ends(part: Excerpt) -> tuple[int, int]:
    """The subgraph before the skip connection, and the one behind it."""
    owner = part.heuristic.owner
    return owner[part.id("add_6")], owner[part.id("add_10")]


def between(part: Excerpt) -> list[int]:
    """The other subgraphs."""
    return [index for index in range(len(part.heuristic)) if index not in ends(part)]


def _show_refusal(scene: Scene) -> None:
    part = residual(scene.loaded)
    refused = merge(part.graph, part.heuristic, ends(part))
    group = [op for index in ends(part) for op in part.heuristic.subgraphs[index]]
    solved = scene.outcome is not None and scene.outcome.right
    marks = refusal_marks(part.graph, group, refused) if solved else cycle_marks(refused.cycle)
    drawing(scene, part.graph, part.heuristic, LABEL, marks)


def _take_along(loaded: Loaded, answer: tuple[int, ...]) -> Outcome:
    part = residual(loaded)
    refused = merge(part.graph, part.heuristic, ends(part))
    along = {op for index in answer for op in part.heuristic.subgraphs[between(part)[index]]}
    group = {op for index in ends(part) for op in part.heuristic.subgraphs[index]}
    result = split(part.graph, part.heuristic, group | along)
    if isinstance(result, Refusal):
        return Outcome(False, f"Still a cycle: {plain(result.reason)}.")
    if len(along) > len(refused.take_along):
        return Outcome(
            False,
            f"Possible, but {len(refused.take_along)} operators would do: {code(part.graph, refused.take_along)}.",
        )
    return Outcome(True, f"With {code(part.graph, sorted(along))} inside, no path leaves the subgraph and comes back.")


def stages(part: Excerpt) -> dict[int, int]:
    """Topological stage of each operator."""
    return Clusters(part.graph, operator_weights(part.graph)).stage


def _show_stages(scene: Scene) -> None:
    part = residual(scene.loaded)
    graph, found, asked = part.graph, stages(part), part.id("add_10")
    items = [
        {
            "Operator": op.name,
            "Reads": ", ".join(graph.operators[u].name for u in graph.predecessors[op.id]) or "(from before)",
            "Stage": "?" if op.id == asked and not (scene.outcome and scene.outcome.right) else str(found[op.id]),
        }
        for op in graph.operators
    ]
    table(items, "Reads")


def _stage(loaded: Loaded, answer: float) -> Outcome:
    part = residual(loaded)
    graph, found, asked = part.graph, stages(part), part.id("add_10")
    if answer == found[asked]:
        early, late = (f(graph.predecessors[asked], key=found.get) for f in (min, max))
        return Outcome(
            True,
            f"The longest path comes through `{graph.operators[late].name}`. The skip edge from "
            f"`{graph.operators[early].name}` rises by {found[asked] - found[early]} stages: that much more than one "
            "says that another path may exist, and here it does.",
        )
    return Outcome(
        False,
        "The stage is one more than the highest stage among the operators that it reads: "
        + ", ".join(f"`{graph.operators[u].name}` has {found[u]}" for u in graph.predecessors[asked])
        + ".",
    )


LESSON = Lesson(
    key="cycles",
    title="How a cycle arises",
    about="Merge the wrong two subgraphs and they wait for each other for ever. See it happen, and what prevents it.",
    model="mobilenet_v2@56",
    steps=(
        Step(
            "Subgraphs are called in an order",
            "Each subgraph becomes one function, called once per inference. It can be called when everything that it "
            "reads has been computed. The drawing shows a block of MobileNetV2, with a *skip connection*: the result "
            "before the block is added to the result behind it.",
            _show,
            Exercise(
                "S0 has just been called. Which subgraphs can be called next?",
                ask.several(lambda loaded: titles(residual(loaded))),
                _after_first,
            ),
        ),
        Step(
            "A path that leaves and comes back",
            "Suppose two subgraphs are merged while a path leads from the one to the other through a third. The "
            "merged one must be called before the third, which reads its result, and also after it, since it reads "
            "the third's result. No order satisfies both: the graph of subgraphs has a *cycle*. The compiler must "
            "refuse.",
            _show_pick,
            Exercise(
                "Pick two subgraphs whose merge would close a cycle.",
                ask.several(lambda loaded: titles(residual(loaded))),
                _closes,
            ),
        ),
        Step(
            "What makes it legal",
            "The two ends of the skip connection share an edge, so merging them looks natural, and saves traffic. "
            "The drawing shows the cycle that it would close. It can still be done: whatever lies on a path between "
            "the two must come along, so that no path leaves the merged subgraph and comes back.",
            _show_refusal,
            Exercise(
                "Choose the fewest other subgraphs that must come along.",
                ask.several(lambda loaded: [titles(residual(loaded))[index] for index in between(residual(loaded))]),
                _take_along,
            ),
        ),
        Step(
            "A quick test: topological stages",
            "Searching for such paths at every merge is slow in large graphs. AGO gives each operator a *topological "
            "stage*: the length of the longest path that leads to it. Each edge rises by at least one stage. Another "
            "path between the ends of an edge has at least two edges, so it rises by two or more. If an edge rises "
            "by exactly one, there is no such path: merging its ends is safe, and the test is one subtraction.",
            _show_stages,
            Exercise("Which stage has `add_10`, the operator where the block ends?", ask.number(), _stage),
        ),
    ),
)
