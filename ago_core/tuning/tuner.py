"""The loop of a session: choose a task, propose, measure, record; join, judge, and measure the whole model."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from tvm import tirx

from ago_core.tuning.best import Found, write_best
from ago_core.tuning.budget import batch_size, next_task, run_is_due
from ago_core.tuning.events import USER_PAUSE, Command, Kind, State
from ago_core.tuning.interfaces import (
    Candidate,
    Contestant,
    DevicesLost,
    Measurement,
    Measurer,
    Part,
    Search,
    SearchTask,
    Version,
)
from ago_core.tuning.journal import Journal
from ago_core.tuning.plan import (
    Deployed,
    Estimate,
    Phase,
    PlannedTask,
    TaskKind,
    TaskState,
    after,
    deployed_partition,
    estimate,
    phase,
    verdict,
)
from ago_core.tuning.settings import RemoteDevice, TuningSettings
from ago_core.tuning.settle import TUNED, Contest, choices, contests, fastest, finalists, settle, winners
from ago_core.tuning.stopwatch import Stopwatch
from ago_core.tuning.study import Batch, Study
from ago_core.tuning.turns import Turn

POLL_SECONDS = 0.1
QUEUED_AFTER = 1.0
"""Seconds of waiting for a turn after which the state says so: sessions that alternate wait for less."""


class Stopped(Exception):
    """Somebody told the session to stop."""


class Tuner:
    """Goes on from what the journal holds. Everything that it decides is a pure function of that."""

    def __init__(self, study: Study, journal: Journal, settings: TuningSettings, watch: Stopwatch):
        self._study, self._plan, self._journal, self._settings = study, study.plan, journal, settings
        self._watch = watch
        self._states = [TaskState()] * len(self._plan.tasks)
        self._phases: list[Phase | None] = [None] * len(self._plan.tasks)
        self._searches: dict[int, Search] = {}
        self._functions: dict[int, tirx.PrimFunc] = {}
        self._choice = TUNED
        self._checked: int | None = None
        self._waiting: deque[Batch] = deque()
        self._state: State | None = None
        self._last_run: tuple[Estimate, int] | None = None
        self._run_seconds = 0.0
        self._recall()

    def run(self, measurer: Measurer) -> State:
        """Tunes until the trials are spent, nothing can gain, or somebody stops it.

        Raises:
            UserError: the journal cannot be written. What it holds is whole.
        """
        try:
            while True:
                self._obey()
                reason = self._ended()
                if self._step(measurer, last=reason is not None) and reason is not None:
                    return self._end(State.FINISHED, reason)
        except Stopped:
            return self._end(State.STOPPED, "Stopped by the user.")

    # what came before

    def _recall(self) -> None:
        checks = deque(self._journal.events(kinds=[Kind.CHECK]))
        for trial in self._journal.trials():
            while checks and checks[0].data["after"] < trial.id:
                self._settle(checks.popleft().data)
            self._states[trial.task] = after(self._states[trial.task], trial.measurement, trial.id)
        for check in checks:
            self._settle(check.data)
        for event in self._journal.events(kinds=[Kind.TASK]):
            self._phases[event.data["task"]] = Phase(event.data["phase"])
        for task, seen in enumerate(self._phases):
            if seen is Phase.EXHAUSTED:
                self._exhausted(task)
        run = self._journal.last(Kind.END_TO_END)
        if run is not None:
            self._last_run = Estimate(run.data["summed"], run.data["missing"]), run.data["trials"]
            if "chosen" in run.data and run.data["trials"] == self._trials:
                self._choice, self._checked = run.data["chosen"], self._trials

    def _settle(self, check: Mapping[str, Any]) -> None:
        self._states = settle(self._states, {task: (seconds, trial) for task, seconds, trial in check["bests"]})

    @property
    def _trials(self) -> int:
        return sum(state.trials for state in self._states)

    def _ended(self) -> str | None:
        """Why there is nothing more to do."""
        if self._trials >= self._settings.trials:
            return f"All {self._settings.trials} trials are spent."
        if not self._waiting and self._next_task() is None:
            kept = "they keep what was taken over, " if self._study.known else ""
            return f"No task can gain from more trials: {kept}their spaces are exhausted, or nothing of them runs."
        return None

    # commands and turns

    def _obey(self) -> None:
        """Carries out commands; returns when the session may go on."""
        while True:
            for command, value in self._journal.take_commands():
                self._event(Kind.COMMAND, {"name": command.value, "value": value})
                if command is Command.STOP:
                    raise Stopped
                if command is Command.EXTEND:
                    self._settings = self._settings.with_trials(self._settings.trials + value)
                    self._journal.write_meta({"settings": self._settings.to_json()})
                elif command is Command.PAUSE:
                    self._pause(USER_PAUSE)
                else:
                    self._set_state(State.RUNNING)
            if self._state is not State.PAUSED:
                return
            time.sleep(POLL_SECONDS)

    def _pause(self, reason: str) -> None:
        self._write_best()
        self._set_state(State.PAUSED, reason)

    def _step(self, measurer: Measurer, last: bool) -> bool:
        """One batch, and the whole model if it is due; in the `last` step the last check.

        What is proposed while no batch is measured is proposed before the turn on a device elsewhere, so that another
        session can have it meanwhile. On this machine the search itself would disturb what the other one measures.

        Returns:
            Whether it was all done: neither did a command come first, nor were the devices lost.
        """
        if last:
            return self._in_turn(lambda _: self._check(measurer))
        if isinstance(self._settings.device, RemoteDevice) and not self._waiting:
            self._set_state(State.RUNNING)
            self._wait_with(self._propose())
        if not self._in_turn(lambda turn: self._measure_batch(measurer, turn)):
            return False
        return not self._model_is_due() or self._in_turn(lambda _: self._run(measurer, {TUNED: self._plans()[TUNED]}))

    def _in_turn(self, work: Callable[[Turn], bool | None]) -> bool:
        """Does it once the device is free. Returns whether it was done, as in `_step`."""
        with Turn(self._study.turns, self._settings.device.name, self._study.name) as turn:
            if not self._wait_for(turn):
                return False
            self._set_state(State.RUNNING)
            try:
                return work(turn) is not False
            except DevicesLost as error:
                self._pause(str(error))
                return False

    def _wait_for(self, turn: Turn) -> bool:
        """Whether it came before a command did."""
        since = time.monotonic()
        while not turn.has_come():
            if self._journal.waiting_commands():
                return False
            if time.monotonic() - since > QUEUED_AFTER:
                self._set_state(State.QUEUED, f"Waiting for {self._settings.device.name}, which {turn.ahead} has.")
            time.sleep(POLL_SECONDS / 2)
        return True

    def _set_state(self, state: State, reason: str = "") -> None:
        if state is self._state:
            return
        self._state = state
        if state is State.RUNNING:
            self._watch.start()
        else:
            self._watch.stop()
        self._event(Kind.SESSION, {"state": state.value, "reason": reason})

    def _end(self, state: State, reason: str) -> State:
        self._write_best()
        self._set_state(state, reason)
        return state

    # trials

    def _wait_with(self, batch: Batch | None) -> None:
        if batch is not None:
            self._waiting.append(batch)

    def _measure_batch(self, measurer: Measurer, turn: Turn) -> None:
        """The turn ends with the last measurement, also while the next batch is still being proposed."""
        batch = self._waiting.popleft() if self._waiting else self._propose()
        if batch is None or self._phases[batch.task] is Phase.DROPPED:
            return
        task = self._plan.tasks[batch.task]
        below = self._states[task.id].best or math.inf
        running = measurer.measure(task.function, batch.candidates, below, turn.leave)
        if not self._waiting:
            self._wait_with(self._propose(batch))
        done: dict[int, Measurement] = {}
        try:
            for index, measurement in running:
                done[index] = measurement
                self._record(task, batch.candidates[index], measurement)
        except DevicesLost:  # what it leaves is measured later
            left = [candidate for index, candidate in enumerate(batch.candidates) if index not in done]
            self._waiting.appendleft(Batch(task.id, left))
            raise
        finally:
            if done and task.id in self._searches:
                self._searches[task.id].tell([batch.candidates[index] for index in done], list(done.values()))
        self._update_phases()

    def _propose(self, running: Batch | None = None) -> Batch | None:
        """The next batch, of another task than the running one; None where there is none to propose now."""
        free = self._settings.trials - self._trials - (len(running.candidates) if running else 0)
        while free > 0 and (task := self._next_task(running.task if running else None)) is not None:
            size = batch_size(self._plan, self._states, task, self._settings.trials, self._settings.batch)
            candidates = self._search(self._plan.tasks[task]).propose(min(size, free))
            if candidates:
                return Batch(task, candidates)
            self._exhausted(task)
        return None

    def _next_task(self, busy: int | None = None) -> int | None:
        return next_task(self._plan, self._states, self._settings.trials, self._settings.batch, busy)

    def _exhausted(self, task: int) -> None:
        state = self._states[task]
        self._states[task] = TaskState(state.trials, state.bests, exhausted=True)
        self._searches.pop(task, None)

    def _record(self, task: PlannedTask, candidate: Candidate, measurement: Measurement) -> None:
        before = self._states[task.id]
        with self._journal.transaction():
            trial = self._journal.add_trial(task.id, candidate.trace, measurement, self._watch.seconds)
            state = after(before, measurement, trial)
            if state.best_trial != before.best_trial:
                data = {"task": task.id, "trial": trial, "latency": state.best, "before": before.best}
                self._event(Kind.BEST, data)
        self._states[task.id] = state
        self._choice = TUNED
        if state.best_trial == trial:
            self._functions[trial] = candidate.function
            for old in {row[2] for row in before.bests} - set(finalists(state)):
                self._functions.pop(old, None)

    def _search(self, task: PlannedTask) -> Search:
        """The task's search, told what has been measured of it."""
        if task.id not in self._searches:
            parts = self._parts(task) if task.kind is TaskKind.JOIN else ()
            search = self._study.search(task.id, SearchTask(task.function, parts, self._settings.seed + task.id))
            rows = list(self._journal.traces(task.id))
            if rows:
                search.replay([trace for trace, _ in rows], [measurement for _, measurement in rows])
            self._searches[task.id] = search
        return self._searches[task.id]

    def _parts(self, join: PlannedTask) -> tuple[Part, ...]:
        """What the join is composed from: the bests when it began, also after a restart."""
        composed = self._journal.composed(join.id)
        if composed is None:
            composed = {str(part): self._states[part].best_trial for part in join.parts}
            self._journal.write_composed(join.id, composed)
        parts = []
        for part, place in zip(join.parts, join.part_places):
            trial = composed[str(part)]
            trace = None if trial is None else self._journal.trace(trial)
            parts.append(Part(self._plan.tasks[part].function, trace, place))
        return tuple(parts)

    # phases, verdicts, the whole model

    def _update_phases(self) -> None:
        """Joins that have become stable are judged by their trials."""
        for task in self._plan.tasks:
            now = phase(self._plan, task, self._states)
            if now is self._phases[task.id]:
                continue
            self._phases[task.id] = now
            state = self._states[task.id]
            data = {"task": task.id, "phase": now.value, "trials": state.trials, "best": state.best}
            self._event(Kind.TASK, data)
            if now in (Phase.KEPT, Phase.DROPPED):
                self._judge(task)
            if now is Phase.DROPPED:
                self._searches.pop(task.id, None)

    def _judge(self, join: PlannedTask, final: bool = False) -> None:
        self._event(Kind.JOIN, asdict(verdict(self._plan, join, self._states)) | {"final": final})

    def _judge_others(self) -> None:
        """The joins that the trials did not suffice for."""
        for task in self._plan.tasks:
            if task.kind is TaskKind.JOIN and self._phases[task.id] not in (Phase.KEPT, Phase.DROPPED):
                self._judge(task)

    def _model_is_due(self) -> bool:
        now = estimate(self._plans()[TUNED])
        before, at = self._last_run or (None, 0)
        return run_is_due(now, before, self._trials - at, self._run_seconds, self._watch.seconds)

    def _run(self, measurer: Measurer, plans: Mapping[str, tuple[Deployed, ...]], last: bool = False) -> None:
        """Runs the whole model by each of the plans; the fastest is what the session gives."""
        begun = self._watch.seconds
        versions = [self._version(plan) for plan in plans.values()]
        runs = dict(zip(plans, measurer.end_to_end(self._study.model, versions)))
        self._run_seconds += self._watch.seconds - begun
        self._choice = fastest(runs)
        now, run = estimate(plans[TUNED]), runs[self._choice]
        self._last_run = now, self._trials
        data = {"trials": self._trials, "summed": now.seconds, "missing": now.missing, "measured": run.latency}
        data |= {"seconds": run.seconds, "error": run.error, "device": run.device}
        if last:
            data |= {"chosen": self._choice, "plans": {name: each.latency for name, each in runs.items()}}
        self._event(Kind.END_TO_END, data)
        self._write_best()

    def _version(self, plan: tuple[Deployed, ...]) -> Version:
        partition, tasks = deployed_partition(self._study.model, plan, self._study.method)
        functions = {task: self._function(task, self._states[task].best_trial) for task in set(tasks.values())}
        return partition, {index: functions[task] for index, task in tasks.items()}

    def _plans(self) -> dict[str, tuple[Deployed, ...]]:
        return choices(self._plan, self._states, self._settings.ablation.fusion)

    def _function(self, task: int, trial: int) -> tirx.PrimFunc:
        """The scheduled function of a trial; those of finalists are kept."""
        if trial not in self._functions:
            trace = self._journal.trace(trial)
            self._functions[trial] = self._study.backend.rebuild(self._plan.tasks[task].function, trace)
        return self._functions[trial]

    # the last check

    def _check(self, measurer: Measurer) -> bool:
        """Measures finalists and plans in turns. Returns whether no command came first."""
        if self._checked == self._trials or not self._trials:
            return True
        self._judge_others()
        found = contests(self._plan, self._states)
        entries = [[self._contestant(task, trial) for task, trial in contest] for contest in found]
        for number, (contest, row) in enumerate(zip(found, measurer.in_turns(entries)), 1):
            self._decide(contest, row, number, len(found))
            if self._journal.waiting_commands():
                return False
        self._run(measurer, self._plans(), last=True)
        self._checked = self._trials
        return True

    def _contestant(self, task: int, trial: int) -> Contestant:
        return Contestant(self._plan.tasks[task].function, self._function(task, trial))

    def _decide(self, contest: Contest, row: list[Measurement], number: int, count: int) -> None:
        bests = [[task, *best] for task, best in winners(contest, row).items()]
        data = {"after": self._journal.last_trial(), "contest": number, "contests": count, "bests": bests}
        with self._journal.transaction():
            self._event(Kind.CHECK, data)
            self._settle(data)
            self._update_phases()
            tasks = {task for task, _ in contest}
            for join in self._plan.tasks:
                if join.kind is TaskKind.JOIN and tasks & {join.id, *join.parts}:
                    self._judge(join, final=True)

    def _write_best(self) -> None:
        plans = self._plans()
        plan = plans.get(self._choice, plans[TUNED])
        found = {}
        for task in {row.task for row in plan if row.seconds is not None}:
            trial = self._states[task].best_trial
            found[task] = Found(trial, self._plan.tasks[task].places[0], self._journal.trace(trial))
        write_best(self._study.folder, self._study.model, self._study.backend.target, plan, found)

    def _event(self, kind: Kind, data: dict) -> None:
        self._journal.add_event(kind, data, self._watch.seconds)
