"""BERT-Tiny: 2 layers, 128 features, 2 heads (Turc et al., 2019, arXiv 1908.08962, table 1; BERT: arXiv 1810.04805)."""

import math

import numpy as np
import onnx
from onnx import TensorProto

from sample_models._onnx_builder import GraphBuilder, Tensor
from sample_models._sample import Sample

_VOCABULARY, _POSITIONS, _TOKEN_TYPES = 30522, 512, 2
_LAYERS, _FEATURES, _HEADS, _HIDDEN = 2, 128, 2, 512
_LAYER_NORM_EPSILON = 1e-12


def build(size: int) -> onnx.ModelProto:
    """Builds the encoder with its pooler.

    Args:
        size: Number of tokens, at most 512.

    Returns:
        A model from ``input_ids``, ``attention_mask`` (1 where a token is to be seen, else 0) and ``token_type_ids``,
        int64 (1, size), to ``last_hidden_state``, float32 (1, size, 128), and ``pooler_output``, float32 (1, 128).
    """
    graph = GraphBuilder(SAMPLE.name, size)
    names = ("input_ids", "attention_mask", "token_type_ids")
    tokens, mask, types = (graph.input(name, (1, size), TensorProto.INT64) for name in names)
    x = _embeddings(graph, "embeddings", tokens, types)
    bias = _attention_bias(graph, "attention_bias", mask)
    for layer in range(_LAYERS):
        x = _layer(graph, f"encoder.layer.{layer}", x, bias)
    first = graph.select("pooler.first_token", x, 0, axis=1)
    pooled = graph.node("Tanh", "pooler.tanh", [graph.gemm("pooler.dense", first, _FEATURES)], first.shape)
    return graph.finish({"last_hidden_state": x, "pooler_output": pooled})


def _embeddings(graph: GraphBuilder, name: str, tokens: Tensor, types: Tensor) -> Tensor:
    """Sum of token, token type and position embeddings, normalised."""
    words = graph.embedding(f"{name}.word", tokens, _VOCABULARY, _FEATURES)
    kinds = graph.embedding(f"{name}.token_type", types, _TOKEN_TYPES, _FEATURES)
    position_ids = graph.constant(f"{name}.position_ids", np.arange(tokens.shape[1], dtype=np.int64)[None])
    places = graph.embedding(f"{name}.position", position_ids, _POSITIONS, _FEATURES)
    x = graph.binary("Add", f"{name}.add_token_type", words, kinds)
    x = graph.binary("Add", f"{name}.add_position", x, places)
    return graph.layer_norm(f"{name}.norm", x, _LAYER_NORM_EPSILON)


def _attention_bias(graph: GraphBuilder, name: str, mask: Tensor) -> Tensor:
    """(1, L) mask of 1 and 0 to a (1, 1, 1, L) term of 0 and the lowest float, to be added to the scores."""
    length = mask.shape[1]
    for axis, shape in ((1, (1, 1, length)), (2, (1, 1, 1, length))):
        axes = graph.constant(f"{name}.axis{axis}", np.array([axis], dtype=np.int64))
        mask = graph.node("Unsqueeze", f"{name}.unsqueeze{axis}", [mask, axes], shape)
    seen = graph.node("Cast", f"{name}.cast", [mask], mask.shape, to=TensorProto.FLOAT)
    hidden = graph.binary("Sub", f"{name}.invert", graph.scalar("one", 1.0), seen)
    lowest = graph.scalar(f"{name}.lowest", float(np.finfo(np.float32).min))
    return graph.binary("Mul", f"{name}.mul", hidden, lowest)


def _layer(graph: GraphBuilder, name: str, x: Tensor, bias: Tensor) -> Tensor:
    """Post-norm transformer encoder layer."""
    y = _attention(graph, f"{name}.attention", x, bias)
    x = graph.binary("Add", f"{name}.attention.add", y, x)
    x = graph.layer_norm(f"{name}.attention.norm", x, _LAYER_NORM_EPSILON)
    y = _gelu(graph, f"{name}.gelu", graph.linear(f"{name}.intermediate", x, _HIDDEN))
    y = graph.linear(f"{name}.output", y, _FEATURES, variance_gain=2.0)
    return graph.layer_norm(f"{name}.output.norm", graph.binary("Add", f"{name}.add", y, x), _LAYER_NORM_EPSILON)


def _attention(graph: GraphBuilder, name: str, x: Tensor, bias: Tensor) -> Tensor:
    """Multi-head self-attention over (1, L, C)."""
    length, width = x.shape[1], _FEATURES // _HEADS

    def heads(part: str, permutation: tuple[int, ...]) -> Tensor:
        y = graph.linear(f"{name}.{part}", x, _FEATURES)
        y = graph.reshape(f"{name}.{part}.heads", y, (1, length, _HEADS, width))
        return graph.transpose(f"{name}.{part}.transpose", y, permutation)

    query, value = heads("query", (0, 2, 1, 3)), heads("value", (0, 2, 1, 3))
    scores = graph.matmul(f"{name}.scores", query, heads("key", (0, 2, 3, 1)))
    scores = graph.binary("Div", f"{name}.scale", scores, graph.scalar("attention.sqrt_width", math.sqrt(width)))
    weights = graph.softmax(f"{name}.softmax", graph.binary("Add", f"{name}.mask", scores, bias))
    y = graph.transpose(f"{name}.merge", graph.matmul(f"{name}.context", weights, value), (0, 2, 1, 3))
    return graph.linear(f"{name}.output", graph.reshape(f"{name}.merge.heads", y, x.shape), _FEATURES)


def _gelu(graph: GraphBuilder, name: str, x: Tensor) -> Tensor:
    """x * (1 + erf(x / sqrt 2)) * 0.5, the exact form, as BERT has it."""
    y = graph.binary("Div", f"{name}.div", x, graph.scalar("sqrt2", math.sqrt(2.0)))
    y = graph.node("Erf", f"{name}.erf", [y], x.shape)
    y = graph.binary("Add", f"{name}.add", y, graph.scalar("one", 1.0))
    y = graph.binary("Mul", f"{name}.mul", x, y)
    return graph.binary("Mul", f"{name}.half", y, graph.scalar("half", 0.5))


SAMPLE = Sample(
    name="bert_tiny",
    title="BERT-Tiny",
    sizes=(32, 64, 128),
    default_size=128,
    size_unit="tokens",
    builder=build,
    parameters=4_385_920,
    multiply_adds=None,
    multiply_adds_size=None,
    reference="arXiv 1908.08962; transformers/models/bert/modeling_bert.py",
)
