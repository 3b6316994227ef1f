"""The last check of a session: finalists, contests, and the plan for the whole model; pure functions."""

from hypothesis import given
from hypothesis import strategies as st

from ago_core.tuning.interfaces import Measurement
from ago_core.tuning.plan import TaskState, after, deployed, estimate
from ago_core.tuning.settle import (
    APART,
    JOINED,
    TUNED,
    UNTUNED,
    choices,
    contests,
    fastest,
    finalists,
    settle,
    winners,
)
from tests.test_tuning_plan import JOIN, joined_plan, measured

SECONDS = st.floats(1e-6, 1.0)


def took(seconds: float | None) -> Measurement:
    return Measurement(() if seconds is None else (seconds,), None if seconds else "It crashed.", None, "d")


def test_finalists_are_the_last_two_bests_and_the_first():
    assert finalists(TaskState()) == ()
    assert finalists(measured(9, (1, 5.0))) == (1,)
    assert finalists(measured(9, (1, 5.0), (4, 4.0))) == (4, 1)
    assert finalists(measured(9, (1, 5.0), (4, 4.0), (6, 3.0), (8, 2.0))) == (8, 6, 1)


def test_a_contest_holds_all_tasks_that_a_join_connects():
    states = [measured(3, (1, 2.0), (2, 1.0)), measured(3, (3, 2.0)), measured(3, (5, 2.0))]
    assert contests(joined_plan(), states) == [((0, 2), (0, 1), (1, 3), (2, 5))]
    assert contests(joined_plan(), [TaskState()] * 3) == []
    assert contests(joined_plan(), [TaskState(), measured(1, (1, 1.0)), TaskState()]) == [], "there is no choice"


def test_figures_in_turns_replace_those_of_the_trials():
    states = [measured(3, (1, 2.0), (2, 1.0)), measured(3, (3, 2.0)), measured(3, (5, 3.5))]
    assert {row.task for row in deployed(joined_plan(), states)} == {0, 1, None}
    (contest,) = contests(joined_plan(), states)
    found = settle(states, winners(contest, [took(s) for s in (2.2, 2.1, 2.0, 3.5)]))
    assert [(state.best, state.best_trial) for state in found] == [(2.1, 1), (2.0, 3), (3.5, 5)]
    assert [row.task for row in deployed(joined_plan(), found)] == [JOIN, JOIN, 1, None]
    better = after(found[0], Measurement((1.9,), None, True, "d"), 9)
    assert (better.best, better.best_trial) == (1.9, 9), "later trials count again"


def test_a_contest_that_failed_changes_nothing():
    states = [measured(3, (1, 2.0), (2, 1.0)), measured(3, (3, 2.0)), measured(3, (5, 3.5))]
    (contest,) = contests(joined_plan(), states)
    assert winners(contest, [took(1.0), took(None), took(1.0), took(1.0)]) == {}
    assert settle(states, {}) == states


@given(st.lists(SECONDS, min_size=4, max_size=4))
def test_the_plan_is_never_slower_than_its_parts_or_its_joins(figures):
    states = [measured(3, (1, 2.0), (2, 1.0)), measured(3, (3, 2.0)), measured(3, (5, 2.5))]
    (contest,) = contests(joined_plan(), states)
    found = settle(states, winners(contest, list(map(took, figures))))
    plans = choices(joined_plan(), found, untuned=False)
    tuned = estimate(plans[TUNED]).seconds
    assert all(tuned <= estimate(plan).seconds * (1 + 1e-12) for plan in plans.values())


def test_only_different_plans_are_run():
    states = [measured(1, (1, 1.0)), measured(1, (2, 1.0)), measured(1, (3, 1.5))]
    plans = choices(joined_plan(), states, untuned=True)
    assert list(plans) == [TUNED, APART, UNTUNED], "tuned is joined"
    assert [row.operators for row in plans[UNTUNED]] == [(0, 1), (2, 3), (4,), (5,)]
    assert all(row.task is None for row in plans[UNTUNED])
    apart = choices(joined_plan(), [states[0], states[1], measured(1, (3, 9.0))], untuned=False)
    assert list(apart) == [TUNED, JOINED], "tuned is apart"


def test_the_fastest_plan():
    assert fastest({TUNED: took(2.0), JOINED: took(1.0), APART: took(None)}) == JOINED
    assert fastest({TUNED: took(None), JOINED: took(None)}) == TUNED
