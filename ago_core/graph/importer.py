"""ONNX → Relax, with images kept as NHWC from the start.

TVM's own route (import as NCHW, then ConvertLayout) leaves transposes wherever a converter emits `call_tir` early or an
operator has no layout rule, and fails on some models (variadic Sum). Here the layout is part of the import: every
tensor is a `Value`, an expression seen through a `View`, and the few operators that care about layout have rules of
their own (`ago_core/graph/rules.py`). All others go through TVM's converters (tvm.relax.frontend.onnx) on tensors in
ONNX's layout.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

import numpy as np
import onnx
import tvm
from tvm import relax
from tvm.relax.frontend.onnx import onnx_frontend

from ago_core.errors import UserError
from ago_core.graph.onnx_graph import OnnxGraph, attributes, is_default
from ago_core.graph.refusals import element_type, refusal
from ago_core.graph.views import Shape, View

NHWC: Shape = (0, 2, 3, 1)


@dataclass(frozen=True)
class Value:
    """A tensor of the model.

    Attributes:
        data: what is in memory: a Relax variable, or an array for a constant.
        view: how the model sees it.
        trail: origins of the reshapes and transposes that the view stands for.
    """

    data: relax.Expr | np.ndarray
    view: View
    trail: tuple[str, ...] = ()

    @property
    def shape(self) -> Shape:
        return self.view.shape

    @property
    def is_constant(self) -> bool:
        return isinstance(self.data, np.ndarray)

    @property
    def dtype(self) -> str:
        return str(self.data.dtype if self.is_constant else self.data.ty.dtype)

    @classmethod
    def constant(cls, array: np.ndarray) -> Value:
        return cls(array, View.of(array.shape))


class Importer:
    """Builds the Relax function; rules call its methods.

    Attributes:
        graph: the simplified ONNX graph.
        builder: where bindings are emitted.
        values: ONNX value name → what it is here.
        origin: name of a binding → ONNX nodes it came from; empty for what the import added.
    """

    def __init__(self, graph: OnnxGraph):
        self.graph = graph
        self.builder = relax.BlockBuilder()
        self.values: dict[str, Value] = {name: Value.constant(array) for name, array in graph.constants.items()}
        self.origin: dict[str, tuple[str, ...]] = {}
        self._converters = onnx_frontend._get_convert_map()
        self._read = graph.uses()
        self._node_origin: tuple[str, ...] = ()
        self._in_memory: dict[tuple[str, View], relax.Expr] = {}

    def run(self):
        """The Relax module, one dataflow block in `main`, its parameters the model's inputs."""
        for name, array in self.graph.constants.items():
            _check_element_type(name, array.dtype)
        parameters = [self._parameter(name) for name in self.graph.inputs]
        with self.builder.function("main", params=parameters):
            with self.builder.dataflow():
                for node in self.graph.nodes:
                    self._convert(node)
                results = [self.logical(self.values[name]) for name in self.graph.outputs]
                output = self.builder.emit_output(results[0] if len(results) == 1 else relax.Tuple(results))
                self.origin[output.name] = self.origin.get(getattr(results[0], "name", ""), ())
            self.builder.emit_func_output(output)
        return self.builder.get()

    def emit(self, expr: relax.Expr, origin: tuple[str, ...] | None = None) -> relax.Var:
        """Binds an expression, as a step of the node being converted unless another origin is given."""
        if isinstance(expr, relax.Var):
            return expr
        name = f"b{len(self.origin)}"
        self.origin[name] = self._node_origin if origin is None else origin
        return self.builder.emit(expr, name_hint=name)

    def result(self, expr: relax.Expr, stored: Shape | None = None) -> Value:
        """The value of a freshly computed tensor. `stored`: its memory is the ONNX tensor transposed by these axes."""
        var = self.emit(expr)
        view = View.of(static_shape(var))
        return Value(var, view if stored is None else view.transpose(inverse(stored)))

    def logical(self, value: Value) -> relax.Expr:
        """The tensor in ONNX's axis order."""
        return self.stored(value, tuple(range(len(value.shape))))

    def stored(self, value: Value, axes: Shape) -> relax.Expr:
        """The tensor in memory, transposed by `axes` against ONNX's order: (0, 2, 3, 1) asks for NHWC."""
        view = value.view.transpose(axes)
        if value.is_constant:
            return constant(_execute(view, value.data))
        key = (value.data.name, view)
        if key not in self._in_memory:
            self._in_memory[key] = self._realise(value.data, view, value.trail)
        return self._in_memory[key]

    def reshape(self, value: Value, shape: Shape) -> Value:
        """The value under another shape: another view, or a new start from memory where a view cannot express it."""
        view = value.view.reshape(shape)
        if view is None:
            view = View.of(value.shape).reshape(shape)
            value = replace(value, data=self.array(value) if value.is_constant else self.logical(value))
        return replace(value, view=view, trail=value.trail + self._node_origin)

    def transpose(self, value: Value, axes: Shape) -> Value:
        return replace(value, view=value.view.transpose(axes), trail=value.trail + self._node_origin)

    def array(self, value: Value | None) -> np.ndarray | None:
        """A constant's content as the model sees it; None for anything else."""
        return _execute(value.view, value.data) if value is not None and value.is_constant else None

    def tvm_converter(self, node: onnx.NodeProto, inputs: list[relax.Expr | None], changed: dict | None = None):
        """What TVM's converter makes of the node, given the inputs; `changed` attributes replace the node's own."""
        parser = onnx_frontend.ONNXGraphImporter._parse_attr
        attrs = parser(None, node.attribute) | (changed or {})
        attrs["tvm_custom"] = {"name": node.name, "num_outputs": len(node.output)}
        if node.op_type not in self._converters:
            raise ValueError("TVM has no converter for it")
        convert = self._converters[node.op_type].get_converter(self.graph.opset)
        expr = convert(self.builder, onnx_frontend.onnx_input(inputs), attrs, [{}, {}])
        return self.builder.normalize(expr) if isinstance(expr, relax.Expr) else expr

    def _parameter(self, name: str) -> relax.Var:
        if name not in self.graph.shapes:
            raise UserError(f"The model's input {name!r} has no static shape.")
        shape, kind = self.graph.shapes[name]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind)
        _check_element_type(name, dtype)
        var = relax.Var(identifier(name, self.graph.inputs.index(name)), relax.TensorType(shape, str(dtype)))
        self.values[name] = Value(var, View.of(shape))
        return var

    def _convert(self, node: onnx.NodeProto) -> None:
        from ago_core.graph.rules import OWN_LAYOUT, RULES  # the rules import this module

        self._node_origin = self.graph.origin[node.name]
        inputs = [self.values[name] if name else None for name in node.input]
        rule = RULES.get(node.op_type) if is_default(node) else None
        reason = refusal(self.graph, node) if is_default(node) else None
        if reason:
            raise _cannot(node, reason)
        try:
            outputs = rule(self, node, inputs, attributes(node)) if rule else None
            if outputs is None:
                outputs = self._by_tvm(node, inputs)
            self._check_outputs(node, outputs)
        except UserError:
            raise
        except Exception as error:
            raise _cannot(node, _reason(error)) from error
        if node.op_type not in OWN_LAYOUT:
            outputs = [_inheriting(value, inputs) for value in outputs]
        self.values.update(zip(node.output, outputs))

    def _check_outputs(self, node: onnx.NodeProto, outputs: list[Value]) -> None:
        """What others read of the node must be there, and have the shape and type that ONNX infers."""
        for index, name in enumerate(node.output):
            if not name or not self._read[name]:
                continue
            if index >= len(outputs):
                raise _cannot(node, f"its output number {index + 1} is not supported")
            shape, kind = self.graph.shapes.get(name, (None, None))
            if shape is None or not is_default(node):
                _check_element_type(name, outputs[index].dtype)
                continue
            dtype = onnx.helper.tensor_dtype_to_np_dtype(kind)
            _check_element_type(name, dtype)
            if (outputs[index].shape, outputs[index].dtype) != (shape, str(dtype)):
                made = f"{outputs[index].dtype} {list(outputs[index].shape)}"
                raise _cannot(node, f"TVM makes {name!r} {made}, and by ONNX it is {dtype} {list(shape)}")

    def _by_tvm(self, node: onnx.NodeProto, inputs: list[Value | None]) -> list[Value]:
        expr = self.tvm_converter(node, [None if value is None else self.logical(value) for value in inputs])
        if isinstance(expr, relax.Tuple):
            return [self.result(field) for field in expr.fields]
        if isinstance(expr.ty, relax.TupleType):
            whole = self.emit(expr)
            return [self.result(relax.TupleGetItem(whole, k)) for k in range(len(expr.ty.fields))]
        if not isinstance(expr.ty, relax.TensorType):
            raise ValueError("its result is not a tensor, and only tensors are supported")
        return [self.result(expr)]

    def _realise(self, expr: relax.Expr, view: View, origin: tuple[str, ...]) -> relax.Expr:
        """The view's tensor in memory: nothing, one reshape, one transpose, or a transpose between two reshapes."""
        if view.steps() is None:
            return self._reshape(expr, view.shape, origin)
        axes = view.permutation()
        if axes is not None:
            return self.emit(relax.op.permute_dims(expr, list(axes)), origin)
        split, order, shape = view.steps()
        split_expr = self._reshape(expr, split, origin)
        return self._reshape(self.emit(relax.op.permute_dims(split_expr, list(order)), origin), shape, origin)

    def _reshape(self, expr: relax.Expr, shape: Shape, origin: tuple[str, ...]) -> relax.Expr:
        return expr if static_shape(expr) == tuple(shape) else self.emit(relax.op.reshape(expr, shape), origin)


def import_onnx(graph: OnnxGraph):
    """Converts a simplified graph.

    Returns:
        (module, origin): `main` holds one dataflow block; `origin` maps the names of bindings to ONNX node names. A
        binding without an entry was emitted on the way to the next one that has one.

    Raises:
        UserError: an operator is not supported in the form it has, or a shape is not static.
    """
    importer = Importer(graph)
    module = importer.run()
    with tvm.target.Target("llvm"):  # sorts and scans have no legalisation: this pass stands in for it
        return relax.backend.DispatchSortScan()(module), importer.origin


def common_storage(inputs: list[Value]) -> Shape:
    """The axis order in which most of the inputs' elements lie already, for tensors of the highest rank.

    Scattered axes stay so only in images that lie as NHWC (a channel shuffle); elsewhere ONNX's order is used.
    """
    rank = max(len(value.shape) for value in inputs)
    votes: dict[Shape, int] = {}
    for value in inputs:
        if len(value.shape) == rank and not value.is_constant:
            order = value.view.storage()
            if value.view.permutation() is None and order != NHWC:
                order = tuple(range(rank))
            votes[order] = votes.get(order, 0) + math.prod(value.shape)
    return max(votes, key=votes.get) if votes else tuple(range(rank))


def _cannot(node: onnx.NodeProto, reason: str) -> UserError:
    return UserError(f"The operator {node.op_type} at node {node.name!r} cannot be imported: {reason}.")


def _check_element_type(name: str, dtype) -> None:
    sentence = element_type(name, dtype)
    if sentence:
        raise UserError(sentence)


def _reason(error: Exception) -> str:
    """The error's message on one line; TVM prints expressions in it over many, with remarks."""
    lines = [line.strip() for line in str(error).splitlines()]
    text = " ".join(line for line in lines if line and not line.startswith("#"))
    return text[:300].rstrip(". ") or type(error).__name__


def _inheriting(value: Value, inputs: list[Value | None]) -> Value:
    """A result that waits for a transpose though its operator has no layout of its own: the trail is its inputs'."""
    if value.trail or value.view.steps() is None:
        return value
    trail = (name for source in inputs if source is not None for name in source.trail)
    return replace(value, trail=tuple(dict.fromkeys(trail)))


def constant(array: np.ndarray) -> relax.Expr:
    """The array with its own element type, which `relax.const` alone would narrow from 64 to 32 bits."""
    return relax.const(np.ascontiguousarray(array).reshape(array.shape), str(array.dtype))


def static_shape(expr: relax.Expr) -> Shape:
    """Raises ValueError where a dimension is only known at run time."""
    shape = expr.ty.shape
    values = getattr(shape, "values", None)
    if values is None or not all(hasattr(dim, "value") for dim in values):
        raise ValueError("its shape is only known at run time, and only static shapes are supported")
    return tuple(int(dim) for dim in values)


def inverse(axes: Shape) -> Shape:
    return tuple(int(axis) for axis in np.argsort(axes))


def identifier(name: str, index: int) -> str:
    """The name as a Relax identifier; `index` keeps two that collapse to the same text apart."""
    cleaned = re.sub(r"\W", "_", name)
    return cleaned if re.fullmatch(r"[A-Za-z_]\w*", name) else f"input{index}_{cleaned}"


def _execute(view: View, array: np.ndarray) -> np.ndarray:
    steps = view.steps()
    if steps is not None:
        split, order, _ = steps
        array = array.reshape(split).transpose(order)
    return array.reshape(view.shape)
