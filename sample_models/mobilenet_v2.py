"""MobileNetV2, width 1.0 (Sandler et al., 2018, arXiv 1801.04381, table 2)."""

import onnx

from sample_models._onnx_builder import GraphBuilder, Tensor
from sample_models._sample import Sample

# Expansion factor, output channels, repetitions, stride of the first repetition: table 2 of the paper.
_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def build(size: int) -> onnx.ModelProto:
    """Builds the network.

    Args:
        size: Side of the input image in pixels.

    Returns:
        A model from ``input``, float32 (1, 3, size, size), to ``logits``, float32 (1, 1000).
    """
    graph = GraphBuilder(SAMPLE.name, size)
    x = graph.input("input", (1, 3, size, size))
    x = graph.conv_bn("features.0", x, 32, 3, stride=2, activation="relu6")
    index = 1
    for expansion, channels, repetitions, stride in _STAGES:
        for repetition in range(repetitions):
            x = _block(graph, f"features.{index}", x, channels, expansion, stride if repetition == 0 else 1)
            index += 1
    x = graph.conv_bn(f"features.{index}", x, 1280, 1, activation="relu6")
    x = graph.global_average_pool("pool", x)
    return graph.finish({"logits": graph.gemm("classifier", x, 1000)})


def _block(graph: GraphBuilder, name: str, x: Tensor, channels: int, expansion: int, stride: int) -> Tensor:
    """Inverted residual: widen (unless the factor is 1), filter each channel, narrow without activation."""
    residual = stride == 1 and x.shape[1] == channels
    hidden = x.shape[1] * expansion
    y = graph.conv_bn(f"{name}.expand", x, hidden, 1, activation="relu6") if expansion != 1 else x
    y = graph.conv_bn(f"{name}.depthwise", y, hidden, 3, stride=stride, groups=hidden, activation="relu6")
    y = graph.conv_bn(f"{name}.project", y, channels, 1, activation=None, scale=0.5 if residual else 1.0)
    return graph.binary("Add", f"{name}.add", x, y) if residual else y


SAMPLE = Sample(
    name="mobilenet_v2",
    title="MobileNetV2",
    sizes=(56, 112, 224),
    default_size=224,
    size_unit="image side in pixels",
    builder=build,
    parameters=3_504_872,
    multiply_adds=301_000_000,
    multiply_adds_size=224,
    reference="arXiv 1801.04381; torchvision/models/mobilenetv2.py",
)
