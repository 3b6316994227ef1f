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
from ago_core.schedules.fuse import Task, fuse_blocks
from ago_core.schedules.knobs import Estimated
from ago_core.schedules.machine import Machine, machine_of
from ago_core.schedules.nest import Nest, read_nest
from ago_core.schedules.normalise import blocks_of, is_plain_reduction, is_reduction
from ago_core.schedules.prepare import normalised, prepare
from ago_core.schedules.stages import group_stages, read_stages
from ago_core.schedules.tile import divisors
from benchmarks.chains import Chain, function_of, model_of
from benchmarks.timing import BATCH_SECONDS, REST_SECONDS, ROUNDS, Side, in_turn, library_side, quartiles

SEED = 1
TRIES = 5
"""Batches by which the best task is looked for; its time for the record is taken anew."""
HEIGHTS = 5
"""Heights of a task that are tried, spread over all divisors."""
WIDTHS = 2
REFERENCE_LEVEL = 1
"""Of LLVM, for code that is not scheduled: what is timed is compiled as TVM does by default, in ten times as long."""
VECTORS = (1, 2)
"""Of channels, in a task of a depthwise convolution."""

Announce = Callable[[str], None]
"""Told what is compiled next, so that whoever waits knows what took too long."""


@dataclass(frozen=True)
class Codes:
    """The scheduled functions of a chain.

    Attributes:
        whole: not scheduled.
        parts: not scheduled, one for each part.
        apart: all parts as nests of one function.
        parts_apart: a function for each part.
        chosen: what `schedule_function` makes.
        groups: how it grouped the stages: (stages, cuts of the task or none).
        fused: in one nest, by task.
        refused: reasons, with how many tasks were refused for each.
    """

    whole: tirx.PrimFunc
    parts: tuple[tirx.PrimFunc, ...]
    apart: tirx.PrimFunc
    parts_apart: tuple[tirx.PrimFunc, ...]
    chosen: tirx.PrimFunc
    groups: tuple[tuple[int, tuple | None], ...]
    fused: dict[Task, tirx.PrimFunc]
    refused: dict[str, int]

    @property
    def hash(self) -> str:
        every = (self.apart, *self.parts_apart, self.chosen, *self.fused.values())
        return hashlib.sha256("".join(function.script() for function in every).encode()).hexdigest()[:16]

    @property
    def chose_to_fuse(self) -> bool:
        return StructuralKey(self.chosen) != StructuralKey(self.apart)


def schedule_chain(chain: Chain, machine: Machine) -> Codes:
    """All code of a chain that is compared."""
    model = model_of(chain.model)
    whole = function_of(model, chain.operators)
    parts = tuple(function_of(model, part) for part in chain.parts)
    sch = normalised(whole, machine)
    fused, refused = fuse_by_tasks(sch, candidate_tasks(_last_nest(sch), machine.lanes, _cuts_channels(chain)), machine)
    stages = read_stages(sch)
    groups = group_stages(stages, machine)
    return Codes(
        whole=whole,
        parts=parts,
        apart=analytic.schedule_groups(Schedule(prepare(sch, [], machine)), [], machine, Estimated()).mod["main"],
        parts_apart=tuple(analytic.schedule_function(part, machine) for part in parts),
        chosen=analytic.schedule_function(whole, machine),
        groups=tuple((len(group.stages), group.task and group.task.cuts) for group in groups),
        fused=fused,
        refused=refused,
    )


def _last_nest(sch: Schedule) -> Nest | None:
    """Of the last reduction; None where one of them has more than one result, as those of a layer norm."""
    reductions = [sch.get(block) for block in blocks_of(sch) if is_reduction(sch.get(block))]
    return read_nest(reductions[-1]) if all(map(is_plain_reduction, reductions)) else None


def _cuts_channels(chain: Chain) -> bool:
    return chain.kind.endswith("depthwise")


def candidate_tasks(nest: Nest | None, lanes: int, cuts_channels: bool) -> list[Task]:
    """Boxes of the last reduction's outputs: rows of all channels, pieces of rows, or rows of some vectors of channels.

    Args:
        nest: [batch,] row[, column], channel; channels may be cut into vectors already.
        lanes: elements of a vector.
        cuts_channels: whether the last operator is a depthwise convolution, whose input can be cut by channel.
    """
    if nest is None:
        return []
    extents = [nest.axes[axis].extent for axis in nest.spatial]
    row = 0 if len(extents) == 2 else 1
    first = ((0, 1),) * row
    heights = _spread(divisors(extents[row], extents[row]), HEIGHTS)
    tasks = [Task((*first, (row, height))) for height in heights]
    if cuts_channels:
        unit = lanes if len(extents) == 4 else 1
        counts = [count * unit for count in VECTORS if extents[3] % (count * unit) == 0]
        tasks += [Task((*first, (3, width), (1, height))) for width in counts for height in heights]
    elif len(extents) >= 4:
        widths = _spread([width for width in divisors(extents[2], extents[2]) if width < extents[2]], WIDTHS)
        tasks += [Task((*first, (row, 1), (2, width))) for width in widths]
    return tasks


def _spread(values: list[int], count: int) -> list[int]:
    """At most so many of the values, evenly by position, the ends among them."""
    values = sorted(values)
    if len(values) <= count:
        return values
    return [values[round(k * (len(values) - 1) / (count - 1))] for k in range(count)]


def fuse_by_tasks(sch: Schedule, tasks: list[Task], machine: Machine) -> tuple[dict[Task, tirx.PrimFunc], dict]:
    """All blocks of a schedule in one nest, by each task that TVM allows; and why it refused the others."""
    names = [sch.get(block).name_hint for block in blocks_of(sch)]
    fused: dict[Task, tirx.PrimFunc] = {}
    refused: Counter[str] = Counter()
    for task in tasks:
        fork = sch.copy()
        try:
            fuse_blocks(fork, names, task, machine, Estimated())
        except analytic.REFUSALS as error:
            refused[reason_of(str(error))] += 1
        else:
            fused[task] = fork.mod["main"]
    return fused, dict(refused) if tasks else {"a reduction has more than one result": 0}


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
        quartile], None where there is no such code: `apart`, `parts` (a list), `chosen` (None where nothing was fused,
        so that it is `apart`), `fused` (of the best task); and how it came to that.
    """
    announce("the schedules")
    codes = schedule_chain(chain, machine_of(host_target(threads)))
    if codes.hash == known:
        return {"code": codes.hash}
    bench = Bench(threads, announce, skip)
    arguments, want = bench.expected(codes.whole, "not scheduled")
    sides = {"apart": bench.side(codes.apart, "apart", arguments, want)}
    for k, (part, function) in enumerate(zip(codes.parts, codes.parts_apart)):
        sides[f"part {k}"] = bench.side(function, f"part {k}", *bench.expected(part, f"part {k}, not scheduled"))
    if codes.chose_to_fuse:
        sides["chosen"] = bench.side(codes.chosen, "chosen", arguments, want)
    task, sides["fused"] = _best(bench, codes, arguments, want)
    rest = REST_SECONDS if threads > 1 else 0
    times = in_turn({name: side for name, side in sides.items() if side is not None}, ROUNDS, rest)
    found = {name: quartiles(seconds) for name, seconds in times.items()}
    return {
        "code": codes.hash,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "apart": found.get("apart"),
        "parts": [found.get(f"part {k}") for k in range(len(codes.parts))],
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
