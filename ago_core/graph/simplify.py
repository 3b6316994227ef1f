"""Rewrites of the ONNX graph before the import: constants folded, batch norms folded, what inference ignores dropped.

TVM can fold constants too, but it compiles every small function it evaluates (13 s for ResNet-50's parameters on two
cores); numpy does it in a moment, and here each rewrite keeps the trail to the model's nodes.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from ago_core.errors import UserError
from ago_core.graph.onnx_graph import OnnxGraph, attributes, is_default, is_training

NOT_CONSTANT = {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli"}
MAX_FOLDED_BYTES = 1 << 30
SMALL = 1024  # elements; shapes, axes and repeats are no longer
BOUNDED = {"NonZero", "Unique", "Compress", "NonMaxSuppression"}  # only values tell the size, which the inputs limit
MODERN = {"Softmax", "LogSoftmax", "Hardmax"}  # meant something else before opset 13; the reference knows this meaning


def simplify(graph: OnnxGraph) -> None:
    """Runs all rewrites in place. The outputs of the graph stay the same within float32 rounding.

    Raises:
        UserError: a node on constants cannot be evaluated.
    """
    fold_constants(graph)
    drop_identities(graph)
    fold_affine(graph)
    drop_dead(graph)


def fold_constants(graph: OnnxGraph, kinds: set[str] | None = None) -> None:
    """Evaluates nodes whose inputs are all constant (only those of some kinds), and `Shape` of static tensors.

    Left alone are results over 1 GiB, random ones, and operators that ONNX's reference does not know.

    Raises:
        UserError: a node cannot be evaluated, such as one that makes a tensor of a negative size.
    """
    kept = []
    for node in graph.nodes:
        values = _evaluate(graph, node) if kinds is None or node.op_type in kinds else None
        if values is None:
            kept.append(node)
        else:
            graph.constants.update(values)
    graph.nodes = kept


def _evaluate(graph: OnnxGraph, node: onnx.NodeProto) -> dict[str, np.ndarray] | None:
    """The node's outputs by name; None where it is not to be evaluated."""
    if not is_default(node):
        return None
    if node.op_type == "Shape" and node.input[0] in graph.shapes:
        span = slice(attributes(node).get("start", 0), attributes(node).get("end"))
        return {node.output[0]: np.asarray(graph.shapes[node.input[0]][0][span], np.int64)}
    has_subgraph = any(attribute.type == onnx.AttributeProto.GRAPH for attribute in node.attribute)
    if node.op_type in NOT_CONSTANT or has_subgraph or any(i and i not in graph.constants for i in node.input):
        return None
    if is_training(graph, node) or (node.op_type in MODERN and graph.opset < 13):
        return None
    try:
        if _output_bytes(graph, node) > MAX_FOLDED_BYTES:
            return None
        values = _run(graph, node)
    except (NotImplementedError, onnx.defs.SchemaError):  # not in the reference, or newer than the model's opset
        return None
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(". ")
        raise UserError(
            f"The {node.op_type} node {node.name!r} has only constant inputs and cannot be evaluated: {reason}; the "
            "model is not valid ONNX."
        ) from error
    if not all(isinstance(value, (np.ndarray, np.generic)) for value in values):
        return None  # sequences
    return dict(zip(filter(None, node.output), map(np.asarray, values)))


def _run(graph: OnnxGraph, node: onnx.NodeProto) -> list:
    """The values of the node's named outputs, by ONNX's reference implementation."""
    inputs = {name: graph.constants[name] for name in node.input if name}
    given = [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in inputs]
    made = [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in node.output if name]
    body = onnx.helper.make_graph([node], "constant", given, made)
    model = onnx.helper.make_model(body, opset_imports=[onnx.helper.make_opsetid("", graph.opset)])
    return ReferenceEvaluator(model).run(None, inputs)


def _output_bytes(graph: OnnxGraph, node: onnx.NodeProto) -> float:
    """What the node's results will take, found without computing them; infinite where that cannot be told."""
    types, data = {}, {}
    for name in filter(None, node.input):
        array = graph.constants[name]
        kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
        types[name] = onnx.helper.make_tensor_type_proto(kind, array.shape)
        if array.size <= SMALL:
            data[name] = onnx.numpy_helper.from_array(array)
    schema = onnx.defs.get_schema(node.op_type, graph.opset)
    opset = [onnx.helper.make_opsetid("", graph.opset)]
    results = onnx.shape_inference.infer_node_outputs(schema, node, types, data, opset_imports=opset)
    return 0 if node.op_type in BOUNDED else sum(_nbytes(result.tensor_type) for result in results.values())


def _nbytes(kind: onnx.TypeProto.Tensor) -> float:
    if not kind.HasField("shape") or not kind.elem_type or not all(dim.HasField("dim_value") for dim in kind.shape.dim):
        return math.inf
    shape = [dim.dim_value for dim in kind.shape.dim]
    if min(shape, default=0) < 0:
        raise ValueError(f"its result would have the shape {shape}")
    return math.prod(shape) * onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).itemsize


def drop_identities(graph: OnnxGraph) -> None:
    """Removes nodes that do nothing at inference: Identity, and Dropout whose mask nobody reads."""
    uses, alias, kept = graph.uses(), {}, []
    for node in graph.nodes:
        for index, name in enumerate(node.input):
            node.input[index] = alias.get(name, name)
        if _is_idle(graph, node, uses) and node.output[0] not in graph.outputs:
            alias[node.output[0]] = node.input[0]
        else:
            kept.append(node)
    graph.nodes = kept


def _is_idle(graph: OnnxGraph, node: onnx.NodeProto, uses: Counter[str]) -> bool:
    if not is_default(node) or is_training(graph, node):
        return False
    return node.op_type == "Identity" or (node.op_type == "Dropout" and not any(uses[o] for o in node.output[1:]))


def drop_dead(graph: OnnxGraph) -> None:
    """Removes nodes and constants that no output depends on."""
    live, kept = set(graph.outputs), []
    for node in reversed(graph.nodes):
        if any(output in live for output in node.output):
            live.update(name for name in node.input if name)
            kept.append(node)
    graph.nodes = kept[::-1]
    graph.constants = {name: array for name, array in graph.constants.items() if name in live}


def fold_affine(graph: OnnxGraph) -> None:
    """Folds per-channel scales and shifts: into the convolution before them, else into one Mul and one Add.

    BatchNormalization at inference is y = x·s + t for each channel, with s = γ/√(σ² + ε) and t = β − μ·s. A convolution
    followed by it has weights W·s and bias b·s + t. Mul and Add with constants per channel are folded in the same way.
    """
    uses = graph.uses()
    run_of: dict[str, _Run] = {}
    kept: list[onnx.NodeProto | _Run] = []
    for node in graph.nodes:
        step = _affine_step(graph, node)
        if step is None:
            kept.append(_start(graph, node, run_of))
            continue
        source, scale, shift = step
        run = run_of.get(source)
        if run is None or uses[source] != 1:
            run = _Run(source, None, np.ones(1), np.zeros(1), [])
            kept.append(run)
        else:
            del run_of[source]
        run.scale, run.shift = run.scale * scale, run.shift * scale + shift
        run.members.append(node)
        run.output = node.output[0]
        run_of[run.output] = run
    graph.nodes = [new for item in kept for new in (_emit(graph, item) if isinstance(item, _Run) else [item])]


class _Run:
    """A convolution (or none) and the affine steps after it: output = conv(source)·scale + shift, per channel."""

    def __init__(self, source: str, conv: onnx.NodeProto | None, scale, shift, members: list):
        self.source, self.conv, self.scale, self.shift, self.members = source, conv, scale, shift, members
        self.output = conv.output[0] if conv else source


def _start(graph: OnnxGraph, node: onnx.NodeProto, run_of: dict) -> onnx.NodeProto | _Run:
    constant = all(name in graph.constants for name in node.input[1:] if name)
    if node.op_type != "Conv" or not is_default(node) or not constant:
        return node
    run = _Run(node.input[0], node, np.ones(1), np.zeros(1), [])
    run_of[node.output[0]] = run
    return run


def _affine_step(graph: OnnxGraph, node: onnx.NodeProto) -> tuple[str, np.ndarray, np.ndarray] | None:
    """(input, scale, shift), each of length C or 1 in float64, when the node is one affine step per channel."""
    if not is_default(node) or not all(node.input):
        return None
    constant = [graph.constants.get(name) for name in node.input]
    if node.op_type == "BatchNormalization" and all(c is not None and c.ndim == 1 for c in constant[1:]):
        alone = sum(map(bool, node.output)) == 1 and not is_training(graph, node) and attributes(node).get("spatial", 1)
        if not alone or (graph.rank(node.input[0]) or 0) < 2:
            return None
        gamma, beta, mean, variance = (c.astype(np.float64) for c in constant[1:5])
        scale = gamma / np.sqrt(variance + attributes(node).get("epsilon", 1e-5))
        return node.input[0], scale, beta - mean * scale
    if node.op_type not in ("Mul", "Add") or sum(c is not None for c in constant) != 1:
        return None
    which = 0 if constant[0] is not None else 1
    source = node.input[1 - which]
    vector = _per_channel(constant[which], graph.rank(source))
    if vector is None or graph.shapes[source] != graph.shapes.get(node.output[0]):
        return None
    return (source, vector, np.zeros(1)) if node.op_type == "Mul" else (source, np.ones(1), vector)


def _per_channel(array: np.ndarray, rank: int | None) -> np.ndarray | None:
    """The array as a vector over axis 1 where it varies along no other axis of an image (rank 3 to 5)."""
    if rank not in (3, 4, 5) or array.ndim > rank or array.dtype != np.float32:
        return None
    shape = (1,) * (rank - array.ndim) + array.shape
    return array.astype(np.float64).reshape(-1) if all(d == 1 for axis, d in enumerate(shape) if axis != 1) else None


def _emit(graph: OnnxGraph, run: _Run) -> list[onnx.NodeProto]:
    if not run.members:
        return [run.conv]
    return [_emit_conv(graph, run)] if run.conv else _emit_scale_shift(graph, run)


def _origin(graph: OnnxGraph, nodes: list[onnx.NodeProto]) -> tuple[str, ...]:
    return tuple(name for node in nodes for name in graph.origin[node.name])


def _emit_conv(graph: OnnxGraph, run: _Run) -> onnx.NodeProto:
    weight = graph.constants[run.conv.input[1]]
    channels = weight.shape[0]
    bias = graph.constants[run.conv.input[2]] if len(run.conv.input) > 2 and run.conv.input[2] else np.zeros(1)
    scale = np.broadcast_to(run.scale, channels)
    node = onnx.NodeProto()
    node.CopyFrom(run.conv)
    node.output[0] = run.output
    del node.input[1:]
    node.input.extend((f"{node.name}/folded_weight", f"{node.name}/folded_bias"))
    scaled = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
    graph.constants[node.input[1]] = scaled.astype(weight.dtype)
    graph.constants[node.input[2]] = np.broadcast_to(bias * scale + run.shift, channels).astype(weight.dtype)
    graph.origin[node.name] = _origin(graph, [run.conv, *run.members])
    return node


def _emit_scale_shift(graph: OnnxGraph, run: _Run) -> list[onnx.NodeProto]:
    if len(run.members) == 1 and run.members[0].op_type != "BatchNormalization":
        return run.members
    rank, first = graph.rank(run.source), run.members[0].name
    dtype = onnx.helper.tensor_dtype_to_np_dtype(graph.shapes[run.source][1])
    name = {key: f"{first}/{key}" for key in ("scale", "shift", "scaled")}
    for key, vector in (("scale", run.scale), ("shift", run.shift)):
        graph.constants[name[key]] = vector.astype(dtype).reshape(-1, *[1] * (rank - 2))
    graph.shapes[name["scaled"]] = graph.shapes[run.source]
    scale = onnx.helper.make_node("Mul", [run.source, name["scale"]], [name["scaled"]], name=f"{first}/scale")
    shift = onnx.helper.make_node("Add", [name["scaled"], name["shift"]], [run.output], name=f"{first}/shift")
    graph.origin[scale.name] = graph.origin[shift.name] = _origin(graph, run.members)
    return [scale, shift]


def count_parameters(graph: OnnxGraph) -> int:
    """Learned numbers: float constants that nodes read, without batch norms' running statistics and single values.

    To be called before `simplify`. Weights that the model makes by `Constant` and `ConstantOfShape` count too.
    """
    fold_constants(graph, {"Constant", "ConstantOfShape"})
    statistics = {name for node in graph.nodes if node.op_type == "BatchNormalization" for name in node.input[3:5]}
    read = {name for node in graph.nodes for name in node.input} - statistics
    arrays = [graph.constants[name] for name in read if name in graph.constants]
    return sum(array.size for array in arrays if array.size > 1 and np.issubdtype(array.dtype, np.floating))
