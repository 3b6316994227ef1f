"""What is tuned, in what order, and when a join begins and is judged: pure functions."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ago_core.graph.model import load_model
from ago_core.partition.ago import ago_partition
from ago_core.partition.heuristic import heuristic_partition
from ago_core.tuning.budget import batch_size, next_task, occurrences, run_is_due
from ago_core.tuning.interfaces import Measurement
from ago_core.tuning.plan import (
    Estimate,
    Phase,
    Plan,
    PlannedTask,
    TaskKind,
    TaskState,
    Unit,
    after,
    deployed,
    deployed_partition,
    estimate,
    is_ready,
    is_stable,
    make_plan,
    phase,
    verdict,
)
from ago_core.tuning.settings import ABLATIONS, LocalDevice, RemoteDevice, Spaces, TuningSettings, settings_from_json

JOIN = 2


def joined_plan() -> Plan:
    """Two subgraphs of minis 0 and 1, task 2 their join, and mini 1 once more by itself."""
    tasks = (
        PlannedTask(0, TaskKind.MINI, None, ((0,), (2,)), 10.0),
        PlannedTask(1, TaskKind.MINI, None, ((1,), (3,), (4,)), 20.0),
        PlannedTask(2, TaskKind.JOIN, None, ((0, 1), (2, 3)), 30.0, (0, 1), ((0,), (1,))),
    )
    units = (
        Unit((0, 1), (((0,), 0), ((1,), 1)), 2),
        Unit((2, 3), (((2,), 0), ((3,), 1)), 2),
        Unit((4,), (((4,), 1),), None),
        Unit((5,), (((5,), None),), None),
    )
    return Plan(tasks, units)


def measured(trials: int, *bests: tuple[int, float], exhausted: bool = False) -> TaskState:
    """After `trials`, with a new best of so many seconds at each (trial, seconds)."""
    return TaskState(trials, tuple((trial, seconds, trial) for trial, seconds in bests), exhausted)


# states


def test_only_what_was_found_right_becomes_a_best():
    state = after(TaskState(), Measurement((2.0, 4.0, 3.0), None, True, "d"), 7)
    assert (state.best, state.best_trial, state.trials) == (3.0, 7, 1)
    for worse in (
        Measurement((1.0,), "A wrong result.", False, "d"),
        Measurement((1.0,), None, None, "d"),
        Measurement((), "It could not be built.", None, "d"),
        Measurement((3.5,), None, True, "d"),
    ):
        state = after(state, worse, 8)
        assert (state.best, state.best_trial) == (3.0, 7)
    assert state.trials == 5
    assert [state.best_after(trials) for trials in (0, 1, 5)] == [None, 3.0, 3.0]


@pytest.mark.parametrize(
    ("state", "stable"),
    [
        (TaskState(), False),
        (measured(31, (1, 1.0)), False),
        (measured(32, (1, 1.0)), False),  # the first batch itself is an improvement
        (measured(33, (1, 1.0)), True),
        (measured(64, (1, 1.0), (40, 0.98)), False),
        (measured(64, (1, 1.0), (40, 0.995)), True),
        (measured(400, (1, 1.0), (310, 0.9)), False),  # a quarter of 400 trials
        (measured(400, (1, 1.0), (299, 0.9)), True),
        (measured(32), True),  # nothing works
        (measured(3, (1, 1.0), exhausted=True), True),
    ],
)
def test_stable_means_no_gain_of_a_percent_in_the_last_quarter(state, stable):
    assert is_stable(state) is stable


# joins


def test_a_join_waits_for_its_minis_or_for_half_of_the_trials():
    plan = joined_plan()
    join = plan.tasks[JOIN]
    young, stable = measured(16, (1, 1.0)), measured(40, (1, 1.0))
    assert not is_ready(plan, join, [young, stable, TaskState()], 1000)
    assert is_ready(plan, join, [stable, stable, TaskState()], 1000)
    assert is_ready(plan, join, [young, young, TaskState()], 64)
    assert not is_ready(plan, join, [TaskState(), measured(64, (1, 1.0), (60, 0.5)), TaskState()], 64)


@given(st.floats(1e-6, 1), st.floats(1e-6, 1), st.floats(1e-6, 1))
def test_the_plan_is_never_slower_than_its_parts(a, b, joined):
    plan = joined_plan()
    states = [measured(40, (1, a)), measured(40, (1, b)), measured(40, (1, joined))]
    judged = verdict(plan, plan.tasks[JOIN], states)
    assert judged.kept is (joined < a + b)
    assert estimate(deployed(plan, states)).seconds == pytest.approx(2 * min(joined, a + b) + b)
    assert phase(plan, plan.tasks[JOIN], states) is (Phase.KEPT if judged.kept else Phase.DROPPED)
    assert judged.subgraphs == 2 and judged.parts == pytest.approx(a + b)


def test_verdicts_say_why():
    plan, one = joined_plan(), measured(40, (1, 2e-6))
    for states, kept, word in (
        ([one, one, measured(40, (1, 2e-6))], True, "2.00 times as fast"),
        ([one, one, measured(40, (1, 5e-6))], False, "no faster"),
        ([one, one, measured(40)], False, "None of 40"),
        ([one, one, TaskState()], False, "Not tried"),
        ([one, measured(40), one], True, "parts have no schedule"),
    ):
        judged = verdict(plan, plan.tasks[JOIN], states)
        assert judged.kept is kept and word in judged.reason


def test_an_estimate_says_what_it_lacks():
    plan = joined_plan()
    assert estimate(deployed(plan, [TaskState()] * 3)) == Estimate(0, 5)  # the library call has no task
    assert estimate(deployed(plan, [measured(1, (1, 1.0)), TaskState(), TaskState()])) == Estimate(2.0, 3)


# the plan of a model


@pytest.fixture(scope="module")
def mobilenet():
    return load_model("mobilenet_v2@56")


def test_a_plan_covers_the_model_and_joins_name_their_minis(mobilenet):
    partition = ago_partition(mobilenet.graph)
    plan = make_plan(mobilenet, partition, reformer=True)
    assert [unit.operators for unit in plan.units] == list(partition.subgraphs)
    covered = sorted(op for unit in plan.units for place, _ in unit.minis for op in place)
    assert covered == list(range(len(mobilenet.graph)))
    joins = [task for task in plan.tasks if task.kind is TaskKind.JOIN]
    assert joins and all(plan.tasks[task.id] is task for task in plan.tasks)
    for join in joins:
        assert len(join.parts) > 1
        assert sorted(op for place in join.part_places for op in place) == list(range(len(join.places[0])))
        for unit in (unit for unit in plan.units if unit.join == join.id):
            assert tuple(task for _, task in unit.minis) == join.parts
            assert unit.operators in join.places
        for part, place in zip(join.parts, join.part_places):
            assert tuple(join.places[0][position] for position in place) in plan.tasks[part].places
    assert all(unit.join is None for unit in plan.units if len(unit.minis) == 1)


def test_what_is_deployed_is_a_partition(mobilenet):
    plan = make_plan(mobilenet, ago_partition(mobilenet.graph), reformer=True)
    states = [measured(40, (1, 1.0 if task.id % 2 else 1.5)) for task in plan.tasks]
    rows = deployed(plan, states)
    partition, tasks = deployed_partition(mobilenet, rows, "tuned")
    assert 0 < len(plan.units) <= len(partition)
    assert tasks.keys() == set(range(len(partition)))
    assert all(partition.subgraphs[i] in plan.tasks[task].places for i, task in tasks.items())


def test_ablations_differ_in_what_they_claim(mobilenet):
    def complex_operators(plan):
        operators = mobilenet.graph.operators
        return max(sum(operators[op].is_complex for op in task.places[0]) for task in plan.tasks)

    plans = {}
    for name, ablation in ABLATIONS.items():
        made = heuristic_partition(mobilenet) if ablation.partition == "heuristic" else ago_partition(mobilenet.graph)
        plans[name] = make_plan(mobilenet, made, ablation.reformer)
    kinds = {name: {task.kind for task in plan.tasks} for name, plan in plans.items()}
    assert kinds["ago"] == kinds["no-fusion"] == {TaskKind.MINI, TaskKind.JOIN}
    assert kinds["no-reformer"] == kinds["heuristic"] == kinds["stock"] == {TaskKind.WHOLE}
    assert complex_operators(plans["heuristic"]) == complex_operators(plans["stock"]) == 1
    assert complex_operators(plans["no-reformer"]) > 1
    assert [name for name, ablation in ABLATIONS.items() if ablation.fusion] == ["ago", "no-reformer"]
    assert [name for name, ablation in ABLATIONS.items() if ablation.spaces is Spaces.STOCK] == ["stock"]


@pytest.mark.parametrize("device", [LocalDevice(2), RemoteDevice("127.0.0.1", 9190, "pi", "raspberry-pi-4")])
@pytest.mark.parametrize("name", ABLATIONS)
def test_settings_survive_the_journal(device, name):
    settings = TuningSettings(100, device, ABLATIONS[name], batch=8, seed=3)
    assert settings_from_json(settings.to_json()) == settings
    assert settings.ablation_name == name


# the budget


def test_every_task_is_tried_before_any_is_tried_again():
    plan, states, order = joined_plan(), [TaskState()] * 3, []
    for _ in range(2):
        task = next_task(plan, states, 1000, 16)
        order.append(task)
        states[task] = measured(4, (1, 1.0))
    assert order == [1, 0]  # 3 × 20 before 2 × 10
    assert batch_size(plan, [TaskState()] * 3, 0, 1000, 16) == 16
    assert batch_size(plan, [TaskState()] * 3, 0, 32, 16) == 4
    assert batch_size(plan, [TaskState()] * 3, 0, 2, 16) == 1
    assert batch_size(plan, [TaskState()] * 3, JOIN, 1000, 16) == 16
    assert batch_size(plan, [TaskState()] * 3, JOIN, 48, 16) == 8
    assert batch_size(plan, [measured(4)] * 3, 0, 6, 16) == 4


def test_trials_go_where_they_are_expected_to_gain():
    plan, join = joined_plan(), measured(0)
    slow, fast = measured(32, (1, 1.0)), measured(32, (1, 0.1))
    assert next_task(plan, [slow, fast, join], 1000, 16) == 0
    assert next_task(plan, [fast, slow, join], 1000, 16) == 1
    assert next_task(plan, [fast, slow, join], 1000, 16, busy=1) == 0
    improving, stable = measured(64, (1, 0.2), (60, 0.1)), measured(64, (1, 10.0))
    assert next_task(plan, [improving, stable, join], 1000, 16) == 0  # stable ones come last


def test_a_task_that_never_works_is_given_up():
    plan, works = joined_plan(), measured(40, (1, 1.0), (30, 0.5))
    assert next_task(plan, [measured(16), works, TaskState()], 1000, 16) == 0
    assert next_task(plan, [measured(32), works, TaskState()], 1000, 16) == 1


def test_minis_of_a_faster_join_get_nothing_and_a_dropped_join_neither():
    plan = joined_plan()
    parts = [measured(40, (1, 1.0)), measured(40, (1, 1.0))]
    kept = [*parts, measured(16, (1, 1.5))]
    assert occurrences(plan, kept, 1000) == {1: 1, JOIN: 2}
    dropped = [*parts, measured(64, (1, 2.5))]
    assert occurrences(plan, dropped, 1000)[JOIN] == 0 and occurrences(plan, dropped, 1000)[0] == 2
    ended = [replace(state, exhausted=True) for state in dropped]
    assert next_task(plan, ended, 1000, 16) is None


def test_a_simulated_session_tunes_the_slow_mini_first_then_the_other_then_the_join():
    """Every task improves as 1/n towards a floor: the join's is under that of its minis."""
    plan, states, floors, order = joined_plan(), [TaskState()] * 3, (1.0, 0.1, 0.9), []
    total = 0
    while total < 600 and (task := next_task(plan, states, 600, 16)) is not None:
        order.append(task)
        for _ in range(batch_size(plan, states, task, 600, 16)):
            n = states[task].trials + 1
            states[task] = after(states[task], Measurement((floors[task] * (1 + 1 / n),), None, True, "d"), total)
            total += 1
    assert order[:2] == [1, 0]  # one batch each
    last_of = {task: len(order) - order[::-1].index(task) for task in (0, 1)}
    assert last_of[0] < last_of[1] or set(order[last_of[1] :]) == {JOIN}
    assert order.index(JOIN) > 2 and order.count(JOIN) > order.count(1)
    assert verdict(plan, plan.tasks[JOIN], states).kept


def test_the_whole_model_is_measured_when_it_may_have_changed():
    whole, better = Estimate(1.0, 0), Estimate(0.96, 0)
    assert not run_is_due(Estimate(0.5, 2), None, 10, 0, 100)  # parts have not been measured
    assert run_is_due(Estimate(0.5, 2), None, 300, 0, 100)
    assert run_is_due(whole, None, 10, 0, 100)
    assert run_is_due(better, whole, 10, 1, 100)
    assert not run_is_due(Estimate(0.98, 0), whole, 10, 1, 100)
    assert run_is_due(Estimate(0.98, 0), whole, 256, 1, 100)
    assert not run_is_due(better, whole, 10, 11, 100)  # more than a tenth of the time
    assert not run_is_due(Estimate(-math.inf, 0), whole, 0, 0, 100)
