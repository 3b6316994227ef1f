"""ShuffleNetV2, width 1.0 (Ma et al., 2018, arXiv 1807.11164, table 5)."""

import onnx

from sample_models._onnx_builder import GraphBuilder, Tensor
from sample_models._sample import Sample

# Stage number, output channels, units: table 5 of the paper.
_STAGES = ((2, 116, 4), (3, 232, 8), (4, 464, 4))


def build(size: int) -> onnx.ModelProto:
    """Builds the network.

    Args:
        size: Side of the input image in pixels.

    Returns:
        A model from ``input``, float32 (1, 3, size, size), to ``logits``, float32 (1, 1000).
    """
    graph = GraphBuilder(SAMPLE.name, size)
    x = graph.input("input", (1, 3, size, size))
    x = graph.conv_bn("conv1", x, 24, 3, stride=2, activation="relu")
    x = graph.max_pool("maxpool", x, 3, 2, padding=1, ceil_mode=False)
    for stage, channels, units in _STAGES:
        x = _downsampling_unit(graph, f"stage{stage}.0", x, channels)
        for unit in range(1, units):
            x = _basic_unit(graph, f"stage{stage}.{unit}", x)
    x = graph.conv_bn("conv5", x, 1024, 1, activation="relu")
    x = graph.spatial_mean("pool", x)
    return graph.finish({"logits": graph.gemm("fc", x, 1000)})


def _basic_unit(graph: GraphBuilder, name: str, x: Tensor) -> Tensor:
    """Unit of stride 1: half of the channels pass unchanged, the other half is convolved (figure 3c)."""
    kept, y = graph.split(f"{name}.split", x, 2, axis=1)
    y = _right_branch(graph, f"{name}.branch2", y, x.shape[1] // 2, stride=1)
    return _shuffle(graph, name, graph.concat(f"{name}.concat", [kept, y], axis=1))


def _downsampling_unit(graph: GraphBuilder, name: str, x: Tensor, channels: int) -> Tensor:
    """Unit of stride 2: both branches see all channels (figure 3d)."""
    left = _depthwise(graph, f"{name}.branch1.depthwise", x, stride=2)
    left = graph.conv_bn(f"{name}.branch1.pointwise", left, channels // 2, 1, activation="relu")
    right = _right_branch(graph, f"{name}.branch2", x, channels // 2, stride=2)
    return _shuffle(graph, name, graph.concat(f"{name}.concat", [left, right], axis=1))


def _right_branch(graph: GraphBuilder, name: str, x: Tensor, channels: int, stride: int) -> Tensor:
    x = graph.conv_bn(f"{name}.pointwise1", x, channels, 1, activation="relu")
    x = _depthwise(graph, f"{name}.depthwise", x, stride)
    return graph.conv_bn(f"{name}.pointwise2", x, channels, 1, activation="relu")


def _depthwise(graph: GraphBuilder, name: str, x: Tensor, stride: int) -> Tensor:
    channels = x.shape[1]
    return graph.conv_bn(name, x, channels, 3, stride=stride, groups=channels, activation=None)


def _shuffle(graph: GraphBuilder, name: str, x: Tensor) -> Tensor:
    """Interleaves the channels of the two branches: (2, C/2) transposed to (C/2, 2)."""
    _, channels, height, width = x.shape
    y = graph.reshape(f"{name}.shuffle.group", x, (1, 2, channels // 2, height, width))
    y = graph.transpose(f"{name}.shuffle.transpose", y, (0, 2, 1, 3, 4))
    return graph.reshape(f"{name}.shuffle.flatten", y, x.shape)


SAMPLE = Sample(
    name="shufflenet_v2",
    title="ShuffleNetV2 1.0x",
    sizes=(56, 112, 224),
    default_size=224,
    size_unit="image side in pixels",
    builder=build,
    parameters=2_278_604,
    multiply_adds=145_000_000,
    multiply_adds_size=224,
    reference="arXiv 1807.11164; torchvision/models/shufflenetv2.py",
)
