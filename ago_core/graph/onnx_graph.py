"""A working copy of an ONNX graph that passes can rewrite, with the trail back to the model's own nodes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import numpy_helper

Shape = tuple[int, ...]


@dataclass
class OnnxGraph:
    """Nodes in topological order, constants as arrays, and for each node the original nodes it stands for.

    Attributes:
        name: the model's name.
        opset: version of the default operator set.
        nodes: every node has a unique, non-empty name.
        constants: value name → array.
        inputs: names of the model's inputs, constants left out.
        outputs: names of the model's outputs.
        shapes: value name → (shape, ONNX element type) where it is known statically.
        origin: node name → names of the nodes of the model it came from, in the model's order.
    """

    name: str
    opset: int
    nodes: list[onnx.NodeProto]
    constants: dict[str, np.ndarray]
    inputs: list[str]
    outputs: list[str]
    shapes: dict[str, tuple[Shape, int]]
    origin: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, model: onnx.ModelProto) -> OnnxGraph:
        """Takes a model whose dimensions are static and whose weights are loaded. The model is not changed."""
        constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        graph = cls(
            name=model.graph.name,
            opset=default_opset(model),
            nodes=_named(model.graph.node),
            constants=constants,
            inputs=[value.name for value in model.graph.input if value.name not in constants],
            outputs=[value.name for value in model.graph.output],
            shapes=_static_shapes(model),
        )
        graph.origin = {node.name: (node.name,) for node in graph.nodes}
        return graph

    def producers(self) -> dict[str, onnx.NodeProto]:
        return {output: node for node in self.nodes for output in node.output if output}

    def uses(self) -> Counter[str]:
        """How often each value is read; a model output counts as a read."""
        reads = Counter(name for node in self.nodes for name in node.input if name)
        reads.update(self.outputs)
        return reads

    def rank(self, value: str) -> int | None:
        known = self.shapes.get(value)
        return None if known is None else len(known[0])


def default_opset(model: onnx.ModelProto) -> int:
    return max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=1)


def attributes(node: onnx.NodeProto) -> dict:
    """The node's attributes as Python values."""
    return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}


def is_default(node: onnx.NodeProto) -> bool:
    """Whether the node's operator is ONNX's own; other domains may mean something else by the same name."""
    return node.domain in ("", "ai.onnx")


def is_training(graph: OnnxGraph, node: onnx.NodeProto) -> bool:
    """Whether the node asks for training: a Dropout that drops, a BatchNormalization that takes statistics."""
    if node.op_type == "BatchNormalization":
        return bool(attributes(node).get("training_mode", 0))
    flag = node.input[2] if node.op_type == "Dropout" and len(node.input) > 2 else ""
    return bool(flag) and bool(np.any(graph.constants.get(flag, True)))


def _named(nodes) -> list[onnx.NodeProto]:
    """Copies with unique names: a node without one is called after its operator and place, such as Relu_17."""
    copies, taken = [], set()
    for index, node in enumerate(nodes):
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        if not copy.name or copy.name in taken:
            copy.name = f"{copy.name or copy.op_type}_{index}"
        taken.add(copy.name)
        copies.append(copy)
    return copies


def _static_shapes(model: onnx.ModelProto) -> dict[str, tuple[Shape, int]]:
    shapes = {}
    for value in (*model.graph.input, *model.graph.value_info, *model.graph.output):
        kind = value.type.tensor_type
        dims = kind.shape.dim
        if kind.HasField("shape") and all(dim.HasField("dim_value") for dim in dims):
            shapes[value.name] = (tuple(dim.dim_value for dim in dims), kind.elem_type)
    return shapes
