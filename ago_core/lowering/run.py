"""Runs a compiled model on this machine."""

from __future__ import annotations

import numpy as np
import tvm
from tvm.runtime.vm import VirtualMachine

from ago_core.devices.threads import pinned_threads
from ago_core.lowering.executable import Compiled
from ago_core.lowering.latency import Latency, time_runs


class Runner:
    """A compiled model loaded into TVM's virtual machine with its inputs bound; it runs on threads pinned to cores."""

    def __init__(self, compiled: Compiled, inputs: dict[str, np.ndarray], threads: int):
        self._threads = pinned_threads(threads)
        self._machine = VirtualMachine(compiled.executable, tvm.cpu())
        names = [name for name, _ in compiled.model.graph.inputs]
        self._machine.set_input("main", *(tvm.runtime.tensor(inputs[name]) for name in names))

    def outputs(self) -> list[np.ndarray]:
        """Runs once; the model's outputs in order."""
        self._threads.run(self._invoke)
        result = self._machine.get_outputs("main")
        return [result.numpy()] if isinstance(result, tvm.runtime.Tensor) else [item.numpy() for item in result]

    def latency(self, runs: int) -> Latency:
        """Whole inferences, inputs already on the device, outputs left there."""
        return self._threads.run(lambda: time_runs(self._invoke, runs))

    def _invoke(self) -> None:
        self._machine.invoke_stateful("main")
