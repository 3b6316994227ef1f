"""One operator as an ONNX model of a single node, in the layout that ONNX Runtime likes best.

Images are NHWC in our code and NCHW in ONNX. Weights become initialisers, so that ONNX Runtime may pack them when it
loads the model. For convolutions and pooling it has two ways, and which is faster depends on the shape:

* `nchw`: im2col and matrix products, images as they are;
* `nchwc`: blocks of channels innermost. ONNX Runtime reorders the images before and after (`nchwc with reorders`), but
  inside a network most reorders cancel, so the node is timed without them too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import NodeProto, helper, numpy_helper

from ago_core.artifacts.reference import session_options
from ago_core.graph.opgraph import Operator

OPSET = 17
IR_VERSION = 8
ELEMENTWISE = {
    "add": "Add",
    "multiply": "Mul",
    "divide": "Div",
    "relu": "Relu",
    "clip": "Clip",
    "sigmoid": "Sigmoid",
    "erf": "Erf",
    "tanh": "Tanh",
}
CONVOLUTIONS = ("pointwise_conv2d", "conv2d", "depthwise_conv2d")


@dataclass(frozen=True)
class Argument:
    """What an operator reads: its value, and whether it is a constant of the network."""

    value: np.ndarray
    constant: bool


@dataclass(frozen=True, eq=False)
class OnnxOperator:
    """A model of one node, or of a few in a row, and its data.

    Attributes:
        model: the inputs are those of `inputs`.
        inputs: arrays by name.
        images: whether its results are images NCHW where ours are NHWC.
    """

    model: onnx.ModelProto
    inputs: dict[str, np.ndarray]
    images: bool

    def ours(self, outputs: list[np.ndarray]) -> list[np.ndarray]:
        """The model's outputs in our layout."""
        return [output.transpose(0, 2, 3, 1) if self.images else output for output in outputs]


def onnx_operator(
    op: Operator, arguments: list[Argument], scalars: list[float], nodes: dict[str, NodeProto]
) -> OnnxOperator:
    """The operator as a model of one node.

    Args:
        op: of a legalised network, images NHWC and convolution weights HWIO.
        arguments: what it reads, in the order of its call.
        scalars: constants in its code, such as the limits of a clip.
        nodes: the ONNX network's nodes by name, for strides and the like.

    Raises:
        ValueError: it is of a kind that the sample networks do not have.
    """
    origin = [nodes[name] for name in op.origin if name in nodes]
    if op.kind in CONVOLUTIONS:
        return _image_model(_like(origin, "Conv"), arguments)
    if op.kind == "max_pool2d":
        return _image_model(_like(origin, "MaxPool"), arguments)
    if op.kind == "mean" and len(op.outputs[0].shape) == 4:
        return _image_model(helper.make_node("GlobalAveragePool", [], []), arguments)
    if op.kind == "resize":
        sizes = np.array([op.outputs[0].shape[axis] for axis in (0, 3, 1, 2)], np.int64)
        return _image_model(_like(origin, "Resize"), [arguments[0]], ("", "", sizes))
    if op.kind in ELEMENTWISE:
        extra = tuple(np.float32(scalar) for scalar in scalars)
        build = _image_model if any(_is_bias(argument) for argument in arguments) else _model
        return build(helper.make_node(ELEMENTWISE[op.kind], [], []), arguments, extra)
    if op.kind in OTHERS:
        node, given = OTHERS[op.kind](op, arguments)
        return _model(node, given, outputs=len(op.outputs))
    raise ValueError(f"{op.name}: there is no ONNX node for a {op.kind} here")


def _concat(op: Operator, arguments: list[Argument]) -> tuple[NodeProto, list[Argument]]:
    return helper.make_node("Concat", [], [], axis=_changed_axis(op.inputs[0].shape, op.outputs[0].shape)), arguments


def _split(op: Operator, arguments: list[Argument]) -> tuple[NodeProto, list[Argument]]:
    axis = _changed_axis(op.inputs[0].shape, op.outputs[0].shape)
    sizes = np.array([output.shape[axis] for output in op.outputs], np.int64)
    return helper.make_node("Split", [], [], axis=axis), [*arguments, Argument(sizes, True)]


def _transpose(op: Operator, arguments: list[Argument]) -> tuple[NodeProto, list[Argument]]:
    """The loops index the result; the access says which of them index each axis of the input."""
    axis_of = {terms[0].loop: axis for axis, terms in enumerate(op.access[0]) if terms}
    return helper.make_node("Transpose", [], [], perm=[axis_of[loop.name] for loop in op.loops]), arguments


def _fixed(kind: str, **attributes) -> Callable[[Operator, list[Argument]], tuple[NodeProto, list[Argument]]]:
    return lambda op, arguments: (helper.make_node(kind, [], [], **attributes), arguments)


OTHERS = {
    "matmul": _fixed("MatMul"),
    "softmax": _fixed("Softmax", axis=-1),
    "layer_norm": _fixed("LayerNormalization", axis=-1),
    "take": lambda op, arguments: (helper.make_node("Gather", [], []), sorted(arguments, key=lambda a: not a.constant)),
    "concatenate": _concat,
    "split": _split,
    "transpose": _transpose,
}


def _changed_axis(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    return next(axis for axis, (m, n) in enumerate(zip(a, b)) if m != n)


def _like(origin: list[NodeProto], kind: str) -> NodeProto:
    """A node with the attributes of the first one of that kind."""
    found = next(node for node in origin if node.op_type == kind)
    node = helper.make_node(kind, [], [])
    node.attribute.extend(found.attribute)
    return node


def _is_bias(argument: Argument) -> bool:
    """One value a channel of an image: 1 × 1 × 1 × C."""
    return argument.constant and argument.value.ndim == 4 and argument.value.shape[:3] == (1, 1, 1)


def _image_model(node: NodeProto, arguments: list[Argument], extra: tuple = ()) -> OnnxOperator:
    """Images and biases to NCHW, a convolution's weights to OIHW."""
    axes = (3, 2, 0, 1) if node.op_type == "Conv" else (0, 3, 1, 2)
    given = [Argument(a.value.transpose(axes if a.constant else (0, 3, 1, 2)), a.constant) for a in arguments]
    return _model(node, given, extra, images=True)


def _model(
    node: NodeProto, arguments: list[Argument], extra: tuple = (), outputs: int = 1, images: bool = False
) -> OnnxOperator:
    """A model of this node on these arguments, then on constants; "" leaves an optional input out."""
    inputs: dict[str, np.ndarray] = {}
    initialisers: dict[str, np.ndarray] = {}
    for position, argument in enumerate(arguments):
        kept = initialisers if argument.constant else inputs
        kept[f"x{position}"] = np.ascontiguousarray(argument.value)
    node.input.extend(f"x{position}" for position in range(len(arguments)))
    for position, value in enumerate(extra):
        node.input.append(value if isinstance(value, str) else f"c{position}")
        if not isinstance(value, str):
            initialisers[f"c{position}"] = np.asarray(value)
    node.output.extend(f"y{position}" for position in range(outputs))
    kinds = {name: helper.np_dtype_to_tensor_dtype(array.dtype) for name, array in inputs.items()}
    graph = helper.make_graph(
        [node],
        "operator",
        [helper.make_tensor_value_info(name, kinds[name], array.shape) for name, array in inputs.items()],
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in node.output],
        [numpy_helper.from_array(array, name) for name, array in initialisers.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return OnnxOperator(model, inputs, images)


class BoundSession:
    """A model in ONNX Runtime whose inputs and outputs stay where they are, so that a run copies nothing.

    Args:
        model: what to run.
        inputs: arrays by name.
        threads: of one operator.
        level: which graph optimisations ONNX Runtime makes.
        save: where it writes the model that it made of it.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        inputs: dict[str, np.ndarray],
        threads: int,
        level=onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
        save: Path | None = None,
    ):
        options = session_options(threads)
        options.graph_optimization_level = level
        if save is not None:
            options.optimized_model_filepath = str(save)
        self._session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        self._binding = self._session.io_binding()
        for name, array in inputs.items():
            self._binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
        self._outputs = [onnxruntime.OrtValue.ortvalue_from_numpy(output) for output in self._session.run(None, inputs)]
        for meta, output in zip(self._session.get_outputs(), self._outputs):
            self._binding.bind_ortvalue_output(meta.name, output)

    def run(self) -> None:
        self._session.run_with_iobinding(self._binding)

    def outputs(self) -> list[np.ndarray]:
        """Copies of the last run's results."""
        return [output.numpy().copy() for output in self._outputs]


def identity_session(threads: int) -> BoundSession:
    """A model that copies one number: its run is nothing but the overhead of a call."""
    return BoundSession(
        _model(helper.make_node("Identity", [], []), [Argument(np.zeros(1, np.float32), False)]).model,
        {"x0": np.zeros(1, np.float32)},
        threads,
    )


def sessions(operator: OnnxOperator, threads: int) -> dict[str, BoundSession]:
    """The ways in which ONNX Runtime can compute it, by name: `nchw`, and for images two more (see the module).

    Several nodes are timed without reorders only if ONNX Runtime needs none between them.
    """
    levels = onnxruntime.GraphOptimizationLevel
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "optimised.onnx"
        whole = BoundSession(operator.model, operator.inputs, threads, levels.ORT_ENABLE_ALL, path)
        optimised = onnx.load(path)
    blocked = [node for node in optimised.graph.node if "nchwc" in node.domain]
    if not blocked:
        return {"nchw": whole}
    plain = BoundSession(operator.model, operator.inputs, threads, levels.ORT_ENABLE_EXTENDED)
    found = {"nchw": plain, "nchwc with reorders": whole}
    inner = [node for node in optimised.graph.node if node.op_type not in ("ReorderInput", "ReorderOutput")]
    between = any(node not in inner for node in list(optimised.graph.node)[1:-1])
    if not between and all(node.domain for node in inner):
        found["nchwc"] = _without_reorders(optimised, operator.inputs, threads)
    return found


def _without_reorders(optimised: onnx.ModelProto, inputs: dict[str, np.ndarray], threads: int) -> BoundSession:
    """The blocked nodes alone, on images that ONNX Runtime reordered beforehand."""
    levels = onnxruntime.GraphOptimizationLevel
    before = [node for node in optimised.graph.node if node.op_type == "ReorderInput"]
    middle = [node for node in optimised.graph.node if not node.op_type.startswith("Reorder")]
    if before:
        reordered = _part(optimised, before, {before[0].input[0]: inputs[before[0].input[0]]})
        session = BoundSession(reordered, inputs, threads, levels.ORT_DISABLE_ALL)
        inputs = {before[0].output[0]: session.outputs()[0]}
    return BoundSession(_part(optimised, middle, inputs), inputs, threads, levels.ORT_DISABLE_ALL)


def _part(model: onnx.ModelProto, nodes: list[NodeProto], inputs: dict[str, np.ndarray]) -> onnx.ModelProto:
    """A model of some nodes of another one."""
    read = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "part",
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, array.shape) for name, array in inputs.items()],
        [helper.make_tensor_value_info(nodes[-1].output[0], onnx.TensorProto.FLOAT, None)],
        [initialiser for initialiser in model.graph.initializer if initialiser.name in read],
    )
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=IR_VERSION)
