"""Tiles on the stack: what a schedule puts into registers is not allocated anew for each tile.

TVM 0.27 takes buffers of scope "local" from a pool on a CPU (`LowerTVMBuiltin`), a call for each tile of a nest and
another to give it back, which costs as much as a short reduction. Importing this module makes them stack variables,
which LLVM then keeps in registers.
"""

from __future__ import annotations

import math

import tvm
from tvm import tirx
from tvm.s_tir.pipeline import default_s_tir_pipeline
from tvm.tirx.compilation_pipeline import register_tir_pipeline
from tvm_ffi import structural_map

MAX_BYTES = 1 << 16
"""Of a buffer on the stack; a thread has some megabytes."""


def _pipeline():
    """TVM's own, with a step more before allocations become calls."""
    lower, _, finish_device = default_s_tir_pipeline()
    return lower, _finish_host, finish_device


def _finish_host() -> tvm.transform.Pass:
    passes = [keep_on_stack, tirx.transform.LowerTVMBuiltin(), tirx.transform.LowerIntrin()]
    return tvm.transform.Sequential(passes)


@tvm.transform.module_pass(opt_level=0)
def keep_on_stack(module: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
    """Marks the allocations that `LowerTVMBuiltin` shall leave to code generation."""
    for gvar, function in module.functions_items():
        if isinstance(function, tirx.PrimFunc):
            module.update_func(gvar, function.with_body(structural_map(function.body, (tirx.AllocBuffer, _marked))))
    return module


def _marked(allocation: tirx.AllocBuffer) -> tirx.AllocBuffer:
    buffer = allocation.buffer
    if buffer.scope() != "local" or not all(isinstance(extent, tirx.IntImm) for extent in buffer.shape):
        return allocation
    size = math.prod(int(extent) for extent in buffer.shape) * tvm.DataType(str(buffer.dtype)).bits // 8
    if size > MAX_BYTES:
        return allocation
    return tirx.AllocBuffer(buffer, {**allocation.annotations, "disable_lower_builtin": tirx.const(1, "int32")})


register_tir_pipeline("s_tir", _pipeline)
