"""What an ONNX model must be before it is worth importing. Nothing here needs TVM, and no weights are read.

Each check returns None, or raises a UserError that names what is wrong and where. `onnx.checker` is not used: it
refuses models that run well (operators of other domains, attributes of older versions). What fails here cannot run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import onnx

from ago_core.errors import UserError
from ago_core.graph.onnx_graph import default_opset
from ago_core.graph.simplify import NOT_CONSTANT

DEFAULT_DOMAINS = ("", "ai.onnx")
MIN_IR_VERSION = 3
_MICROSOFT_MEANING = {"Attention"}  # TVM reads this name as com.microsoft's operator, not as ONNX's of opset 23
_ALSO_MICROSOFT = {"Gelu"}  # the same in both domains
_SHOWN = 8


def quoted(name: str, length: int = 80) -> str:
    """The name in quotes, on one line and not longer than a sentence can bear."""
    text = repr(name)
    return text if len(text) <= length else f"{text[: length - 2]}…'"


def listed(items: Iterable[str]) -> str:
    """The items separated by commas; beyond eight only their number."""
    items = list(items)
    more = len(items) - _SHOWN
    return ", ".join(items[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def first_line(error: Exception) -> str:
    """An exception's message as one short line without its full stop."""
    lines = str(error).strip().splitlines()
    return lines[0][:200].rstrip(". ") if lines else type(error).__name__


def described(node: onnx.NodeProto, index: int) -> str:
    """How a sentence calls a node: its operator and its name, or its place where it has none."""
    return f"{node.op_type} node {quoted(node.name)}" if node.name else f"{node.op_type} node number {index}"


def model_inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """The inputs that a caller feeds: with IR version 3 every initializer is listed as an input too."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in weights]


def check_header(model: onnx.ModelProto) -> None:
    """Versions, and that there is a graph to import."""
    if model.ir_version < MIN_IR_VERSION:
        raise UserError(
            f"The model's IR version is {model.ir_version}, and {MIN_IR_VERSION} (ONNX 1.1, 2018) is the oldest that "
            "can be imported; export it again with a newer exporter."
        )
    if not any(entry.domain in DEFAULT_DOMAINS for entry in model.opset_import):
        raise UserError("The model does not say which ONNX opset it uses; it may be cut short, so export it again.")
    opset, newest = default_opset(model), onnx.defs.onnx_opset_version()
    if not 1 <= opset <= newest:
        raise UserError(
            f"The model uses ONNX opset {opset}, and opsets 1 to {newest} are supported; export it again with opset "
            f"{newest} or lower."
        )
    for what, there in (("nodes", model.graph.node), ("inputs", model_inputs(model)), ("outputs", model.graph.output)):
        if not there:
            raise UserError(f"The model has no {what}, so there is nothing to compile; check how it was exported.")
    if model.graph.sparse_initializer:
        raise UserError("The model has sparse initializers, which are not supported; export it with dense weights.")


def check_names(model: onnx.ModelProto) -> None:
    """Names must be text: the protobuf parser hands bytes over where they are not UTF-8."""
    if any(isinstance(name, bytes) for name in _names(model)):
        raise UserError("The model has names that are not UTF-8 text, so the file is damaged; export or copy it again.")


def _names(model: onnx.ModelProto) -> Iterator[str | bytes]:
    graph = model.graph
    yield graph.name
    yield from (tensor.name for tensor in graph.initializer)
    yield from (entry.domain for entry in model.opset_import)
    for value in (*graph.input, *graph.output, *graph.value_info):
        yield value.name
        yield from (dim.dim_param for dim in value.type.tensor_type.shape.dim)
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)


def check_inputs(model: onnx.ModelProto) -> None:
    """Every input is a tensor of numbers of known rank."""
    for value in model_inputs(model):
        kind = value.type.WhichOneof("value")
        if kind is None:
            raise UserError(f"The input {quoted(value.name)} has no type; export the model with typed inputs.")
        if kind != "tensor_type":
            raise UserError(
                f"The input {quoted(value.name)} is of kind {kind.removesuffix('_type')}, and only tensors are "
                "supported; export the model with tensor inputs."
            )
        _check_element_type(value)
        if not value.type.tensor_type.HasField("shape"):
            raise UserError(
                f"The input {quoted(value.name)} has no shape, not even a rank; export the model with input shapes."
            )


def _check_element_type(value: onnx.ValueInfoProto) -> None:
    kind = value.type.tensor_type.elem_type
    if kind == onnx.TensorProto.STRING:
        raise UserError(f"The input {quoted(value.name)} holds strings, and only tensors of numbers are supported.")
    if kind not in onnx.helper.get_all_tensor_dtypes() or kind == onnx.TensorProto.UNDEFINED:
        raise UserError(f"The input {quoted(value.name)} has the unknown element type {kind}; export the model again.")


def check_operators(model: onnx.ModelProto, supported: frozenset[str]) -> None:
    """All operators that the importer has no converter for, listed at once, and control flow by name.

    Operators on constants are evaluated before the import, so they need no converter. Shapes count as constants.

    Args:
        model: a model that passed `check_names`.
        supported: names of the operators that have a converter.
    """
    control = Counter(node.op_type for node in model.graph.node if _has_body(node))
    if control:
        raise UserError(
            f"The model has control flow, which is not supported: {_counted(control)}; export it with branches and "
            "loops unrolled."
        )
    constants = {tensor.name for tensor in model.graph.initializer}
    missing: Counter[str] = Counter()
    for node in model.graph.node:
        if _folds(node, constants):
            constants.update(node.output)
        elif not _is_supported(node, supported):
            missing[_operator(node)] += 1
    if missing:
        raise UserError(
            f"The model uses operators that cannot be imported: {_counted(missing)}; replace them or export the model "
            "with other ones."
        )


def _has_body(node: onnx.NodeProto) -> bool:
    bodies = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
    return node.op_type in ("If", "Loop", "Scan") or any(attribute.type in bodies for attribute in node.attribute)


def _folds(node: onnx.NodeProto, constants: set[str]) -> bool:
    if node.domain not in DEFAULT_DOMAINS or node.op_type in NOT_CONSTANT or not onnx.defs.has(node.op_type):
        return False
    return node.op_type == "Shape" or all(name in constants for name in node.input if name)


def _is_supported(node: onnx.NodeProto, supported: frozenset[str]) -> bool:
    if node.domain == "com.microsoft":
        theirs = _MICROSOFT_MEANING | _ALSO_MICROSOFT
        is_theirs = node.op_type in theirs or not onnx.defs.has(node.op_type)
        return node.op_type in supported and is_theirs
    return node.domain in DEFAULT_DOMAINS and node.op_type in supported - _MICROSOFT_MEANING


def _operator(node: onnx.NodeProto) -> str:
    name = quoted(node.op_type)[1:-1]
    return name if node.domain in DEFAULT_DOMAINS else f"{name} of domain {quoted(node.domain)}"


def _counted(operators: Counter[str]) -> str:
    return listed(f"{name} ({count}×)" for name, count in operators.most_common())


def check_structure(model: onnx.ModelProto) -> None:
    """Every value is defined once, and before it is read; every node has the inputs and outputs its operator needs."""
    graph, opset = model.graph, default_opset(model)
    for what, values in (("input", graph.input), ("initializer", graph.initializer)):
        for name, count in Counter(value.name for value in values).items():
            if count > 1:
                raise UserError(f"The {what} {quoted(name)} is defined {count} times; the model is not valid ONNX.")
    known = {value.name for value in (*graph.input, *graph.initializer)}
    computed = {name for node in graph.node for name in node.output if name}
    for index, node in enumerate(graph.node):
        where = described(node, index)
        _check_arity(node, opset, where)
        for name in node.input:
            if name and name not in known:
                raise UserError(_undefined(name, where, name in computed))
        for name in filter(None, node.output):
            if name in known:
                raise UserError(f"The {where} defines {quoted(name)} a second time; the model is not valid ONNX.")
            known.add(name)
    for value in graph.output:
        if value.name not in known:
            raise UserError(f"Nothing computes the output {quoted(value.name)}; the model is not valid ONNX.")


def _undefined(name: str, where: str, computed: bool) -> str:
    if computed:
        reason = "which no earlier node computes: the nodes form a cycle or are not in topological order"
    else:
        reason = "which nothing defines"
    return f"The {where} reads {quoted(name)}, {reason}; the model is not valid ONNX."


def _check_arity(node: onnx.NodeProto, opset: int, where: str) -> None:
    inputs, outputs = 0, 1
    if node.domain in DEFAULT_DOMAINS and onnx.defs.has(node.op_type):
        try:
            schema = onnx.defs.get_schema(node.op_type, opset)
        except onnx.defs.SchemaError:  # an operator newer than the opset: TVM converts it all the same
            schema = onnx.defs.get_schema(node.op_type)
        inputs, outputs = schema.min_input, max(1, schema.min_output)
    if sum(map(bool, node.input[:inputs])) < inputs or len(node.output) < outputs:
        raise UserError(
            f"The {where} has {sum(map(bool, node.input))} inputs and {len(node.output)} outputs, and needs at least "
            f"{inputs} and {outputs}; the model is not valid ONNX."
        )
