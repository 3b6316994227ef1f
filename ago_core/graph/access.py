"""How an operator's loops index what it reads: the facts that reuse analysis works on.

For a convolution of stride 2 the input's row is `2·yy + ry − 1`: a window of the loops yy (stride 2) and ry. Its output
channel loop ff does not occur, so the input is read again for every ff. Padding and other blocks that only move data on
the way from the input to the main block are seen through.
"""

from __future__ import annotations

import tvm_ffi
from tvm import s_tir, sym, tirx
from tvm.ir.expr import TensorLoad

from ago_core.graph.opgraph import Access, Term

Linear = dict[str, int | None]
"""Loop → coefficient; None where the index is not linear in it."""

MAX_BLOCKS = 8
REDUCTION_AXIS = int(tirx.IterVar.CommReduce)


def read_access(func: tirx.PrimFunc, main: s_tir.SBlock, blocks: list[s_tir.SBlock]) -> dict[int, Access]:
    """For each buffer parameter that the main block reads, by its position: which loops index each of its axes.

    Args:
        func: the function.
        main: the block whose loops count.
        blocks: all blocks of the function that have loops.
    """
    position = {parameter: index for index, parameter in enumerate(func.params)}
    writers = {store.buffer: (block, store) for block in blocks for store in _stores(block)}
    found: dict[int, Access] = {}
    own = {axis.var: {_loop_name(axis.var): 1} for axis in main.iter_vars}
    _follow(main, own, writers, position, found, MAX_BLOCKS)
    return found


def _follow(block, meaning: dict[tirx.Var, Linear], writers, position, found: dict[int, Access], left: int) -> None:
    """Adds what `block` reads, its loop variables standing for the main block's loops as `meaning` says."""
    for load in _loads(block):
        axes = tuple(_linear(index, meaning) for index in load.indices)
        if load.source in position:
            found.setdefault(position[load.source], tuple(_terms(axis) for axis in axes))
            continue
        writer, store = writers.get(load.source, (None, None))
        if writer is None or writer.same_as(block) or left == 0 or is_reduction(writer):
            continue
        inner = {index: axis for index, axis in zip(store.indices, axes) if isinstance(index, tirx.Var)}
        _follow(writer, inner, writers, position, found, left - 1)


def _linear(index, meaning: dict[tirx.Var, Linear]) -> Linear:
    """The index as a linear form over the main block's loops."""
    variables: list[tirx.Var] = []
    tvm_ffi.structural_walk(index, (tirx.Var, lambda var: variables.append(var)))
    variables = list(dict.fromkeys(variables))
    loops = [var for var in variables if var in meaning]
    looked_up = len(loops) < len(variables)  # the index is read from a tensor
    coefficients = sym.detect_linear_equation(index, loops) if loops and not looked_up else []
    form: Linear = {}
    for k, var in enumerate(loops):
        coefficient = int(coefficients[k]) if coefficients and isinstance(coefficients[k], tirx.IntImm) else None
        for loop, inner in meaning.get(var, {}).items():
            known = coefficient is not None and inner is not None and loop not in form
            form[loop] = coefficient * inner if known else None
    return form


def _terms(axis: Linear) -> tuple[Term, ...]:
    return tuple(Term(loop, stride) for loop, stride in axis.items() if stride != 0)


def _loads(block: s_tir.SBlock) -> list[TensorLoad]:
    loads: list[TensorLoad] = []
    tvm_ffi.structural_walk(block.body, (TensorLoad, lambda load: loads.append(load)))
    return loads


def _stores(block: s_tir.SBlock) -> list[tirx.BufferStore]:
    return [block.body] if isinstance(block.body, tirx.BufferStore) else []


def is_reduction(block: s_tir.SBlock) -> bool:
    """Whether some axis is reduced over."""
    return any(axis.iter_type == REDUCTION_AXIS for axis in block.iter_vars)


def _loop_name(var: tirx.Var) -> str:
    return str(var.name).removeprefix("v_")
