"""A subgraph's operators in one loop nest, untuned, whether or not the estimate says that this pays."""

from __future__ import annotations

from tvm.s_tir import Schedule

from ago_core.devices.local import host_target
from ago_core.graph.model import Model, load_model
from ago_core.lowering.regroup import regroup_one
from ago_core.partition.ago import cluster
from ago_core.partition.settings import Settings
from ago_core.schedules.analytic import Variant, estimated_best, schedule_groups, variants
from ago_core.schedules.knobs import Estimated
from ago_core.schedules.machine import machine_of
from benchmarks.peers.run_tvm import loaded
from benchmarks.peers.worker import Loaded


def load(request: dict) -> Loaded:
    """Raises ValueError where TVM cannot prove that its operators may share a nest."""
    model = load_model(request["spec"])
    machine = machine_of(host_target(len(request["cores"])))
    partition = cluster(model.graph, Settings()).partition
    whole = [each for each in variants(regroup_one(model, partition, 0), machine) if in_one_nest(each)]
    if not whole:
        raise ValueError("these operators cannot share a nest")
    schedule = schedule_groups(Schedule(whole[0].module), whole[0].groups, machine, Estimated())
    return loaded(request, model, partition, {0: schedule.mod["main"]})


def in_one_nest(variant: Variant) -> bool:
    """Whether several stages are in one nest and nothing is beside it."""
    return len(variant.groups) == 1 and variant.groups[0].task is not None


def chooses_one_nest(model: Model, threads: int) -> bool:
    """Whether AGO puts a model of one subgraph into one nest, by its estimate.

    Raises:
        ValueError: it has several subgraphs.
    """
    partition = cluster(model.graph, Settings()).partition
    if len(partition) != 1:
        raise ValueError(f"AGO makes {len(partition)} subgraphs of {model.graph.name}")
    function = regroup_one(model, partition, 0)
    return in_one_nest(estimated_best(function, machine_of(host_target(threads)))[0])
