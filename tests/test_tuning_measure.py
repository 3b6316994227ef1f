"""Measuring on this machine: what is wrong, crashes, hangs or explodes is reported, and the rest is measured."""

import math

import numpy as np
import pytest
import tvm
from tvm import tirx
from tvm.script import tirx as T  # noqa: N812

from ago_core.devices.local import host_target
from ago_core.schedules.analytic import schedule_function
from ago_core.schedules.machine import machine_of
from ago_core.tuning import measure
from ago_core.tuning.bench import difference
from ago_core.tuning.build_worker import Worker, WorkerDied
from ago_core.tuning.interfaces import Candidate, Contestant
from ago_core.tuning.measure import LocalMeasurer
from tests.schedule_cases import KINDS

TARGET = tvm.target.Target(dict(host_target().export()) | {"num-cores": 1})
FUNCTION = KINDS["pointwise"](8, 8, 16, 16)


@pytest.fixture(scope="module")
def measurer():
    with LocalMeasurer(1, TARGET, lambda _: None) as started:
        yield started


def good() -> Candidate:
    return Candidate(schedule_function(FUNCTION, machine_of(TARGET)), "good")


def calling(*call) -> Candidate:
    """The function with a call of the C library before it."""
    function = good().function
    first = tirx.Evaluate(tirx.call_extern("int32", *call))
    return Candidate(function.with_body(tirx.SeqStmt([first, function.body])), call[0])


def zeros() -> Candidate:
    """A function of the same arguments that computes nothing."""
    return Candidate(FUNCTION.with_body(tirx.Evaluate(0)), "zeros")


def measured(measurer, candidates, below=math.inf):
    found = dict(measurer.measure(FUNCTION, candidates, below))
    assert sorted(found) == list(range(len(candidates)))
    return [found[index] for index in range(len(candidates))]


def test_good_candidates_are_timed_and_the_first_is_checked(measurer):
    first, second = measured(measurer, [good(), good()])
    assert first.correct and first.error is None and first.latency > 0 and len(first.seconds) > 1
    assert second.correct is not False and second.latency > 0


def test_what_is_not_faster_than_the_best_is_not_checked(measurer):
    (slow,) = measured(measurer, [good()], below=1e-9)
    assert slow.correct is None and slow.latency > 0


def test_a_wrong_result_is_never_a_latency(measurer):
    wrong, right = measured(measurer, [zeros(), good()])
    assert wrong.correct is False and wrong.latency is None and "differs" in wrong.error
    assert right.correct and right.latency > 0


@pytest.mark.parametrize(
    "call, said", [(("abort",), "crashed"), (("_exit", 3), "exit code 3"), (("sleep", 60), "ended")]
)
def test_what_ends_its_process_costs_no_other_candidate(measurer, monkeypatch, call, said):
    monkeypatch.setattr(measure, "UNKNOWN_SECONDS", 1.0)
    batch = [good(), calling(*call), good(), calling(*call), good()]
    found = measured(measurer, batch)
    assert [each.latency is not None for each in found] == [True, False, True, False, True]
    assert said in found[1].error


def test_code_that_explodes_is_given_up(measurer, monkeypatch):
    monkeypatch.setattr(measure, "BUILD_SECONDS", 2.0)

    @T.prim_func(private=True, s_tir=True)
    def exploding(a: T.Buffer((1 << 22,), "float32")):
        for i in T.unroll(1 << 22):
            with T.sblock("store"):
                k = T.axis.spatial(1 << 22, i)
                a[k] = T.float32(1)

    candidate = Candidate(exploding, "exploding")
    exploded, right = measured(measurer, [candidate, good()])
    assert exploded.latency is None and exploded.error.startswith("Not built") and right.latency > 0


def test_contests_are_timed_in_turns_and_one_that_crashes_costs_no_other(measurer):
    right, crashing = (Contestant(FUNCTION, each.function) for each in (good(), calling("abort")))
    rows = list(measurer.in_turns([[right, right], [right, crashing], [right], [right]]))
    assert [[each.latency is None for each in row] for row in rows] == [[False] * 2, [True] * 2, [False], [False]]
    assert len({len(each.seconds) for each in rows[0]}) == 1
    assert "crashed" in rows[1][0].error


def test_a_batch_that_is_not_asked_for_is_given_up(measurer):
    measurer.measure(FUNCTION, [good()] * 8, math.inf)
    (only,) = measured(measurer, [good()])
    assert only.latency > 0


def test_tasks_may_alternate(measurer):
    other = KINDS["softmax"](8, 8, 16, 16)
    for _ in range(2):
        assert measured(measurer, [good()])[0].correct
        scheduled = Candidate(schedule_function(other, machine_of(TARGET)), "other")
        assert [each.correct for _, each in measurer.measure(other, [scheduled], math.inf)] == [True]


def test_leaving_ends_every_process():
    with LocalMeasurer(1, TARGET, lambda _: None) as started:
        assert measured(started, [good()])[0].latency > 0
        processes = [worker.process for worker in started.workers if worker.process]
    assert processes and not any(process.is_alive() for process in processes)


def test_a_worker_that_cannot_start_says_why():
    worker = Worker(int)  # int() has no method of this name, and then the process is still there
    with pytest.raises(Exception, match="AttributeError"):
        worker.ask(10.0, "build")
    worker.stop()
    with pytest.raises(WorkerDied):
        worker.ask(10.0, "build")


def test_differences_count_values_that_are_not_numbers():
    expected = np.array([1.0, np.nan, 2.0])
    assert difference(expected.copy(), expected) == 0
    assert difference(np.array([1.0, 0.0, 2.0]), expected) == math.inf
    assert difference(np.array([np.nan, np.nan, 2.0]), expected) == math.inf
    assert difference(np.array([1.0, np.nan, 3.0]), expected) == 0.5
