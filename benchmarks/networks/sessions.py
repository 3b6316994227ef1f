"""Tuning sessions of the peers, each in a folder of its own, resumed where they were left."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ago_core.errors import UserError
from ago_core.tuning import control, lock
from ago_core.tuning.events import Kind, State
from ago_core.tuning.journal import read_journal
from ago_core.tuning.settings import ABLATIONS, LocalDevice, Spaces, TuningSettings
from benchmarks.networks.cells import Cell
from benchmarks.networks.peers import AGO, HEURISTIC, Peer

SEED = 1
POLL_SECONDS = 1.0
STOP_SECONDS = 120.0
"""That a session may need for the batch that it measures; it is told to stop so long before the time is up."""
PROGRAMS = {"nhwc": None, "nchw": (sys.executable, "-m", "benchmarks.peers.nchw")}

BORROWED = (
    "After {trials} trials {missing} functions have no right schedule of MetaSchedule's, and would run with ours."
)


class OutOfTime(Exception):
    """The minutes are up; what has been measured is kept."""


class SessionFailed(Exception):
    """A session ended without a result; the message is a sentence."""


def tune(folder: Path, spec: str, peer: Peer, cell: Cell, deadline: float, say: Callable[[str], None]) -> dict:
    """Runs the session of a peer to its end, unless it has ended already.

    Args:
        deadline: by `time.monotonic`.
        say: told its progress now and then.

    Returns:
        What its journal tells: see `told`.

    Raises:
        OutOfTime: it was stopped before the deadline; the next call goes on with it.
        SessionFailed: see there; also where a session in MetaSchedule's spaces left functions without a schedule.
    """
    if not (folder / control.JOURNAL).exists():
        settings = TuningSettings(cell.trials, LocalDevice(cell.threads), ABLATIONS[peer.ablation], seed=SEED)
        control.create(folder, control.Request(spec, {}, settings))
    status = control.status(folder)
    if status.state is not State.FINISHED:
        if time.monotonic() > deadline - STOP_SECONDS:
            raise OutOfTime
        control.resume(folder, PROGRAMS[peer.layout])
        status = _followed(folder, deadline, say)
    if status.state is not State.FINISHED or status.end_to_end is None:
        raise SessionFailed(f"Its session is {status.state.value}: {status.reason}")
    found = told(folder)
    if ABLATIONS[peer.ablation].spaces is Spaces.STOCK and found["missing"]:
        raise SessionFailed(BORROWED.format(**found))
    return found


def _followed(folder: Path, deadline: float, say: Callable[[str], None]) -> control.Status:
    """Waits for the end of its process; stops it at the deadline, when it pauses, or when this process is interrupted.

    Until a resumed process has written its first line, the journal tells how the one before it ended: so the lock is
    what tells that it runs. It is held from `control.resume` until the process has gone, with all that disturbs a race.
    """
    try:
        while lock.is_held(folder):
            status = control.status(folder)
            say(f"{status.trials}/{status.total} trials")
            if status.state is State.PAUSED:
                _stop(folder)
                raise SessionFailed(f"Its session paused: {status.reason}")
            if time.monotonic() > deadline - STOP_SECONDS:
                _stop(folder)
                raise OutOfTime
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        _stop(folder)
        raise
    return control.status(folder)


def _stop(folder: Path) -> None:
    """Tells it to stop, unless it has ended by itself, and waits until its process has gone."""
    with contextlib.suppress(UserError):
        control.stop(folder)
    end = time.monotonic() + 10 * STOP_SECONDS
    while lock.is_held(folder) and time.monotonic() < end:
        time.sleep(POLL_SECONDS)


def told(folder: Path) -> dict:
    """Of a session's journal.

    `missing` are functions without a measured schedule; `joins` those that were kept and dropped; `ms_by_trials` whole
    models as measured between trials.
    """
    status = control.status(folder)
    with read_journal(folder) as journal:
        runs = [event.data for event in journal.events(kinds=[Kind.END_TO_END]) if event.data["measured"] is not None]
        failed = sum(trial.measurement.latency is None for trial in journal.trials())
    return {
        "trials": status.trials,
        "missing": runs[-1]["missing"],
        "failed_trials": failed,
        "seconds": round(status.elapsed, 1),
        "tasks": status.tasks,
        "chosen": status.chosen,
        "joins": [status.joins_kept, status.joins_dropped],
        "ms_by_trials": [[run["trials"], round(run["measured"] * 1e3, 4)] for run in runs],
    }


def trials_to_reach(sessions: dict[str, dict]) -> dict[str, int | None]:
    """For each session, the trials after which the whole model was first as fast as the heuristic's in the end.

    As the sessions measured it between their trials, so to within the distance of two such runs; None where never.
    """
    if HEURISTIC not in sessions or AGO not in sessions:
        return {}
    goal = sessions[HEURISTIC]["ms_by_trials"][-1][1]
    return {
        name: next((trials for trials, ms in told["ms_by_trials"] if ms <= goal), None)
        for name, told in sessions.items()
    }
