"""What a subgraph becomes: its function before and after scheduling, and what the schedule decided, as plain data."""

from __future__ import annotations

import re
from dataclasses import dataclass

import tvm
from tvm import tirx

from ago_core.errors import UserError
from ago_core.graph.model import Model
from ago_core.graph.operators import is_product_sum, sblocks
from ago_core.lowering.buffers import held_buffers
from ago_core.lowering.held import Held
from ago_core.lowering.regroup import regroup_one
from ago_core.partition.partition import Partition
from ago_core.schedules.analytic import estimated_best
from ago_core.schedules.decisions import NestChoice, decisions
from ago_core.schedules.machine import machine_of


@dataclass(frozen=True)
class Processor:
    """What the schedule was made for.

    Attributes:
        lanes: float32 values in a vector.
        registers: vector registers.
        cores: that share the work.
        l1_bytes, l2_bytes: caches of a core.
    """

    lanes: int
    registers: int
    cores: int
    l1_bytes: int
    l2_bytes: int


@dataclass(frozen=True)
class Inspection:
    """A subgraph's function.

    Attributes:
        before: TVMScript, not scheduled.
        after: scheduled.
        trace: the scheduling primitives, as Python that would make the one out of the other's normal form.
        complex_blocks: names of the blocks that multiply and add, and the operators that they compute, in order.
        held: where the scheduled function keeps its intermediates.
        nests: of its reductions; empty for a schedule that tuning found.
        processor: that it is for.
    """

    before: str
    after: str
    trace: str
    complex_blocks: tuple[tuple[str, str], ...]
    held: tuple[Held, ...]
    nests: tuple[NestChoice, ...]
    processor: Processor

    @property
    def cycles(self) -> float | None:
        """Estimated, of all nests with a reduction; None where there is none: the estimate knows no others."""
        return sum(nest.cycles for nest in self.nests) if self.nests else None


def inspect_subgraph(model: Model, partition: Partition, index: int, target: tvm.target.Target) -> Inspection:
    """`partition.subgraphs[index]` with the analytic schedule for a target.

    Raises:
        UserError: it is a library call.
    """
    function = subgraph_function(model, partition, index)
    machine = machine_of(target)
    variant, schedule = estimated_best(function, machine)
    scheduled = schedule.mod["main"]
    return Inspection(
        before=readable(function),
        after=readable(scheduled),
        trace=str(schedule.trace),
        complex_blocks=complex_blocks(model, partition.subgraphs[index], function),
        held=held_buffers(scheduled),
        nests=decisions(function, variant.groups, machine),
        processor=processor_of(target),
    )


def subgraph_function(model: Model, partition: Partition, index: int) -> tirx.PrimFunc:
    """The fused function of a subgraph, not scheduled. Raises UserError: it is a library call."""
    function = regroup_one(model, partition, index)
    if function is None:
        name = model.graph.operators[partition.subgraphs[index][0]].name
        raise UserError(f"{name} is a library call: TVM does not see inside, so there is no loop nest to show.")
    return function.without_attr("global_symbol")


def processor_of(target: tvm.target.Target) -> Processor:
    machine = machine_of(target)
    return Processor(machine.lanes, machine.registers, machine.cores, machine.l1_bytes, machine.l2_bytes)


def readable(function: tirx.PrimFunc) -> str:
    """TVMScript to read: indices are written 56, not T.int64(56), and the header of imports is left out."""
    text = function.script()
    return re.sub(r"T\.int64\((-?\d+)\)", r"\1", text[text.index("@T.prim_func") :])


def complex_blocks(model: Model, members: tuple[int, ...], function: tirx.PrimFunc) -> tuple[tuple[str, str], ...]:
    """Blocks come in the order of the operators; an operator of several such blocks leaves all by their own names."""
    blocks = [block.name_hint for block in sblocks(function.body) if block.iter_vars and is_product_sum(block)]
    names = [model.graph.operators[op].name for op in members if model.graph.operators[op].is_complex]
    return tuple(zip(blocks, names if len(names) == len(blocks) else blocks))
