"""The reformer's plan: what is tuned apart, when it is joined, and what a join must beat (AGO, section V).

SPLIT gives minis of at most one complex operator; equal ones are one task. A subgraph of several minis has a JOIN task,
which begins when its minis have stabilised:

    a task is *stable* when its best has not improved by more than 1 % within its last max(32, 25 % of its) trials,
    or when its space is exhausted.

Since a short session would never come to its joins by that rule alone, all joins begin at the latest when half of the
session's trials are spent. A join is judged when it is stable itself, at the latest at the end of the session: it is
kept where its best is faster than the sum of its minis' bests, else dropped. Until then, and in every estimate, each
subgraph counts with the faster of the two, so a plan is never slower than its parts as they were measured.

All functions are pure; a session holds one `TaskState` a task and replaces it after each trial.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tvm import tirx

from ago_core.graph.model import Model
from ago_core.partition.metrics import subgraph_weights
from ago_core.partition.partition import Partition, make_partition
from ago_core.tuning.interfaces import Measurement
from ago_core.tuning.split import split_subgraphs
from ago_core.tuning.tasks import tasks_of

IMPROVEMENT = 0.01
"""A smaller one counts as none."""
STABLE_TRIALS = 32
STABLE_SHARE = 0.25
PARTS_SHARE = 0.5
"""Of a session's trials after which joins no longer wait for their minis."""

Operators = tuple[int, ...]


class TaskKind(enum.Enum):
    """MINI: a part of a subgraph, or all of one that has no parts. WHOLE: a subgraph that is not split."""

    MINI = "mini"
    WHOLE = "whole"
    JOIN = "join"


@dataclass(frozen=True, eq=False)
class PlannedTask:
    """One function to tune.

    Attributes:
        id: its place in the plan.
        kind: how it came about.
        function: not scheduled, without a global symbol.
        places: the operators, ascending, of each mini or subgraph that is this function.
        weight: of one place, in expected trials.
        parts: of a join, the tasks of its minis in the order in which they are called.
        part_places: for each of them its operators, as positions in the join's.
    """

    id: int
    kind: TaskKind
    function: tirx.PrimFunc
    places: tuple[Operators, ...]
    weight: float
    parts: tuple[int, ...] = ()
    part_places: tuple[Operators, ...] = ()


@dataclass(frozen=True, eq=False)
class Unit:
    """A subgraph: its minis, or itself alone, and its join where it has one. Library calls have no task."""

    operators: Operators
    minis: tuple[tuple[Operators, int | None], ...]
    join: int | None


@dataclass(frozen=True, eq=False)
class Plan:
    """Tasks, and how the subgraphs of a partition, in its order, are made of them."""

    tasks: tuple[PlannedTask, ...]
    units: tuple[Unit, ...]


@dataclass(frozen=True)
class TaskState:
    """What has been measured of a task.

    Attributes:
        trials: so far.
        bests: (trials before and with it, seconds, number in the journal) of each correct candidate that was faster
            than all before.
        exhausted: whether its space has no further candidate.
        settled: (seconds, number in the journal) of the fastest in the session's last check, see `settle`.
    """

    trials: int = 0
    bests: tuple[tuple[int, float, int], ...] = ()
    exhausted: bool = False
    settled: tuple[float, int] | None = None

    @property
    def best(self) -> float | None:
        """Seconds."""
        return self._best[0]

    @property
    def best_trial(self) -> int | None:
        """Its number in the journal."""
        return self._best[1]

    @property
    def _best(self) -> tuple[float, int] | tuple[None, None]:
        return self.settled or (self.bests[-1][1:] if self.bests else (None, None))

    def best_after(self, trials: int) -> float | None:
        """Seconds of the best of the first so many trials."""
        return next((seconds for count, seconds, _ in reversed(self.bests) if count <= trials), None)


def after(state: TaskState, measurement: Measurement, trial: int) -> TaskState:
    """The state with one more trial. Only what was compared with the reference, and right, can be a best."""
    trials, latency = state.trials + 1, measurement.latency
    if measurement.correct and latency is not None and latency < (state.best or math.inf):
        return replace(state, trials=trials, bests=(*state.bests, (trials, latency, trial)), settled=None)
    return replace(state, trials=trials)


States = Sequence[TaskState]


def make_plan(model: Model, partition: Partition, reformer: bool) -> Plan:
    """The tasks of a partition.

    Args:
        reformer: whether subgraphs are split; otherwise each different one is a task.
    """
    if not reformer:
        tasks = _tasks(model, partition, TaskKind.WHOLE)
        task_at = {place: task.id for task in tasks for place in task.places}
        units = [Unit(ops, ((ops, task_at.get(ops)),), None) for ops in partition.subgraphs]
        return Plan(tuple(tasks), tuple(units))
    minis = split_subgraphs(model.graph, partition)
    tasks = _tasks(model, minis, TaskKind.MINI)
    task_at = {place: task.id for task in tasks for place in task.places}
    inside: list[list[tuple[Operators, int | None]]] = [[] for _ in partition.subgraphs]
    for mini in minis.subgraphs:
        inside[partition.owner[mini[0]]].append((mini, task_at.get(mini)))
    joins = _joins(model, partition, inside, len(tasks))
    join_at = {place: join.id for join in joins for place in join.places}
    units = [Unit(ops, tuple(row), join_at.get(ops)) for ops, row in zip(partition.subgraphs, inside)]
    return Plan((*tasks, *joins), tuple(units))


def _tasks(model: Model, partition: Partition, kind: TaskKind) -> list[PlannedTask]:
    return [
        PlannedTask(i, kind, task.function, tuple(partition.subgraphs[s] for s in task.subgraphs), task.weight)
        for i, task in enumerate(tasks_of(model, partition))
    ]


def _joins(model: Model, partition: Partition, inside, first: int) -> list[PlannedTask]:
    """Subgraphs of several minis, once where both their functions and their minis are the same."""
    weights = subgraph_weights(model.graph, partition)
    joins: list[PlannedTask] = []
    for task in tasks_of(model, partition):
        by_parts: dict[tuple[int, ...], list[int]] = {}
        for index in task.subgraphs:
            if len(inside[index]) > 1:
                by_parts.setdefault(tuple(part for _, part in inside[index]), []).append(index)
        for parts, indices in by_parts.items():
            places = tuple(partition.subgraphs[index] for index in indices)
            position = {op: i for i, op in enumerate(places[0])}
            within = tuple(tuple(position[op] for op in mini) for mini, _ in inside[indices[0]])
            number = first + len(joins)
            kind = TaskKind.JOIN
            joins.append(PlannedTask(number, kind, task.function, places, weights[indices[0]], parts, within))
    return joins


def is_stable(state: TaskState) -> bool:
    """The rule at the top of this module."""
    window = max(STABLE_TRIALS, math.ceil(STABLE_SHARE * state.trials))
    if state.exhausted:
        return True
    if state.trials < window:
        return False
    before = state.best_after(state.trials - window)
    if before is None:
        return state.best is None  # nothing works
    return state.best >= before * (1 - IMPROVEMENT)


def is_ready(plan: Plan, join: PlannedTask, states: States, trials: int) -> bool:
    """Whether a join may begin, or has; `trials` are the session's in all."""
    if states[join.id].trials or all(is_stable(states[part]) for part in join.parts):
        return True
    return sum(state.trials for state in states) >= PARTS_SHARE * trials and all(states[p].trials for p in join.parts)


def parts_latency(join: PlannedTask, states: States) -> float | None:
    """Sum of its minis' bests, in seconds; None where one has none."""
    bests = [states[part].best for part in join.parts]
    return None if None in bests else sum(bests)


@dataclass(frozen=True)
class JoinVerdict:
    """What became of a join.

    Attributes:
        task: its number.
        subgraphs: how many it stands for.
        kept: whether it is used.
        joined: seconds of its best; None where no candidate was right.
        parts: seconds of its minis' bests in all; None where one has none.
        trials: of the join.
        parts_trials: of the minis' tasks.
        reason: one sentence.
    """

    task: int
    subgraphs: int
    kept: bool
    joined: float | None
    parts: float | None
    trials: int
    parts_trials: int
    reason: str


def verdict(plan: Plan, join: PlannedTask, states: States) -> JoinVerdict:
    """As things stand."""
    state, parts = states[join.id], parts_latency(join, states)
    kept = state.best is not None and (parts is None or state.best < parts)
    parts_trials = sum(states[part].trials for part in set(join.parts))
    reason = _verdict_reason(state, parts)
    return JoinVerdict(join.id, len(join.places), kept, state.best, parts, state.trials, parts_trials, reason)


def _verdict_reason(state: TaskState, parts: float | None) -> str:
    if not state.trials:
        return "Not tried: the trials were spent on its parts."
    if state.best is None:
        return f"None of {state.trials} candidates of the join ran and was right."
    if parts is None:
        return "Its parts have no schedule that ran and was right."
    figures = f"joined {state.best * 1e6:.1f} µs, apart {parts * 1e6:.1f} µs"
    if state.best < parts:
        return f"One function is {parts / state.best:.2f} times as fast as its parts ({figures})."
    return f"One function is no faster than its parts ({figures})."


class Phase(enum.Enum):
    """Of a task. WAITING: for its first batch, a join for its minis too. KEPT, DROPPED: a join that has been judged."""

    WAITING = "waiting"
    TUNING = "tuning"
    STABLE = "stable"
    EXHAUSTED = "exhausted"
    KEPT = "kept"
    DROPPED = "dropped"


def phase(plan: Plan, task: PlannedTask, states: States) -> Phase:
    """Where a task is."""
    state = states[task.id]
    if not state.trials and not state.exhausted:
        return Phase.WAITING
    if task.kind is TaskKind.JOIN and is_stable(state):
        return Phase.KEPT if verdict(plan, task, states).kept else Phase.DROPPED
    if state.exhausted:
        return Phase.EXHAUSTED
    return Phase.STABLE if is_stable(state) else Phase.TUNING


@dataclass(frozen=True)
class Deployed:
    """One function of the model as it would be compiled now.

    Attributes:
        operators: that it computes.
        task: None for a library call.
        seconds: measured; None where nothing of it has been measured and right.
    """

    operators: Operators
    task: int | None
    seconds: float | None


def deployed(plan: Plan, states: States) -> tuple[Deployed, ...]:
    """The best known plan: each subgraph joined where that is faster, else by its minis."""
    return put_together(plan, states, lambda join: verdict(plan, plan.tasks[join], states).kept)


def put_together(plan: Plan, states: States, joined: Callable[[int], bool]) -> tuple[Deployed, ...]:
    """The plan in which a subgraph is one function where `joined` says so of its join's task, else its minis."""
    found: list[Deployed] = []
    for unit in plan.units:
        if unit.join is not None and joined(unit.join):
            found.append(Deployed(unit.operators, unit.join, states[unit.join].best))
        else:
            found.extend(Deployed(ops, task, None if task is None else states[task].best) for ops, task in unit.minis)
    return tuple(found)


def deployed_partition(model: Model, functions: Sequence[Deployed], method: str) -> tuple[Partition, dict[int, int]]:
    """The partition to compile, and for each of its subgraphs that has a measured schedule the task."""
    partition = make_partition(model.graph, [row.operators for row in functions], method)
    task_of = {row.operators: row.task for row in functions if row.seconds is not None}
    tasks = {i: task_of[ops] for i, ops in enumerate(partition.subgraphs) if ops in task_of}
    return partition, tasks


@dataclass(frozen=True)
class Estimate:
    """Sum over the functions of a plan.

    Attributes:
        seconds: of those that have been measured.
        missing: tasks' functions that have no measured schedule; the estimate is whole when there is none.
    """

    seconds: float
    missing: int


def estimate(functions: Sequence[Deployed]) -> Estimate:
    measured = [row.seconds for row in functions if row.seconds is not None]
    return Estimate(sum(measured), sum(row.task is not None and row.seconds is None for row in functions))
