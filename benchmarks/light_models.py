"""ONNX's light models: real network structures whose weights were replaced by one constant to keep the files small.

With equal weights everywhere, many faults (swapped axes, say) do not show in the output. `with_seeded_weights` gives
each network random ones instead, so that a comparison means something.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

LIGHT_MODELS = tuple(sorted((Path(onnx.__file__).parent / "backend/test/data/light").glob("*.onnx")))


def with_seeded_weights(path: Path, seed: int = 0) -> onnx.ModelProto:
    """Random weights: kernels from N(0, 1/(2·fan-in)), which keeps logits small; vectors uniform in [0.5, 1.5)."""
    model = onnx.load(path)
    rng = np.random.default_rng(seed)
    shapes = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    kept = []
    for node in model.graph.node:
        shape = shapes.get(node.input[0]) if node.op_type == "ConstantOfShape" else None
        if shape is None:
            kept.append(node)
        else:
            model.graph.initializer.append(numpy_helper.from_array(_weights(rng, tuple(shape)), node.output[0]))
    del model.graph.node[:]
    model.graph.node.extend(kept)
    return model


def _weights(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    if len(shape) < 2:
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    deviation = math.sqrt(0.5 / math.prod(shape[1:]))
    return (rng.standard_normal(shape, dtype=np.float32) * np.float32(deviation)).astype(np.float32)
