"""Threads on cores of their own: how many TVM runs, and where."""

import os
import threading

import pytest
import tvm

from ago_core.devices import cores
from ago_core.devices.cores import CAN_PIN, allowed_cores, cores_for
from ago_core.devices.threads import PinnedThreads, pinned_threads
from ago_core.errors import UserError

TWO = pytest.mark.skipif(len(allowed_cores()) < 2, reason="this process may use one core only")


def running() -> int:
    return tvm.get_global_func("runtime.NumThreads")()


@pytest.mark.parametrize("count", [1, pytest.param(2, marks=TWO)])
def test_tvm_runs_as_many_threads_as_asked_whatever_the_environment_says(count, monkeypatch):
    monkeypatch.setenv("TVM_NUM_THREADS", "1")
    assert PinnedThreads(count).run(running) == count


@TWO
def test_pools_of_different_sizes_live_side_by_side():
    one, two = PinnedThreads(1), PinnedThreads(2)
    assert (two.run(running), one.run(running), two.run(running)) == (2, 1, 2)


@pytest.mark.skipif(not CAN_PIN, reason="this system does not let threads choose their cores")
def test_the_calling_thread_stays_on_the_first_core_and_ours_stays_free():
    before = os.sched_getaffinity(0)
    pinned = PinnedThreads(1)
    assert pinned.run(lambda: os.sched_getaffinity(0)) == set(pinned.cores)
    assert os.sched_getaffinity(0) == before


def test_what_the_work_raises_is_raised_to_the_caller():
    with pytest.raises(ZeroDivisionError):
        PinnedThreads(1).run(lambda: 1 // 0)


def test_work_runs_on_the_same_thread_each_time():
    pinned = PinnedThreads(1)
    assert pinned.run(threading.get_ident) == pinned.run(threading.get_ident) != threading.get_ident()


def test_more_threads_than_cores_are_refused_in_one_sentence():
    with pytest.raises(UserError, match="choose fewer"):
        cores_for(len(allowed_cores()) + 1)


def test_hyper_threads_of_a_core_come_last(monkeypatch):
    monkeypatch.setattr(cores, "allowed_cores", lambda: [0, 1, 2, 3])
    monkeypatch.setattr(cores, "_siblings", lambda core: [core // 2 * 2, core // 2 * 2 + 1])
    assert cores_for(2) == [0, 2]
    assert cores_for(3) == [0, 2, 1]


def test_the_process_keeps_its_threads():
    assert all(pinned_threads(1) is pinned_threads(1) for _ in range(20))
    assert pinned_threads(1).run(threading.get_ident) == pinned_threads(1).run(threading.get_ident)
