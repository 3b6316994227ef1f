"""The last check of a session: what came out best at different moments is measured once more, in turns.

The best of many figures is partly the luckiest of them, and a machine that is busy at one moment is idle at the next.
So at the end of a session the finalists of each task run in turns with those of all tasks that the same joins depend
on, and bests and verdicts are taken from these figures. Then whole models run in turns, because what is fastest by
itself, with its data in cache, need not be so in the model:

    tuned     what the figures say
    joined    every subgraph by its join, where it has one that is right
    apart     every subgraph by its minis
    untuned   the analytic schedules

The fastest is what the session gives. All functions are pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import networkx as nx

from ago_core.tuning.interfaces import Measurement
from ago_core.tuning.plan import Deployed, Plan, States, TaskState, deployed, put_together

TUNED, JOINED, APART, UNTUNED = "tuned", "joined", "apart", "untuned"

Contest = tuple[tuple[int, int], ...]
"""(task, trial) of each contestant."""


def finalists(state: TaskState) -> tuple[int, ...]:
    """Trials of a task that may be its best: the last two that improved it, and its first that was right."""
    trials = [trial for _, _, trial in state.bests]
    return tuple(dict.fromkeys((*trials[-2:][::-1], *trials[:1])))


def contests(plan: Plan, states: States) -> list[Contest]:
    """What has to run in turns: the tasks that joins connect, and every other one that has a choice."""
    graph = nx.Graph()
    graph.add_nodes_from(task.id for task in plan.tasks)
    graph.add_edges_from((join.id, part) for join in plan.tasks for part in join.parts)
    found = []
    for tasks in map(sorted, nx.connected_components(graph)):
        contestants = tuple((task, trial) for task in tasks for trial in finalists(states[task]))
        if len(contestants) > 1:
            found.append(contestants)
    return found


def winners(contest: Contest, measurements: Sequence[Measurement]) -> dict[int, tuple[float, int]]:
    """(seconds, trial) of the fastest contestant of each task; empty where one could not be measured."""
    best: dict[int, tuple[float, int]] = {}
    for (task, trial), measurement in zip(contest, measurements):
        if measurement.latency is None:
            return {}
        best[task] = min(best.get(task, (math.inf, trial)), (measurement.latency, trial))
    return best


def settle(states: States, best: Mapping[int, tuple[float, int]]) -> list[TaskState]:
    """The states with what a contest found."""
    return [replace(state, settled=best.get(task, state.settled)) for task, state in enumerate(states)]


def choices(plan: Plan, states: States, untuned: bool) -> dict[str, tuple[Deployed, ...]]:
    """The different plans for the whole model, by name."""
    found = {
        TUNED: deployed(plan, states),
        JOINED: put_together(plan, states, lambda join: states[join].best is not None),
        APART: put_together(plan, states, lambda join: False),
    }
    if untuned:
        found[UNTUNED] = tuple(Deployed(unit.operators, None, None) for unit in plan.units)
    different: dict[str, tuple[Deployed, ...]] = {}
    for name, rows in found.items():
        if rows not in different.values():
            different[name] = rows
    return different


def fastest(runs: Mapping[str, Measurement]) -> str:
    """Name of the plan that took least; the first where none could be measured."""
    return min(runs, key=lambda name: math.inf if runs[name].latency is None else runs[name].latency)
