"""What a subgraph becomes: the text of its PrimFunc."""

from __future__ import annotations

import re

from ago_core.devices.local import host_target
from ago_core.graph.model import Model
from ago_core.lowering.regroup import regroup_one
from ago_core.partition.partition import Partition
from ago_core.schedules.analytic import schedule_function
from ago_core.schedules.machine import machine_of


def prim_func_text(model: Model, partition: Partition, index: int, scheduled: bool) -> str:
    """TVMScript of the fused function of `partition.subgraphs[index]`, before or after scheduling for this machine.

    For reading: indices are written 56, not T.int64(56), and the header of imports is left out.
    """
    function = regroup_one(model, partition, index)
    if function is None:
        return "# A library call: TVM does not see inside, so there is no loop nest."
    text = (schedule_function(function, machine_of(host_target())) if scheduled else function).script()
    start = text.index("@T.prim_func")
    return re.sub(r"T\.int64\((-?\d+)\)", r"\1", text[start:])
