"""Small ONNX networks, written to a folder, for tests that compile."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ago_core.graph.model import Model
from ago_core.partition.ago import ago_partition
from ago_core.partition.heuristic import heuristic_partition
from ago_core.partition.partition import Partition

METHODS = ("heuristic", "ago")


def partition_by(model: Model, method: str) -> Partition:
    """The method's partition with its default settings."""
    return heuristic_partition(model) if method == "heuristic" else ago_partition(model.graph)


def inverted_residual(folder: Path, channels: int = 8, size: int = 9, batch: int | str = 1) -> Path:
    """Pointwise → depthwise → pointwise with a skip connection, then a split, a concat and two outputs."""
    rng = np.random.default_rng(7)
    weights = {
        "w1": rng.standard_normal((2 * channels, channels, 1, 1)),
        "w2": rng.standard_normal((2 * channels, 1, 3, 3)),
        "w3": rng.standard_normal((channels, 2 * channels, 1, 1)),
        "b3": rng.standard_normal(channels),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], name="expand"),
        helper.make_node("Relu", ["a"], ["b"], name="relu1"),
        helper.make_node("Conv", ["b", "w2"], ["c"], name="depthwise", group=2 * channels, pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["d"], name="relu2"),
        helper.make_node("Conv", ["d", "w3", "b3"], ["e"], name="project"),
        helper.make_node("Add", ["x", "e"], ["f"], name="skip"),
        helper.make_node("Split", ["f"], ["g", "h"], name="halves", axis=1),
        helper.make_node("Sigmoid", ["g"], ["i"], name="gate"),
        helper.make_node("Mul", ["i", "h"], ["y"], name="gated"),
        helper.make_node("Concat", ["y", "f"], ["z"], name="join", axis=1),
    ]
    image = [batch, channels, size, size]
    graph = helper.make_graph(
        nodes,
        "inverted_residual",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, image)],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, channels // 2, size, size]),
            helper.make_tensor_value_info("z", TensorProto.FLOAT, [batch, channels * 3 // 2, size, size]),
        ],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
    )
    path = folder / "inverted_residual.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path
