"""What a session found for a subgraph, to look at: see `ago_core.lowering.inspect`."""

from __future__ import annotations

from pathlib import Path

import tvm
from tvm import tirx
from tvm.s_tir import Schedule

from ago_core.errors import UserError
from ago_core.graph.model import Model
from ago_core.lowering.buffers import held_buffers
from ago_core.lowering.inspect import Inspection, complex_blocks, processor_of, readable
from ago_core.partition.partition import partition_from_json
from ago_core.schedules.machine import machine_of
from ago_core.tuning.best import read_data, unscheduled
from ago_core.tuning.space import rebuilt_schedule


def inspect_tuned(model: Model, folder: Path, subgraph: int) -> Inspection:
    """A subgraph of the partition that a session found, with its best schedule.

    Raises:
        UserError: the session has no schedule for it that still applies.
    """
    function, schedule, target = tuned_schedule(model, folder, subgraph)
    members = partition_from_json(model.graph, read_data(folder)["partition"]).subgraphs[subgraph]
    scheduled = schedule.mod["main"]
    return Inspection(
        before=readable(function),
        after=readable(scheduled),
        trace=str(schedule.trace),
        complex_blocks=complex_blocks(model, members, function),
        held=held_buffers(scheduled),
        nests=(),
        processor=processor_of(target),
    )


def tuned_schedule(model: Model, folder: Path, subgraph: int) -> tuple[tirx.PrimFunc, Schedule, tvm.target.Target]:
    """The function that a session tuned, its best schedule, and for which target. Raises as `inspect_tuned` does."""
    data = read_data(folder)
    row = next((row for row in data["functions"] if row["subgraph"] == subgraph), None)
    if row is None:
        raise UserError(f"The session in {folder} kept the analytic schedule for subgraph {subgraph}.")
    target = tvm.target.Target(data["target"])
    function = unscheduled(model, row)
    try:
        return function, rebuilt_schedule(function, row["trace"], machine_of(target)), target
    except ValueError as error:
        raise UserError(f"The schedule does not apply any more: {error}. Tune it again.") from error
