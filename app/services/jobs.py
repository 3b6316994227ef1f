"""Compiling, running and exporting: the command line in a process of its own, one at a time on this machine.

A process can be killed at once and cannot take the server down with it. One at a time, since two measurements would
slow each other down.
"""

from __future__ import annotations

import atexit
import contextlib
import enum
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from ago_core.partition.partition import Partition
from app.services.models import Choice
from app.services.worker import Progress, Worker

logger = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-m", "ago_core")
USER_ERROR = 2
REPORT, PARTITION = "report.json", "partition.json"
GRACE_SECONDS = 2.0


class State(enum.Enum):
    """A job's life: waiting → running → done or failed; cancelled from either of the first two."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Work:
    """What a job does.

    Attributes:
        kind: "run" or "export", a command of the command line.
        choice: the model.
        partition: to compile; it goes as a file.
        tuned: the folder of a session whose functions are compiled, and which of its results; None for default
            schedules.
    """

    kind: str
    choice: Choice
    partition: Partition
    tuned: tuple[Path, int] | None = None

    @property
    def method(self) -> str:
        return self.partition.method

    def prepare(self, folder: Path) -> None:
        """Writes what the command reads into the job's own folder."""
        (folder / PARTITION).write_text(json.dumps(self.partition.to_json()))

    def arguments(self, folder: Path) -> list[str]:
        """The command's arguments; `folder` is the job's own."""
        partition = ["--tuned", str(self.tuned[0])] if self.tuned else ["--partition", str(folder / PARTITION)]
        dims = [part for name, size in self.choice.dims for part in ("--dim", f"{name}={size}")]
        output = ["--output", str(folder / self.file_name)] if self.kind == "export" else []
        return [self.kind, str(self.choice.spec), *dims, *partition, *output, "--json", "--progress"]

    @property
    def file_name(self) -> str:
        """Of the exported artifact."""
        stem = Path(self.choice.name).stem if self.choice.path else self.choice.name.replace("@", "-")
        return f"{stem}-{self.method}.zip"


class Job:
    """One run of the command line.

    Attributes:
        state: where it is in its life.
        progress: what it is doing.
        result: the JSON object that it reported, once done.
        error: one sentence that says why it failed, or "".
        finished_at: when it ended, local time.
    """

    def __init__(self, work: Work, command: Iterable[str] = COMMAND, keep: object = None):
        """`keep` is not let go before the job ends: the upload that it reads."""
        self.work = work
        self.state = State.WAITING
        self.progress = Progress()
        self.result: dict[str, Any] = {}
        self.error = ""
        self.finished_at: datetime | None = None
        self._command = list(command)
        self._keep = keep
        self._lock = threading.Lock()
        self._process: subprocess.Popen | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="ago-job-", ignore_cleanup_errors=True)

    @property
    def active(self) -> bool:
        return self.state in (State.WAITING, State.RUNNING)

    @property
    def output(self) -> Path:
        """The artifact of an export that is done; it goes with the job."""
        return Path(self._folder.name) / self.work.file_name

    def cancel(self) -> None:
        """Stops it and all that it started. Does nothing once it has ended."""
        with self._lock:
            if not self.active:
                return
            self._end(State.CANCELLED)
            if self._process is not None:
                _stop(self._process)
        self._folder.cleanup()

    def run(self) -> None:
        """Runs to the end in the calling thread."""
        try:
            if self._start():
                lines = self._follow(self._process)
                self._settle(self._process.wait(), lines)
        except Exception as error:
            logger.exception("a job failed")
            self._fail(f"The compiler could not be run ({type(error).__name__}: {error}).")

    def _start(self) -> bool:
        """Whether it was started: it may have been cancelled while it waited."""
        with self._lock:
            if not self.active:
                return False
            self.progress.restart()
            self.progress.step("Starting the compiler")
            self.state = State.RUNNING
            folder = Path(self._folder.name)
            self.work.prepare(folder)
            with (folder / REPORT).open("wb") as stdout:
                self._process = subprocess.Popen(
                    [*self._command, *self.work.arguments(folder)],
                    cwd=ROOT,
                    env=os.environ | {"TMPDIR": str(folder)},  # what a killed process leaves goes with the folder
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=subprocess.PIPE,
                    encoding="utf-8",
                    errors="replace",
                    start_new_session=True,
                )
            return True

    def _follow(self, process: subprocess.Popen) -> list[str]:
        """Reads progress until the process closes its error output. Returns the other lines."""
        others = []
        for line in process.stderr:
            message = _json_object(line)
            if "progress" in message:
                self.progress.step(str(message["progress"]))
            else:
                others.append(line.rstrip())
        process.stderr.close()
        return others

    def _settle(self, code: int, lines: list[str]) -> None:
        """What the exit code means; 1 is a report of a wrong result."""
        if self.state is State.CANCELLED:
            return
        report = _json_object((Path(self._folder.name) / REPORT).read_text()) if code in (0, 1) else {}
        if report:
            with self._lock:
                if self.active:
                    self.result = report
                    self._end(State.DONE)
            return
        sentence = _json_object(lines[-1] if lines else "").get("error", "")
        if code == USER_ERROR and sentence:
            self._fail(sentence)
            return
        logger.error("%s ended with %s:\n%s", self.work, code, "\n".join(lines[-40:]))
        reason = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        last = f" Its last line: {lines[-1][:200]}" if lines else ""
        self._fail(f"The compiler stopped unexpectedly ({reason}) while: {self.progress.current}.{last}")

    def _fail(self, sentence: str) -> None:
        with self._lock:
            if self.active:
                self.error = sentence
                self._end(State.FAILED)

    def _end(self, state: State) -> None:
        self.progress.end()
        self.finished_at = datetime.now()
        self._keep = None
        self.state = state


class JobQueue:
    """The machine's jobs, in the order in which they came. Those that still run when the server stops are killed."""

    def __init__(self, command: Iterable[str] = COMMAND):
        self._command = tuple(command)
        self._worker = Worker("jobs")
        self._jobs: weakref.WeakSet[Job] = weakref.WeakSet()
        atexit.register(self.cancel_all)

    def submit(self, work: Work, keep: object = None) -> Job:
        job = Job(work, self._command, keep)
        self._jobs.add(job)
        self._worker.submit(job.run)
        return job

    def cancel_all(self) -> None:
        for job in list(self._jobs):
            job.cancel()


def _stop(process: subprocess.Popen) -> None:
    """Ends a process and all in its group: politely, then not."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)


def _json_object(line: str) -> dict:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


@cache
def job_queue() -> JobQueue:
    """The server's queue."""
    return JobQueue()
