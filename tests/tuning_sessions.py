"""Sessions on made-up devices, for tests of them."""

from __future__ import annotations

import json
import signal
import threading
import time
from pathlib import Path
from queue import SimpleQueue

import psutil
import pytest

from ago_core.errors import UserError
from ago_core.tuning import control, lock, session
from ago_core.tuning.control import Request
from ago_core.tuning.events import Command, Kind, State
from ago_core.tuning.journal import open_journal, read_journal
from ago_core.tuning.settings import ABLATIONS, Ablation, Device, LocalDevice, RemoteDevice, TuningSettings
from ago_core.tuning.turns import Turn, turns_folder
from tests.fake_tuner import PROGRAM, Fake, FakeBackend
from tests.networks import inverted_residual

WAIT = 60.0
HERE = LocalDevice(1)
ELSEWHERE = RemoteDevice("127.0.0.1", 9, "pi", "raspberry-pi-4")


@pytest.fixture(autouse=True)
def own_queue(tmp_path, monkeypatch):
    """Other sessions of this machine are not waited for."""
    monkeypatch.setenv("AGO_CACHE", str(tmp_path / "cache"))
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Path:
    return inverted_residual(tmp_path_factory.mktemp("network"))


def settings(
    trials: int, batch: int = 8, ablation: Ablation = ABLATIONS["ago"], device: Device = HERE
) -> TuningSettings:
    return TuningSettings(trials, device, ablation, batch)


def new_session(folder: Path, network: Path, trials: int, fake: Fake | None = None, **options) -> Path:
    control.create(folder, Request(network, {}, settings(trials, **options)))
    (fake or Fake()).write(folder)
    return folder


class Scripted(FakeBackend):
    """Calls `script[n]` before the n-th trial of the process."""

    def __init__(self, fake: Fake, script=None):
        super().__init__(fake)
        self.script = script or {}

    def measure(self, reference, candidates, below, done=lambda: None):
        for index, measurement in super().measure(reference, candidates, below, done):
            if (action := self.script.get(self.trials)) is not None:
                action()
            yield index, measurement


class Elsewhere(FakeBackend):
    """Devices that are not this machine: they measure while the session goes on, and say when they are free again.

    Each search goes on only when a neighbour had the device.
    """

    def measure(self, reference, candidates, below, done=lambda: None):
        results = SimpleQueue()

        def work():
            for row in FakeBackend.measure(self, reference, candidates, below):
                results.put(row)
            done()

        threading.Thread(target=work).start()
        return (results.get() for _ in candidates)

    def search(self, task):
        search = super().search(task)
        propose = search.propose
        search.propose = lambda count: neighbour_measures() or propose(count)
        return search


def neighbour_measures() -> None:
    """Another session takes its turn on the device elsewhere."""
    with Turn(turns_folder(), ELSEWHERE.name, "the neighbour") as turn:
        end = time.monotonic() + WAIT / 4
        while not turn.has_come():
            assert time.monotonic() < end, "the session keeps the device while it proposes"
            time.sleep(0.001)


def run_here(folder: Path, backend: FakeBackend | None = None) -> int:
    """The session's process, in this one."""
    return session.main([str(folder)], lambda _: backend or FakeBackend(Fake()))


def rows_of(folder: Path) -> list[tuple[int, str]]:
    """(task, trace) of each trial, in order."""
    with read_journal(folder) as journal:
        return [(trial.task, trace) for trial, trace in journal.trials_with_traces()]


def state_of(folder: Path) -> State | None:
    """None where the session is still being created."""
    try:
        return control.status(folder).state
    except UserError:
        return None


def states_of(folder: Path) -> list[str]:
    with read_journal(folder) as journal:
        return [event.data["state"] for event in journal.events(kinds=[Kind.SESSION])]


def data_of(folder: Path, kind: Kind) -> list[dict]:
    with read_journal(folder) as journal:
        return [dict(event.data) for event in journal.events(kinds=[kind])]


def final_plan(folder: Path) -> dict:
    with read_journal(folder) as journal:
        return dict(journal.last(Kind.END_TO_END).data)


def used_traces(folder: Path) -> set[str]:
    return {row["trace"] for row in json.loads((folder / "best.json").read_text())["functions"]}


def send(folder: Path, command: Command, value: int = 0):
    def action():
        with open_journal(folder) as journal:
            journal.send(command, value)

    return action


def refused(folder: Path, backend: FakeBackend | None = None) -> str:
    """The reason that a resume is refused with; nothing is lost by it."""
    before = rows_of(folder)
    assert run_here(folder, backend) == session.USER_ERROR
    status = control.status(folder)
    assert status.state is State.FAILED and rows_of(folder) == before
    return status.reason


def started(folder: Path) -> Path:
    control.start(folder, PROGRAM)
    return folder


def wait_for_trials(folder: Path, count: int) -> None:
    end = time.monotonic() + WAIT
    while control.status(folder).trials < count:
        assert time.monotonic() < end, (folder / control.LOG).read_text()
        time.sleep(0.02)


def pid_of(folder: Path) -> int:
    """The process that was given the folder."""
    for process in psutil.process_iter(["cmdline"]):
        if str(folder) in (process.info["cmdline"] or []):
            return process.pid
    raise AssertionError("no process has the session")


def wait_until_gone(folder: Path) -> None:
    end = time.monotonic() + WAIT
    while lock.is_held(folder):
        assert time.monotonic() < end
        time.sleep(0.01)
