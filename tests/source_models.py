"""Tiny ONNX files that open, and the sentence with which others are refused."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ago_core.errors import UserError
from ago_core.graph.source import open_source

LIGHT = sorted((Path(onnx.__file__).parent / "backend/test/data/light").glob("*.onnx"))
FLOAT = TensorProto.FLOAT


def tensor(name, shape, kind=FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def weights(name, shape):
    return numpy_helper.from_array(np.arange(np.prod(shape), dtype=np.float32).reshape(shape), name)


def make(nodes, inputs, outputs=("y",), initializers=(), opset=17, ir_version=8, **rest):
    outputs = [tensor(name, None) if isinstance(name, str) else name for name in outputs]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, list(initializers), **rest)
    domains = {node.domain for node in nodes} - {""}
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in sorted(domains))]
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)


def node(operator, inputs, outputs, **attributes):
    return helper.make_node(operator, inputs.split(), outputs.split(), **attributes)


def dense(batch="batch", **rest):
    """A matrix product with a bias and a ReLU on [batch, 3]."""
    nodes = [node("MatMul", "x w", "h"), node("Add", "h b", "s", name="bias"), node("Relu", "s", "y")]
    return make(nodes, [tensor("x", [batch, 3])], initializers=[weights("w", (3, 4)), weights("b", (4,))], **rest)


def refusal_of(spec, dims=None):
    with pytest.raises(UserError) as caught:
        open_source(spec, dims)
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence.endswith(".") and len(sentence) < 700
    return sentence


def shapes_of(model):
    values = (*model.graph.input, *model.graph.value_info, *model.graph.output)
    return {value.name: tuple(d.dim_value for d in value.type.tensor_type.shape.dim) for value in values}


def weight_names(model):
    return {value.name for value in model.graph.initializer}
