"""Rewrites of the ONNX graph before the import: constants folded, batch norms folded, what inference ignores dropped.

TVM can fold constants too, but it compiles every small function it evaluates (13 s for ResNet-50's parameters on two
cores); numpy does it in a moment, and here each rewrite keeps the trail to the model's nodes.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from ago_core.graph.onnx_graph import OnnxGraph, attributes

NOT_CONSTANT = {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli"}
MAX_FOLDED_BYTES = 1 << 30


def simplify(graph: OnnxGraph) -> None:
    """Runs all rewrites in place. The outputs of the graph stay the same within float32 rounding."""
    fold_constants(graph)
    drop_identities(graph)
    fold_affine(graph)
    drop_dead(graph)


def fold_constants(graph: OnnxGraph, kinds: set[str] | None = None) -> None:
    """Evaluates nodes whose inputs are all constant (only those of some kinds), and `Shape` of static tensors."""
    kept = []
    for node in graph.nodes:
        values = _evaluate(graph, node) if kinds is None or node.op_type in kinds else None
        if values is None:
            kept.append(node)
        else:
            graph.constants.update(zip(node.output, values))
    graph.nodes = kept


def _evaluate(graph: OnnxGraph, node: onnx.NodeProto) -> list[np.ndarray] | None:
    if node.op_type == "Shape" and node.input[0] in graph.shapes and not node.attribute:
        return [np.asarray(graph.shapes[node.input[0]][0], np.int64)]
    has_subgraph = any(attribute.type == onnx.AttributeProto.GRAPH for attribute in node.attribute)
    if node.op_type in NOT_CONSTANT or has_subgraph or any(i and i not in graph.constants for i in node.input):
        return None
    if node.op_type == "ConstantOfShape":
        value = attributes(node).get("value")
        fill = onnx.numpy_helper.to_array(value).ravel()[0] if value is not None else np.float32(0)
        return [np.full(graph.constants[node.input[0]], fill)]
    inputs = {name: graph.constants[name] for name in node.input if name}
    return _small(_reference(graph, node).run(None, inputs))


def _reference(graph: OnnxGraph, node: onnx.NodeProto) -> ReferenceEvaluator:
    inputs = [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in dict.fromkeys(node.input) if name]
    outputs = [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in node.output if name]
    body = onnx.helper.make_graph([node], "constant", inputs, outputs)
    return ReferenceEvaluator(onnx.helper.make_model(body, opset_imports=[onnx.helper.make_opsetid("", graph.opset)]))


def _small(values: list) -> list[np.ndarray] | None:
    arrays = [np.asarray(value) for value in values]
    return arrays if sum(array.nbytes for array in arrays) <= MAX_FOLDED_BYTES else None


def drop_identities(graph: OnnxGraph) -> None:
    """Removes nodes that do nothing at inference: Identity, and Dropout whose mask nobody reads."""
    uses, alias, kept = graph.uses(), {}, []
    for node in graph.nodes:
        idle = node.op_type == "Identity" or (node.op_type == "Dropout" and not any(uses[o] for o in node.output[1:]))
        for index, name in enumerate(node.input):
            node.input[index] = alias.get(name, name)
        if idle and node.output[0] not in graph.outputs:
            alias[node.output[0]] = node.input[0]
        else:
            kept.append(node)
    graph.nodes = kept


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
    if node.op_type != "Conv" or any(name and name not in graph.constants for name in node.input[1:]):
        return node
    run = _Run(node.input[0], node, np.ones(1), np.zeros(1), [])
    run_of[node.output[0]] = run
    return run


def _affine_step(graph: OnnxGraph, node: onnx.NodeProto) -> tuple[str, np.ndarray, np.ndarray] | None:
    """(input, scale, shift), each of length C or 1 in float64, when the node is one affine step per channel."""
    constant = [graph.constants.get(name) for name in node.input]
    if node.op_type == "BatchNormalization" and all(c is not None for c in constant[1:]):
        if len([output for output in node.output if output]) > 1 or attributes(node).get("training_mode", 0):
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
    name = {key: f"{first}/{key}" for key in ("scale", "shift", "scaled")}
    for key, vector in (("scale", run.scale), ("shift", run.shift)):
        graph.constants[name[key]] = vector.astype(np.float32).reshape(-1, *[1] * (rank - 2))
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
