"""What an edit gives: only the subgraphs that it changed are compiled and run, each by itself."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import psutil
import tvm
import tvm_ffi
from tvm import tirx

from ago_core.artifacts.edit_times import EditTimes, Estimate, Part, edit_key
from ago_core.artifacts.profile import Spread
from ago_core.devices.local import machine
from ago_core.graph.model import Model, Progress
from ago_core.lowering.regroup import regroup_each
from ago_core.partition.compare import changed
from ago_core.partition.partition import Partition
from ago_core.schedules.analytic import schedule_function
from ago_core.schedules.estimate import estimated_cycles
from ago_core.schedules.machine import machine_of
from ago_core.tuning.bench import TURNS, Bench
from ago_core.tuning.interfaces import Contestant

FALLBACK_HERTZ = 3e9
"""Where the system does not tell the processor's frequency."""

Functions = list[tuple[tuple[int, ...], tirx.PrimFunc]]
"""Operators of a subgraph, and its function, not scheduled."""


def estimate_edit(model: Model, before: Partition, after: Partition, target: tvm.target.Target) -> Estimate:
    """Estimates the subgraphs that differ between two partitions of a model."""
    frequency = psutil.cpu_freq()
    hertz = frequency.current * 1e6 if frequency and frequency.current else FALLBACK_HERTZ
    seconds = [
        sum(estimated_cycles(function, machine_of(target)) for _, function in functions) / hertz
        for functions in _changed_functions(model, before, after)
    ]
    return Estimate(*seconds, hertz)


def measure_edit(
    model: Model,
    before: Partition,
    after: Partition,
    target: tvm.target.Target,
    threads: int,
    progress: Progress = lambda _: None,
) -> EditTimes:
    """Compiles and runs the subgraphs that differ, with default schedules; equal functions once."""
    sides = _changed_functions(model, before, after)
    different: dict[str, Contestant] = {}
    for members, function in (pair for functions in sides for pair in functions):
        key = _key(function)
        if key not in different:
            progress(f"Compiling {model.graph.operators[members[0]].name} and {len(members) - 1} more")
            different[key] = Contestant(function, schedule_function(function, machine_of(target)))
    bench = Bench(threads, target)
    bench.enter(0, list(different.values()))
    progress(f"Measuring {len(different)} functions in turns")
    turns = dict(zip(different, bench.compete(0)))
    totals = [[sum(turns[_key(function)][turn] for _, function in side) for turn in range(TURNS)] for side in sides]
    parts = [tuple(Part(members, _spread(turns[_key(function)])) for members, function in side) for side in sides]
    return EditTimes(edit_key(before, after), *parts, *map(_spread, totals), TURNS, threads, machine(), time.time())


def _changed_functions(model: Model, before: Partition, after: Partition) -> tuple[Functions, Functions]:
    """Of both partitions the subgraphs that the other has not; those that call a library have no function."""
    left, right = (
        [(partition.subgraphs[k], function) for k, function in zip(indices, regroup_each(model, partition, indices))]
        for partition, indices in zip((before, after), changed(before.subgraphs, after.subgraphs))
    )
    return [pair for pair in left if pair[1] is not None], [pair for pair in right if pair[1] is not None]


def _key(function: tirx.PrimFunc) -> str:
    return str(tvm_ffi.structural_hash(function.without_attr("global_symbol")))


def _spread(seconds: Sequence[float]) -> Spread:
    first, middle, third = statistics.quantiles(seconds, n=4, method="inclusive")
    return Spread(middle, first, third)
