"""Partition → Relax module with one PrimFunc for each subgraph.

Before: `main` calls one PrimFunc for each operator. After: `main` calls `subgraph_0`, `subgraph_1`, …, in the
partition's order, which is topological. Each subgraph is written as a Relax function of attribute Primitive=1, which
TVM's FuseTIR turns into one PrimFunc (src/relax/transform/fuse_tir.cc).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import tvm
from tvm import relax, tirx
from tvm.ir.expr import GenericConst

from ago_core.graph.model import Model
from ago_core.graph.operators import is_call_tir, main_bindings, variables
from ago_core.lowering import weights
from ago_core.partition.partition import Partition


def regroup(model: Model, partition: Partition) -> tvm.IRModule:
    """The model's module with its operators grouped as the partition says.

    Raises:
        ValueError: the partition belongs to another model.
    """
    if partition.model_hash != model.graph.model_hash:
        raise ValueError("the partition was made for another model")
    bindings = main_bindings(model.module)
    groups = _group_bindings(model, partition, bindings)
    builder = relax.BlockBuilder(model.module)
    calls = [_emit_group(builder, index, group) for index, group in enumerate(groups)]
    module = _emit_main(builder.get(), model.module["main"], calls, bindings)
    return relax.transform.DeadCodeElimination()(relax.transform.FuseTIR()(module))


def subgraph_name(index: int) -> str:
    """Of the function of `partition.subgraphs[index]` in the module."""
    return f"subgraph_{index}"


def kernel_names(model: Model, partition: Partition, module: tvm.IRModule) -> tuple[str, ...]:
    """For each subgraph the name of the function that `main` calls; "" for a call into a library.

    Args:
        module: of `regroup`. Its `main` calls the subgraphs in the partition's order; equal ones share a function.
    """
    called = iter([b.value.args[0].name_hint for b in main_bindings(module) if is_call_tir(b.value)])
    groups = _group_bindings(model, partition, main_bindings(model.module))
    return tuple("" if group.is_extern else next(called) for group in groups)


def regroup_one(model: Model, partition: Partition, index: int) -> tirx.PrimFunc | None:
    """The PrimFunc of one subgraph, not scheduled; None for a library call, which has none."""
    return next(regroup_each(model, partition, [index]))


def regroup_each(model: Model, partition: Partition, indices: Iterable[int]) -> Iterator[tirx.PrimFunc | None]:
    """The same of several subgraphs, in time that grows with what they hold: the model is read once for all."""
    groups = _group_bindings(model, partition, main_bindings(model.module))
    for index in indices:
        yield _function_of(model.module, groups[index], index)


def _function_of(module: tvm.IRModule, group: Group, index: int) -> tirx.PrimFunc | None:
    if group.is_extern:
        return None
    builder = relax.BlockBuilder(_functions_of(module, group))
    call = _emit_group(builder, index, group)
    parameters = [relax.Var(f"a{k}", argument.ty) for k, argument in enumerate(call.arguments)]
    with builder.function("main", parameters):
        builder.emit_func_output(builder.emit(relax.Call(call.callee, parameters)))
    return relax.transform.FuseTIR()(builder.get())[call.callee.name_hint]


def _functions_of(module: tvm.IRModule, group: Group) -> tvm.IRModule:
    """A module of the PrimFuncs that the group calls."""
    called = {b.value.args[0] for b in group.bindings if is_call_tir(b.value)}
    return tvm.IRModule({gvar: module[gvar] for gvar in called})


@dataclass(frozen=True)
class Group:
    """One subgraph.

    Attributes:
        bindings: in order.
        outputs: those of its variables that others read, in order.
        products: names of the bindings of the model's complex operators.
    """

    bindings: tuple[relax.Binding, ...]
    outputs: tuple[relax.Var, ...]
    products: frozenset[str]

    @property
    def is_extern(self) -> bool:
        return any(isinstance(b.value, relax.Call) and not is_call_tir(b.value) for b in self.bindings)


@dataclass(frozen=True)
class Call:
    """How `main` computes the outputs of a group: an expression over its arguments."""

    callee: tvm.ir.GlobalVar | None
    arguments: tuple[relax.Expr, ...]
    group: Group


def _group_bindings(model: Model, partition: Partition, bindings: list[relax.Binding]) -> list[Group]:
    """Each call goes to its operator's subgraph; the items of its tuple go with it."""
    owner_of_operator = {model.bindings[op]: index for op, index in partition.owner.items()}
    owner: dict[str, int] = {}
    for binding in bindings:
        name = binding.var.name
        if name in owner_of_operator:
            owner[name] = owner_of_operator[name]
        elif isinstance(binding.value, relax.TupleGetItem):
            owner[name] = owner[binding.value.tuple_value.name]
    outputs = _outputs(model, bindings, owner)
    members: list[list[relax.Binding]] = [[] for _ in partition.subgraphs]
    for binding in bindings:
        if binding.var.name in owner:
            members[owner[binding.var.name]].append(binding)
    products = frozenset(model.bindings[op.id] for op in model.graph.operators if op.is_complex)
    return [Group(tuple(group), tuple(outs), products) for group, outs in zip(members, outputs)]


def _outputs(model: Model, bindings: list[relax.Binding], owner: dict[str, int]) -> list[list[relax.Var]]:
    """For each group its variables that another group or the result reads."""
    outputs: list[dict[str, relax.Var]] = [{} for _ in set(owner.values())]
    for binding in bindings:
        reader = owner.get(binding.var.name)
        for var in variables(binding.value):
            if var.name in owner and owner[var.name] != reader:
                outputs[owner[var.name]][var.name] = var
    for var in variables(model.module["main"].body.body):
        if var.name in owner:
            outputs[owner[var.name]][var.name] = var
    return [list(group.values()) for group in outputs]


def _emit_group(builder: relax.BlockBuilder, index: int, group: Group) -> Call:
    """Adds the group as a Primitive function; its parameters are whatever it reads from outside, constants included."""
    if group.is_extern:
        return Call(None, (), group)
    body = _Body(builder, {}, [], [], [])
    for binding in group.bindings:
        body.add(binding, binding.var.name in group.products)
    results = [body.inside[var.name] for var in group.outputs]
    result = results[0] if len(results) == 1 else relax.Tuple(results)
    kind = results[0].ty if len(results) == 1 else relax.TupleType([var.ty for var in results])
    out = relax.Var("out", kind)
    block = relax.DataflowBlock([*body.bindings, relax.VarBinding(out, result)])
    function = relax.Function(body.parameters, relax.SeqExpr([block], out), kind, True).with_attr("Primitive", 1)
    return Call(builder.add_func(function, subgraph_name(index)), tuple(body.arguments), group)


@dataclass(frozen=True, eq=False)
class _Body:
    """A group's function while it is written.

    Attributes:
        builder: of the module.
        inside: its variables by the names that they have in `main`.
        parameters: what it reads from outside.
        arguments: the same where it is called.
        bindings: so far.
    """

    builder: relax.BlockBuilder
    inside: dict[str, relax.Var]
    parameters: list[relax.Var]
    arguments: list[relax.Expr]
    bindings: list[relax.Binding]

    def add(self, binding: relax.Binding, is_product: bool) -> None:
        var = relax.DataflowVar(binding.var.name, binding.var.ty)
        local = partial(self._operand, outputs=_size(binding.var)) if is_product else self._local
        self.bindings.append(relax.VarBinding(var, _renamed(binding.value, local)))
        self.inside[binding.var.name] = var

    def _local(self, expr: relax.Expr) -> relax.Expr:
        """What an expression is called inside."""
        if isinstance(expr, relax.Tuple):
            return relax.Tuple([self._local(field) for field in expr.fields])
        if isinstance(expr, relax.Var) and expr.name in self.inside:
            return self.inside[expr.name]
        if not isinstance(expr, (relax.Var, GenericConst)):
            return expr
        parameter = relax.Var(f"p{len(self.parameters)}", expr.ty)
        self.parameters.append(parameter)
        self.arguments.append(expr)
        if isinstance(expr, relax.Var):
            self.inside[expr.name] = parameter
        return parameter

    def _operand(self, expr: relax.Expr, outputs: int) -> relax.Expr:
        """The same for operands of a product with so many outputs: its weights may lie otherwise outside."""
        if isinstance(expr, relax.Tuple):
            return relax.Tuple([self._operand(field, outputs) for field in expr.fields])
        if not weights.is_spread(expr, outputs):
            return self._local(expr)
        rows = weights.without_padding(tuple(expr.value.shape))
        copy = relax.Call(
            tvm.ir.Op.get("relax.call_tir"),
            [self.builder.add_func(rows, "without_padding"), relax.Tuple([self._local(weights.spread(expr))])],
            None,
            [expr.ty],
        )
        columns = relax.DataflowVar(f"columns_{len(self.parameters)}", expr.ty)
        self.bindings.append(relax.VarBinding(columns, copy))
        return columns


def _size(var: relax.Var) -> int:
    """Elements of a tensor; 0 of a tuple."""
    return math.prod(int(extent) for extent in var.ty.shape) if isinstance(var.ty, relax.TensorType) else 0


def _renamed(value: relax.Expr, local) -> relax.Expr:
    if isinstance(value, relax.TupleGetItem):
        return relax.TupleGetItem(local(value.tuple_value), value.index)
    return relax.Call(value.op, [value.args[0], local(value.args[1]), *value.args[2:]], value.attrs, value.ty_args)


def _emit_main(module: tvm.IRModule, main: relax.Function, calls: list[Call], bindings) -> tvm.IRModule:
    builder = relax.BlockBuilder(module)
    env: dict[str, relax.Expr] = {}

    def outside(expr: relax.Expr) -> relax.Expr:
        if isinstance(expr, relax.Tuple):
            return relax.Tuple([outside(field) for field in expr.fields])
        return env.get(expr.name, expr) if isinstance(expr, relax.Var) else expr

    with builder.function("regrouped", list(main.params)):
        with builder.dataflow():
            for call in calls:
                _emit_call(builder, call, env, outside)
            for binding in bindings:  # tuples of results, and results that are inputs
                if binding.var.name not in env and isinstance(binding.value, (relax.Tuple, relax.Var)):
                    env[binding.var.name] = outside(binding.value)
            result = builder.emit_output(outside(main.body.body))
        builder.emit_func_output(result)
    module = builder.get()
    module.update_func(module.get_global_var("main"), module["regrouped"].with_attr("global_symbol", "main"))
    del module["regrouped"]
    return module


def _emit_call(builder: relax.BlockBuilder, call: Call, env: dict[str, relax.Expr], outside) -> None:
    group = call.group
    if call.callee is None:
        for binding in group.bindings:
            value = binding.value
            if isinstance(value, relax.TupleGetItem):
                value = relax.TupleGetItem(outside(value.tuple_value), value.index)
            else:
                value = relax.Call(value.op, [outside(a) for a in value.args], value.attrs, value.ty_args)
            env[binding.var.name] = builder.emit(value)
        return
    result = builder.emit(relax.Call(call.callee, [outside(argument) for argument in call.arguments]))
    for index, var in enumerate(group.outputs):
        env[var.name] = result if len(group.outputs) == 1 else builder.emit(relax.TupleGetItem(result, index))
