"""Machine code of scheduled functions: the one way to build them, for deployment, measurement and tests alike.

TVM's StorageRewrite may put the result of an elementwise block into its input. Overlapping vectors compute some
elements twice (ago_core/schedules/overlap.py), and the second time they would read what the first has written. So every
store is marked as one whose effects TVM does not know; the pass still shares memory between buffers that do not live
together, and keeps small ones in registers: turned off, MobileNetV2 took 1.2 times as long.
"""

from __future__ import annotations

import tvm
from tvm import tirx
from tvm_ffi import structural_map

OPAQUE = "extern_scope"
"""What stands under this attribute is no update in place (InplaceOpVerifier, src/tirx/transform/storage_rewrite.cc)."""


def build_functions(module: tvm.IRModule, target: tvm.target.Target) -> tvm.runtime.Executable:
    """A module of scheduled PrimFuncs as a library."""
    return tvm.tirx.build(without_updates_in_place(module), target)


def without_updates_in_place(module: tvm.IRModule) -> tvm.IRModule:
    """The module itself, with the stores of its PrimFuncs marked: the last step before it is built."""
    for gvar, function in module.functions_items():
        if isinstance(function, tirx.PrimFunc):
            module.update_func(gvar, function.with_body(structural_map(function.body, (tirx.BufferStore, _marked))))
    return module


def _marked(store: tirx.BufferStore) -> tirx.Stmt:
    return tirx.AttrStmt(tirx.const(0, "int32"), OPAQUE, tirx.const(1, "int32"), store)
