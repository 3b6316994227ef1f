"""Journals of sessions that never ran: what a tuner would have written, for tests of what reads them."""

from __future__ import annotations

from pathlib import Path

from ago_core.tuning import control
from ago_core.tuning.control import Request
from ago_core.tuning.events import Kind, State
from ago_core.tuning.interfaces import Measurement
from ago_core.tuning.journal import Journal, open_journal
from ago_core.tuning.settings import ABLATIONS, LocalDevice, TuningSettings

TASKS = [
    {"kind": "mini", "operators": ["conv2d_1", "relu_1"], "places": [[0]], "weight": 9.0, "parts": []},
    {"kind": "mini", "operators": ["conv2d_2"], "places": [[1]], "weight": 9.0, "parts": []},
    {"kind": "mini", "operators": ["softmax_1"], "places": [[2], [3]], "weight": 5.0, "parts": []},
    {"kind": "join", "operators": ["conv2d_1", "conv2d_2"], "places": [[0, 1]], "weight": 18.0, "parts": [0, 1]},
]
SUBGRAPHS = [[0, 1], [2], [3]]
RUNS = (1.2e-3, 1.0e-3, 1.1e-3)
FAILURE = "Not built: It was ended after 20 seconds."


def create(folder: Path, trials: int = 8, model: str = "squeezenet@56", ablation: str = "ago") -> Path:
    """A session that has been created, and no more."""
    control.create(folder, Request(model, {}, TuningSettings(trials, LocalDevice(1), ABLATIONS[ablation], 4)))
    return folder


def plan(journal: Journal, model_hash: str = "hash") -> None:
    """What the session's process writes first."""
    partition = {"schema": 1, "model_hash": model_hash, "method": "ago", "subgraphs": SUBGRAPHS}
    identity = {"model_hash": model_hash, "target": "llvm", "versions": {"apache-tvm": "0"}, "code": "0123abcd"}
    journal.write_plan(identity | {"name": "squeezenet@56", "method": "ago", "partition": partition}, TASKS)


def trial(journal: Journal, task: int, seconds: float | None, elapsed: float, before: float | None = None) -> None:
    """A measured candidate; faster than `before`, or without one, it is its task's best."""
    values = () if seconds is None else (seconds,)
    measurement = Measurement(values, FAILURE if seconds is None else None, None if seconds is None else True, "local")
    number = journal.add_trial(task, "trace", measurement, elapsed)
    if seconds is not None and seconds < (before or 1.0):
        data = {"task": task, "trial": number, "latency": seconds, "before": before}
        journal.add_event(Kind.BEST, data, elapsed)


def state(journal: Journal, to: State, reason: str = "", elapsed: float = 0.0) -> None:
    journal.add_event(Kind.SESSION, {"state": to.value, "reason": reason}, elapsed)


def model_run(journal: Journal, trials: int, elapsed: float, summed: float, scale: float = 1.0) -> None:
    runs = [scale * seconds for seconds in RUNS]
    data = {"trials": trials, "summed": summed, "missing": 0, "measured": sorted(runs)[1], "seconds": runs}
    journal.add_event(Kind.END_TO_END, data | {"error": None, "device": "local"}, elapsed)


def tuned(folder: Path, model_hash: str = "hash", **options) -> Path:
    """A session with eight trials in ten seconds: one failed, the join is kept. Its state is still running."""
    create(folder, **options)
    with open_journal(folder) as journal:
        plan(journal, model_hash)
        state(journal, State.RUNNING)
        device = {"device": "local", "state": "busy", "reason": "", "until": 0.0}
        journal.add_event(Kind.DEVICE, device, 1.0)
        trial(journal, 0, 400e-6, 2.0)
        trial(journal, 1, 300e-6, 3.0)
        trial(journal, 2, 100e-6, 4.0)
        model_run(journal, 3, 4.5, 900e-6)
        trial(journal, 0, None, 5.0)
        trial(journal, 0, 350e-6, 6.0, before=400e-6)
        trial(journal, 2, 120e-6, 7.0, before=100e-6)
        trial(journal, 3, 700e-6, 8.0)
        trial(journal, 3, 500e-6, 9.0, before=700e-6)
        verdict = {"task": 3, "subgraphs": 1, "kept": True, "joined": 500e-6, "parts": 650e-6}
        verdict |= {
            "trials": 2,
            "parts_trials": 4,
            "reason": "One function is 1.30 times as fast as its parts (joined x).",
            "final": False,
        }
        journal.add_event(Kind.TASK, {"task": 3, "phase": "kept", "trials": 2, "best": 500e-6}, 9.0)
        journal.add_event(Kind.JOIN, verdict, 9.0)
        journal.add_event(Kind.DEVICE, device | {"state": "free"}, 10.0)
        model_run(journal, 8, 10.0, 700e-6, scale=0.5)
    return folder


def ended(folder: Path, to: State, reason: str, **options) -> Path:
    """The same, ended or paused."""
    tuned(folder, **options)
    with open_journal(folder) as journal:
        state(journal, to, reason, 10.0)
    return folder


def device(journal: Journal, name: str, to: str, elapsed: float, reason: str = "", until: float = 0.0) -> None:
    """What a measurer reports of a device."""
    journal.add_event(Kind.DEVICE, {"device": name, "state": to, "reason": reason, "until": until}, elapsed)


PHONES = ("127.0.0.1:9091", "127.0.0.1:9092")
CLOSED = "The device at 127.0.0.1:9092 closed the connection, timing main."
SILENT = "The device at 127.0.0.1:9091 did not answer for 60 seconds, timing main."
GONE = f"All devices 'phone' at 127.0.0.1:9190 are lost. {SILENT}"


def quarantined(folder: Path, **options) -> Path:
    """Two phones: one has crashed twice and is left alone, the other goes on; a candidate was to blame."""
    tuned(folder, trials=16, **options)
    with open_journal(folder) as journal:
        for start, phone in zip((10.0, 10.2), PHONES):
            device(journal, phone, "busy", start)
        device(journal, PHONES[1], "quarantined", 12.0, CLOSED, 0.5)
        device(journal, PHONES[1], "busy", 13.0)
        device(journal, PHONES[1], "quarantined", 14.0, CLOSED, 1.0)
        journal.add_trial(0, "trace", Measurement((), f"It ended 2 sessions; {CLOSED}", None, PHONES[1]), 14.0)
        journal.add_trial(1, "trace", Measurement((), "It was ended after 20 seconds.", None, PHONES[0]), 15.0)
        journal.add_trial(1, "trace", Measurement((380e-6,), None, None, PHONES[0]), 16.0)
    return folder


def without_devices(folder: Path, **options) -> Path:
    """Both are gone, and the session has paused."""
    quarantined(folder, **options)
    with open_journal(folder) as journal:
        device(journal, PHONES[0], "quarantined", 17.0, SILENT, 0.5)
        state(journal, State.PAUSED, GONE, 18.0)
    return folder


def in_last_check(folder: Path, contest: int, **options) -> Path:
    """All trials are measured; `contest` of three groups of finalists have run."""
    tuned(folder, **options)
    with open_journal(folder) as journal:
        for number in range(1, contest + 1):
            data = {"after": 8, "contest": number, "contests": 3, "bests": [[0, 360e-6, 5]] if number == 1 else []}
            journal.add_event(Kind.CHECK, data, 10.0 + number)
    return folder


def checked(folder: Path, chosen: str, **options) -> Path:
    """Finished, with this plan kept."""
    in_last_check(folder, 3, **options)
    plans = {"tuned": 600e-6, "joined": 620e-6, "apart": 640e-6, "untuned": 900e-6} | {chosen: 550e-6}
    with open_journal(folder) as journal:
        data = {"trials": 8, "summed": 700e-6, "missing": 0, "measured": plans[chosen], "seconds": [plans[chosen]]}
        data |= {"error": None, "device": "local", "chosen": chosen, "plans": plans}
        journal.add_event(Kind.END_TO_END, data, 15.0)
        state(journal, State.FINISHED, "All 8 trials are spent.", 15.0)
    return folder
