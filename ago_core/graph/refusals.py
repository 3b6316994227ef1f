"""Forms of operators for which TVM's converter computes something else than ONNX says, or nothing that can be compiled.

Found by running ONNX's own node tests (onnx.backend.test.case.node) through the whole pipeline. A wrong result is the
worst fault, so these are refused by name.
"""

from __future__ import annotations

import numpy as np
import onnx

from ago_core.graph.onnx_graph import OnnxGraph, attributes, is_training

ELEMENT_TYPES = {
    *("float16", "float32", "float64", "bool"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
}


def refusal(graph: OnnxGraph, node: onnx.NodeProto) -> str | None:
    """Why the node cannot be imported, as the end of a sentence; None where nothing is known against it."""
    if is_training(graph, node):
        return "it is in training mode; export the model for inference"
    check = REFUSALS.get(node.op_type)
    return check(graph, node, attributes(node)) if check else None


def element_type(name: str, dtype: np.dtype) -> str | None:
    """Why the tensor's element type is not supported, as a sentence; None where it is."""
    if str(dtype) in ELEMENT_TYPES:
        return None
    return f"The tensor {name!r} has the element type {dtype}, and supported are float16 to float64, integers and bool."


def _dtype(graph: OnnxGraph, value: str) -> np.dtype | None:
    if value in graph.constants:
        return graph.constants[value].dtype
    known = graph.shapes.get(value)
    return None if known is None else onnx.helper.tensor_dtype_to_np_dtype(known[1])


def _is(graph: OnnxGraph, value: str, *kinds: type) -> bool:
    dtype = _dtype(graph, value)
    return dtype is not None and any(np.issubdtype(dtype, kind) for kind in kinds)


def _batch_norm(graph: OnnxGraph, node, attrs) -> str | None:
    return None if attrs.get("spatial", 1) else "statistics for each place (spatial=0) are not supported"


def _bit_shift(graph: OnnxGraph, node, attrs) -> str | None:
    """Shifts by negative amounts or by the width and more are undefined in machine code."""
    amounts = graph.constants.get(node.input[1])
    if amounts is not None and np.all((amounts >= 0) & (amounts < 8 * amounts.dtype.itemsize)):
        return None
    return "only shifts by constants from 0 to below the width are supported"


def _mod(graph: OnnxGraph, node, attrs) -> str | None:
    by_divisor = _is(graph, node.input[0], np.floating) and not attrs.get("fmod", 0)
    return "on floats only fmod=1 is supported" if by_divisor else None


def _pow(graph: OnnxGraph, node, attrs) -> str | None:
    return "powers of integers are not supported" if _is(graph, node.input[0], np.integer) else None


def _reduction(graph: OnnxGraph, node, attrs) -> str | None:
    return "reductions of booleans are not supported" if _is(graph, node.input[0], np.bool_) else None


def _rms_norm(graph: OnnxGraph, node, attrs) -> str | None:
    rank = graph.rank(node.input[0])
    whole = rank is not None and attrs.get("axis", -1) % rank == 0
    return "normalising over all axes is not supported" if whole else None


def _roi_align(graph: OnnxGraph, node, attrs) -> str | None:
    return None if attrs.get("mode", b"avg") == b"avg" else "only the mode avg is supported"


def _top_k(graph: OnnxGraph, node, attrs) -> str | None:
    """What TVM's sort can compare (src/runtime/extra/contrib/sort/sort.cc)."""
    dtype = str(_dtype(graph, node.input[0]))
    known = ("float16", "float32", "float64", "int8", "uint8", "int32", "int64", "None")
    return None if dtype in known else f"elements of type {dtype} are not supported"


def _triangle(graph: OnnxGraph, node, attrs) -> str | None:
    dynamic = len(node.input) > 1 and node.input[1] and node.input[1] not in graph.constants
    return "the diagonal must be constant" if dynamic else None


REFUSALS = {
    "BatchNormalization": _batch_norm,
    "BitShift": _bit_shift,
    "Mod": _mod,
    "Pow": _pow,
    "ReduceMax": _reduction,
    "ReduceMin": _reduction,
    "RMSNormalization": _rms_norm,
    "RoiAlign": _roi_align,
    "TopK": _top_k,
    "Trilu": _triangle,
    "MaxUnpool": lambda *_: "it is not supported",
    "NonMaxSuppression": lambda *_: "the size of its result is only known at run time",
}
