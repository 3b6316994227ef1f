"""Machine code of scheduled functions: the one way to build them, for deployment, measurement and tests alike."""

from __future__ import annotations

import tvm

CONFIG = {"tirx.disable_storage_rewrite": True}
"""TVM's StorageRewrite may put the result of an elementwise block into its input. Overlapping vectors compute some
elements twice (ago_core/schedules/overlap.py), and the second time they would read what the first has written."""


def build_context() -> tvm.transform.PassContext:
    """The pass context in which scheduled functions must be built."""
    return tvm.transform.PassContext(config=CONFIG)


def build_functions(module: tvm.IRModule, target: tvm.target.Target) -> tvm.runtime.Executable:
    """A module of scheduled PrimFuncs as a library."""
    with build_context():
        return tvm.tirx.build(module, target)
