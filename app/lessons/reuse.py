"""Lesson 5: recompute and reuse."""

from __future__ import annotations

import streamlit as st

from ago_core.fusion.reuse import Reuse, analyse
from ago_core.graph.opgraph import Operator
from app.components.text import table
from app.lessons import ask
from app.lessons.excerpts import Excerpt, fire
from app.lessons.lesson import Exercise, Lesson, Outcome, Scene, Step
from app.lessons.pictures import loop_table
from app.services.describe import index_text
from app.services.loaded import Loaded
from visualizers.lesson_charts import recompute_curve, recompute_curve_text
from visualizers.units import nbytes

PRODUCER, CONSUMER, POINTWISE = "relu_2", "conv2d_2", "pointwise_conv2d_2"
FACTOR_TOLERANCE = 0.02
SMALL = 3 * 1024
"""Bytes of the cache of the second exercise: too small for the whole intermediate."""
INSIDE = 4
"""Iterations of the rereading loop that stay inside the tile in the second step."""
CACHES = tuple(1024 * k for k in (1, 2, 3, 4, 5, 6, 8, 10, 12, 16))


def reuse_in(part: Excerpt, consumer: str, cache_bytes: int = CACHES[-1]) -> Reuse:
    """What it costs to keep the producer's result in tiles that fit in so large a cache."""
    return analyse(part.graph, part.id(PRODUCER), part.id(consumer), cache_bytes)


def _operator(part: Excerpt, name: str) -> Operator:
    return part.graph.operators[part.id(name)]


def _show_loops(scene: Scene) -> None:
    part = fire(scene.loaded)
    op = _operator(part, CONSUMER)
    loop_table(op)
    st.markdown(
        f"`{CONSUMER}` writes `[{', '.join(loop.name for loop in op.loops if loop.kind == 'spatial')}]` and reads "
        f"`{index_text(op.inputs[0], op.access[0])}` of `{PRODUCER}`'s result, {op.inputs[0]}."
    )


def loop_names(loaded: Loaded) -> list[str]:
    return [loop.name for loop in _operator(fire(loaded), CONSUMER).loops if loop.extent > 1]


def _reread(loaded: Loaded, answer: tuple[int, ...]) -> Outcome:
    chosen, right = {loop_names(loaded)[index] for index in answer}, set(reuse_in(fire(loaded), CONSUMER).reread_by)
    if chosen == right:
        extents = {loop.name: loop.extent for loop in _operator(fire(loaded), CONSUMER).loops}
        times = ", ".join(f"`{name}`, so {extents[name]} times" for name in sorted(right))
        return Outcome(True, f"The whole input is read again for every iteration of {times}.")
    wrong = sorted(chosen ^ right)[0]
    if wrong in right:
        return Outcome(False, f"`{wrong}` is in no index of the input: its iterations read the same elements again.")
    return Outcome(False, f"`{wrong}` is part of an index of the input: another iteration reads other elements.")


def _show_outside(scene: Scene) -> None:
    op = _operator(fire(scene.loaded), CONSUMER)
    (name,) = reuse_in(fire(scene.loaded), CONSUMER).reread_by
    outside, inside = st.columns(2)
    with outside:
        st.caption(f"Part of {name} outside the tile")
        st.code(
            f"for {name}_0 in 0..?:\n  for each tile of the input:\n    compute the tile\n"
            f"    for {name}_1 in 0..{INSIDE}:\n      use the tile",
            language=None,
        )
    with inside:
        st.caption(f"All of {name} inside the tile")
        extent = next(loop.extent for loop in op.loops if loop.name == name)
        st.code(
            f"for each tile of the input:\n  compute the tile\n  for {name} in 0..{extent}:\n    use the tile",
            language=None,
        )
    loop_table(op)


def _outside(loaded: Loaded, answer: float) -> Outcome:
    part = fire(loaded)
    (name,) = reuse_in(part, CONSUMER).reread_by
    extent = next(loop.extent for loop in _operator(part, CONSUMER).loops if loop.name == name)
    if answer == extent / INSIDE:
        return Outcome(
            True,
            f"{extent} / {INSIDE} = {extent // INSIDE}. With all of `{name}` inside the tile it would be once, which "
            "is why reuse analysis keeps such loops inside.",
        )
    return Outcome(
        False, f"`{name}` runs {extent} times in all, of which {INSIDE} are inside. How many are left outside?"
    )


def _show_halo(scene: Scene) -> None:
    part = fire(scene.loaded)
    found = [reuse_in(part, CONSUMER, cache) for cache in CACHES]
    items = [
        {"Cache": nbytes(cache), "Tile": _shape(reuse), "Tile's size": nbytes(reuse.tile_bytes)}
        for cache, reuse in zip(CACHES, found)
        if reuse.tile
    ]
    table(items, "Tile's size")
    op = _operator(part, CONSUMER)
    st.caption(
        f"The tile of `{PRODUCER}`'s result with the least recompute that fits, by the size of the cache. The window "
        f"is {_window(op)}, the result {op.outputs[0]}."
    )


def _window(op: Operator) -> str:
    return "×".join(str(loop.extent) for loop in op.loops if loop.name in ("ry", "rx"))


def _shape(reuse: Reuse) -> str:
    return "×".join(map(str, reuse.tile))


def _factor(loaded: Loaded, answer: float) -> Outcome:
    part = fire(loaded)
    reuse, op = reuse_in(part, CONSUMER, SMALL), _operator(part, CONSUMER)
    if abs(answer - reuse.recompute) <= FACTOR_TOLERANCE:
        return Outcome(True, f"{reuse.recompute:.2f}: the neighbours of each tile compute its edge again.")
    height, window = op.inputs[0].shape[1], next(loop.extent for loop in op.loops if loop.name == "ry")
    places, held = height - window + 1, reuse.tile[1] - window + 1
    return Outcome(
        False,
        f"In each of the two axes: {height} rows have {places} places for the window, and a tile of {reuse.tile[1]} "
        f"rows holds {held} of them. Cut the {places} places into tiles of {held}, the last one smaller; add up the "
        f"rows that they need; divide by {height}. Then square.",
    )


def _show_curve(scene: Scene) -> None:
    part = fire(scene.loaded)
    curves = {name: [reuse_in(part, name, cache).recompute for cache in CACHES] for name in (CONSUMER, POINTWISE)}
    drawn = (CACHES, curves, int(ask.slid(scene, CACHES[0] / 1024) * 1024))
    config, text = {"displayModeBar": False}, recompute_curve_text(*drawn)
    st.plotly_chart(recompute_curve(*drawn), key=f"{scene.key}-curve", config=config, alt=text)
    st.caption(
        "How often an element of the intermediate is computed on average, by the size of the cache, computed by reuse "
        f"analysis. `{POINTWISE}` has no window, so its tiles do not overlap."
    )


def _least_cache(loaded: Loaded, answer: float) -> Outcome:
    part = fire(loaded)
    least = next(cache for cache in CACHES if reuse_in(part, CONSUMER, cache).recompute == 1)
    found = reuse_in(part, CONSUMER, int(answer * 1024))
    if answer * 1024 == least:
        return Outcome(True, f"A tile of {_shape(found)}, {nbytes(found.tile_bytes)}, is the whole intermediate.")
    if found.recompute > 1:
        return Outcome(False, f"With {answer:g} KiB each element is computed {found.recompute:.2f} times.")
    return Outcome(False, f"With {answer:g} KiB nothing is computed twice, but a smaller cache is enough for that.")


LESSON = Lesson(
    key="reuse",
    title="Recompute and reuse",
    about="What it costs to compute an operator inside the loops of another: sometimes nothing, sometimes many times.",
    model="squeezenet@56",
    steps=(
        Step(
            "Which loop reads again",
            "To fuse a *producer* into its *consumer*, compute the producer's result in small tiles inside the "
            "consumer's loops. Each tile stays in cache and is used at once. What matters is how often each element "
            "is read. A consumer loop that is in no index of the input reads the same elements again in each "
            "iteration.",
            _show_loops,
            Exercise(f"Which loops of `{CONSUMER}` read the same input again?", ask.several(loop_names), _reread),
        ),
        Step(
            "Outside the tile it costs, inside it does not",
            "If part of a rereading loop is outside the place where the tile is computed, the tile is computed "
            "again for each of those iterations. If all of it is inside, the tile is computed once and used many "
            f"times: that is *reuse*. On the left, {INSIDE} iterations are inside and the others outside.",
            _show_outside,
            Exercise(
                f"How often is each element of the intermediate computed if {INSIDE} iterations of `ff` are inside?",
                ask.number(),
                _outside,
            ),
        ),
        Step(
            "Windows overlap",
            "A convolution's window needs rows around the one that it computes. A tile in which the window has *t* "
            "places needs *t* + *K* − 1 rows of the intermediate, and neighbouring tiles share *K* − 1 of them: the "
            "*halo*, which is computed twice. The recompute factor of an axis is what all tiles need of it, divided "
            "by what there is; the factors of both axes multiply. Padding is left out of the count.",
            _show_halo,
            Exercise(
                f"What is the recompute factor with a cache of {nbytes(SMALL)}, to two digits?",
                ask.number(decimals=2),
                _factor,
            ),
        ),
        Step(
            "A cache that is large enough",
            "A larger tile has less halo. When the whole intermediate fits in cache, nothing is computed twice. A "
            "pointwise convolution has no window, so even the smallest tile costs nothing, as long as it holds all "
            "channels. That is why some pairs fuse so well and others do not.",
            _show_curve,
            Exercise(
                f"What is the smallest cache with which nothing of `{CONSUMER}`'s input is computed twice?",
                ask.slide("KiB", lambda loaded: [cache / 1024 for cache in CACHES]),
                _least_cache,
            ),
        ),
    ),
)
