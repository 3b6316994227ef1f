"""The distinct operators of the sample networks, each as code of its own and as an ONNX model of one node."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from tvm import relax, tirx
from tvm_ffi import StructuralKey

from ago_core.graph.model import load_model
from ago_core.graph.operators import main_bindings, sblocks
from ago_core.graph.opgraph import Operator, Tensor
from benchmarks.onnx_operators import Argument, OnnxOperator, onnx_operator

SEED = 1
LEAST_BYTES = 4096
"""What moves less (index arithmetic on 128 tokens) cannot be told from the call of a library."""
WITH_SCALARS = ("add", "multiply", "divide", "clip")


@dataclass(frozen=True, eq=False)
class Kernel:
    """One operator, to be timed by itself.

    Attributes:
        model: the first network that has it.
        operator: as that network has it.
        function: its code, not scheduled.
        arguments: what the function reads, in order; it writes `operator.outputs` after these.
        peer: the same operator as an ONNX model of one node.
        calls: how often each network calls it.
    """

    model: str
    operator: Operator
    function: tirx.PrimFunc
    arguments: tuple[Argument, ...]
    peer: OnnxOperator
    calls: Counter[str] = field(default_factory=Counter)

    @property
    def name(self) -> str:
        return f"{self.model} {self.operator.name}"

    @property
    def kind(self) -> str:
        """The operator's; a product of two activations is a batched matmul, one with weights a matmul."""
        batched = self.operator.kind == "matmul" and not self.operator.weights
        return "batched matmul" if batched else self.operator.kind.replace("_", " ")

    @property
    def shape(self) -> str:
        """Such as "1×56×56×24, 1×1×24×144 → 1×56×56×144"."""
        read = ", ".join(_text(argument.value.shape) for argument in self.arguments)
        return f"{read} → {', '.join(_text(output.shape) for output in self.operator.outputs)}"

    @property
    def traffic(self) -> int:
        """Bytes read and written, each once; of a table only the rows that are looked up."""
        return traffic(self.operator)


def traffic(op: Operator) -> int:
    if op.kind == "take":
        return 2 * op.bytes_written + sum(t.nbytes for t in (*op.inputs, *op.weights) if t.dtype.startswith("int"))
    return op.bytes_read + op.bytes_written


def distinct_kernels(specs: tuple[str, ...]) -> list[Kernel]:
    """The operators of these networks, equal code once.

    Left out: reshapes, which become views; operators that move less than LEAST_BYTES; library calls.

    Raises:
        ValueError: an operator is of a kind that `onnx_operator` does not know.
    """
    found: dict[StructuralKey, Kernel] = {}
    for spec in specs:
        for key, kernel in _kernels(spec, found):
            found.setdefault(key, kernel).calls[spec] += 1
    return list(found.values())


def _kernels(spec: str, known: dict[StructuralKey, Kernel]) -> Iterator[tuple[StructuralKey, Kernel]]:
    model = load_model(spec)
    values = {binding.var.name: binding.value for binding in main_bindings(model.module)}
    nodes = {node.name: node for node in model.onnx.graph.node}
    for op in model.graph.operators:
        if op.extern or op.kind == "reshape" or traffic(op) < LEAST_BYTES:
            continue
        call = values[model.bindings[op.id]]
        function = model.module[call.args[0]].without_attr("op_pattern").with_attr("global_symbol", "main")
        key = StructuralKey(function)
        yield key, known[key] if key in known else _kernel(spec, op, call, function, nodes)


def _kernel(spec: str, op: Operator, call: relax.Call, function: tirx.PrimFunc, nodes) -> Kernel:
    rng = np.random.default_rng([SEED, zlib.crc32(f"{spec} {op.name}".encode())])
    given = call.args[1].fields if isinstance(call.args[1], relax.Tuple) else [call.args[1]]
    arguments = tuple(_argument(argument, op, rng) for argument in given)
    scalars = _scalars(function) if op.kind in WITH_SCALARS and len(given) == 1 else []
    return Kernel(spec, op, function, arguments, onnx_operator(op, list(arguments), scalars, nodes))


def _argument(argument: relax.Expr, op: Operator, rng: np.random.Generator) -> Argument:
    """A constant as the network has it; activations from N(0, 1), indices over the table that is looked up."""
    if not isinstance(argument, relax.Var):
        return Argument(argument.value.numpy(), True)
    tensor = Tensor(tuple(int(extent) for extent in argument.ty.shape.values), str(argument.ty.dtype))
    if tensor.dtype.startswith("int"):
        return Argument(rng.integers(0, op.weights[0].shape[0], tensor.shape).astype(tensor.dtype), False)
    return Argument(rng.standard_normal(tensor.shape).astype(tensor.dtype), False)


def _scalars(function: tirx.PrimFunc) -> list[float]:
    """The float constants in the code of an elementwise operator, ascending: a factor, a term, the limits of a clip."""
    return sorted(_constants(sblocks(function.body)[-1].body.value))


def _constants(expr) -> set[float]:
    if isinstance(expr, tirx.FloatImm):
        return {float(expr.value)}
    return _constants(expr.a) | _constants(expr.b) if hasattr(expr, "a") else set()


def _text(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "scalar"
