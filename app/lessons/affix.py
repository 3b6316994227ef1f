"""Lesson 4: affix sets, step by step."""

from __future__ import annotations

import streamlit as st

from ago_core.partition.ago import Clustering, Verdict, cluster
from ago_core.partition.clusters import Clusters
from ago_core.partition.settings import Rule, Settings
from ago_core.partition.trace import affix_set, state_at
from ago_core.partition.weights import operator_weights
from app.components.text import plain, table
from app.lessons import ask
from app.lessons.excerpts import Excerpt, code, residual
from app.lessons.lesson import Exercise, Lesson, Outcome, Scene, Step
from app.lessons.pictures import drawing, single
from app.services.loaded import Loaded
from visualizers.marks import AFFIX, CLUSTER, Marks, step_marks

LABEL = "An inverted residual of MobileNetV2"
GROWING = "add_6"
WANTED = 2
"""Subgraphs that the threshold is to give."""
THRESHOLDS = tuple(range(20, 401, 20))


def fresh(part: Excerpt) -> Clusters:
    """Every operator a cluster of its own."""
    return Clusters(part.graph, operator_weights(part.graph))


def _show_neighbours(scene: Scene) -> None:
    part = residual(scene.loaded)
    clusters, growing = fresh(part), part.id(GROWING)
    solved = scene.outcome is not None and scene.outcome.right
    found = affix_set(clusters, growing, Rule.STAGES) if solved else []
    legend = ((CLUSTER, "growing"), (AFFIX, "affix set")) if solved else ((CLUSTER, "growing"),)
    marks = Marks({CLUSTER: (str(growing),), AFFIX: tuple(map(str, found))}, legend)
    table(
        [
            {"Neighbour": part.graph.operators[op].name, "Stage": str(clusters.stage[op])}
            for op in clusters.neighbours(growing)
        ]
        + [{"Neighbour": f"({GROWING} itself)", "Stage": str(clusters.stage[growing])}],
        "Neighbour",
    )
    drawing(scene, part.graph, single(part.graph), LABEL, marks)


def neighbours(part: Excerpt) -> list[int]:
    return fresh(part).neighbours(part.id(GROWING))


def _affix(loaded: Loaded, answer: tuple[int, ...]) -> Outcome:
    part = residual(loaded)
    clusters, growing = fresh(part), part.id(GROWING)
    options = clusters.neighbours(growing)
    right = set(affix_set(clusters, growing, Rule.STAGES))
    chosen = {options[index] for index in answer}
    if chosen == right:
        return Outcome(
            True, f"{code(part.graph, sorted(right))}: each differs by exactly one stage. The drawing marks them."
        )
    wrong = min(chosen ^ right)
    name, gap = part.graph.operators[wrong].name, abs(clusters.stage[wrong] - clusters.stage[growing])
    if wrong in right:
        return Outcome(False, f"`{name}` differs by {gap} stage, so absorbing it is safe.")
    path = " → ".join(f"`{part.graph.operators[op].name}`" for op in clusters.detour(growing, wrong) or ())
    return Outcome(False, f"`{name}` differs by {gap} stages, and another path leads there: {path}.")


def built(loaded: Loaded) -> Clustering:
    """AGO's partition of the excerpt, step by step."""
    return cluster(residual(loaded).graph, Settings())


def _show_step(scene: Scene) -> None:
    part, clustering = residual(scene.loaded), built(scene.loaded)
    found = state_at(part.graph, clustering, int(ask.slid(scene, 1)) - 1)
    drawing(scene, part.graph, single(part.graph), LABEL, step_marks(part.graph, found))
    st.caption(f"Step {found.index + 1}, round {found.step.round}: {plain(found.sentence)}")


def _third_round(loaded: Loaded, answer: float) -> Outcome:
    """The first step in which two clusters with complex operators join."""
    part, clustering = residual(loaded), built(loaded)
    steps = [n for n, s in enumerate(clustering.steps, 1) if s.round == 3 and s.verdict is Verdict.ABSORBED]
    found = state_at(part.graph, clustering, int(answer) - 1)
    if answer == steps[0]:
        return Outcome(
            True,
            f"The cluster of {code(part.graph, found.cluster)} absorbs {code(part.graph, found.candidate)}. "
            "Subgraphs now hold several complex operators, which TVM's rule never allows.",
        )
    if found.step.round < 3:
        return Outcome(False, f"Step {answer:g} is of round {found.step.round}, in which only simple operators join.")
    return Outcome(
        False,
        "An earlier step joined two clusters with complex operators." if answer > steps[0] else plain(found.sentence),
    )


def _show_threshold(scene: Scene) -> None:
    part = residual(scene.loaded)
    clustering = cluster(part.graph, Settings(float(ask.slid(scene, THRESHOLDS[0]))))
    drawing(scene, part.graph, clustering.partition, LABEL)
    weights = operator_weights(part.graph)
    sums = [sum(weights[op] for op in members) for members in clustering.partition.subgraphs]
    st.caption(f"{len(sums)} subgraphs of weight {', '.join(f'{value:.0f}' for value in sums)}.")


def _threshold(loaded: Loaded, answer: float) -> Outcome:
    graph = residual(loaded).graph
    found = len(cluster(graph, Settings(float(answer))).partition)
    if found == WANTED:
        total = sum(operator_weights(graph))
        return Outcome(True, f"{answer:g} gives {found} subgraphs; all operators together weigh {total:.0f}.")
    which = "Allow heavier" if found > WANTED else "Allow only lighter"
    return Outcome(False, f"{answer:g} gives {found} {'subgraph' if found == 1 else 'subgraphs'}. {which} subgraphs.")


LESSON = Lesson(
    key="affix",
    title="Affix sets step by step",
    about="How AGO grows clusters: which neighbours may join, in which order, and when it stops.",
    model="mobilenet_v2@56",
    steps=(
        Step(
            "The affix set",
            "AGO begins with every operator as a cluster of its own, and lets clusters grow by absorbing "
            "neighbours. The *affix set* of a cluster holds the neighbours whose absorption closes no cycle. An "
            "edge between stages that differ by one proves that; a neighbour two or more stages away may be reached "
            f"on another path, so it is left out. In the drawing `{GROWING}` grows.",
            _show_neighbours,
            Exercise(
                f"Which neighbours are in the affix set of `{GROWING}`?",
                ask.several(
                    lambda loaded: [residual(loaded).graph.operators[op].name for op in neighbours(residual(loaded))]
                ),
                _affix,
            ),
        ),
        Step(
            "Three rounds",
            "In round 1 each complex operator takes the simple operators that follow it. In round 2 what is left of "
            "the simple operators joins a neighbour. In round 3 clusters with complex operators join each other, the "
            "pair that saves the most memory traffic first. After each merge the stages are brought up to date. Move "
            "the slider to go through the steps; the drawing shows the growing cluster, the candidate and the affix "
            "set.",
            _show_step,
            Exercise(
                "Stop at the first step in which two clusters with complex operators join.",
                ask.slide("", lambda loaded: range(1, len(built(loaded).steps) + 1)),
                _third_round,
            ),
        ),
        Step(
            "The threshold",
            "Large subgraphs take long to tune, since the ways to schedule them multiply. So each operator has a "
            "*weight*, the number of trials that tuning is expected to need, computed from its loops. A cluster "
            "stops growing where its weight would exceed a threshold. Move the slider and watch the subgraphs.",
            _show_threshold,
            Exercise(
                f"Find a threshold that makes exactly {WANTED} subgraphs of this block.",
                ask.slide("trials", lambda loaded: THRESHOLDS),
                _threshold,
            ),
        ),
    ),
)
