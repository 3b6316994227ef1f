"""Latency: repeated runs, never a single figure."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

LEAST_RUNS = 3
BUDGET_SECONDS = 10.0


@dataclass(frozen=True)
class Latency:
    """Repeated runs of the whole model on one device, one after the other.

    Attributes:
        runs_ms: wall time of each run, in milliseconds, in the order they ran.
    """

    runs_ms: tuple[float, ...]

    @property
    def median_ms(self) -> float:
        return statistics.median(self.runs_ms)

    @property
    def quartiles_ms(self) -> tuple[float, float]:
        """First and third quartile: the spread shown beside the median."""
        low, _, high = statistics.quantiles(self.runs_ms, n=4, method="inclusive")
        return low, high

    def to_json(self) -> dict:
        low, high = self.quartiles_ms
        return {"median": self.median_ms, "q1": low, "q3": high, "runs": list(self.runs_ms)}


def time_runs(run: Callable[[], object], runs: int) -> Latency:
    """Times `runs` calls after one that is not counted; fewer, but at least 3, where they take more than 10 s."""
    run()
    times: list[float] = []
    start = time.perf_counter()
    while len(times) < max(runs, LEAST_RUNS):
        if len(times) >= LEAST_RUNS and time.perf_counter() - start > BUDGET_SECONDS:
            break
        before = time.perf_counter()
        run()
        times.append((time.perf_counter() - before) * 1e3)
    return Latency(tuple(times))
