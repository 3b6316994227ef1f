"""MobileViT-XS (Mehta and Rastegari, 2022, arXiv 2110.02178, table 4).

At 256 pixels, the published size (which is not among the sample's sizes), its convolutions and matrix products take
1,025,911,808 multiply-adds. The two published figures count otherwise, and this graph gives both:

- 1.05 G (timm's benchmark tables; the rule is fvcore's): also 2 for each element that a batch normalisation reads and 5
  for each that a layer normalisation reads. That is 1,052,168,192.
- 986 M (ml-cvnets' profiler): each of the two matrix products of attention, N^2 C multiply-adds for N patches and C
  features, is taken for N C^2, and the biases of linear layers count as one multiply-add each. That is 986,268,648.
"""

import onnx

from sample_models._onnx_builder import GraphBuilder, Tensor
from sample_models._sample import Sample

_EXPANSION = 4
_HEADS = 4
_PATCH = 2
_LAYER_NORM_EPSILON = 1e-5
# Output channels, transformer features, transformer blocks; a transformer's hidden layer is twice as wide.
_TRANSFORMER_STAGES = ((64, 96, 2), (80, 120, 4), (96, 144, 3))


def build(size: int) -> onnx.ModelProto:
    """Builds the network.

    Args:
        size: Side of the input image in pixels.

    Returns:
        A model from ``input``, float32 (1, 3, size, size), to ``logits``, float32 (1, 1000).
    """
    graph = GraphBuilder(SAMPLE.name, size)
    x = graph.input("input", (1, 3, size, size))
    x = graph.conv_bn("stem", x, 16, 3, stride=2, activation="silu")
    x = _inverted_residual(graph, "layer1.0", x, 32, stride=1)
    for block in range(3):
        x = _inverted_residual(graph, f"layer2.{block}", x, 48, stride=2 if block == 0 else 1)
    for layer, (channels, features, blocks) in enumerate(_TRANSFORMER_STAGES, start=3):
        x = _inverted_residual(graph, f"layer{layer}.0", x, channels, stride=2)
        x = _mobilevit_block(graph, f"layer{layer}.1", x, features, blocks)
    x = graph.conv_bn("conv_1x1_exp", x, 384, 1, activation="silu")
    x = graph.spatial_mean("pool", x)
    return graph.finish({"logits": graph.gemm("classifier", x, 1000)})


def _inverted_residual(graph: GraphBuilder, name: str, x: Tensor, channels: int, stride: int) -> Tensor:
    """MobileNetV2's block with SiLU."""
    residual = stride == 1 and x.shape[1] == channels
    hidden = x.shape[1] * _EXPANSION
    y = graph.conv_bn(f"{name}.expand", x, hidden, 1, activation="silu")
    y = graph.conv_bn(f"{name}.depthwise", y, hidden, 3, stride=stride, groups=hidden, activation="silu")
    y = graph.conv_bn(f"{name}.project", y, channels, 1, activation=None, scale=0.5 if residual else 1.0)
    return graph.binary("Add", f"{name}.add", x, y) if residual else y


def _mobilevit_block(graph: GraphBuilder, name: str, x: Tensor, features: int, blocks: int) -> Tensor:
    """Convolution for what is near, transformers over patches for what is far, and a fusion of both (figure 1b).

    Where the feature map does not divide into patches it is interpolated up before, and back after, as upstream does.
    """
    channels, *sides = x.shape[1:]
    padded = [-(-side // _PATCH) * _PATCH for side in sides]
    y = graph.conv_bn(f"{name}.local", x, channels, 3, activation="silu")
    y = graph.conv(f"{name}.local.conv_1x1", y, features, 1)
    if padded != sides:
        y = graph.resize(f"{name}.resize_up", y, *padded)
    y = _unfold(graph, f"{name}.unfold", y)
    for block in range(blocks):
        y = _transformer(graph, f"{name}.transformer.{block}", y)
    y = graph.layer_norm(f"{name}.norm", y, _LAYER_NORM_EPSILON)
    y = _fold(graph, f"{name}.fold", y, *padded)
    if padded != sides:
        y = graph.resize(f"{name}.resize_down", y, *sides)
    y = graph.conv_bn(f"{name}.conv_proj", y, channels, 1, activation="silu")
    y = graph.concat(f"{name}.concat", [x, y], axis=1)
    return graph.conv_bn(f"{name}.fusion", y, channels, 3, activation="silu")


def _unfold(graph: GraphBuilder, name: str, x: Tensor) -> Tensor:
    """(1, C, H, W) to (P, N, C): one sequence of N patches for each of the P positions in a patch."""
    _, channels, height, width = x.shape
    rows, columns, area = height // _PATCH, width // _PATCH, _PATCH * _PATCH
    x = graph.reshape(f"{name}.rows", x, (channels * rows, _PATCH, columns, _PATCH))
    x = graph.transpose(f"{name}.columns", x, (0, 2, 1, 3))
    x = graph.reshape(f"{name}.patches", x, (1, channels, rows * columns, area))
    x = graph.transpose(f"{name}.channels_last", x, (0, 3, 2, 1))
    return graph.reshape(f"{name}.sequences", x, (area, rows * columns, channels))


def _fold(graph: GraphBuilder, name: str, x: Tensor, height: int, width: int) -> Tensor:
    """(P, N, C) back to (1, C, H, W): the inverse of `_unfold`."""
    area, patches, channels = x.shape
    rows, columns = height // _PATCH, width // _PATCH
    x = graph.reshape(f"{name}.patches", x, (1, area, patches, channels))
    x = graph.transpose(f"{name}.channels_first", x, (0, 3, 2, 1))
    x = graph.reshape(f"{name}.columns", x, (channels * rows, columns, _PATCH, _PATCH))
    x = graph.transpose(f"{name}.rows", x, (0, 2, 1, 3))
    return graph.reshape(f"{name}.image", x, (1, channels, height, width))


def _transformer(graph: GraphBuilder, name: str, x: Tensor) -> Tensor:
    """Pre-norm transformer encoder block."""
    features = x.shape[-1]
    y = _attention(graph, f"{name}.attention", graph.layer_norm(f"{name}.norm1", x, _LAYER_NORM_EPSILON))
    x = graph.binary("Add", f"{name}.add1", y, x)
    y = graph.linear(f"{name}.ffn.fc1", graph.layer_norm(f"{name}.norm2", x, _LAYER_NORM_EPSILON), 2 * features)
    y = graph.linear(f"{name}.ffn.fc2", graph.activate(f"{name}.ffn", y, "silu"), features)
    return graph.binary("Add", f"{name}.add2", x, y)


def _attention(graph: GraphBuilder, name: str, x: Tensor) -> Tensor:
    """Multi-head self-attention over (P, N, C), query, key and value from one product."""
    positions, patches, features = x.shape
    width = features // _HEADS
    qkv = graph.linear(f"{name}.qkv", x, 3 * features)
    qkv = graph.reshape(f"{name}.qkv.heads", qkv, (positions, patches, 3, _HEADS, width))
    qkv = graph.transpose(f"{name}.qkv.transpose", qkv, (2, 0, 3, 1, 4))
    query, key, value = graph.unbind(f"{name}.qkv.unbind", qkv)
    query = graph.binary("Mul", f"{name}.scale", query, graph.scalar(f"attention.scale.{width}", width**-0.5))
    key = graph.transpose(f"{name}.k.transpose", key, (0, 1, 3, 2))
    weights = graph.softmax(f"{name}.softmax", graph.matmul(f"{name}.scores", query, key))
    y = graph.transpose(f"{name}.merge", graph.matmul(f"{name}.context", weights, value), (0, 2, 1, 3))
    return graph.linear(f"{name}.out", graph.reshape(f"{name}.merge.heads", y, x.shape), features)


SAMPLE = Sample(
    name="mobilevit_xs",
    title="MobileViT-XS",
    sizes=(56, 112, 224),
    default_size=224,
    size_unit="image side in pixels",
    builder=build,
    parameters=2_317_848,
    multiply_adds=1_050_000_000,
    multiply_adds_size=256,
    reference="arXiv 2110.02178; ml-cvnets: cvnets/modules/mobilevit_block.py; timm/models/mobilevit.py",
)
