"""Lesson 6: fusing a depthwise convolution into a pointwise one."""

from __future__ import annotations

import streamlit as st

from ago_core.fusion.reuse import Reuse, analyse
from app.lessons import ask
from app.lessons.excerpts import residual
from app.lessons.lesson import Exercise, Lesson, Outcome, Scene, Step
from app.lessons.nests import FusedNest, fused_nest
from app.lessons.pictures import loop_table
from app.services.describe import index_text
from app.services.loaded import Loaded
from visualizers.units import nbytes

DEPTHWISE, BETWEEN, POINTWISE, BEFORE = "depthwise_conv2d_3", "clip_6", "pointwise_conv2d_5", "clip_5"
LAST = "add_10"
AXES = ("batch", "rows", "columns", "channels")
ASKED = AXES[1:]
KIB = 1024
TOLERANCE = 0.01
"""Of a predicted figure."""


def into_pointwise(loaded: Loaded) -> Reuse:
    """The depthwise convolution's result, as the pointwise one reads it."""
    part = residual(loaded)
    return analyse(part.graph, part.id(BETWEEN), part.id(POINTWISE))


def into_depthwise(loaded: Loaded) -> Reuse:
    """What the depthwise convolution reads, the result of a pointwise one."""
    part = residual(loaded)
    return analyse(part.graph, part.id(BEFORE), part.id(DEPTHWISE))


def nest(loaded: Loaded) -> FusedNest:
    """From the depthwise convolution to the end of the block, as one nest."""
    part = residual(loaded)
    return fused_nest(loaded, part.ids[part.id(DEPTHWISE) : part.id(LAST) + 1])


def _show_two(scene: Scene) -> None:
    graph = residual(scene.loaded).graph
    for name in (DEPTHWISE, POINTWISE):
        op = graph.operators[residual(scene.loaded).id(name)]
        st.markdown(f"`{name}` reads {op.inputs[0]} as `{index_text(op.inputs[0], op.access[0])}`")
        loop_table(op)


def _saved(loaded: Loaded, answer: float) -> Outcome:
    saved = into_pointwise(loaded).bytes_saved
    size = residual(loaded).graph.operators[residual(loaded).id(BETWEEN)].bytes_written
    if abs(answer * KIB - saved) <= TOLERANCE * saved:
        return Outcome(True, f"{nbytes(size)} written and {nbytes(size)} read again: {nbytes(saved)}.")
    if abs(answer * KIB - size) <= TOLERANCE * size:
        return Outcome(False, f"{nbytes(size)} is the size of the tensor. It is written once, and read once.")
    return Outcome(
        False,
        "Multiply the extents of the tensor that the pointwise convolution reads, and 4 bytes; then think "
        "how often it passes.",
    )


def cut_axes(reuse: Reuse, extents: tuple[int, ...]) -> tuple[int, ...]:
    """Axes, as positions in `ASKED`, that reuse analysis cuts without computing anything twice."""
    return tuple(axis - 1 for axis, (held, extent) in enumerate(zip(reuse.tile, extents)) if held < extent)


def _extents(loaded: Loaded, name: str) -> tuple[int, ...]:
    return residual(loaded).graph.operators[residual(loaded).id(name)].outputs[0].shape


def _cut_pointwise(loaded: Loaded, answer: tuple[int, ...]) -> Outcome:
    found = into_pointwise(loaded)
    right = cut_axes(found, _extents(loaded, BETWEEN))
    if answer == right:
        return Outcome(
            True, f"A tile of {'×'.join(map(str, found.tile))} is enough: {found.reason}.".replace("_", r"\_")
        )
    wrong = ASKED[min(set(answer) ^ set(right))]
    if wrong == "channels":
        return Outcome(
            False, "Each output sums over all input channels, so a tile that lacks some of them cannot be used."
        )
    return Outcome(False, f"An output needs the input at its own place alone, so the {wrong} can be cut anywhere.")


def _cut_depthwise(loaded: Loaded, answer: tuple[int, ...]) -> Outcome:
    found = into_depthwise(loaded)
    right = cut_axes(found, _extents(loaded, BEFORE))
    if answer == right:
        return Outcome(
            True, f"A tile of {'×'.join(map(str, found.tile))}: few channels, but all rows and columns of them."
        )
    wrong = ASKED[min(set(answer) ^ set(right))]
    if wrong == "channels":
        return Outcome(False, "Each channel is filtered by itself, so the channels can be cut anywhere.")
    return Outcome(
        False, f"The window is 3 wide: tiles cut along the {wrong} overlap, and the overlap is computed twice."
    )


def _show_code(scene: Scene) -> None:
    found = nest(scene.loaded)
    fused, apart = st.tabs(["One nest", "Before"])
    with fused:
        st.code(found.after, language=None, height=430)
    with apart:
        st.code(found.before, language=None, height=430)
    st.caption("Loops of the scheduled TIR for two cores of this processor; loops of one iteration are left out.")


def _tasks(loaded: Loaded, answer: float) -> Outcome:
    found = nest(loaded)
    if answer == found.tasks:
        return Outcome(
            True, "The outermost loop is parallel, and both convolutions lie inside it: that is one loop nest."
        )
    return Outcome(False, "Look for the loop that says parallel: each of its iterations is a task.")


def _held(loaded: Loaded, answer: float) -> Outcome:
    found = nest(loaded)
    held = found.intermediate_bytes / found.tasks
    if abs(answer * KIB - held) <= TOLERANCE * held:
        return Outcome(
            True,
            f"{nbytes(found.intermediate_bytes)} / {found.tasks} = {nbytes(held)}. The second cache of this machine "
            f"holds {nbytes(found.cache_bytes)}, so the tile stays there until it is used.",
        )
    return Outcome(
        False,
        f"The whole result is {nbytes(found.intermediate_bytes)}, and there are {found.tasks} tasks of "
        "different rows. Does a pointwise convolution need rows of another task?",
    )


LESSON = Lesson(
    key="fusing",
    title="Fusing depthwise into pointwise",
    about="Two convolutions in one loop nest: what to cut, what to keep whole, and the code that comes of it.",
    model="mobilenet_v2@56",
    steps=(
        Step(
            "Two nests, and a tensor between them",
            f"MobileNetV2's blocks end with a depthwise convolution (`{DEPTHWISE}`), which filters each channel by "
            f"itself, and a pointwise one (`{POINTWISE}`), which mixes the channels at each place. As two loop nests "
            "they pass a whole tensor through memory. *Intensive fusion* puts both into one nest, in which only a "
            "tile of it exists at a time.",
            _show_two,
            Exercise("How many KiB of memory traffic does that save?", ask.number("KiB", 1), _saved),
        ),
        Step(
            "What a pointwise consumer allows",
            f"`{POINTWISE}` reads the tensor as the tables say: its output channels `ff` are in no index, so they "
            "read again and belong inside the tile. Now see which axes of the tensor can be cut into tiles so that "
            "each tile can be used completely, and nothing is computed twice.",
            _show_two,
            Exercise("Which axes of the tensor can be cut freely?", ask.several(lambda loaded: ASKED), _cut_pointwise),
        ),
        Step(
            "What a depthwise consumer allows",
            f"In the other direction, `{DEPTHWISE}` reads the result of the pointwise convolution before it. It does "
            "not sum over channels, but its window of 3×3 moves over rows and columns. This is why AGO tiles the two "
            "kinds of pairs differently.",
            _show_two,
            Exercise(
                f"Which axes of the tensor that `{DEPTHWISE}` reads can be cut with nothing computed twice?",
                ask.several(lambda loaded: ASKED),
                _cut_depthwise,
            ),
        ),
        Step(
            "The code of one nest",
            "The scheduler has put the depthwise convolution, the pointwise one and the skip connection's addition "
            "into one nest. A *task* computes some rows: first the depthwise convolution for them, all channels, "
            "then the pointwise one. In the tab beside it are the loops before.",
            _show_code,
            Exercise("Into how many tasks, which cores can take in parallel, is the nest cut?", ask.number(), _tasks),
        ),
        Step(
            "Does the tile fit?",
            "The tile must stay in a cache between the moment it is written and the moment it is read, or nothing is "
            "won. Smaller tasks need less room, but each starts its loops anew, which takes time too. The scheduler "
            "estimates the time of every possible task and takes the best.",
            _show_code,
            Exercise(
                "How many KiB of the depthwise convolution's result does one task hold?", ask.number("KiB", 1), _held
            ),
        ),
    ),
)
