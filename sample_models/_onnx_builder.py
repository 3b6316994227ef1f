"""Builds ONNX graphs layer by layer, in the operators and the weight layout of a PyTorch export, without PyTorch.

Every layer is one method that adds its nodes and its seeded weights and returns the tensor it computes. Names are
module paths: layer ``features.3.depthwise`` has the node of that name, the weight ``features.3.depthwise.weight`` and,
where it has them, the nodes ``features.3.depthwise.bn`` and ``features.3.depthwise.relu6``.

Weights are random, not trained. They are scaled so that activations keep their second moment (He et al., 2015,
arXiv 1502.01852, section 2.2), which keeps every intermediate value of order 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17  # the first with LayerNormalization, and one that TVM and ONNX Runtime both take
IR_VERSION = 8
SEED = 221201005  # the arXiv number of the AGO paper

# 1 / E[f(z)^2] for z ~ N(0, 1): the factor by which the weights before activation f make up for what f removes.
_VARIANCE_GAIN = {"relu": 2.0, "relu6": 2.0, "silu": 2.81, None: 1.0}


@dataclass(frozen=True)
class Tensor:
    """A value in the graph: its name and its static shape."""

    name: str
    shape: tuple[int, ...]


class GraphBuilder:
    """Collects the nodes and initializers of one model.

    Args:
        name: Name of the graph, recorded in the model's metadata.
        size: Input size, recorded in the model's metadata. The weights do not depend on it.
        seed: Seed of the weights, recorded in the model's metadata.
    """

    def __init__(self, name: str, size: int, seed: int = SEED) -> None:
        self._metadata = {"name": name, "size": str(size), "seed": str(seed)}
        self._rng = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}

    # Values and nodes

    def input(self, name: str, shape: tuple[int, ...], dtype: int = TensorProto.FLOAT) -> Tensor:
        """Declares a model input; `dtype` is an ONNX ``TensorProto`` element type."""
        self._inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return Tensor(name, shape)

    def constant(self, name: str, value: np.ndarray) -> Tensor:
        """Adds an initializer, or returns the one that already has this name."""
        if name not in self._initializers:
            self._initializers[name] = numpy_helper.from_array(value, name)
        return Tensor(name, value.shape)

    def scalar(self, name: str, value: float) -> Tensor:
        """Adds a float32 scalar initializer."""
        return self.constant(name, np.array(value, dtype=np.float32))

    def normal(self, name: str, shape: tuple[int, ...], std: float, mean: float = 0.0) -> Tensor:
        """Adds a parameter drawn from N(mean, std^2)."""
        values = self._rng.standard_normal(shape, dtype=np.float32)
        return self.constant(name, values * np.float32(std) + np.float32(mean))

    def node(self, op: str, name: str, inputs: list[Tensor | None], shape: tuple[int, ...], **attributes) -> Tensor:
        """Adds a node with one output of the given shape; None stands for an optional input that is left out."""
        output = Tensor(f"{name}_output", shape)
        names = [tensor.name if tensor else "" for tensor in inputs]
        self._nodes.append(helper.make_node(op, names, [output.name], name=name, **attributes))
        return output

    # Convolutional layers

    def conv(
        self,
        name: str,
        x: Tensor,
        channels: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: int | None = None,
        groups: int = 1,
        bias: bool = False,
        activation: str | None = None,
        scale: float = 1.0,
    ) -> Tensor:
        """Convolution of a (1, C, H, W) tensor with square kernels.

        Args:
            name: Layer name.
            x: Input.
            channels: Output channels.
            kernel: Side of the kernel.
            stride: Step in both directions.
            padding: Zeros on each side; ``kernel // 2`` when None.
            groups: Channel groups; as many as input channels make it depthwise.
            bias: Whether a bias is added.
            activation: What follows; it only scales the weights (see `activate`).
            scale: Extra factor on the weights, for the last layer of a residual branch.
        """
        padding = kernel // 2 if padding is None else padding
        _, in_channels, height, width = x.shape
        weight_shape = (channels, in_channels // groups, kernel, kernel)
        std = scale * math.sqrt(_VARIANCE_GAIN[activation] / math.prod(weight_shape[1:]))
        inputs = [x, self.normal(f"{name}.weight", weight_shape, std)]
        if bias:
            inputs.append(self.normal(f"{name}.bias", (channels,), 0.1))
        out_height, out_width = ((side + 2 * padding - kernel) // stride + 1 for side in (height, width))
        return self.node(
            "Conv",
            name,
            inputs,
            (1, channels, out_height, out_width),
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[padding] * 4,
            group=groups,
            dilations=[1, 1],
        )

    def batch_norm(self, name: str, x: Tensor) -> Tensor:
        """Batch normalisation in inference form, with running statistics that differ from channel to channel."""
        channels = (x.shape[1],)
        scale = self.normal(f"{name}.weight", channels, 0.1, mean=1.0)
        shift = self.normal(f"{name}.bias", channels, 0.1)
        mean = self.normal(f"{name}.running_mean", channels, 0.1)
        variance = np.exp(0.2 * self._rng.standard_normal(channels, dtype=np.float32))
        inputs = [x, scale, shift, mean, self.constant(f"{name}.running_var", variance)]
        return self.node("BatchNormalization", name, inputs, x.shape, epsilon=1e-5)

    def conv_bn(self, name: str, x: Tensor, channels: int, kernel: int, *, activation: str | None, **conv) -> Tensor:
        """Convolution, batch normalisation and, unless it is None, an activation. `conv` goes to the convolution."""
        x = self.conv(name, x, channels, kernel, activation=activation, **conv)
        return self.activate(name, self.batch_norm(f"{name}.bn", x), activation)

    def activate(self, name: str, x: Tensor, activation: str | None) -> Tensor:
        """Applies ``relu``, ``relu6`` (a Clip), ``silu`` (x times its sigmoid) or, for None, nothing."""
        if activation is None:
            return x
        if activation == "relu":
            return self.node("Relu", f"{name}.relu", [x], x.shape)
        if activation == "relu6":
            bounds = [self.scalar("relu6.min", 0.0), self.scalar("relu6.max", 6.0)]
            return self.node("Clip", f"{name}.relu6", [x, *bounds], x.shape)
        if activation == "silu":
            return self.binary("Mul", f"{name}.silu", x, self.node("Sigmoid", f"{name}.sigmoid", [x], x.shape))
        raise ValueError(f"Layer {name}: activation {activation!r} is not one of relu, relu6, silu or None.")

    def max_pool(self, name: str, x: Tensor, kernel: int, stride: int, *, padding: int, ceil_mode: bool) -> Tensor:
        """Max pooling; with `ceil_mode` the last window may hang over the edge."""
        round_up = stride - 1 if ceil_mode else 0
        sides = tuple((side + 2 * padding - kernel + round_up) // stride + 1 for side in x.shape[2:])
        return self.node(
            "MaxPool",
            name,
            [x],
            x.shape[:2] + sides,
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[padding] * 4,
            ceil_mode=int(ceil_mode),
        )

    def global_average_pool(self, name: str, x: Tensor) -> Tensor:
        """Mean over height and width: (1, C, H, W) to (1, C), as GlobalAveragePool and Flatten."""
        pooled = self.node("GlobalAveragePool", name, [x], (*x.shape[:2], 1, 1))
        return self.node("Flatten", f"{name}.flatten", [pooled], x.shape[:2], axis=1)

    def spatial_mean(self, name: str, x: Tensor) -> Tensor:
        """Mean over height and width: (1, C, H, W) to (1, C), as ReduceMean (what ``x.mean([2, 3])`` exports to)."""
        return self.node("ReduceMean", name, [x], x.shape[:2], axes=[2, 3], keepdims=0)

    def resize(self, name: str, x: Tensor, height: int, width: int) -> Tensor:
        """Bilinear interpolation to (height, width), half-pixel centres."""
        shape = (*x.shape[:2], height, width)
        inputs = [x, None, None, self.constant(f"{name}.sizes", np.array(shape, dtype=np.int64))]
        return self.node("Resize", name, inputs, shape, mode="linear", coordinate_transformation_mode="half_pixel")

    # Dense layers

    def gemm(self, name: str, x: Tensor, features: int) -> Tensor:
        """Fully connected layer of a matrix: (M, K) to (M, features), weight stored (features, K)."""
        weight = self.normal(f"{name}.weight", (features, x.shape[-1]), 1 / math.sqrt(x.shape[-1]))
        bias = self.normal(f"{name}.bias", (features,), 0.1)
        return self.node("Gemm", name, [x, weight, bias], (x.shape[0], features), transB=1)

    def linear(self, name: str, x: Tensor, features: int, *, variance_gain: float = 1.0) -> Tensor:
        """Fully connected layer of a stack of matrices: (..., K) to (..., features), as MatMul and Add.

        Args:
            name: Layer name.
            x: Input.
            features: Output features.
            variance_gain: Factor on the variance of the weights, which is otherwise 1 / K.
        """
        std = math.sqrt(variance_gain / x.shape[-1])
        weight = self.normal(f"{name}.weight", (x.shape[-1], features), std)
        product = self.matmul(name, x, weight)
        return self.binary("Add", f"{name}.add", self.normal(f"{name}.bias", (features,), 0.1), product)

    def matmul(self, name: str, a: Tensor, b: Tensor) -> Tensor:
        """Matrix product (..., M, K) x (..., K, N); the leading axes are those of `a`."""
        return self.node("MatMul", name, [a, b], (*a.shape[:-1], b.shape[-1]))

    def layer_norm(self, name: str, x: Tensor, epsilon: float) -> Tensor:
        """Layer normalisation over the last axis."""
        features = x.shape[-1:]
        inputs = [x, self.normal(f"{name}.weight", features, 0.1, mean=1.0), self.normal(f"{name}.bias", features, 0.1)]
        return self.node("LayerNormalization", name, inputs, x.shape, axis=-1, epsilon=epsilon)

    def softmax(self, name: str, x: Tensor) -> Tensor:
        """Softmax over the last axis."""
        return self.node("Softmax", name, [x], x.shape, axis=-1)

    def embedding(self, name: str, indices: Tensor, rows: int, features: int) -> Tensor:
        """Looks up rows of a (rows, features) table, N(0, 0.02^2) as in BERT."""
        return self.gather(name, self.normal(f"{name}.weight", (rows, features), 0.02), indices, axis=0)

    # Shape and element-wise operators

    def binary(self, op: str, name: str, a: Tensor, b: Tensor) -> Tensor:
        """Element-wise Add, Sub, Mul or Div with broadcasting."""
        return self.node(op, name, [a, b], np.broadcast_shapes(a.shape, b.shape))

    def concat(self, name: str, tensors: list[Tensor], axis: int) -> Tensor:
        """Concatenates along `axis`."""
        shape = list(tensors[0].shape)
        shape[axis] = sum(tensor.shape[axis] for tensor in tensors)
        return self.node("Concat", name, tensors, tuple(shape), axis=axis)

    def split(self, name: str, x: Tensor, parts: int, axis: int) -> list[Tensor]:
        """Splits into `parts` equal pieces along `axis`."""
        piece = x.shape[axis] // parts
        sizes = self.constant(f"{name}.split", np.full(parts, piece, dtype=np.int64))
        shape = (*x.shape[:axis], piece, *x.shape[axis + 1 :])
        outputs = [Tensor(f"{name}_output_{index}", shape) for index in range(parts)]
        names = [output.name for output in outputs]
        self._nodes.append(helper.make_node("Split", [x.name, sizes.name], names, name=name, axis=axis))
        return outputs

    def unbind(self, name: str, x: Tensor) -> list[Tensor]:
        """Takes apart the first axis, as Split and Squeeze (what ``x.unbind(0)`` exports to)."""
        axes = self.constant(f"{name}.axes", np.array([0], dtype=np.int64))
        parts = self.split(name, x, x.shape[0], axis=0)
        return [self.node("Squeeze", f"{name}.{i}", [part, axes], x.shape[1:]) for i, part in enumerate(parts)]

    def gather(self, name: str, data: Tensor, indices: Tensor, axis: int) -> Tensor:
        """Takes `indices` along `axis`; a scalar index drops the axis."""
        shape = data.shape[:axis] + indices.shape + data.shape[axis + 1 :]
        return self.node("Gather", name, [data, indices], shape, axis=axis)

    def select(self, name: str, x: Tensor, index: int, axis: int) -> Tensor:
        """Takes one position along `axis` and drops the axis."""
        return self.gather(name, x, self.constant(f"index.{index}", np.array(index, dtype=np.int64)), axis)

    def reshape(self, name: str, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Reshapes to a static shape."""
        return self.node("Reshape", name, [x, self.constant(f"{name}.shape", np.array(shape, dtype=np.int64))], shape)

    def transpose(self, name: str, x: Tensor, permutation: tuple[int, ...]) -> Tensor:
        """Reorders the axes."""
        return self.node("Transpose", name, [x], tuple(x.shape[axis] for axis in permutation), perm=permutation)

    # The model

    def finish(self, outputs: dict[str, Tensor]) -> onnx.ModelProto:
        """Makes the model.

        Args:
            outputs: Name of each float32 model output, and the tensor that it is.

        Returns:
            The model, with the shape of every intermediate value as ONNX infers it.

        Raises:
            onnx.shape_inference.InferenceError: If a shape tracked here contradicts the one ONNX infers.
        """
        self._rename({tensor.name: name for name, tensor in outputs.items()})
        graph = helper.make_graph(
            self._nodes,
            self._metadata["name"],
            self._inputs,
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, tensor.shape) for name, tensor in outputs.items()],
            list(self._initializers.values()),
        )
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="ago-explorer")
        helper.set_model_props(model, self._metadata)
        return onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)

    def _rename(self, names: dict[str, str]) -> None:
        for node in self._nodes:
            node.input[:] = [names.get(name, name) for name in node.input]
            node.output[:] = [names.get(name, name) for name in node.output]
