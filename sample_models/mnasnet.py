"""MnasNet-B1, depth multiplier 1.0 (Tan et al., 2019, arXiv 1807.11626; the variant without squeeze-and-excitation)."""

import onnx

from sample_models._onnx_builder import GraphBuilder, Tensor
from sample_models._sample import Sample

# Output channels, kernel, stride of the first repetition, expansion factor, repetitions.
_STAGES = ((24, 3, 2, 3, 3), (40, 5, 2, 3, 3), (80, 5, 2, 6, 3), (96, 3, 1, 6, 2), (192, 5, 2, 6, 4), (320, 3, 1, 6, 1))


def build(size: int) -> onnx.ModelProto:
    """Builds the network.

    Args:
        size: Side of the input image in pixels.

    Returns:
        A model from ``input``, float32 (1, 3, size, size), to ``logits``, float32 (1, 1000).
    """
    graph = GraphBuilder(SAMPLE.name, size)
    x = graph.input("input", (1, 3, size, size))
    x = graph.conv_bn("stem", x, 32, 3, stride=2, activation="relu")
    x = graph.conv_bn("separable.depthwise", x, 32, 3, groups=32, activation="relu")
    x = graph.conv_bn("separable.project", x, 16, 1, activation=None)
    for stage, (channels, kernel, stride, expansion, repetitions) in enumerate(_STAGES):
        for block in range(repetitions):
            name = f"stages.{stage}.{block}"
            x = _block(graph, name, x, channels, kernel, stride if block == 0 else 1, expansion)
    x = graph.conv_bn("head", x, 1280, 1, activation="relu")
    x = graph.spatial_mean("pool", x)
    return graph.finish({"logits": graph.gemm("classifier", x, 1000)})


def _block(
    graph: GraphBuilder, name: str, x: Tensor, channels: int, kernel: int, stride: int, expansion: int
) -> Tensor:
    """Inverted residual: widen, filter each channel, narrow without activation."""
    residual = stride == 1 and x.shape[1] == channels
    hidden = x.shape[1] * expansion
    y = graph.conv_bn(f"{name}.expand", x, hidden, 1, activation="relu")
    y = graph.conv_bn(f"{name}.depthwise", y, hidden, kernel, stride=stride, groups=hidden, activation="relu")
    y = graph.conv_bn(f"{name}.project", y, channels, 1, activation=None, scale=0.5 if residual else 1.0)
    return graph.binary("Add", f"{name}.add", y, x) if residual else y


SAMPLE = Sample(
    name="mnasnet",
    title="MnasNet 1.0",
    sizes=(56, 112, 224),
    default_size=224,
    size_unit="image side in pixels",
    builder=build,
    parameters=4_383_312,
    multiply_adds=314_000_000,
    multiply_adds_size=224,
    reference="arXiv 1807.11626; torchvision/models/mnasnet.py",
)
