"""OpenVINO on the CPU in float32: left alone it computes in bfloat16 where the processor can."""

from __future__ import annotations

import openvino

from benchmarks.peers.worker import Loaded, inputs_of


def load(request: dict) -> Loaded:
    core = openvino.Core()
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": len(request["cores"]),
        "ENABLE_CPU_PINNING": True,
    }
    compiled = core.compile_model(core.read_model(request["path"]), "CPU", settings)
    infer = compiled.create_infer_request()
    for name, array in inputs_of(request).items():
        infer.set_tensor(name, openvino.Tensor(array))

    def call() -> None:
        infer.start_async()
        infer.wait()

    def outputs() -> list:
        return [infer.get_tensor(port).data.copy() for port in compiled.outputs]

    return Loaded(openvino.__version__.split("-")[0], call, outputs)
