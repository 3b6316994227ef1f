"""Grouped module → executable on a target."""

from __future__ import annotations

import time
from dataclasses import dataclass

import tvm
from tvm import relax

from ago_core.graph.model import Model, Progress
from ago_core.lowering.build import without_updates_in_place
from ago_core.lowering.regroup import regroup
from ago_core.partition.partition import Partition
from ago_core.schedules.analytic import schedule_module
from ago_core.schedules.machine import machine_of


@dataclass(frozen=True, eq=False)
class Compiled:
    """A model compiled under a partition.

    Attributes:
        executable: TVM's executable, for `relax.VirtualMachine` or for export.
        target: what it was compiled for.
        build_seconds: wall time from the partition to the executable.
    """

    model: Model
    partition: Partition
    executable: tvm.runtime.Executable
    target: tvm.target.Target
    build_seconds: float


def lower(model: Model, partition: Partition, target: tvm.target.Target) -> tvm.IRModule:
    """One scheduled PrimFunc for each subgraph, and `main` that calls them."""
    return schedule_module(regroup(model, partition), machine_of(target))


def compile_model(
    model: Model, partition: Partition, target: tvm.target.Target, progress: Progress = lambda _: None
) -> Compiled:
    """Builds an executable for `target`; nothing is tuned."""
    start = time.perf_counter()
    progress("Grouping operators into subgraphs")
    module = regroup(model, partition)
    progress("Scheduling loop nests")
    module = schedule_module(module, machine_of(target))
    progress(f"Generating code for {len(partition)} subgraphs")
    executable = relax.build(without_updates_in_place(module), target, relax_pipeline=_pipeline(target))
    return Compiled(model, partition, executable, target, time.perf_counter() - start)


def _pipeline(target: tvm.target.Target) -> tvm.transform.Pass:
    """TVM's CPU pipeline (relax/backend/cpu_generic/pipeline.py) without its own fusion."""
    return tvm.transform.Sequential(
        [
            relax.transform.RewriteDataflowReshape(),
            relax.transform.ToNonDataflow(),
            relax.transform.RemovePurityChecking(),
            relax.transform.CallTIRRewrite(),
            relax.transform.StaticPlanBlockMemory(),
            relax.transform.LowerAllocTensor(),
            relax.transform.KillAfterLastUse(),
            relax.transform.LowerRuntimeBuiltin(),
            relax.transform.ComputePrimValue(),
            relax.transform.VMShapeLower(),
            relax.transform.AttachGlobalSymbol(),
        ]
    )
