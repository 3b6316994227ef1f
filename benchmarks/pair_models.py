"""Pairs of operators as the networks have them, at several batch sizes, as ONNX models of their own."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

SEED = 1
OPSET = 17
IR_VERSION = 8
BATCHES = (1, 4)
SIDE = 3
"""Of the kernels of convolutions that are not pointwise."""


@dataclass(frozen=True)
class Pair:
    """Two operators, each with bias and ReLU, the second reading the first; or an operator that does next to nothing.

    Attributes:
        kind: such as "pointwise → depthwise".
        network: that has it; "" where none does.
        shape: of the input without its batch: height, width and channels of an image, or rows and columns.
        channels: of each result.
        batch: images or sequences.
    """

    kind: str
    network: str
    shape: tuple[int, ...]
    channels: tuple[int, ...]
    batch: int

    @property
    def name(self) -> str:
        """Also of its folder: "pointwise-depthwise 1×56×56×24-144-144"."""
        return f"{self.kind.replace(' → ', '-')} {self.text.replace(' → ', '-')}"

    @property
    def text(self) -> str:
        return " → ".join(["×".join(map(str, (self.batch, *self.shape))), *map(str, self.channels)])

    @property
    def is_image(self) -> bool:
        return len(self.shape) == 3


ALONE = "call alone"
_SHAPES = (
    ("pointwise → depthwise", "MobileNetV2", (56, 56, 24), (144, 144)),
    ("pointwise → depthwise", "MobileNetV2", (14, 14, 96), (576, 576)),
    ("depthwise → pointwise", "MobileNetV2", (56, 56, 144), (144, 24)),
    ("depthwise → pointwise", "MNasNet", (14, 14, 480), (480, 80)),
    ("pointwise → pointwise", "MobileNetV2", (56, 56, 144), (24, 144)),
    ("pointwise → pointwise", "MNasNet", (14, 14, 480), (80, 480)),
    ("depthwise → depthwise", "", (28, 28, 192), (192, 192)),
    ("depthwise → depthwise", "", (14, 14, 576), (576, 576)),
    ("conv 3×3 → pointwise", "MobileViT", (28, 28, 64), (64, 96)),
    ("conv 3×3 → pointwise", "MobileViT", (14, 14, 80), (80, 120)),
    ("matmul → matmul", "BERT-tiny", (128, 128), (512, 128)),
    ("matmul → matmul", "MobileViT", (784, 96), (192, 96)),
)
"""Where no network is named, the shape is one of a network's single depthwise convolutions."""
PAIRS = tuple(Pair(*shape, batch) for shape in _SHAPES for batch in BATCHES)
CALL = Pair(ALONE, "", (16,), (), 1)
"""What a call costs that computes next to nothing."""


def pair_model(pair: Pair, channels_last: bool) -> onnx.ModelProto:
    """The pair with seeded weights.

    Args:
        channels_last: whether an image comes and leaves as NHWC, by way of transposes that an importer can take away;
            else as NCHW. The weights are the same.
    """
    rng = np.random.default_rng(SEED)
    nodes: list[NodeProto] = []
    constants: list[TensorProto] = []
    last = "x"

    def add(kind: str, weights: tuple[np.ndarray, ...] = (), **attributes) -> None:
        nonlocal last
        names = [f"w{len(constants) + k}" for k in range(len(weights))]
        constants.extend(numpy_helper.from_array(array, name) for array, name in zip(weights, names))
        nodes.append(helper.make_node(kind, [last, *names], [f"y{len(nodes)}"], name=f"n{len(nodes)}", **attributes))
        last = nodes[-1].output[0]

    if pair.is_image and channels_last:
        add("Transpose", perm=[0, 3, 1, 2])
    before = pair.shape[-1]
    for kind, after in zip(pair.kind.split(" → "), pair.channels):
        _operator(add, kind, before, after, rng)
        before = after
    if not pair.channels:
        add("Relu")
    if pair.is_image and channels_last:
        add("Transpose", perm=[0, 2, 3, 1])
    shapes = [[pair.batch, *pair.shape], [pair.batch, *pair.shape[:-1], before]]
    if pair.is_image and not channels_last:
        shapes = [[shape[axis] for axis in (0, 3, 1, 2)] for shape in shapes]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in zip(("x", last), shapes)]
    graph = helper.make_graph(nodes, pair.name, ends[:1], ends[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def _operator(add: Callable, kind: str, before: int, after: int, rng: np.random.Generator) -> None:
    """An operator with bias and ReLU; weights of He et al. (arXiv 1502.01852), so that values stay of order 1."""
    bias = rng.standard_normal(after, dtype=np.float32) / 10
    if kind == "matmul":
        add("MatMul", (_weights(rng, (before, after), before),))
        add("Add", (bias,))
    else:
        groups, side = before if kind == "depthwise" else 1, 1 if kind == "pointwise" else SIDE
        shape = (after, before // groups, side, side)
        weights = _weights(rng, shape, math.prod(shape[1:]))
        add("Conv", (weights, bias), kernel_shape=[side] * 2, pads=[side // 2] * 4, group=groups)
    add("Relu")


def _weights(rng: np.random.Generator, shape: tuple[int, ...], summed: int) -> np.ndarray:
    return rng.standard_normal(shape, dtype=np.float32) * np.float32(math.sqrt(2 / summed))
