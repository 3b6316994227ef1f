"""Reads an `OpGraph` out of a legalised Relax module."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, field

import tvm
from tvm import relax, s_tir, tirx
from tvm.ir.expr import TensorLoad
from tvm.s_tir.analysis import estimate_tir_flops

from ago_core.graph.access import REDUCTION_AXIS, is_reduction, read_access
from ago_core.graph.opgraph import Access, Loop, Operator, Pattern, Tensor

PATTERNS = {
    0: Pattern.ELEMENTWISE,
    1: Pattern.BROADCAST,
    2: Pattern.INJECTIVE,
    3: Pattern.REDUCTION,
    4: Pattern.OUT_ELEMENTWISE_FUSABLE,
    7: Pattern.TUPLE,
    8: Pattern.OPAQUE,
}


@dataclass(frozen=True)
class Extracted:
    """Operators and edges of a module, and for each operator the name of the binding that computes it."""

    operators: tuple[Operator, ...]
    edges: tuple[tuple[int, int], ...]
    results: tuple[int, ...]
    bindings: tuple[str, ...]


@dataclass(frozen=True)
class Nest:
    """What one PrimFunc does: its main loop nest, and the FLOPs and multiply-adds of all its blocks.

    `opaque`: it has a block that does not say what it reads and writes (sort, scan, scatter), so it cannot be fused.
    `access`: how the main nest indexes each argument that it reads, by position.
    """

    loops: tuple[Loop, ...]
    flops: int
    multiply_adds: int
    opaque: bool = False
    access: dict[int, Access] = field(default_factory=dict)


def extract_operators(module: tvm.IRModule, origin: dict[str, tuple[str, ...]]) -> Extracted:
    """Numbers the calls of `main` in their order; tuples and their items belong to the call they come from.

    Args:
        module: legalised, patterns annotated, `main` one dataflow block of static shapes.
        origin: binding name → ONNX nodes; a binding without an entry takes the next one that has one.
    """
    bindings = main_bindings(module)
    trail = _trail([binding.var.name for binding in bindings], origin)
    maker: dict[str, frozenset[int]] = {}
    operators, edges, names = [], set(), []
    nests: dict[tvm.ir.GlobalVar, Nest] = {}
    counts: Counter[str] = Counter()
    for binding, source in zip(bindings, trail):
        value = binding.value
        readers = frozenset().union(*(maker.get(var.name, frozenset()) for var in variables(value)))
        if not isinstance(value, relax.Call):
            maker[binding.var.name] = readers
            continue
        index = len(operators)
        edges.update((producer, index) for producer in readers)
        operators.append(_operator(module, index, binding, source, maker, nests, counts))
        names.append(binding.var.name)
        maker[binding.var.name] = frozenset({index})
    results = frozenset().union(*(maker.get(var.name, frozenset()) for var in variables(module["main"].body.body)))
    return Extracted(tuple(operators), tuple(sorted(edges)), tuple(sorted(results)), tuple(names))


def main_bindings(module: tvm.IRModule) -> list[relax.Binding]:
    return [binding for block in module["main"].body.blocks for binding in block.bindings]


def is_call_tir(value: relax.Expr) -> bool:
    return isinstance(value, relax.Call) and getattr(value.op, "name", "") == "relax.call_tir"


def variables(expr: relax.Expr) -> list[relax.Var]:
    """The variables that an expression reads."""
    if isinstance(expr, relax.Var):
        return [expr]
    if isinstance(expr, relax.Call):
        return [var for argument in expr.args for var in variables(argument)]
    if isinstance(expr, relax.Tuple):
        return [var for item in expr.fields for var in variables(item)]
    return variables(expr.tuple_value) if isinstance(expr, relax.TupleGetItem) else []


def _trail(names: list[str], origin: dict[str, tuple[str, ...]]) -> list[tuple[str, ...]]:
    trail, following = [], ()
    for name in reversed(names):
        following = origin.get(name, following)
        trail.append(following)
    return trail[::-1]


def _operator(module, index: int, binding, origin, maker: dict, nests: dict, counts: Counter) -> Operator:
    call = binding.value
    outputs = tuple(_tensor(ty) for ty in _fields(binding.var.ty))
    given = call.args[1].fields if is_call_tir(call) else call.args
    arguments = [argument for argument in given if isinstance(argument.ty, relax.TensorType)]
    variable = [position for position, argument in enumerate(arguments) if isinstance(argument, relax.Var)]
    inputs = tuple(_tensor(arguments[position].ty) for position in variable)
    weights = tuple(_tensor(a.ty) for a in arguments if not isinstance(a, relax.Var))
    if is_call_tir(call):
        gvar = call.args[0]
        func = module[gvar]
        if gvar not in nests:
            nests[gvar] = describe(func)
        nest, pattern = nests[gvar], PATTERNS[int(func.attrs.get("op_pattern", 8))]
        kind = _kind(_te_name(gvar.name_hint), inputs, weights)
    else:
        nest, pattern, kind = Nest((), 0, 0), Pattern.OPAQUE, _extern_name(call)
    counts[kind] += 1
    return Operator(
        id=index,
        name=f"{kind}_{counts[kind]}",
        kind=kind,
        pattern=pattern,
        loops=nest.loops,
        flops=nest.flops,
        inputs=inputs,
        weights=weights,
        outputs=outputs,
        origin=origin,
        multiply_adds=nest.multiply_adds,
        extern=not is_call_tir(call) or nest.opaque,
        sources=tuple(next(iter(maker.get(arguments[position].name, ())), None) for position in variable),
        access=tuple(nest.access.get(position) for position in variable),
    )


def _fields(ty) -> list:
    return list(ty.fields) if isinstance(ty, relax.TupleType) else [ty]


def _tensor(ty) -> Tensor:
    return Tensor(tuple(int(dim) for dim in ty.shape.values), str(ty.dtype))


def _extern_name(call: relax.Call) -> str:
    callee = call.args[0] if call.args and isinstance(call.args[0], relax.ExternFunc) else call.op
    name = getattr(callee, "global_symbol", None) or getattr(callee, "name", "extern")
    return str(name).removeprefix("relax.")


def _te_name(prim_func: str) -> str:
    """The operator that a PrimFunc was made from: "tir_sigmoid12" is a sigmoid."""
    return re.sub(r"\d+$", "", prim_func).removeprefix("tir_").removeprefix("te_")


def _kind(name: str, inputs: tuple[Tensor, ...], weights: tuple[Tensor, ...]) -> str:
    """Tells the convolutions apart by their HWIO weights, and says matmul for a dense layer."""
    if name != "conv2d" or len(weights) != 1 or len(weights[0].shape) != 4:
        return name
    height, width, per_group, out = weights[0].shape
    channels = inputs[0].shape[-1]
    if per_group == channels:
        return "pointwise_conv2d" if height == width == 1 else "conv2d"
    return "depthwise_conv2d" if per_group == 1 and out % channels == 0 else "grouped_conv2d"


def describe(func: tirx.PrimFunc) -> Nest:
    """The loop nest of the block with the most iterations of work, and the FLOPs of the whole function."""
    found = sblocks(func.body)
    opaque = any(_is_opaque(block) for block in found)
    blocks = [block for block in found if block.iter_vars]
    if not blocks:
        return Nest((), 0, 0, opaque)
    main = max(blocks, key=lambda block: _iterations(block) * (2 if is_reduction(block) else 1))
    loops = tuple(_loop(axis) for axis in main.iter_vars)
    multiply_adds = sum(_iterations(block) for block in blocks if is_product_sum(block))
    return Nest(loops, _flops(func), multiply_adds, opaque, read_access(func, main, blocks))


def _is_opaque(block: s_tir.SBlock) -> bool:
    """A block, with none inside, that says nothing of what it reads and writes."""
    return not (block.iter_vars or block.reads or block.writes or sblocks(block.body))


def _loop(axis: tirx.IterVar) -> Loop:
    kind = "reduction" if axis.iter_type == REDUCTION_AXIS else "spatial"
    return Loop(str(axis.var.name).removeprefix("v_"), int(axis.dom.extent), kind)


def sblocks(stmt: tirx.Stmt) -> list[s_tir.SBlock]:
    """The blocks of a function's body in program order, outer ones first."""
    if isinstance(stmt, tirx.SeqStmt):
        return [block for part in stmt.seq for block in sblocks(part)]
    if isinstance(stmt, s_tir.SBlockRealize):
        return [stmt.block, *sblocks(stmt.block.body)]
    return sblocks(stmt.body) if hasattr(stmt, "body") else []


def _iterations(block: s_tir.SBlock) -> int:
    return math.prod(int(axis.dom.extent) for axis in block.iter_vars)


def is_product_sum(block: s_tir.SBlock) -> bool:
    """A reduction `c += a * b` over two different buffers, casts allowed: convolution, matmul and their like."""
    if not is_reduction(block) or not isinstance(block.body, tirx.BufferStore):
        return False
    target, value = block.body.buffer, block.body.value
    terms = [value.a, value.b] if isinstance(value, tirx.Add) else []
    return any(isinstance(t, TensorLoad) and t.source.same_as(target) for t in terms) and any(
        isinstance(_uncast(t), tirx.Mul) and not _same_buffer(_uncast(t)) for t in terms
    )


def _uncast(expr):
    return _uncast(expr.value) if isinstance(expr, tirx.Cast) else expr


def _same_buffer(product: tirx.Mul) -> bool:
    a, b = _uncast(product.a), _uncast(product.b)
    return isinstance(a, TensorLoad) and isinstance(b, TensorLoad) and a.source.same_as(b.source)


def _flops(func: tirx.PrimFunc) -> int:
    """TVM's own count; 0 where it cannot tell (data-dependent loops)."""
    try:
        return int(estimate_tir_flops(tvm.IRModule({"main": func})))
    except tvm.error.InternalError:
        return 0
