"""Lesson 8: reading a roofline, on measured kernels."""

from __future__ import annotations

import streamlit as st

from app.components.text import table
from app.lessons import ask
from app.lessons.lesson import Exercise, Lesson, Outcome, Scene, Step
from app.lessons.recorded import Kernel, Kernels, by_name, kernels
from app.services.loaded import Loaded
from visualizers.roofline import Point, roofline, roofline_text
from visualizers.units import nbytes, quantity

ASKED = "pointwise_conv2d_2"
RIDGE = 4 << 20
"""Bytes of the working set whose bandwidth the second exercise takes."""
HEIGHT = 400
TOLERANCE = 0.02
"""Of a predicted figure."""


def _close(answer: float, expected: float) -> bool:
    return abs(answer - expected) <= TOLERANCE * expected


def _source() -> None:
    st.caption(f":material/history: {kernels().source}")


def _show_kernels(scene: Scene) -> None:
    found = kernels()
    table(
        [
            {
                "Operator": one.name,
                "Work": quantity(one.flops, "FLOP"),
                "Bytes": nbytes(one.nbytes),
                "Shapes": one.shape,
            }
            for one in found.kernels
        ],
        "Shapes",
    )
    st.caption("1 MFLOP is 10⁶ operations, 1 MiB is 2²⁰ bytes.")
    _source()


def _intensity(loaded: Loaded | None, answer: float) -> Outcome:
    one = by_name(kernels().kernels, ASKED)
    if _close(answer, one.intensity):
        return Outcome(True, f"{quantity(one.flops, 'FLOP')} / {nbytes(one.nbytes)} = {one.intensity:.2f} FLOP a byte.")
    return Outcome(False, f"Divide the work by the bytes: {one.flops:,.0f} / {one.nbytes:,.0f}.")


def _show_limits(scene: Scene) -> None:
    found = kernels()
    table(
        [
            {"Working set": nbytes(size), "Copy, GB/s": f"{speed / 1e9:.0f}"}
            for size, speed in zip(found.roofline.footprints, found.roofline.bandwidths)
        ],
        "Copy, GB/s",
    )
    st.markdown(f"Multiply-adds in registers: **{found.roofline.peak / 1e9:.0f} GFLOP/s**.")
    _source()


def _ridge(loaded: Loaded | None, answer: float) -> Outcome:
    found = kernels()
    expected = found.roofline.peak / found.roofline.bandwidth(RIDGE)
    figures = f"{found.roofline.peak / 1e9:.0f} GFLOP/s / {found.roofline.bandwidth(RIDGE) / 1e9:.0f} GB/s"
    if _close(answer, expected):
        return Outcome(True, f"{figures} = {expected:.2f} FLOP a byte: the *ridge* of this roofline.")
    return Outcome(False, f"Find the intensity at which intensity × bandwidth is just the peak: {figures}.")


def _show_chart(scene: Scene) -> None:
    found = kernels()
    limits = found.roofline
    points = {one.name: Point(one.name, one.flops, one.nbytes, one.seconds, True) for one in found.kernels}
    chosen = points.pop(ASKED)
    drawn = (limits.peak, limits.footprints, limits.bandwidths, chosen, list(points.values()))
    figure = roofline(*drawn).update_layout(height=HEIGHT)
    st.plotly_chart(figure, key=f"{scene.key}-roofline", config={"displayModeBar": False}, alt=roofline_text(*drawn))
    st.caption(
        f"How fast each operator ran, over its intensity; large: `{ASKED}`. Lines: what the machine allows at most, "
        "with data in memory, and with data of the size of that operator's. Both axes are logarithmic. Hover for "
        "names."
    )
    _source()


def names(loaded: Loaded | None = None) -> list[str]:
    return [one.name for one in kernels().kernels]


def _bound(loaded: Loaded | None, answer: tuple[int, ...]) -> Outcome:
    found = kernels()
    right = {index for index, one in enumerate(found.kernels) if found.memory_bound(one)}
    if set(answer) == right:
        return Outcome(True, "For all others the arithmetic takes longer: they can at best reach the peak.")
    one = found.kernels[min(set(answer) ^ right)]
    bandwidth = found.roofline.bandwidth(one.nbytes)
    return Outcome(
        False,
        f"`{one.name}`: moving its {nbytes(one.nbytes)} at {bandwidth / 1e9:.0f} GB/s takes "
        f"{one.nbytes / bandwidth * 1e6:.0f} µs, its arithmetic at the peak "
        f"{one.flops / found.roofline.peak * 1e6:.0f} µs. Which is longer?",
    )


def _show_shares(scene: Scene) -> None:
    found = kernels()
    solved = scene.outcome is not None and scene.outcome.right
    table(
        [
            {
                "Operator": one.name,
                "Measured, GFLOP/s": f"{one.speed / 1e9:.1f}",
                "Roof, GFLOP/s": f"{found.roof(one) / 1e9:.1f}",
                **({"Share": f"{found.share(one):.1%}"} if solved else {}),
            }
            for one in found.kernels
        ],
        "Operator",
    )
    _source()


def lowest(found: Kernels) -> Kernel:
    """The operator that reaches the smallest share of its roof."""
    return min(found.kernels, key=found.share)


def _lowest(loaded: Loaded | None, answer: int) -> Outcome:
    found = kernels()
    chosen, least = found.kernels[answer], lowest(found)
    if chosen == least:
        return Outcome(
            True,
            f"It reaches {found.share(least):.1%}. A share above 100 % would mean that less is moved than is counted, "
            "since the bandwidth is that of a copy.",
        )
    return Outcome(False, f"`{chosen.name}` reaches {found.share(chosen):.1%} of its roof; another one reaches less.")


LESSON = Lesson(
    key="roofline",
    title="Reading a roofline",
    about="How fast could this operator be at best, and what holds it back: arithmetic or memory? On measured kernels.",
    model="mobilenet_v2@224",
    loads=False,
    steps=(
        Step(
            "Arithmetic intensity",
            "An operator takes at least the time of its arithmetic, and at least the time to move its data. Which of "
            "the two is longer depends on its *arithmetic intensity*: operations for each byte that it reads or "
            "writes. The table shows operators of MobileNetV2 at 224 pixels.",
            _show_kernels,
            Exercise(f"What is the intensity of `{ASKED}`, in FLOP a byte?", ask.number("FLOP a byte", 2), _intensity),
        ),
        Step(
            "What the machine allows",
            "Two measurements describe the machine: the *peak*, how many operations a second it does when all data "
            "are in registers, and the *bandwidth*, how many bytes a second it moves. Bandwidth depends on where the "
            "data lie: what fits in a near cache is moved faster. An operator of low intensity is held back by "
            "bandwidth, one of high intensity by the peak.",
            _show_limits,
            Exercise(
                f"From which intensity on is the peak the limit, with data of {nbytes(RIDGE)}?",
                ask.number("FLOP a byte", 2),
                _ridge,
            ),
        ),
        Step(
            "The roofline",
            "Drawn over intensity, the limit looks like a roof: first it rises with the bandwidth, then it is flat "
            "at the peak. An operator below the slope is *memory-bound*, one below the flat part *compute-bound*. "
            "Fusing operators keeps intermediates out of memory: the work stays, the bytes go, and the mark moves to "
            "the right.",
            _show_chart,
            Exercise(
                "Which operators are memory-bound, with the bandwidth for their own size?",
                ask.several(names),
                _bound,
            ),
        ),
        Step(
            "How far from the roof",
            "The distance to the roof says what a better schedule could gain at most. An operator at its roof cannot "
            "be made faster by itself; only fusing it with a neighbour, so that it moves less, can help. One far "
            "below it is worth tuning, if it also takes much of the time.",
            _show_shares,
            Exercise("Which operator reaches the smallest share of its roof?", ask.choose(names), _lowest),
        ),
    ),
)
