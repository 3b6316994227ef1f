"""Lesson 2: pattern kinds, and the rule by which TVM fuses."""

from __future__ import annotations

from collections import Counter

import streamlit as st

from ago_core.graph.opgraph import Operator, Pattern
from ago_core.partition.explain import explain_heuristic
from ago_core.partition.metrics import complex_per_subgraph
from ago_core.partition.partition import Partition
from ago_core.partition.settings import Settings
from app.components.text import plain, table
from app.lessons import ask
from app.lessons.excerpts import Excerpt, excerpt, titles
from app.lessons.lesson import Exercise, Lesson, Outcome, Scene, Step
from app.lessons.pictures import drawing, single
from app.services.describe import index_text
from app.services.loaded import Loaded

ASKED = "concatenate_1"
KINDS = (
    (Pattern.ELEMENTWISE, "output element i needs input element i alone"),
    (Pattern.BROADCAST, "the same, but an input may lack axes and is repeated along them"),
    (Pattern.INJECTIVE, "each output element needs one input element, which may lie elsewhere"),
    (Pattern.REDUCTION, "an output element needs many input elements"),
    (Pattern.OUT_ELEMENTWISE_FUSABLE, "the same, for operators that are worth a loop nest of their own"),
    (Pattern.OPAQUE, "TVM does not look inside"),
)
PAIRS = (
    ("max_pool2d_1", "pointwise_conv2d_1"),
    ("pointwise_conv2d_1", "add_2"),
    ("relu_2", "conv2d_2"),
    ("conv2d_2", "relu_4"),
    ("relu_4", "concatenate_1"),
)


def part_of(loaded: Loaded) -> Excerpt:
    """SqueezeNet's first pooling and fire module."""
    return excerpt(loaded, "max_pool2d_1", "concatenate_1")


def _show_kinds(scene: Scene) -> None:
    table([{"Pattern kind": kind.value, "What it says": says} for kind, says in KINDS], "What it says")
    first = {op.kind: op for op in reversed(part_of(scene.loaded).graph.operators)}
    shown = sorted(first.values(), key=lambda op: op.id)
    table([{"Operator": op.name, "Writes": str(op.outputs[0]), "Reads": _reads(op)} for op in shown], "Reads")
    st.caption("*Reads*: how the loops index each input, axis by axis; a sum such as yy + ry is a window.")


def _reads(op: Operator) -> str:
    return "; ".join(index_text(tensor, access) for tensor, access in zip(op.inputs, op.access))


def _kind(loaded: Loaded, answer: int) -> Outcome:
    part = part_of(loaded)
    op = part.graph.operators[part.id(ASKED)]
    if KINDS[answer][0] is op.pattern:
        return Outcome(True, f"`{ASKED}` is {op.pattern.value}: it only moves elements.")
    return Outcome(
        False,
        f"TVM does not call it {KINDS[answer][0].value}. How many input elements does one output element need, "
        "and does it lie at the same place?",
    )


def _show_graph(scene: Scene) -> None:
    graph = part_of(scene.loaded).graph
    drawing(scene, graph, single(graph), "SqueezeNet's first pooling and fire module, each operator by itself")
    st.caption("Hover over an operator for its pattern kind.")


def _count(loaded: Loaded, answer: float) -> Outcome:
    part = part_of(loaded)
    found = len(part.heuristic)
    if answer == found:
        return Outcome(True, f"These begin with {', '.join(titles(part))}.".replace("_", r"\_"))
    fusable = sum(op.pattern is Pattern.OUT_ELEMENTWISE_FUSABLE for op in part.graph.operators)
    return Outcome(
        False,
        f"{fusable} operators here are of kind out-elementwise-fusable, and no two may share a subgraph. Each "
        "takes the elementwise operators that follow it. What is left?",
    )


def _show_partition(scene: Scene) -> None:
    part = part_of(scene.loaded)
    if scene.outcome is None:
        _show_graph(scene)
    else:
        drawing(scene, part.graph, part.heuristic, "SqueezeNet's first pooling and fire module as TVM partitions it")


def _pairs(loaded: Loaded, answer: tuple[int, ...]) -> Outcome:
    part = part_of(loaded)
    answers = [
        explain_heuristic(part.graph, part.heuristic, part.id(first), part.id(second)) for first, second in PAIRS
    ]
    right = tuple(index for index, found in enumerate(answers) if found.together)
    if answer == right:
        return Outcome(True, "The drawing now shows TVM's subgraphs.")
    wrong = min(set(answer) ^ set(right))
    verb = "does" if answers[wrong].together else "does not"
    return Outcome(False, f"Of {_pair(wrong)} TVM {verb} make one subgraph: {plain(answers[wrong].sentences[0])}")


def _pair(index: int) -> str:
    return " and ".join(f"`{name}`" for name in PAIRS[index])


def partitions(loaded: Loaded) -> dict[str, Partition]:
    return {"TVM": loaded.heuristic, "AGO": loaded.clustering(Settings()).partition}


def _show_ago(scene: Scene) -> None:
    loaded = scene.loaded
    kinds = Counter((op.kind, op.pattern.value) for op in loaded.graph.operators)
    table(
        [{"Kind": kind, "Operators": str(n), "Pattern kind": pattern} for (kind, pattern), n in kinds.items()], "Kind"
    )
    st.caption(f"All {len(loaded.graph)} operators of SqueezeNet.")
    if scene.outcome is not None and scene.outcome.right:
        table(_counts(loaded), "Such subgraphs")


def _counts(loaded: Loaded) -> list[dict[str, str]]:
    return [
        {"Partition": name, "Complex operators in a subgraph": str(held), "Such subgraphs": str(subgraphs)}
        for name, partition in partitions(loaded).items()
        for held, subgraphs in sorted(Counter(complex_per_subgraph(loaded.graph, partition)).items())
    ]


def _at_least(loaded: Loaded, answer: float) -> Outcome:
    least = sum(op.pattern is Pattern.OUT_ELEMENTWISE_FUSABLE for op in loaded.graph.operators)
    if answer == least:
        sizes = ", ".join(f"{name} makes {len(partition)}" for name, partition in partitions(loaded).items())
        return Outcome(
            True, f"One for each operator of kind out-elementwise-fusable. In fact {sizes}; see the table below."
        )
    return Outcome(
        False, "No two operators of kind out-elementwise-fusable may share one of TVM's subgraphs. How many are there?"
    )


LESSON = Lesson(
    key="patterns",
    title="Pattern kinds and TVM's rule",
    about="TVM sorts operators by how they read their inputs, and fuses by a rule over these kinds.",
    model="squeezenet@56",
    steps=(
        Step(
            "How an operator reads its input",
            "TVM gives each operator a *pattern kind* that says which input elements one output element needs. It is "
            "found by looking at the indices in the operator's loops. Elementwise operators are the easiest to fuse: "
            "they can be computed at the place where their input was just made. The upper table lists the kinds, the "
            "lower one how operators of SqueezeNet read their inputs.",
            _show_kinds,
            Exercise(
                f"Which kind is `{ASKED}`? It puts two tensors side by side along the channels.",
                ask.choose(lambda loaded: [kind.value for kind, _ in KINDS]),
                _kind,
            ),
        ),
        Step(
            "The rule: at most one complex operator",
            "TVM's pass FuseOps goes from an operator to its *immediate post-dominator*: the first operator that all "
            "paths from it pass. It fuses the two if the kinds on these paths allow it. After an operator of kind "
            "out-elementwise-fusable, such as a convolution, only elementwise and broadcast ones may follow. A "
            "second one of that kind never joins, so a subgraph holds at most one.",
            _show_graph,
            Exercise("How many subgraphs does TVM make of these operators?", ask.number(), _count),
        ),
        Step(
            "What stays apart, and why",
            "Two reasons keep neighbours apart most often. One of them is of a kind that may not follow. Or a result "
            "has several readers, whose paths meet again only behind another operator of kind "
            "out-elementwise-fusable. The rule is quick and never wrong, but it does not look at what fusing would "
            "give.",
            _show_partition,
            Exercise(
                "Which of these pairs does TVM put into one subgraph? Choose all that apply.",
                ask.several(lambda loaded: [" + ".join(pair) for pair in PAIRS]),
                _pairs,
            ),
        ),
        Step(
            "AGO has no such rule",
            "AGO lets a subgraph hold any number of *complex* operators (convolutions and matrix products), in any "
            "shape, if three things hold: its weight is under a threshold, no cycle closes, and fusing saves memory "
            "traffic. TVM's rule has a price in comparison: each operator of kind out-elementwise-fusable needs a "
            "subgraph of its own.",
            _show_ago,
            Exercise("How many subgraphs does TVM's rule make of all of SqueezeNet at least?", ask.number(), _at_least),
        ),
    ),
)
