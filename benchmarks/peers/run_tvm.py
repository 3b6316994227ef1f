"""TVM with this project's builder and threads: what a session found, or code without any trial."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tvm
from tvm.runtime.vm import VirtualMachine

from ago_core.devices.local import host_target
from ago_core.devices.threads import pinned_threads
from ago_core.graph.model import Model, load_model
from ago_core.lowering.executable import Functions, compile_model
from ago_core.lowering.regroup import regroup_each
from ago_core.partition.ago import cluster
from ago_core.partition.heuristic import heuristic_partition
from ago_core.partition.partition import Partition
from ago_core.tuning.backend import make_backend
from ago_core.tuning.best import read_best
from ago_core.tuning.interfaces import SearchTask
from ago_core.tuning.settings import ABLATIONS, LocalDevice, TuningSettings
from benchmarks.peers.nchw import load_nchw
from benchmarks.peers.worker import Loaded, inputs_of

LOADERS = {"nhwc": load_model, "nchw": load_nchw}


def load(request: dict) -> Loaded:
    """The request names an ablation, a layout, and a folder with a session's result, or None for no trial."""
    threads = len(request["cores"])
    model = LOADERS[request["layout"]](request["spec"])
    settings = TuningSettings(0, LocalDevice(threads), ABLATIONS[request["ablation"]])
    backend = make_backend(settings)
    if request["result"] is None:
        partition, functions = untuned(model, settings)
    else:
        best = read_best(Path(request["result"]), model, backend.rebuild)
        partition, functions = best.partition, best.functions
    return loaded(request, model, partition, functions)


def loaded(request: dict, model: Model, partition: Partition, functions: Functions) -> Loaded:
    """The model compiled with these functions, on the cores that the request names."""
    threads = len(request["cores"])
    compiled = compile_model(model, partition, host_target(threads), functions=functions)
    machine, inputs = VirtualMachine(compiled.executable, tvm.cpu()), inputs_of(request)
    machine.set_input("main", *(tvm.runtime.tensor(inputs[name]) for name, _ in model.graph.inputs))

    def outputs() -> list[np.ndarray]:
        result = machine.get_outputs("main")
        return [result.numpy()] if isinstance(result, tvm.runtime.Tensor) else [item.numpy() for item in result]

    return Loaded(tvm.__version__, lambda: machine.invoke_stateful("main"), outputs, pinned_threads(threads).run)


def untuned(model: Model, settings: TuningSettings) -> tuple[Partition, Functions]:
    """Partition and code of an ablation in this project's spaces without any trial."""
    ablation = settings.ablation
    ago = ablation.partition == "ago"
    partition = cluster(model.graph, settings.clustering).partition if ago else heuristic_partition(model)
    functions = {}
    indices = () if ablation.fusion else range(len(partition))
    for index, function in zip(indices, regroup_each(model, partition, indices)):
        if function is not None:
            search = make_backend(settings).search(
                SearchTask(function.without_attr("global_symbol"), (), settings.seed)
            )
            functions[index] = search.propose(1)[0].function
    return partition, functions
