"""Small ONNX models built in a line or two, and the way from one of them to compared outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from ago_core.artifacts.reference import Reference, random_inputs, relative_error
from ago_core.devices.cores import physical_cores
from ago_core.devices.local import host_target
from ago_core.graph.model import Model, import_source
from ago_core.graph.source import open_source
from ago_core.lowering.executable import compile_model
from ago_core.lowering.run import Runner
from tests.networks import METHODS, partition_by

TOLERANCE = 1e-4


def node(operator: str, inputs: str, outputs: str, **attributes) -> onnx.NodeProto:
    """Inputs and outputs separated by spaces; "-" is one left out."""
    names = [["" if name == "-" else name for name in text.split()] for text in (inputs, outputs)]
    return helper.make_node(operator, *names, **attributes)


def floats(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def ints(*values) -> np.ndarray:
    return np.array(values, np.int64)


def make(
    nodes: list[onnx.NodeProto] | onnx.NodeProto,
    inputs: dict[str, tuple],
    constants: dict[str, np.ndarray] | None = None,
    outputs: str = "y",
    opset: int = 18,
    dtype=np.float32,
) -> onnx.ModelProto:
    """A model; an input is a shape, or a shape and an element type."""
    nodes = nodes if isinstance(nodes, list) else [nodes]
    given = []
    for name, spec in inputs.items():
        shape, kind = spec if spec and isinstance(spec[0], tuple) else (spec, dtype)
        given.append(
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(kind)), shape),
        )
    results = [onnx.ValueInfoProto(name=name) for name in outputs.split()]
    weights = [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()]
    graph = helper.make_graph(nodes, "small", given, results, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    return typed(model)


def typed(model: onnx.ModelProto) -> onnx.ModelProto:
    """Gives outputs without a type the type that ONNX infers, which ONNX Runtime asks for."""
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    kinds = {value.name: value for value in (*inferred.graph.value_info, *inferred.graph.output, *model.graph.input)}
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for value in model.graph.output:
        if value.name in constants:
            tensor = constants[value.name]
            value.CopyFrom(helper.make_tensor_value_info(value.name, tensor.data_type, tensor.dims))
        else:
            value.CopyFrom(kinds[value.name])
    return model


def load(model: onnx.ModelProto, folder: Path) -> Model:
    path = folder / "small.onnx"
    path.write_bytes(model.SerializeToString())
    return import_source(open_source(path))


def outputs(model: Model, inputs: dict) -> dict[str, list[np.ndarray]]:
    """What the compiled model gives, for each partition method."""
    target = host_target()
    return {
        method: Runner(compile_model(model, partition_by(model, method), target), inputs, physical_cores()).outputs()
        for method in METHODS
    }


def errors(model: Model, inputs: dict | None = None, expected: list[np.ndarray] | None = None) -> dict[str, float]:
    """Relative error against ONNX Runtime, the worst over the outputs, for each partition method.

    Raises AssertionError where an output has another shape or element type.
    """
    inputs = random_inputs(model.onnx) if inputs is None else inputs
    expected = Reference(model.onnx, threads=1).outputs(inputs) if expected is None else expected
    found = {}
    for method, got in outputs(model, inputs).items():
        assert [(g.shape, g.dtype) for g in got] == [(e.shape, e.dtype) for e in expected]
        found[method] = max(map(relative_error, got, expected))
    return found
