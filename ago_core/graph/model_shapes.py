"""Dimensions of an ONNX model: symbols bound to numbers, then shapes inferred for every value.

Shapes are inferred on a copy without the large weights: ONNX's inference, in C++, is given a serialised model and
returns another, which would copy the weights four times.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping

import onnx

from ago_core.errors import UserError
from ago_core.graph.model_checks import DEFAULT_DOMAINS, first_line, listed, model_inputs, quoted

LARGEST_DIMENSION = 2**31 - 1
_SMALL = 1024  # elements; shapes, axes, slices and scales are this small, and inference reads no other constants
_LONGEST_VECTOR = 2**20  # elements that data propagation may follow: it takes 140 bytes for each


def open_dimensions(model: onnx.ModelProto) -> Iterator[tuple[str, str, onnx.TensorShapeProto.Dimension]]:
    """(symbol, where, dimension) of each input dimension without a size; one without a name is called input.axis."""
    for value in model_inputs(model):
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            if dim.dim_value < 1:
                yield dim.dim_param or f"{value.name}.{axis}", f"input {quoted(value.name)[1:-1]}, axis {axis}", dim


def symbols(model: onnx.ModelProto) -> dict[str, list[str]]:
    """Symbol → the places of the inputs where it is used, in the model's order."""
    places: dict[str, list[str]] = {}
    for symbol, where, _ in open_dimensions(model):
        places.setdefault(symbol, []).append(where)
    return places


def bind(model: onnx.ModelProto, dims: Mapping[str, int]) -> None:
    """Puts numbers in the place of symbols, in place.

    Raises:
        UserError: a symbol without a number, a number below 1 or above 2³¹ − 1, or one for a symbol that is not there.
    """
    places = symbols(model)
    _check_dims(places, dims)
    for symbol, _, dim in list(open_dimensions(model)):
        dim.dim_value = dims[symbol]
    for value in (*model.graph.value_info, *model.graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in dims:
                dim.dim_value = dims[dim.dim_param]


def _check_dims(places: dict[str, list[str]], dims: Mapping[str, int]) -> None:
    unknown = [symbol for symbol in dims if symbol not in places]
    if unknown:
        has = f"its symbolic dimensions are {listed(map(quoted, places))}" if places else "all its sizes are fixed"
        raise UserError(f"The model has no symbolic dimension {listed(map(quoted, unknown))}; {has}.")
    for symbol, value in dims.items():
        if not isinstance(value, int) or not 1 <= value <= LARGEST_DIMENSION:
            raise UserError(
                f"The dimension {quoted(symbol)} cannot be {value}; give a whole number from 1 to {LARGEST_DIMENSION}."
            )
    missing = [symbol for symbol in places if symbol not in dims]
    if missing:
        named = listed(f"{quoted(symbol)} ({listed(places[symbol])})" for symbol in missing)
        given = " ".join(f"--dim {symbol}=1" for symbol in missing[:3])
        raise UserError(
            f"The model's input sizes are open in {named}; give each a number, with {given} on the command line or in "
            "its field in the browser."
        )


def infer_shapes(model: onnx.ModelProto, limit: int) -> None:
    """Replaces the shapes in `value_info` and `output` by inferred ones, in place.

    Declared shapes are kept only for operators outside the default domain, which ONNX cannot infer: exporters leave
    declared shapes behind that do not hold for other input sizes.

    Args:
        model: without symbolic input dimensions.
        limit: bytes that one tensor may take.

    Raises:
        UserError: the shapes contradict each other, or a tensor is over the limit.
    """
    skeleton = _skeleton(model)
    declared = _infer(skeleton, data_prop=False)
    _check_sizes(declared, limit)
    long = any(len(shape) == 1 and shape[0] > _LONGEST_VECTOR for _, shape, _ in _shapes(declared))
    inferred = _infer(skeleton, data_prop=not long)
    _check_sizes(inferred, limit)
    known = {name for name, _, _ in _shapes(inferred)}
    if any(name and name not in known for node in model.graph.node for name in node.output):
        _refuse_contradiction(skeleton)
    for field in ("value_info", "output"):
        model.graph.ClearField(field)
        getattr(model.graph, field).extend(getattr(inferred.graph, field))


def _skeleton(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its large initializers as inputs, and without the shapes that inference finds by itself."""
    skeleton = onnx.ModelProto(ir_version=onnx.IR_VERSION, opset_import=model.opset_import)
    graph = skeleton.graph
    graph.name = "skeleton"
    graph.node.extend(model.graph.node)
    graph.input.extend(model_inputs(model))
    for tensor in model.graph.initializer:
        if math.prod(tensor.dims) <= _SMALL:
            graph.initializer.append(tensor)
        else:
            graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    foreign = {name for node in model.graph.node if node.domain not in DEFAULT_DOMAINS for name in node.output}
    graph.value_info.extend(value for value in model.graph.value_info if value.name in foreign)
    graph.output.extend(model.graph.output)
    for value in graph.output:
        if value.name not in foreign:
            value.type.tensor_type.ClearField("shape")
    return skeleton


def _infer(skeleton: onnx.ModelProto, data_prop: bool, strict: bool = False) -> onnx.ModelProto:
    try:
        return onnx.shape_inference.infer_shapes(skeleton, strict_mode=strict, data_prop=data_prop)
    except Exception as error:
        if strict:
            raise
        raise UserError(f"The model's shapes cannot be inferred: {first_line(error)}; it is not valid ONNX.") from error


def _shapes(model: onnx.ModelProto) -> Iterator[tuple[str, tuple[int, ...], int]]:
    """(name, shape, element type) of each value whose shape is known."""
    for value in (*model.graph.input, *model.graph.value_info, *model.graph.output):
        tensor = value.type.tensor_type
        if tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in tensor.shape.dim):
            yield value.name, tuple(dim.dim_value for dim in tensor.shape.dim), tensor.elem_type


def _check_sizes(model: onnx.ModelProto, limit: int) -> None:
    for name, shape, kind in _shapes(model):
        known = kind in onnx.helper.get_all_tensor_dtypes() and kind != onnx.TensorProto.UNDEFINED
        size = math.prod(shape) * (onnx.helper.tensor_dtype_to_np_dtype(kind).itemsize if known else 1)
        if size > limit:
            raise UserError(
                f"The tensor {quoted(name)} of shape {'×'.join(map(str, shape))[:80]} would take {size / 2**30:.3g} "
                "GiB, over the limit of 2 GiB for one tensor; choose smaller dimensions."
            )


def _refuse_contradiction(skeleton: onnx.ModelProto) -> None:
    """Where shapes stayed open, strict inference tells whether a node's inputs do not fit together.

    Errors about types are no reason: they follow from operators of other domains, whose results ONNX does not know.
    """
    try:
        _infer(skeleton, data_prop=False, strict=True)
    except Exception as error:
        found = re.search(r"\(op_type:(\w+)(?:, node name: ([^)]*))?\): \[ShapeInferenceError\] (.*)", str(error))
        if found:
            operator, name, reason = found.groups()
            where = f"{operator} node {quoted(name)}" if name else f"a node {operator}"
            raise UserError(
                f"The shapes do not fit together at {where}: {reason[:200].rstrip('. ')}; check the input sizes."
            ) from error
