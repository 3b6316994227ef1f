"""Tuning tasks: the different functions of a partition, each to be tuned once."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx
from tvm_ffi import StructuralKey

from ago_core.graph.model import Model
from ago_core.lowering.regroup import regroup_each
from ago_core.partition.metrics import subgraph_weights
from ago_core.partition.partition import Partition


@dataclass(frozen=True, eq=False)
class Task:
    """One function to tune.

    Attributes:
        function: not scheduled.
        subgraphs: indices of the subgraphs of the partition that are this function.
        weight: of one of them, in expected trials.
    """

    function: tirx.PrimFunc
    subgraphs: tuple[int, ...]
    weight: float


def tasks_of(model: Model, partition: Partition) -> tuple[Task, ...]:
    """The tasks of a partition in the order of their first subgraph; library calls have none.

    Two subgraphs are one task where their PrimFuncs are structurally equal: same loops, shapes and arithmetic.
    """
    found: dict[StructuralKey, tuple[tirx.PrimFunc, list[int]]] = {}
    for index, function in enumerate(regroup_each(model, partition, range(len(partition)))):
        if function is not None:
            anonymous = function.without_attr("global_symbol")
            found.setdefault(StructuralKey(anonymous), (anonymous, []))[1].append(index)
    weights = subgraph_weights(model.graph, partition)
    return tuple(Task(function, tuple(indices), weights[indices[0]]) for function, indices in found.values())
