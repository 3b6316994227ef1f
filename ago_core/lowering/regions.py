"""Parallel regions: how often an inference starts and joins the threads."""

from __future__ import annotations

import tvm
from tvm import s_tir, tirx

from ago_core.devices.local import host_target
from ago_core.graph.model import Model
from ago_core.lowering.executable import lower
from ago_core.partition.partition import Partition


def parallel_regions(model: Model, partition: Partition) -> int:
    """Parallel loops of the functions scheduled for this machine; none lies in a loop, so each is started once."""
    module = lower(model, partition, host_target())
    functions = [function for _, function in module.functions_items() if isinstance(function, tirx.PrimFunc)]
    return sum(_parallel_loops(function.body) for function in functions)


def _parallel_loops(stmt: tvm.tirx.Stmt) -> int:
    if isinstance(stmt, tirx.SeqStmt):
        return sum(_parallel_loops(part) for part in stmt.seq)
    if isinstance(stmt, s_tir.SBlockRealize):
        return _parallel_loops(stmt.block.body)
    if isinstance(stmt, tirx.For) and stmt.kind == tirx.ForKind.PARALLEL:
        return 1
    return _parallel_loops(stmt.body) if hasattr(stmt, "body") else 0
