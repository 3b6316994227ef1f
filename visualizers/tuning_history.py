"""A tuning session's journal as plots and pages need it: what was known at any moment of the tuning.

Plain data from plain data: journals are read elsewhere, and nothing here needs TVM.
"""

from __future__ import annotations

import math
import re
import statistics
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ago_core.tuning.events import Event, Kind

JOIN = "join"
TUNED, JOINED, APART, UNTUNED = "tuned", "joined", "apart", "untuned"
"""The plans of the last check: `ago_core.tuning.settle`, whose module needs TVM."""
MAX_REASONS = 4
OTHER_REASONS = "Other reasons"
RECENT_TRIALS = 128
"""That the rate is taken from."""
_NUMBER = re.compile(r"\d[\d.,:]*(e[+-]?\d+)?")


class History:
    """Events by kind, in order. It grows while the session runs."""

    def __init__(self, events: Iterable[Event] = ()):
        self._of: dict[Kind, list[Event]] = {kind: [] for kind in Kind}
        self.last = 0
        self.add(events)

    def add(self, events: Iterable[Event]) -> None:
        for event in events:
            self._of[event.kind].append(event)
            self.last = event.id

    def of(self, kind: Kind) -> Sequence[Event]:
        return self._of[kind]

    @property
    def elapsed(self) -> float:
        """Seconds of tuning."""
        return max((events[-1].elapsed for events in self._of.values() if events), default=0.0)

    def until(self, elapsed: float) -> History:
        """What was known after so many seconds of tuning."""
        past = History()
        for kind, events in self._of.items():
            past._of[kind] = events[: bisect_right(events, elapsed, key=lambda event: event.elapsed)]
            past.last = max(past.last, past._of[kind][-1].id if past._of[kind] else 0)
        return past


@dataclass(frozen=True)
class Task:
    """A function that is tuned, as `Journal.write_plan` describes it: see `plan.PlannedTask`."""

    id: int
    kind: str
    operators: tuple[str, ...]
    places: tuple[tuple[int, ...], ...]
    weight: float
    parts: tuple[int, ...]


@dataclass(frozen=True)
class Unit:
    """Equal subgraphs: each is its minis called one after the other, or their join as one function.

    Attributes:
        subgraphs: their numbers in the partition.
        name: the operators that its minis begin with.
        minis: tasks in the order in which they are called.
        join: the task, or None.
    """

    subgraphs: tuple[int, ...]
    name: str
    minis: tuple[int, ...]
    join: int | None

    @property
    def title(self) -> str:
        times = f" ×{len(self.subgraphs)}" if len(self.subgraphs) > 1 else ""
        return f"S{self.subgraphs[0]}{times} {self.name}"


def read_tasks(rows: Iterable[Mapping[str, Any]]) -> tuple[Task, ...]:
    """From `JournalReader.tasks`."""
    return tuple(
        Task(
            row["id"],
            row["kind"],
            tuple(row["operators"]),
            tuple(tuple(place) for place in row["places"]),
            row["weight"],
            tuple(row["parts"]),
        )
        for row in rows
    )


def units(tasks: Sequence[Task], subgraphs: Sequence[Sequence[int]]) -> tuple[Unit, ...]:
    """The subgraphs of a partition, equal ones together, in the order of the partition."""
    owner = {op: index for index, members in enumerate(subgraphs) for op in members}
    found = []
    joined: set[int] = set()
    for task in tasks:
        if task.kind == JOIN:
            homes = tuple(owner[place[0]] for place in task.places)
            joined.update(homes)
            found.append(Unit(homes, _joined_name([tasks[part] for part in task.parts]), task.parts, task.id))
    for task in tasks:
        homes = tuple(owner[place[0]] for place in task.places if owner[place[0]] not in joined)
        if task.kind != JOIN and homes:
            found.append(Unit(homes, task.operators[0], (task.id,), None))
    return tuple(sorted(found, key=lambda unit: unit.subgraphs))


def _joined_name(parts: Sequence[Task]) -> str:
    names = [part.operators[0] for part in parts]
    return " + ".join(names[:3]) + (f" + {len(names) - 3} more" if len(names) > 3 else "")


@dataclass(frozen=True)
class Latency:
    """A unit's latency, in seconds; None where nothing of it has run and was right.

    Attributes:
        first: with the first schedules that were measured, its minis one after the other.
        apart: its minis' bests.
        joined: its join's best.
    """

    first: float | None
    apart: float | None
    joined: float | None

    @property
    def now(self) -> float | None:
        """The faster of the two."""
        return min((value for value in (self.apart, self.joined) if value is not None), default=None)

    def by(self, plan: str) -> float | None:
        """In a plan of the last check, see `settle`; the best where it is untuned or there is none yet."""
        if plan == APART:
            return self.apart
        return self.joined if plan == JOINED and self.joined is not None else self.now


def figures(history: History) -> Iterator[tuple[Event, int, float, int]]:
    """What became tasks' latencies, in order, in trials and the last check: (event, task, seconds, trials so far)."""
    for event in sorted((*history.of(Kind.BEST), *history.of(Kind.CHECK)), key=lambda event: event.id):
        if event.kind is Kind.BEST:
            yield event, event.data["task"], event.data["latency"], event.data["trial"]
        else:
            for task, seconds, _ in event.data["bests"]:
                yield event, task, seconds, event.data["after"]


def unit_latencies(found: Sequence[Unit], history: History) -> list[Latency]:
    """Of each unit."""
    first: dict[int, float] = {}
    best: dict[int, float] = {}
    for _, task, latency, _ in figures(history):
        first.setdefault(task, latency)
        best[task] = latency
    return [Latency(_sum(first, unit.minis), _sum(best, unit.minis), best.get(unit.join)) for unit in found]


def _sum(seconds: Mapping[int, float], tasks: Sequence[int]) -> float | None:
    return sum(seconds[task] for task in tasks) if all(task in seconds for task in tasks) else None


@dataclass(frozen=True)
class Point:
    """Of the sum of the best functions: after so many trials and seconds of tuning it was so many seconds."""

    trials: int
    elapsed: float
    seconds: float


def summed(found: Sequence[Unit], history: History) -> list[Point]:
    """The sum of all subgraphs' best latencies, after each trial that changed it, once all have one."""
    best: dict[int, float] = {}
    cost: dict[int, float] = dict.fromkeys(range(len(found)), math.inf)
    touched: dict[int, list[int]] = {}
    for index, unit in enumerate(found):
        for task in {*unit.minis, unit.join}:
            touched.setdefault(task, []).append(index)
    points: list[Point] = []
    for event, task, latency, trial in figures(history):
        best[task] = latency
        for index in touched.get(task, ()):
            unit = found[index]
            apart, joined = _sum(best, unit.minis), best.get(unit.join, math.inf)
            cost[index] = len(unit.subgraphs) * min(math.inf if apart is None else apart, joined)
        total = sum(cost.values())
        if total < math.inf and (not points or total != points[-1].seconds):
            points.append(Point(trial, event.elapsed, total))
    return points


@dataclass(frozen=True)
class Run:
    """The whole model, compiled as it would be deployed and measured; times in seconds.

    Attributes:
        trials, elapsed: when.
        runs: each of them; empty where it failed.
        low, median, high: of the runs, with the quartiles; None where it failed.
        summed: the sum of its functions' own times.
        error: one sentence, or "".
        device: that it ran on.
        chosen: of the last check, the plan that this is; else "".
        plans: of the last check, the median of each plan, or None, by name.
    """

    trials: int
    elapsed: float
    runs: tuple[float, ...]
    low: float | None
    median: float | None
    high: float | None
    summed: float
    error: str
    device: str
    chosen: str = ""
    plans: Mapping[str, float | None] = field(default_factory=dict)


def runs(history: History) -> list[Run]:
    """All end-to-end measurements, in order."""
    return [_run(event) for event in history.of(Kind.END_TO_END)]


def _run(event: Event) -> Run:
    data = event.data
    values = tuple(data["seconds"]) if data["measured"] is not None else ()
    low, middle, high = quartiles(values) if values else (None, None, None)
    error = data["error"] or ""
    return Run(
        trials=data["trials"],
        elapsed=event.elapsed,
        runs=values,
        low=low,
        median=middle,
        high=high,
        summed=data["summed"],
        error=error,
        device=data["device"],
        chosen=data.get("chosen", ""),
        plans=data.get("plans", {}),
    )


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """First quartile, median, third quartile."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


@dataclass(frozen=True)
class Effort:
    """What went into a task: trials, how many of them gave no latency, the best (seconds), and where it is."""

    trials: int
    failed: int
    best: float | None
    phase: str


def efforts(tasks: Sequence[Task], history: History) -> list[Effort]:
    """Of each task."""
    trials = Counter(event.data["task"] for event in history.of(Kind.TRIAL))
    failed = Counter(event.data["task"] for event in history.of(Kind.TRIAL) if event.data["latency"] is None)
    best = {task: latency for _, task, latency, _ in figures(history)}
    phases = {event.data["task"]: event.data["phase"] for event in history.of(Kind.TASK)}
    return [
        Effort(trials[task.id], failed[task.id], best.get(task.id), phases.get(task.id, "waiting")) for task in tasks
    ]


def verdicts(history: History) -> dict[int, Mapping[str, Any]]:
    """The last verdict about each join, by task; the fields of `plan.JoinVerdict`.

    `final` says whether it is by the figures of a last check that no trial has followed.
    """
    trial = _last_trial(history)
    return {
        event.data["task"]: {**event.data, "final": event.data.get("final", False) and event.id > trial}
        for event in history.of(Kind.JOIN)
    }


def kept_plan(history: History) -> str:
    """Which plan the last check has kept, see `settle`; "" before it, or when trials have followed."""
    runs_ = history.of(Kind.END_TO_END)
    return runs_[-1].data.get("chosen", "") if runs_ and runs_[-1].id > _last_trial(history) else ""


def _last_trial(history: History) -> int:
    """Number of its event; 0 where there is none."""
    return history.of(Kind.TRIAL)[-1].id if history.of(Kind.TRIAL) else 0


def rate(history: History) -> float | None:
    """Trials a second lately; None where it is not known."""
    recent = history.of(Kind.TRIAL)[-RECENT_TRIALS:]
    seconds = recent[-1].elapsed - recent[0].elapsed if recent else 0.0
    return (len(recent) - 1) / seconds if seconds > 0 else None


def reason_of(data: Mapping[str, Any]) -> str:
    """Why a trial gave no latency, without the figures of the case; "" where it gave one."""
    if data["latency"] is not None:
        return ""
    return _NUMBER.sub("…", data["error"] or "Its result was wrong.").rstrip(".")


def reasons(history: History) -> dict[str, str]:
    """The frequent reasons for failure by themselves, all others as `OTHER_REASONS`."""
    found = Counter(filter(None, map(reason_of, (event.data for event in history.of(Kind.TRIAL)))))
    frequent = [reason for reason, _ in found.most_common(MAX_REASONS + 1)]
    named = frequent if len(frequent) <= MAX_REASONS else frequent[: MAX_REASONS - 1]
    return {reason: reason if reason in named else OTHER_REASONS for reason in found}


@dataclass(frozen=True)
class DeviceUse:
    """A device over the session.

    Attributes:
        state, reason: the last that was reported.
        until: seconds for which it is left alone then, where it is quarantined.
        busy: seconds that it was busy.
        spans: (from, to) seconds of tuning in which it was busy.
        troubles: (seconds of tuning, state, reason) where it was quarantined or lost.
        trials, failed: that were measured on it.
    """

    device: str
    state: str
    reason: str
    busy: float
    spans: tuple[tuple[float, float], ...]
    troubles: tuple[tuple[float, str, str], ...]
    trials: int
    failed: int
    until: float = 0.0


def devices(history: History) -> list[DeviceUse]:
    """Every device that was reported or measured on, by name."""
    reports: dict[str, list[Event]] = {}
    for event in history.of(Kind.DEVICE):
        reports.setdefault(event.data["device"], []).append(event)
    trials = Counter(event.data["device"] for event in history.of(Kind.TRIAL))
    failed = Counter(event.data["device"] for event in history.of(Kind.TRIAL) if event.data["latency"] is None)
    names = sorted({*reports, *trials})
    return [_use(name, reports.get(name, []), history.elapsed, trials[name], failed[name]) for name in names]


def _use(name: str, reports: Sequence[Event], end: float, trials: int, failed: int) -> DeviceUse:
    spans, troubles, since = [], [], None
    for event in reports:
        state = event.data["state"]
        if since is not None and state != "busy":
            spans.append((since, event.elapsed))
        since = (event.elapsed if since is None else since) if state == "busy" else None
        if state in ("quarantined", "lost"):
            troubles.append((event.elapsed, state, event.data["reason"]))
    if since is not None:
        spans.append((since, end))
    last = reports[-1].data if reports else {"state": "", "reason": "", "until": 0.0}
    busy = sum(to - start for start, to in spans)
    return DeviceUse(
        name, last["state"], last["reason"], busy, tuple(spans), tuple(troubles), trials, failed, last["until"]
    )


def task_titles(tasks: Sequence[Task]) -> list[str]:
    """What to call each task, such as "12 conv2d_6 ×2"; a join by its parts."""
    return [_title(tasks, task) for task in tasks]


def _title(tasks: Sequence[Task], task: Task) -> str:
    name = _joined_name([tasks[part] for part in task.parts]) if task.kind == JOIN else task.operators[0]
    times = f" ×{len(task.places)}" if len(task.places) > 1 else ""
    return f"{task.id} {name}{times}"
