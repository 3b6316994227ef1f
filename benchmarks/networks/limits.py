"""What bounds a network on this machine: its arithmetic at the measured peak, or its bytes at the measured bandwidth.

python -m benchmarks.networks.limits THREADS    measure this machine, print JSON
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import numpy as np
import onnx
from onnx import TensorProto, helper

from ago_core.artifacts.reference import Reference
from ago_core.devices.roofline import Roofline, measure_roofline
from ago_core.graph.model import Model
from benchmarks.roofline import use_threads

GEMM = 512
"""Rows, columns and depth of the product whose rate stands beside the peak; a millisecond, which a slice holds."""
GEMM_RUNS = 200


def measure_limits(threads: int) -> dict:
    """The roofline, and the rate of a large GEMM by ONNX Runtime, in a process of its own: TVM's threads are global."""
    command = [sys.executable, "-m", "benchmarks.networks.limits", str(threads)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def better(one: dict, other: dict) -> dict:
    """Of two measurements of one machine the better figures."""
    first, second = (Roofline.from_json(limits["roofline"]) for limits in (one, other))
    return {"roofline": first.or_better(second).to_json(), "gemm": max(one["gemm"], other["gemm"])}


def floor_seconds(limits: dict, network: dict) -> float:
    """The least time of a network, see `roofline.Roofline.seconds`."""
    return Roofline.from_json(limits["roofline"]).seconds(network["flops"], network["bytes"])


def compulsory(model: Model) -> dict:
    """FLOPs, and the bytes that must move whatever is fused: inputs, weights and results once.

    Of a table only the rows are counted that are looked up; weights that several operators share, each time.
    """
    graph = model.graph
    weights = sum(_weights_read(op) for op in graph.operators)
    inputs = sum(tensor.nbytes for _, tensor in graph.inputs)
    results = sum(graph.operators[op].bytes_written for op in graph.results)
    return {"flops": graph.totals.flops, "bytes": inputs + weights + results}


def _weights_read(op) -> int:
    return op.bytes_written if op.kind == "take" else sum(tensor.nbytes for tensor in op.weights)


def gemm_rate(threads: int) -> float:
    """Operations per second of the fastest of GEMM_RUNS products of float32 matrices."""
    shape = [GEMM, GEMM]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "abc"]
    graph = helper.make_graph([helper.make_node("MatMul", ["a", "b"], ["c"])], "gemm", values[:2], values[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    rng = np.random.default_rng(0)
    arrays = {name: rng.standard_normal(shape, dtype=np.float32) for name in "ab"}
    time.sleep(0.1)
    return 2 * GEMM**3 / (min(Reference(model, threads).latency(arrays, GEMM_RUNS).runs_ms) / 1e3)


def main() -> int:
    threads = int(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    gemm = gemm_rate(threads)
    use_threads(threads)
    print(json.dumps({"roofline": measure_roofline(threads).to_json(), "gemm": gemm}), file=answers, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
