"""Timing that bears a busy machine: what is compared takes turns, in many short batches."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable

import psutil
import tvm

from ago_core.devices.rest import comes_to_rest

ROUNDS = 31
BATCH_SECONDS = 0.001
"""Shorter than a slice of the operating system's scheduler, so that on a busy machine most batches run undisturbed."""
REST_SECONDS = 1.0
"""At most, before a turn where there are several threads: those of the side before stay awake for a while."""

Side = Callable[[int], float]
"""Runs so many calls; mean seconds of one."""


def library_side(library, arguments: list) -> Side:
    """The function `main` of a built library. TVM's evaluator calls once before it starts its clock."""
    return lambda number: library.time_evaluator("main", tvm.cpu(), number=number, repeat=1)(*arguments).results[0]


def in_turn(sides: dict[str, Side], rounds: int, threads: int) -> dict[str, list[float]]:
    """Seconds of a call of each side in each round; the sides alternate, so that a slow moment slows all alike.

    Where they have several threads, a turn begins once those of the side before sleep.
    """
    process = psutil.Process()
    numbers = {
        name: math.ceil(BATCH_SECONDS / max(min(side(1) for _ in range(3)), 1e-7)) for name, side in sides.items()
    }
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            if threads > 1:
                comes_to_rest(process, REST_SECONDS)
            times[name].append(side(numbers[name]))
    return times


def quartiles(seconds: list[float]) -> list[float]:
    """[median, first quartile, third quartile] in microseconds."""
    low, middle, high = statistics.quantiles(seconds, n=4, method="inclusive")
    return [round(value * 1e6, 3) for value in (middle, low, high)]
