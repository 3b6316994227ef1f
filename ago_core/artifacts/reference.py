"""ONNX Runtime as the reference that compiled code must match."""

from __future__ import annotations

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from ago_core.devices.cores import CAN_PIN, cores_for
from ago_core.devices.threads import pin_caller
from ago_core.graph.onnx_graph import OnnxGraph
from ago_core.lowering.latency import Latency, time_runs

Arrays = dict[str, np.ndarray]
TWO_GIB = 2**31


def random_inputs(model: onnx.ModelProto, seed: int = 0) -> Arrays:
    """Inputs for a run: floats from N(0, 1), booleans and integers 0 or 1, indices over the table they look up."""
    graph = OnnxGraph.of(model)
    rng = np.random.default_rng(seed)
    return {name: _random(graph, name, rng) for name in graph.inputs}


def _random(graph: OnnxGraph, name: str, rng: np.random.Generator) -> np.ndarray:
    shape, kind = graph.shapes[name]
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind)
    if np.issubdtype(dtype, np.integer):
        return rng.integers(0, _table_size(graph, name), shape).astype(dtype)
    if dtype == np.bool_:
        return rng.integers(0, 2, shape).astype(dtype)
    return rng.standard_normal(shape).astype(dtype)


def _table_size(graph: OnnxGraph, name: str) -> int:
    """Rows of the smallest constant table that the input indexes; 2 for an integer input that is no index."""
    sizes = [
        graph.constants[node.input[0]].shape[0]
        for node in graph.nodes
        if node.op_type == "Gather" and node.input[1] == name and node.input[0] in graph.constants
    ]
    return min(sizes, default=2)


class Reference:
    """The model loaded into ONNX Runtime on the CPU, with its default graph optimisations and each thread on a core.

    Raises:
        UserError: the process may not use as many cores as there shall be threads.
    """

    def __init__(self, model: onnx.ModelProto, threads: int):
        self._session = _session(model, session_options(threads))
        self._caller = ThreadPoolExecutor(1, initializer=pin_caller, initargs=cores_for(threads)[:1])

    def outputs(self, inputs: Arrays) -> list[np.ndarray]:
        """The model's outputs, in order."""
        return self._session.run(None, inputs)

    def latency(self, inputs: Arrays, runs: int) -> Latency:
        return self._caller.submit(time_runs, lambda: self._session.run(None, inputs), runs).result()


def session_options(threads: int) -> onnxruntime.SessionOptions:
    """So many threads on the cores that `cores_for` names, but for the calling one: who calls pins that."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    if threads > 1 and CAN_PIN:
        others = ";".join(str(core + 1) for core in cores_for(threads)[1:])  # ONNX Runtime counts from 1
        options.add_session_config_entry("session.intra_op_thread_affinities", others)
    return options


def _session(model: onnx.ModelProto, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    providers = ["CPUExecutionProvider"]
    if model.ByteSize() < TWO_GIB:
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers)
    with tempfile.TemporaryDirectory() as folder:
        path = os.fspath(Path(folder) / "model.onnx")
        onnx.save(model, path, save_as_external_data=True)
        return onnxruntime.InferenceSession(path, options, providers)


def relative_error(got: np.ndarray, expected: np.ndarray) -> float:
    """max |got − expected| / max |expected|, or the absolute error where all expected are zero. NaN counts as ∞."""
    if got.shape != expected.shape:
        return float("inf")
    if expected.size == 0:
        return 0.0
    difference = np.abs(got.astype(np.float64) - expected.astype(np.float64)).max()
    scale = np.abs(expected.astype(np.float64)).max()
    error = float(difference / scale if scale > 0 else difference)
    return error if np.isfinite(error) else float("inf")
