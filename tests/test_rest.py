"""Waiting until a process leaves the cores to others."""

import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest

from ago_core.devices import rest


class Fake:
    """A process of which each look finds so many more seconds of processor time."""

    def __init__(self, *used):
        self.used, self.total, self.looks = list(used), 0.0, 0

    def cpu_times(self):
        self.looks += 1
        self.total += self.used.pop(0) if len(self.used) > 1 else self.used[0]
        return SimpleNamespace(user=self.total / 2, system=self.total / 2)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(rest, "LOOK_SECONDS", 0.001)


def test_a_process_is_waited_for_until_it_stops_using_the_cores():
    busy = Fake(5.0, 0.05, 0.05, 0.05, 0.0)
    assert rest.comes_to_rest(busy, 60.0)
    assert busy.looks == 5, "one to begin with, three that found it busy, and the one that did not"


def test_a_tick_is_no_work():
    assert rest.comes_to_rest(Fake(5.0, rest.TICK_SECONDS), 60.0)


def test_a_process_that_goes_on_is_not_waited_for_for_ever():
    assert not rest.comes_to_rest(Fake(0.05), 0.05)


def test_a_process_that_has_ended_is_an_error():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    usage = psutil.Process(process.pid)
    process.communicate(b"\n")
    with pytest.raises(psutil.Error):
        rest.comes_to_rest(usage, 60.0)
