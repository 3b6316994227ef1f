"""Sessions from outside: create, start, pause, resume, stop, extend, and how one stands. Needs no TVM."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ago_core.errors import UserError
from ago_core.tuning import lock
from ago_core.tuning.events import RESUMED, Command, Kind, State
from ago_core.tuning.files import JOURNAL, LOCK, LOG
from ago_core.tuning.journal import JournalReader, check_journal, create_journal, open_journal, read_journal
from ago_core.tuning.settings import TuningSettings, settings_from_json

PROGRAM = (sys.executable, "-m", "ago_core.tuning.session")
ROOT = Path(__file__).resolve().parents[2]
RECENT_TRIALS = 128
"""That the rate is taken from."""
LEAST_FREE = 1 << 20
"""Bytes: with less the disk counts as full."""


@dataclass(frozen=True)
class Request:
    """What to tune.

    Attributes:
        model: a file, or the name of a sample such as "mobilenet_v2@224".
        dims: sizes for symbolic dimensions.
        settings: how.
        partition: of the model, as JSON, where the ablation's partition is "edited"; else None.
        reuse: folder of a session whose schedules are taken over for functions that both tune, see `known`.
    """

    model: str | Path
    dims: Mapping[str, int]
    settings: TuningSettings
    partition: Mapping[str, Any] | None = None
    reuse: Path | None = None


@dataclass(frozen=True)
class Status:
    """How a session stands.

    Attributes:
        state: INTERRUPTED where its process is gone without having said so.
        reason: one sentence, or "".
        model: its name, or what was asked for before it was loaded.
        ablation: name of the preset.
        device: name.
        method: of the partition, or "".
        trials: measured.
        total: asked for.
        tasks: different functions to tune; 0 before they are known.
        elapsed: seconds of tuning.
        rate: trials a second lately; 0 where it is not known.
        left: seconds until the trials are spent at that rate; None where that is not known.
        summed: seconds, the sum of the best functions, when the whole model was last measured.
        first, end_to_end: seconds of the whole model as first and as best measured, or in the last check; None where
            it was not measured yet.
        runs: seconds of each run when it was last measured.
        plans: seconds of the whole model by each plan of the last check, see `settle`; None before.
        chosen: the one of them that the session gives, or "".
        joins_kept, joins_dropped: verdicts so far.
        last_event: number of the newest event: ask for those after it.
    """

    state: State
    reason: str
    model: str
    ablation: str
    device: str
    method: str
    trials: int
    total: int
    tasks: int
    elapsed: float
    rate: float
    left: float | None
    summed: float | None
    first: float | None
    end_to_end: float | None
    runs: tuple[float, ...]
    plans: dict[str, float | None] | None
    chosen: str
    joins_kept: int
    joins_dropped: int
    last_event: int

    def to_json(self) -> dict[str, Any]:
        return vars(self) | {"state": self.state.value}


def create(folder: Path, request: Request) -> None:
    """A new session in the state queued; nothing runs yet.

    Raises:
        UserError: the folder holds one already, or cannot be written.
    """
    model = {"sample": request.model} if _is_sample(request.model) else {"path": str(Path(request.model).absolute())}
    asked = {"model": model, "dims": request.dims, "settings": request.settings.to_json()}
    asked |= {"partition": request.partition, "reuse": request.reuse and str(request.reuse.absolute())}
    create_journal(folder, asked)


def _is_sample(model: str | Path) -> bool:
    import sample_models

    return isinstance(model, str) and sample_models.is_sample(model)


def start(folder: Path, program: tuple[str, ...] | None = None) -> None:
    """Starts the session's process, detached: it outlives this one. Goes on where the journal ends.

    Args:
        program: that is given the folder and the descriptor of its lock; by default the real tuner.

    Raises:
        UserError: it is running already, or its journal is damaged or cannot be written.
    """
    check_journal(folder)
    descriptor = lock.take_lock(folder)
    try:
        with open_journal(folder) as journal:
            for command, value in journal.take_commands():  # those to an earlier process that it did not hear
                if command is Command.EXTEND:
                    journal.send(command, value)
            if State(journal.last(Kind.SESSION).data["state"]).ended:  # else it looks ended until the process speaks
                goes_on = {"state": State.QUEUED.value, "reason": RESUMED}
                journal.add_event(Kind.SESSION, goes_on, journal.elapsed())
        with (folder / LOG).open("ab") as log:
            subprocess.Popen(
                [*(program or PROGRAM), str(folder.absolute()), str(descriptor)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=[descriptor],  # so that the session is held without a gap
            )
    except OSError as error:
        raise UserError(f"The session in {folder} cannot be started: {error.strerror}.") from error
    finally:
        os.close(descriptor)


def files(folder: Path) -> list[Path]:
    """What a session that has measured nothing consists of."""
    return [*folder.glob(f"{JOURNAL}*"), folder / LOG, folder / LOCK]


def pause(folder: Path) -> None:
    """Raises UserError where it does not run."""
    _send_to_running(folder, Command.PAUSE)


def stop(folder: Path) -> None:
    """Raises UserError where it does not run."""
    _send_to_running(folder, Command.STOP)


def resume(folder: Path, program: tuple[str, ...] | None = None) -> None:
    """Goes on with a paused, stopped, failed or interrupted session, or a finished one that was extended."""
    if lock.is_held(folder):
        _send(folder, Command.RESUME)
    else:
        start(folder, program)


def extend(folder: Path, trials: int) -> None:
    """So many trials more; one that has ended must be resumed too."""
    _send(folder, Command.EXTEND, trials)


def wait(folder: Path, states: tuple[State, ...], seconds: float) -> State:
    """Waits until it is in one of the states, but not longer than `seconds`. Returns the state it is in."""
    end = time.monotonic() + seconds
    while (state := status(folder).state) not in states and time.monotonic() < end:
        time.sleep(0.05)
    return state


def _send_to_running(folder: Path, command: Command) -> None:
    if not lock.is_held(folder):
        with read_journal(folder):
            raise UserError(f"The session in {folder} does not run.")
    _send(folder, command)


def _send(folder: Path, command: Command, value: int = 0) -> None:
    with open_journal(folder) as journal:
        journal.send(command, value)


def status(folder: Path) -> Status:
    """How it stands now. Raises UserError where there is no session, or its journal is damaged."""
    alive = lock.is_held(folder)  # asked first: it may end in between
    with read_journal(folder) as journal:
        return _status(journal, alive)


def _status(journal: JournalReader, alive: bool) -> Status:
    meta = journal.meta()
    settings = settings_from_json(meta["settings"])
    session = journal.last(Kind.SESSION).data
    state, reason = State(session["state"]), session["reason"]
    if not alive and not state.ended:
        state, reason = State.INTERRUPTED, _why_gone(journal.folder)
    recent = journal.recent(RECENT_TRIALS)
    rate = (len(recent) - 1) / (recent[-1] - recent[0]) if len(recent) > 1 and recent[-1] > recent[0] else 0.0
    trials = journal.trial_count()
    runs = [event.data for event in journal.events(kinds=[Kind.END_TO_END])]
    measured = [run["measured"] for run in runs if run["measured"] is not None]
    last = runs[-1] if runs else {}
    verdicts = {event.data["task"]: event.data["kept"] for event in journal.events(kinds=[Kind.JOIN])}
    return Status(
        state=state,
        reason=reason,
        model=meta.get("name") or next(iter(meta["model"].values())),
        ablation=settings.ablation_name,
        device=settings.device.name,
        method=meta.get("method", ""),
        trials=trials,
        total=settings.trials,
        tasks=len(journal.tasks()),
        elapsed=journal.elapsed(),
        rate=rate,
        left=(settings.trials - trials) / rate if rate else None,
        summed=last.get("summed"),
        first=measured[0] if measured else None,
        end_to_end=last["measured"] if last.get("chosen") else min(measured, default=None),
        runs=tuple(last.get("seconds", ())),
        plans=last.get("plans"),
        chosen=last.get("chosen", ""),
        joins_kept=sum(verdicts.values()),
        joins_dropped=len(verdicts) - sum(verdicts.values()),
        last_event=journal.last_event(),
    )


def _why_gone(folder: Path) -> str:
    if shutil.disk_usage(folder).free < LEAST_FREE:
        return "The tuner's process ended when the disk was full; make room and resume it."
    log = folder / LOG
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    last = f" Last line of its log: {lines[-1][:200]}" if lines else ""
    return f"The tuner's process ended without a word (killed, or the machine went down); resume it to go on.{last}"
