"""SqueezeNet 1.1 (Iandola et al., 2016, arXiv 1602.07360; version 1.1 is the authors' later release)."""

import onnx

from sample_models._onnx_builder import GraphBuilder, Tensor
from sample_models._sample import Sample

# Squeeze channels and channels of each expand branch, by index in the feature extractor; None is a max pooling.
_FEATURES = (None, (16, 64), (16, 64), None, (32, 128), (32, 128), None, (48, 192), (48, 192), (64, 256), (64, 256))


def build(size: int) -> onnx.ModelProto:
    """Builds the network.

    Args:
        size: Side of the input image in pixels.

    Returns:
        A model from ``input``, float32 (1, 3, size, size), to ``logits``, float32 (1, 1000). The logits are never
        negative: the published network ends in a ReLU and a mean.
    """
    graph = GraphBuilder(SAMPLE.name, size)
    x = graph.input("input", (1, 3, size, size))
    x = _conv_relu(graph, "features.0", x, 64, 3, stride=2, padding=0)
    for index, fire in enumerate(_FEATURES, start=2):
        name = f"features.{index}"
        if fire is None:
            x = graph.max_pool(f"{name}.pool", x, 3, 2, padding=0, ceil_mode=True)
        else:
            x = _fire(graph, name, x, *fire)
    x = _conv_relu(graph, "classifier", x, 1000, 1)
    return graph.finish({"logits": graph.global_average_pool("pool", x)})


def _fire(graph: GraphBuilder, name: str, x: Tensor, squeeze: int, expand: int) -> Tensor:
    """Fire module: few 1x1 channels, then 1x1 and 3x3 convolutions side by side."""
    x = _conv_relu(graph, f"{name}.squeeze", x, squeeze, 1)
    branches = [_conv_relu(graph, f"{name}.expand{kernel}x{kernel}", x, expand, kernel) for kernel in (1, 3)]
    return graph.concat(f"{name}.concat", branches, axis=1)


def _conv_relu(graph: GraphBuilder, name: str, x: Tensor, channels: int, kernel: int, **conv) -> Tensor:
    x = graph.conv(name, x, channels, kernel, bias=True, activation="relu", **conv)
    return graph.activate(name, x, "relu")


SAMPLE = Sample(
    name="squeezenet",
    title="SqueezeNet 1.1",
    sizes=(56, 112, 224),
    default_size=224,
    size_unit="image side in pixels",
    builder=build,
    parameters=1_235_496,
    multiply_adds=349_000_000,
    multiply_adds_size=224,
    reference="arXiv 1602.07360; torchvision/models/squeezenet.py",
)
