"""Where the next trials go, and when the whole model is measured. Pure functions over task states."""

from __future__ import annotations

from collections import Counter

from ago_core.tuning.plan import Estimate, Phase, Plan, States, TaskKind, deployed, is_ready, is_stable, phase

ALPHA = 0.2
WINDOW = 3
"""Weight of the recent slope, and how many batches are recent: the defaults of MetaSchedule."""
HOPELESS_TRIALS = 32
"""A task with none right among so many first trials is given up."""
FIRST_SHARE = 4
"""The first round over all tasks takes at most one in so many of the session's trials."""
LEAST_BATCH = 4

GAIN_BETWEEN_RUNS = 0.03
RUN_TRIALS = 256
RUN_SHARE = 0.1
"""The whole model is measured when the estimate fell by 3 %, or after 256 trials, in at most a tenth of the time."""


def next_task(plan: Plan, states: States, trials: int, batch: int, busy: int | None = None) -> int | None:
    """The task that the next batch is for; None where no task can gain from one.

    Tasks without a right schedule come first, the heaviest first. Then, as in MetaSchedule's gradient scheduler
    (src/s_tir/meta_schedule/task_scheduler/gradient_based.cc), the one with the largest expected gain of a batch,

        gain = occurrences · (α · (best before the last w batches − best) / w + (1 − α) · best / n),

    n batches into its search; stable tasks (`plan.is_stable`) come after all others. Occurrences are counted in the
    plan as it would be compiled now, so minis whose joins are faster gain nothing.

    Args:
        trials: of the session, in all.
        batch: trials in a batch.
        busy: a task whose batch is being measured; another one is looked for.
    """
    uses = occurrences(plan, states, trials)
    open_tasks = [task for task in plan.tasks if uses[task.id] and not states[task.id].exhausted and task.id != busy]
    unknown = [task for task in open_tasks if states[task.id].best is None]
    hopeful = [task for task in unknown if states[task.id].trials < HOPELESS_TRIALS]
    if hopeful:
        order = [(states[t.id].trials > 0, -uses[t.id] * t.weight, t.id) for t in hopeful]
        return min(order)[-1]
    known = [task.id for task in open_tasks if states[task.id].best is not None]
    return min(
        known, key=lambda id_: (is_stable(states[id_]), -uses[id_] * gain(plan, states, id_, batch)), default=None
    )


def occurrences(plan: Plan, states: States, trials: int) -> Counter[int]:
    """How many functions of the model a better schedule of each task would improve."""
    used = Counter(row.task for row in deployed(plan, states) if row.task is not None)
    for task in plan.tasks:
        if task.kind is TaskKind.JOIN:
            open_ = is_ready(plan, task, states, trials) and phase(plan, task, states) is not Phase.DROPPED
            used[task.id] = len(task.places) if open_ else 0
    return used


def gain(plan: Plan, states: States, task: int, batch: int) -> float:
    """Expected seconds of one occurrence, saved by the next batch."""
    state = states[task]
    earlier = state.best_after(state.trials - WINDOW * batch)
    slope = 0.0 if earlier is None else (earlier - state.best) / WINDOW
    return ALPHA * slope + (1 - ALPHA) * state.best * batch / state.trials


def batch_size(plan: Plan, states: States, task: int, trials: int, batch: int) -> int:
    """Trials for a task's next batch.

    Smaller in a short session, so that each task could have two; and for a mini's or subgraph's first, so that the
    first round over all of them is soon done.
    """
    usual = min(batch, max(LEAST_BATCH, trials // (2 * len(plan.tasks))))
    if states[task].trials or plan.tasks[task].kind is TaskKind.JOIN:
        return usual
    first = sum(task.kind is not TaskKind.JOIN for task in plan.tasks)
    return max(1, min(usual, trials // (FIRST_SHARE * first)))


def run_is_due(now: Estimate, last: Estimate | None, trials_since: int, spent: float, elapsed: float) -> bool:
    """Whether the whole model should be measured.

    Args:
        now: the estimate.
        last: when it was measured last; None where it never was.
        trials_since: trials since then.
        spent: seconds that measuring it has taken so far.
        elapsed: seconds that the session has taken.
    """
    if trials_since == 0 or spent > RUN_SHARE * elapsed:
        return False
    if last is None or now.missing != last.missing:
        return now.missing == 0 or trials_since >= RUN_TRIALS
    return trials_since >= RUN_TRIALS or now.seconds <= last.seconds * (1 - GAIN_BETWEEN_RUNS)
