"""One chain of operators measured: its code apart, as chosen without a trial, and in one nest by many tasks."""

from __future__ import annotations

import datetime
import hashlib
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tvm
from tvm import tirx
from tvm.s_tir import Schedule
from tvm_ffi import StructuralKey

from ago_core.artifacts.reference import relative_error
from ago_core.artifacts.verify import TOLERANCE
from ago_core.devices.local import host_target
from ago_core.lowering.build import build_functions
from ago_core.schedules import analytic
from ago_core.schedules.fuse import Task
from ago_core.schedules.knobs import Estimated
from ago_core.schedules.machine import Machine, machine_of
from ago_core.schedules.prepare import normalised, prepare
from ago_core.schedules.stages import Group, Stage, group_stages, is_chain, read_stages, tasks
from benchmarks.chains import Chain, function_of, model_of
from benchmarks.timing import BATCH_SECONDS, ROUNDS, Side, in_turn, library_side, quartiles

SEED = 1
TRIES = 5
"""Batches by which the best task is looked for; its time for the record is taken anew."""
TASKS = 14
"""That are tried of a chain, spread over all of its space."""
REFERENCE_LEVEL = 1
"""Of LLVM, for code that is not scheduled: what is timed is compiled as TVM does by default, in ten times as long."""
Announce = Callable[[str], None]
"""Told what is compiled next, so that whoever waits knows what took too long."""


@dataclass(frozen=True)
class Codes:
    """The scheduled functions of a chain.

    Attributes:
        whole: not scheduled.
        apart: each stage in a nest of its own.
        chosen: what `schedule_function` makes.
        groups: how it grouped the stages: (stages, cuts of the task or none).
        fused: in one nest, by task.
        refused: reasons, with how many tasks were refused for each.
    """

    whole: tirx.PrimFunc
    apart: tirx.PrimFunc
    chosen: tirx.PrimFunc
    groups: tuple[tuple[int, tuple | None], ...]
    fused: dict[Task, tirx.PrimFunc]
    refused: dict[str, int]

    @property
    def hash(self) -> str:
        every = (self.apart, self.chosen, *self.fused.values())
        return hashlib.sha256("".join(function.script() for function in every).encode()).hexdigest()[:16]

    @property
    def chose_to_fuse(self) -> bool:
        return StructuralKey(self.chosen) != StructuralKey(self.apart)


def schedule_chain(chain: Chain, machine: Machine) -> Codes:
    """All code of a chain that is compared."""
    whole = function_of(model_of(chain.model), chain.operators)
    sch = normalised(whole, machine)
    stages = tuple(read_stages(sch))
    fused, refused = fuse_by_tasks(sch, stages, machine)
    return Codes(
        whole=whole,
        apart=_scheduled(sch, [], machine),
        chosen=analytic.schedule_function(whole, machine),
        groups=tuple((len(group.stages), group.task and group.task.cuts) for group in group_stages(stages, machine)),
        fused=fused,
        refused=refused,
    )


def _scheduled(sch: Schedule, groups: list[Group], machine: Machine) -> tirx.PrimFunc:
    return analytic.schedule_groups(Schedule(prepare(sch, groups, machine)), groups, machine, Estimated()).mod["main"]


def fuse_by_tasks(
    sch: Schedule, stages: tuple[Stage, ...], machine: Machine
) -> tuple[dict[Task, tirx.PrimFunc], dict[str, int]]:
    """All stages in one nest, by tasks of the space that TVM allows; and why it refused the others."""
    if len(stages) < 2:
        return {}, {"they are one stage": 0}
    if not is_chain(stages):
        return {}, {"a result is read elsewhere, or in a way that is not known": 0}
    fused: dict[Task, tirx.PrimFunc] = {}
    refused: Counter[str] = Counter()
    for task in spread(tasks(stages, machine), TASKS):
        try:
            fused[task] = _scheduled(sch, [Group(stages, task)], machine)
        except analytic.Unfusable as error:
            refused[reason_of(str(error.__cause__))] += 1
    return fused, dict(refused)


def spread(values: list, count: int) -> list:
    """At most so many of the values, evenly by position, the ends among them."""
    if len(values) <= count:
        return values
    return [values[round(k * (len(values) - 1) / (count - 1))] for k in range(count)]


def reason_of(message: str) -> str:
    """The sentence of TVM's message that says why."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    said = [line for line in lines if "Error message:" in line or line.startswith(("ScheduleError", "InternalError"))]
    reason = (said or lines or ["no reason given"])[-1]
    return reason.split("Error message:")[-1].strip()[:240]


class Bench:
    """Builds functions, checks them and remembers which were wrong.

    Attributes:
        threads: of the code.
        wrong: error of each function that computed something else.
    """

    def __init__(self, threads: int, announce: Announce, skip: frozenset[str]):
        self.threads = threads
        self.wrong: dict[str, float] = {}
        self._announce = announce
        self._skip = skip

    def expected(self, function: tirx.PrimFunc, name: str) -> tuple[list, np.ndarray]:
        """Random arguments for a function, and what it computes as it is."""
        arguments = _arguments(function)
        self._build(function, name, {"opt-level": REFERENCE_LEVEL})["main"](*arguments)
        return arguments, arguments[-1].numpy()

    def side(self, function: tirx.PrimFunc, name: str, arguments: list, want: np.ndarray) -> Side | None:
        """A function to be timed; None if it is to be skipped, does not build or computes something else."""
        if name in self._skip:
            return None
        library = self._build(function, name, {})
        given = [*arguments[:-1], tvm.runtime.tensor(np.full(want.shape, np.nan, want.dtype))]
        library["main"](*given)
        error = relative_error(given[-1].numpy(), want)
        if not error <= TOLERANCE:
            self.wrong[name] = float(error)
            return None
        return library_side(library, given)

    def _build(self, function: tirx.PrimFunc, name: str, options: dict[str, int]):
        self._announce(name)
        target = tvm.target.Target(dict(host_target(self.threads).export()) | options)
        return build_functions(tvm.IRModule({"main": function.with_attr("global_symbol", "main")}), target)


def _arguments(function: tirx.PrimFunc) -> list:
    rng = np.random.default_rng(SEED)
    shapes = [([int(extent) for extent in p.ty.shape], str(p.ty.dtype)) for p in function.params]
    return [
        tvm.runtime.tensor(
            rng.standard_normal(shape).astype(dtype) if dtype.startswith("float") else np.ones(shape, dtype)
        )
        for shape, dtype in shapes
    ]


def measure_chain(chain: Chain, threads: int, known: str | None, skip: frozenset[str], announce: Announce) -> dict:
    """Checks and times one chain.

    Args:
        chain: what to measure.
        threads: of all code.
        known: hash of the code that has a record already.
        skip: names of functions that took too long to compile.
        announce: told the name of each function before it is compiled.

    Returns:
        Only `code`, the hash, where it is known. Else also times in microseconds, each [median, first quartile, third
        quartile], None where there is no such code: `apart`, `chosen` (None where nothing was fused,
        so that it is `apart`), `fused` (of the best task); and how it came to that.
    """
    announce("the schedules")
    codes = schedule_chain(chain, machine_of(host_target(threads)))
    if codes.hash == known:
        return {"code": codes.hash}
    bench = Bench(threads, announce, skip)
    arguments, want = bench.expected(codes.whole, "not scheduled")
    sides = {"apart": bench.side(codes.apart, "apart", arguments, want)}
    if codes.chose_to_fuse:
        sides["chosen"] = bench.side(codes.chosen, "chosen", arguments, want)
    task, sides["fused"] = _best(bench, codes, arguments, want)
    times = in_turn({name: side for name, side in sides.items() if side is not None}, ROUNDS, threads)
    found = {name: quartiles(seconds) for name, seconds in times.items()}
    return {
        "code": codes.hash,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "apart": found.get("apart"),
        "chosen": found.get("chosen"),
        "chose_to_fuse": codes.chose_to_fuse,
        "groups": codes.groups,
        "fused": found.get("fused"),
        "task": task and task.cuts,
        "tasks": len(codes.fused),
        "refused": codes.refused,
        "wrong": bench.wrong,
    }


def _best(bench: Bench, codes: Codes, arguments: list, want: np.ndarray) -> tuple[Task | None, Side | None]:
    """The task whose code is fastest in a few short batches, and that code."""
    best: tuple[float, Task | None, Side | None] = (math.inf, None, None)
    for task, function in codes.fused.items():
        side = bench.side(function, name_of(task), arguments, want)
        if side is not None and (seconds := _least(side)) < best[0]:
            best = (seconds, task, side)
    return best[1:]


def name_of(task: Task) -> str:
    return "task " + ", ".join(f"axis {axis} by {extent}" for axis, extent in task.cuts)


def _least(side: Side) -> float:
    number = math.ceil(BATCH_SECONDS / max(side(1), 1e-7))
    return min(side(number) for _ in range(TRIES))
