"""Runs a compiled model on this machine: outputs, and latency with its spread."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import numpy as np
import tvm
from tvm import relax

from ago_core.lowering.executable import Compiled


@dataclass(frozen=True)
class Latency:
    """Repeated runs of the whole model on one device, inputs already there.

    Attributes:
        runs_ms: wall time of each run, in milliseconds.
    """

    runs_ms: tuple[float, ...]

    @property
    def median_ms(self) -> float:
        return statistics.median(self.runs_ms)

    @property
    def quartiles_ms(self) -> tuple[float, float]:
        """First and third quartile: the spread shown beside the median."""
        low, _, high = statistics.quantiles(self.runs_ms, n=4)
        return low, high


class Runner:
    """A compiled model loaded into TVM's virtual machine with its inputs bound."""

    def __init__(self, compiled: Compiled, inputs: dict[str, np.ndarray]):
        self._machine = relax.VirtualMachine(compiled.executable, tvm.cpu())
        order = [name for name, _ in compiled.model.graph.inputs]
        self._machine.set_input("main", *(tvm.runtime.tensor(inputs[name]) for name in order))

    def outputs(self) -> list[np.ndarray]:
        """Runs once."""
        self._machine.invoke_stateful("main")
        result = self._machine.get_outputs("main")
        return (
            [item.numpy() for item in result] if isinstance(result, (list, tuple, tvm.ir.Array)) else [result.numpy()]
        )

    def latency(self, runs: int = 30, budget_seconds: float = 10.0) -> Latency:
        """Times single runs: at least 3, then up to `runs` while the budget lasts, after one that is not counted."""
        self._machine.invoke_stateful("main")
        times, start = [], time.perf_counter()
        while len(times) < 3 or (len(times) < runs and time.perf_counter() - start < budget_seconds):
            before = time.perf_counter()
            self._machine.invoke_stateful("main")
            times.append((time.perf_counter() - before) * 1e3)
        return Latency(tuple(times))
