"""What takes long to know of a subgraph, computed in the background and kept: code, assembly, the machine's limits.

Each function returns a task at once; a page shows what it has, or that it is on its way. Scheduling runs in a thread,
assembly and measurements in processes of their own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ago_core.errors import UserError
from ago_core.lowering.instructions import Counts, count_instructions
from ago_core.partition.partition import Partition
from app.services.inspect_tuned import Tuned
from app.services.kept import Kept
from app.services.loaded import Loaded
from app.services.worker import Task, Worker

if TYPE_CHECKING:  # importing TVM takes more than a second: the worker's thread does it
    from ago_core.lowering.inspect import Inspection

ROOT = Path(__file__).resolve().parents[2]
HOST = "host"
TARGETS = {HOST: "This machine", "raspberry-pi-5": "Arm NEON (Cortex-A76)"}
"""Presets that the generated code can be looked at for."""
KEPT_INSPECTIONS, KEPT_LOOPS = 100, 60
LIMITS_SECONDS = 180
Progress = Callable[[str], None]


@dataclass(frozen=True)
class HotLoop:
    """The innermost loop with the most multiply-adds of a function.

    Attributes:
        text: assembly; empty where the function has no loop with arithmetic.
        counts: of its instructions.
        lines: of the whole function's assembly.
    """

    text: str
    counts: Counts
    lines: int


@dataclass(frozen=True)
class Limits:
    """What this machine can do at most, as measured: see `ago_core.devices.roofline.Roofline`."""

    threads: int
    peak: float
    footprints: tuple[int, ...]
    bandwidths: tuple[float, ...]


def inspection(loaded: Loaded, partition: Partition, index: int, target: str = HOST) -> Task:
    """The task whose result is the `Inspection` of a subgraph under the analytic schedule."""

    def work(progress: Progress) -> Inspection:
        from ago_core.devices.presets import preset_named
        from ago_core.lowering.inspect import inspect_subgraph

        progress("Scheduling the subgraph's loops")
        return inspect_subgraph(loaded.model, partition, index, preset_named(target).target)

    return _begun(_inspections(), (*_subgraph(partition, index), target), work, _threads("inspector"))


def tuned_inspection(loaded: Loaded, tuned: Tuned) -> Task:
    """The task whose result is the `Inspection` of what a session found."""

    def work(progress: Progress) -> Inspection:
        from ago_core.tuning.inspect import inspect_tuned

        progress("Replaying the schedule that was found")
        return inspect_tuned(loaded.model, tuned.folder, tuned.subgraph)

    return _begun(_inspections(), (loaded.graph.model_hash, tuned), work, _threads("inspector"))


def tuned_loop(loaded: Loaded, tuned: Tuned) -> Task:
    """The task whose result is the `HotLoop` of what a session found, for the session's target."""

    def work(progress: Progress) -> HotLoop:
        from ago_core.lowering.machine_code import assembly_of
        from ago_core.tuning.inspect import tuned_schedule

        progress("Replaying the schedule that was found")
        _, schedule, target = tuned_schedule(loaded.model, tuned.folder, tuned.subgraph)
        progress("Generating machine code")
        return _hot_loop(assembly_of(schedule.mod["main"], target))

    return _begun(_loops(), (loaded.graph.model_hash, tuned), work, _threads("assembly"))


def hot_loop(loaded: Loaded, partition: Partition, index: int, target: str = HOST) -> Task:
    """The task whose result is the `HotLoop` of a subgraph's function under the analytic schedule."""

    def work(progress: Progress) -> HotLoop:
        from ago_core.devices.presets import preset_named
        from ago_core.lowering.inspect import subgraph_function
        from ago_core.lowering.machine_code import assembly_of
        from ago_core.schedules.analytic import schedule_function
        from ago_core.schedules.machine import machine_of

        progress("Scheduling the subgraph's loops")
        chosen = preset_named(target).target
        function = schedule_function(subgraph_function(loaded.model, partition, index), machine_of(chosen))
        progress("Generating machine code")
        return _hot_loop(assembly_of(function, chosen))

    return _begun(_loops(), (*_subgraph(partition, index), target), work, _threads("assembly"))


def _hot_loop(assembly: str) -> HotLoop:
    from ago_core.lowering.assembly import hot_loop as found_in

    text = found_in(assembly)
    return HotLoop(text, count_instructions(text), len(assembly.splitlines()))


@cache
def limits() -> Task:
    """The task whose result is this machine's `Limits` with a thread on each core; measured once a server."""

    def work(progress: Progress) -> Limits:
        from ago_core.devices.local import physical_cores

        progress("Measuring what this machine can do at most")
        return measured_limits(physical_cores())

    task = Task(work)
    _threads("limits").submit(task.run)
    return task


def measured_limits(threads: int) -> Limits:
    """Measures in a process of its own, some seconds. Raises UserError where it cannot."""
    command = [sys.executable, "-m", "ago_core.devices.roofline", str(threads)]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMITS_SECONDS)
        data = json.loads(done.stdout)
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        raise UserError("This machine's peak and bandwidth could not be measured: it is too busy, or fails.") from error
    return Limits(data["threads"], data["peak"], tuple(data["footprints"]), tuple(data["bandwidths"]))


def _subgraph(partition: Partition, index: int) -> tuple:
    return partition.model_hash, partition.subgraphs[index]


def _begun(kept: Kept[tuple, Task], key: tuple, work: Callable[[Progress], object], worker: Worker) -> Task:
    """The task under that key, submitted the first time."""

    def begin() -> Task:
        task = Task(work)
        worker.submit(task.run)
        return task

    return kept.get(key, begin)


@cache
def _inspections() -> Kept[tuple, Task]:
    return Kept(KEPT_INSPECTIONS)


@cache
def _loops() -> Kept[tuple, Task]:
    return Kept(KEPT_LOOPS)


@cache
def _threads(name: str) -> Worker:
    """The server's threads: one for each kind of work, so that what is quick does not wait for what is not."""
    return Worker(name)
