"""ONNX Runtime on the CPU with its default graph optimisations."""

from __future__ import annotations

import os

import onnxruntime

from benchmarks.peers.worker import Loaded, inputs_of


def load(request: dict) -> Loaded:
    """Inputs and outputs are bound, so that a call neither copies nor converts them."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(request["cores"])
    options.log_severity_level = 3
    if len(request["cores"]) > 1:
        others = ";".join(str(core + 1) for core in request["cores"][1:])  # ONNX Runtime counts from 1
        options.add_session_config_entry("session.intra_op_thread_affinities", others)
    session = onnxruntime.InferenceSession(request["path"], options, ["CPUExecutionProvider"])
    os.sched_setaffinity(0, request["cores"][:1])  # the caller does a share of the work
    binding = session.io_binding()
    for name, array in inputs_of(request).items():
        binding.bind_cpu_input(name, array)
    for output in session.get_outputs():
        binding.bind_output(output.name)
    return Loaded(onnxruntime.__version__, lambda: session.run_with_iobinding(binding), binding.copy_outputs_to_cpu)
