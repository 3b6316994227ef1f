"""Grouped module → executable on a target."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import tvm
from tvm import relax, tirx

from ago_core.graph.model import Model, Progress
from ago_core.lowering.build import without_updates_in_place
from ago_core.lowering.regroup import kernel_names, regroup, subgraph_name
from ago_core.partition.partition import Partition
from ago_core.schedules.analytic import schedule_module
from ago_core.schedules.machine import machine_of


@dataclass(frozen=True, eq=False)
class Compiled:
    """A model compiled under a partition.

    Attributes:
        executable: TVM's executable, for `relax.VirtualMachine` or for export.
        target: what it was compiled for.
        kernels: for each subgraph the name of the function that it calls, which equal subgraphs share; "" for a call
            into a library.
        build_seconds: wall time from the partition to the executable.
    """

    model: Model
    partition: Partition
    executable: tvm.runtime.Executable
    target: tvm.target.Target
    kernels: tuple[str, ...]
    build_seconds: float


Functions = Mapping[int, tirx.PrimFunc]
"""Scheduled functions by index of their subgraph."""

UNTUNED: Functions = MappingProxyType({})


def lower(
    model: Model, partition: Partition, target: tvm.target.Target, functions: Functions = UNTUNED
) -> tvm.IRModule:
    """One scheduled PrimFunc for each subgraph, and `main` that calls them."""
    return _schedule(regroup(model, partition), target, functions)


def compile_model(
    model: Model,
    partition: Partition,
    target: tvm.target.Target,
    progress: Progress = lambda _: None,
    functions: Functions = UNTUNED,
    fusion: bool = True,
) -> Compiled:
    """Builds an executable for `target`.

    Args:
        functions: what tuning found; the other subgraphs get the analytic schedule. Equal subgraphs are compiled
            once, with what is given for the first of them.
        fusion: whether the analytic schedule may put several stages into one nest (intensive fusion).
    """
    start = time.perf_counter()
    progress("Grouping operators into subgraphs")
    module = regroup(model, partition)
    progress("Scheduling loop nests")
    kernels = kernel_names(model, partition, module)
    module = _schedule(module, target, functions, fusion)
    progress(f"Generating code for {len(partition)} subgraphs")
    executable = relax.build(without_updates_in_place(module), target, relax_pipeline=_pipeline(target))
    return Compiled(model, partition, executable, target, kernels, time.perf_counter() - start)


def _schedule(
    module: tvm.IRModule, target: tvm.target.Target, functions: Functions, fusion: bool = True
) -> tvm.IRModule:
    """Puts what was tuned in the place of its subgraph's function, and schedules the others."""
    tuned = {subgraph_name(index): function for index, function in functions.items()}
    others = {gvar: function for gvar, function in module.functions_items() if gvar.name_hint not in tuned}
    scheduled = schedule_module(tvm.IRModule(others), machine_of(target), fusion)
    for gvar, _ in module.functions_items():
        name = gvar.name_hint
        function = tuned[name].with_attr("global_symbol", name) if name in tuned else scheduled[name]
        module.update_func(gvar, function)
    return module


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
