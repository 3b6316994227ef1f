"""TVM's own partition: its FuseOps pass is run and read back, never imitated."""

from __future__ import annotations

import re

import tvm
from tvm import relax

from ago_core.graph.model import Model
from ago_core.graph.operators import is_call_tir, main_bindings
from ago_core.partition.partition import Partition, make_partition


def heuristic_partition(model: Model) -> Partition:
    """Groups as relax.transform.FuseOps does (src/relax/transform/fuse_ops.cc), with at most one complex operator each.

    Operators that share a PrimFunc get one each first, so that every call in a fused function names its operator.
    """
    fused = relax.transform.FuseOps()(_with_numbered_functions(model))
    groups = [_numbers(function) for _, function in fused.functions_items() if _is_fused(function)]
    grouped = {op for group in groups for op in group}
    singles = [[op.id] for op in model.graph.operators if op.id not in grouped]
    return make_partition(model.graph, groups + singles, "heuristic")


def _is_fused(function) -> bool:
    return isinstance(function, relax.Function) and bool(function.attrs) and "Primitive" in function.attrs


def _numbers(function: relax.Function) -> list[int]:
    calls = [b.value for block in function.body.blocks for b in block.bindings if is_call_tir(b.value)]
    return [int(re.fullmatch(r"op(\d+)", call.args[0].name_hint)[1]) for call in calls]


def _with_numbered_functions(model: Model) -> tvm.IRModule:
    """The model's module, operator i calling a PrimFunc of its own named op{i}."""
    number = {name: op for op, name in enumerate(model.bindings)}
    main = model.module["main"]
    builder = relax.BlockBuilder()
    env: dict[relax.Var, relax.Expr] = {}

    def replaced(expr: relax.Expr) -> relax.Expr:
        if isinstance(expr, relax.Tuple):
            return relax.Tuple([replaced(field) for field in expr.fields])
        return env.get(expr, expr) if isinstance(expr, relax.Var) else expr

    def numbered(binding: relax.Binding) -> relax.Expr:
        value = binding.value
        if is_call_tir(value):
            function = model.module[value.args[0]].with_attr("operator", number[binding.var.name])
            callee = builder.add_func(function, f"op{number[binding.var.name]}")
            return relax.Call(value.op, [callee, replaced(value.args[1]), *value.args[2:]], value.attrs, value.ty_args)
        if isinstance(value, relax.Call):
            return relax.Call(value.op, [replaced(a) for a in value.args], value.attrs, value.ty_args)
        if isinstance(value, relax.TupleGetItem):
            return relax.TupleGetItem(replaced(value.tuple_value), value.index)
        return replaced(value)

    with builder.function("main", list(main.params)):
        with builder.dataflow():
            for binding in main_bindings(model.module):
                env[binding.var] = builder.emit(numbered(binding))
            result = builder.emit_output(replaced(main.body.body))
        builder.emit_func_output(result)
    return builder.get()
