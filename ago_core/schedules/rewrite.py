"""Blocks written anew where no scheduling primitive makes what is wanted."""

from __future__ import annotations

from collections.abc import Sequence

import tvm
from tvm import s_tir, sym, tirx
from tvm.ir.expr import TensorLoad
from tvm.s_tir import Schedule
from tvm_ffi import structural_map, structural_walk


def replace_nests(
    sch: Schedule, nests: dict[str, tirx.Stmt | list[tirx.Stmt] | None], allocated: list | None = None, views=()
) -> Schedule:
    """A schedule of the function with other nests for the blocks named; the same schedule where none is.

    Args:
        sch: the function, its blocks under the root in loops of their own.
        nests: the nest for each block, by its name; several for one in pieces, None for a block that goes.
        allocated: what the function then allocates, where that changes.
        views: parts of buffers that are then written as buffers of their own.
    """
    if not nests:
        return sch
    function = sch.mod["main"]
    root = function.body.block
    old = list(root.body.seq) if isinstance(root.body, tirx.SeqStmt) else [root.body]
    new = [each for nest in old for each in _several(nests.get(_block_of(nest).name_hint, nest))]
    body = tirx.SeqStmt(new) if len(new) > 1 else new[0]
    buffers = root.alloc_buffers if allocated is None else allocated
    root = s_tir.SBlock([], [], [], root.name_hint, body, None, buffers, [*root.match_buffers, *views])
    function = tirx.PrimFunc(function.params, s_tir.SBlockRealize([], True, root), function.ret_type, function.attrs)
    return Schedule(tvm.IRModule({"main": function}))


def _several(nest: tirx.Stmt | list[tirx.Stmt] | None) -> list[tirx.Stmt]:
    return nest if isinstance(nest, list) else [nest] if nest is not None else []


def _block_of(stmt: tirx.Stmt) -> s_tir.SBlock:
    while isinstance(stmt, tirx.For):
        stmt = stmt.body
    return stmt.block


def nest_of(block: s_tir.SBlock) -> tirx.Stmt:
    """A block in one serial loop for each of its axes."""
    loops = [tirx.Var(f"i{k}", "int64") for k in range(len(block.iter_vars))]
    stmt: tirx.Stmt = s_tir.SBlockRealize(loops, True, block)
    for loop, axis in reversed(list(zip(loops, block.iter_vars))):
        stmt = tirx.For(loop, index(0), axis.dom.extent, tirx.ForKind.SERIAL, stmt)
    return stmt


def axis_of(name: str, extent: int) -> tirx.IterVar:
    """A spatial axis of a block."""
    return tirx.IterVar(tvm.ir.Range(0, index(extent)), tirx.Var(name, "int64"), 0)


def index(value: int) -> tirx.Expr:
    """A constant as extents and indices are."""
    return tirx.const(value, "int64")


def substitute(part, values: dict) -> tirx.Stmt:
    """An expression or a statement with values in place of variables."""

    def of(variable: tirx.Var):
        return next((value for name, value in values.items() if name.same_as(variable)), variable)

    return structural_map(part, (tirx.Var, of)) if values else part


def simplified(part, axes: Sequence[tirx.IterVar]):
    """An expression with the indices of its loads simplified, given the extents of axes."""
    analyzer = sym.Analyzer()
    for axis in axes:
        analyzer.bind(axis.var, axis.dom)

    def simplify(load: TensorLoad) -> TensorLoad:
        return load.source[tuple(analyzer.simplify(each) for each in load.indices)]

    return structural_map(part, (TensorLoad, simplify))


def uses(part, axes: tuple[tirx.IterVar, ...]) -> bool:
    """Whether an expression depends on one of the axes."""
    found: list[tirx.Var] = []
    structural_walk(part, (tirx.Var, found.append))
    return any(variable.same_as(axis.var) for variable in found for axis in axes)
