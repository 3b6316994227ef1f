"""Is a compiled model right, and how long does it take? Measured on this machine against ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version

import psutil

from ago_core.artifacts.reference import Arrays, Reference, random_inputs, relative_error
from ago_core.devices.local import machine
from ago_core.devices.rest import comes_to_rest
from ago_core.graph.model import Progress
from ago_core.lowering.executable import Compiled
from ago_core.lowering.latency import Latency
from ago_core.lowering.run import Runner

TOLERANCE = 1e-4
REST_SECONDS = 1.0
"""At most, for TVM's threads to leave the cores to ONNX Runtime's."""
PACKAGES = ("apache-tvm", "apache-tvm-ffi", "onnxruntime", "onnx", "numpy")


@dataclass(frozen=True)
class Report:
    """What was measured.

    Attributes:
        max_rel_error: over all outputs, see `reference.relative_error`.
        latency: of the compiled model.
        reference_latency: of ONNX Runtime on the same input with as many threads, measured right afterwards.
        threads: of both.
        machine: the processor.
    """

    max_rel_error: float
    latency: Latency
    reference_latency: Latency
    threads: int
    machine: str

    @property
    def correct(self) -> bool:
        return self.max_rel_error <= TOLERANCE


def verify(
    compiled: Compiled, threads: int, runs: int, seed: int = 0, progress: Progress = lambda _: None
) -> tuple[Report, Arrays, Arrays]:
    """Runs the compiled model and the reference on one random input.

    Returns:
        (report, inputs, expected outputs by name).
    """
    model = compiled.model.onnx
    inputs = random_inputs(model, seed)
    progress("Running the compiled model")
    runner = Runner(compiled, inputs, threads)
    outputs = runner.outputs()
    latency = runner.latency(runs)
    progress("Running ONNX Runtime for comparison")
    reference = Reference(model, threads)
    expected = reference.outputs(inputs)
    error = max(relative_error(got, want) for got, want in zip(outputs, expected, strict=True))
    comes_to_rest(psutil.Process(), REST_SECONDS)
    report = Report(error, latency, reference.latency(inputs, runs), threads, machine())
    return report, inputs, {value.name: array for value, array in zip(model.graph.output, expected)}


def versions() -> dict[str, str]:
    """Of the packages that decide what is computed and how fast."""
    return {package: version(package) for package in PACKAGES}
