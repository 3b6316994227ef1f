"""A design space with MetaSchedule's evolutionary search on it, without its task scheduler.

These spaces have two to ten knobs. Replaying a trace takes 2 to 6 ms and its features 2 to 13 ms, so MetaSchedule's
population of 512 over 4 generations would cost 10 to 50 s for each batch. An `Effort` over GENERATIONS costs 15 to 60
ms for each candidate of a batch, less than it takes to build it.
"""

from __future__ import annotations

import importlib
import json
import sys
import types
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property

import tvm
import tvm_ffi
from tvm import tirx
from tvm.ir.utils import derived_object
from tvm.s_tir import Schedule
from tvm.s_tir import meta_schedule as ms
from tvm.s_tir.meta_schedule.arg_info import ArgInfo
from tvm.s_tir.meta_schedule.mutator import MutateTileSize
from tvm.s_tir.meta_schedule.postproc import PyPostproc
from tvm.s_tir.meta_schedule.search_strategy import EvolutionarySearch, MeasureCandidate
from tvm.s_tir.meta_schedule.space_generator import ScheduleFn
from tvm.s_tir.schedule import Trace

from ago_core.schedules.analytic import REFUSALS, Variant, variants
from ago_core.schedules.machine import Machine
from ago_core.schedules.space import LimitUnrolling, design_space
from ago_core.tuning.cost_model import CostModel
from ago_core.tuning.interfaces import Measurement


@dataclass(frozen=True)
class Effort:
    """Of the search in a space.

    Attributes:
        population: of a generation.
        batch: what it gives at a time.
    """

    population: int
    batch: int


OURS = Effort(24, 8)
"""A task's trials are shared by several of this project's spaces, so of larger batches much would never be tried."""
STOCKS = Effort(32, 16)
"""In MetaSchedule's spaces, which are larger."""
GENERATIONS = 1
PARENTS = 0.25
"""Of the first generation from the best measured; the others are random."""
RANDOM = 0.2
"""Of a batch, whatever the cost model says."""
EMPTY = 3
"""Batches in a row without anything new: the space is exhausted."""
MEMORY = 32
"""Candidates of a space after which MetaSchedule's memory of them is cleared: each keeps 30 KB, and a session has many
spaces. Clearing takes 4 ms, and `Unseen` still rejects what was proposed."""
RETRIES = 4
"""Mutations of a parent until one is new."""

STOCK = "stock"

INTRINSICS = "tvm.s_tir.tensor_intrin"
"""TuneContext imports them for every target: half a minute of parsing. This project's spaces use none."""
OTHER_TARGETS = ("cuda", "rocm", "metal", "hexagon", "riscv_cpu")


class Proposal:
    """A point of a space.

    Attributes:
        space: its label.
        measured: as MetaSchedule has it.
        function: scheduled.
        hash: of its code.
    """

    def __init__(self, space: str, measured: MeasureCandidate):
        self.space = space
        self.measured = measured
        self.function: tirx.PrimFunc = measured.sch.mod["main"]
        self.hash = hash_of_code(self.function)

    @cached_property
    def trace(self) -> str:
        """See `interfaces.Candidate`."""
        steps = self.measured.sch.trace.as_json()
        return json.dumps({"space": self.space, "hash": self.hash, "trace": steps}, default=lambda number: number.value)


def proposal_of(space: str, sch: Schedule) -> Proposal:
    return Proposal(space, MeasureCandidate(sch, ArgInfo.from_entry_func(sch.mod, remove_preproc=True)))


def hash_of_code(function: tirx.PrimFunc) -> str:
    return str(tvm_ffi.structural_hash(function))


def hash_of(trace: str) -> str:
    """Of the code that a trace makes."""
    return json.loads(trace)["hash"]


def space_of(trace: str) -> str:
    """The label of the space that a trace belongs to."""
    return json.loads(trace)["space"]


@derived_object
class Unseen(PyPostproc):
    """Rejects what was proposed before, so that populations hold nothing else but what is new, and parents."""

    def __init__(self, seen: AbstractSet[str], parents: AbstractSet[str]):
        super().__init__()
        self._seen, self._parents = seen, parents

    def _initialize_with_tune_context(self, context: ms.TuneContext) -> None:
        pass

    def apply(self, sch: Schedule) -> bool:
        code = hash_of_code(sch.mod["main"])
        return code not in self._seen or code in self._parents

    def clone(self) -> Unseen:
        return Unseen(self._seen, self._parents)


class Space:
    """One design space and what is known of it.

    Attributes:
        label: that its traces carry.
        exhausted: whether nothing new is left.
    """

    KEPT = int(PARENTS * STOCKS.population)
    """Best schedules that are kept: parents of every generation."""

    def __init__(self, label: str, context: ms.TuneContext, cost_model: CostModel, parents: set[str], batch: int):
        self.label = label
        self._batch = batch
        self._context = context
        self._model = cost_model
        self._parents = parents
        self._spaces = context.generate_design_space()
        self._queue: list[Proposal] = []
        self._best: list[tuple[float, Trace, str]] = []
        self.exhausted = False
        self._begin()

    def estimate(self) -> Proposal:
        """The schedule that the space was made with, its knobs as they came; then it is exhausted if it has none."""
        (space,) = self._spaces
        self.exhausted = not space.trace.decisions
        return proposal_of(self.label, space)

    def next(self, seen: AbstractSet[str]) -> Proposal | None:
        """A point whose hash has not been seen; None where the space is exhausted."""
        empty = 0
        while not self.exhausted:
            self._queue = [proposal for proposal in self._queue if proposal.hash not in seen]
            if self._queue:
                return self._queue.pop(0)
            empty += 1
            self.exhausted = empty > EMPTY
            self._queue = self._generate()
        return None

    def rebuild(self, trace: str) -> Proposal:
        """The point that a trace describes."""
        return proposal_of(self.label, replayed(self._context.mod, trace))

    def learn(self, proposals: Sequence[Proposal], measurements: Sequence[Measurement]) -> None:
        """What was measured, for parents and cost model."""
        if not proposals:
            return
        measured = [proposal.measured for proposal in proposals]
        latencies = [measurement.latency for measurement in measurements]
        results = [ms.runner.RunnerResult([s] if s else None, None if s else "failed") for s in latencies]
        self._best += [(s, p.measured.sch.trace, p.hash) for s, p in zip(latencies, proposals) if s is not None]
        self._best = sorted(self._best, key=lambda known: known[0])[: self.KEPT]
        self._parents.clear()
        self._parents.update(code for _, _, code in self._best)
        for seconds, proposal in zip(latencies, proposals):
            if proposal.hash in self._parents:
                self._commit(seconds, proposal.measured.sch.trace)
        self._context.notify_runner_results(measured, results)
        self._model.update(self._context, measured, results)

    def _commit(self, seconds: float, trace: Trace) -> None:
        self._database.commit_tuning_record(ms.database.TuningRecord(trace, self._workload, [seconds]))

    def _begin(self) -> None:
        """MetaSchedule's state anew, with the best so far as parents."""
        self._database = ms.database.MemoryDatabase()
        self._workload = self._database.commit_workload(self._context.mod)
        for seconds, trace, _ in self._best:
            self._commit(seconds, trace)
        self._context.pre_tuning(1 << 30, self._batch, self._spaces, self._database, self._model)
        self._generated = 0

    def _generate(self) -> list[Proposal]:
        if self._generated >= MEMORY:
            self._context.post_tuning()
            self._begin()
        found = self._context.generate_measure_candidates() or []
        self._generated += len(found)
        return [Proposal(self.label, candidate) for candidate in found]


def our_variants(function: tirx.PrimFunc, machine: Machine, fusion: bool) -> dict[str, Variant]:
    """This project's spaces of a function, by label, the analytic choice first.

    Args:
        fusion: whether a nest may hold several stages (intensive fusion).
    """
    found = enumerate(variants(function, machine))
    return {f"ours {k}": each for k, each in found if fusion or all(group.task is None for group in each.groups)}


def our_space(
    label: str,
    variant: Variant,
    machine: Machine,
    target: tvm.target.Target,
    task: str,
    seed: int,
    model: CostModel,
    seen: AbstractSet[str],
) -> Space:
    """One of `our_variants`; `seen` are the hashes of what was proposed, now and later."""
    _without_intrinsics()
    parents: set[str] = set()
    generator = ScheduleFn(
        lambda sch: [design_space(sch, variant, machine)],
        sch_rules=[],
        postprocs=[LimitUnrolling(), Unseen(seen, parents)],
        mutator_probs={MutateTileSize(): 1.0},
    )
    return Space(label, _context(variant.module, target, generator, task, seed, OURS), model, parents, OURS.batch)


def _without_intrinsics() -> None:
    """Puts empty modules in their place, unless they are there already."""
    sys.modules.setdefault(INTRINSICS, types.ModuleType(INTRINSICS))


def _with_intrinsics_of_processors() -> None:
    """MetaSchedule's rules may ask for those of x86 and Arm, which take 3 seconds."""
    for name in OTHER_TARGETS:
        sys.modules.setdefault(f"{INTRINSICS}.{name}", types.ModuleType(name))
    if not hasattr(sys.modules.get(INTRINSICS), "__path__"):
        sys.modules.pop(INTRINSICS, None)
        importlib.import_module(INTRINSICS)


def stock_space(function: tirx.PrimFunc, target: tvm.target.Target, name: str, seed: int, model: CostModel) -> Space:
    """The rules that MetaSchedule ships for a CPU."""
    _with_intrinsics_of_processors()
    module = tvm.IRModule({"main": function})
    context = _context(module, target, "post-order-apply", name, seed, STOCKS)
    return Space(STOCK, context, model, set(), STOCKS.batch)


def _context(
    module: tvm.IRModule, target: tvm.target.Target, generator, name: str, seed: int, effort: Effort
) -> ms.TuneContext:
    search = EvolutionarySearch(
        population_size=effort.population,
        init_measured_ratio=PARENTS,
        init_min_unmeasured=1,
        genetic_num_iters=GENERATIONS,
        genetic_max_fail_count=RETRIES,
        eps_greedy=RANDOM,
    )
    return ms.TuneContext(
        module,
        target=target,
        space_generator=generator,
        search_strategy=search,
        task_name=name,
        rand_state=seed,
        num_threads=1,
    )


def rebuild(function: tirx.PrimFunc, trace: str, machine: Machine) -> tirx.PrimFunc:
    """The scheduled function that a trace makes of an unscheduled one. Raises as `rebuilt_schedule` does."""
    return rebuilt_schedule(function, trace, machine).mod["main"]


def rebuilt_schedule(function: tirx.PrimFunc, trace: str, machine: Machine) -> Schedule:
    """The schedule that a trace makes of an unscheduled function.

    Raises:
        ValueError: it does not apply, or makes something else than was measured.
    """
    label = space_of(trace)
    try:
        module = tvm.IRModule({"main": function})
        if label != STOCK:
            module = our_variants(function, machine, fusion=True)[label].module
        schedule = replayed(module, trace)
    except (KeyError, *REFUSALS) as error:
        raise ValueError(f"the trace does not apply to this function: {error}") from error
    if hash_of_code(schedule.mod["main"]) != hash_of(trace):
        raise ValueError("the trace makes other code of this function than was measured")
    return schedule


def replayed(module: tvm.IRModule, trace: str) -> Schedule:
    """A trace put into effect on the module of its space."""
    sch = Schedule(module)
    Trace.apply_json_to_schedule(json.loads(trace)["trace"], sch)
    return sch
