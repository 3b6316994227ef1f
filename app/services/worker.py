"""One daemon thread that does what it is given, one thing after the other, and tells how far it is."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from ago_core.errors import UserError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Step:
    """What was begun, and how many seconds after the work as a whole."""

    text: str
    seconds: float


class Progress:
    """The steps of some work, written by one thread and read by others."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._ended: float | None = None
        self.steps: tuple[Step, ...] = ()

    def restart(self) -> None:
        """Time spent in a queue does not count."""
        self._begun = time.monotonic()

    def step(self, text: str) -> None:
        if text != self.current:
            self.steps += (Step(text, time.monotonic() - self._begun),)

    def end(self) -> None:
        self._ended = time.monotonic()

    @property
    def seconds(self) -> float:
        return (self._ended or time.monotonic()) - self._begun

    @property
    def current(self) -> str:
        return self.steps[-1].text if self.steps else "Waiting"


class Task:
    """A call that runs in a worker's thread.

    Attributes:
        progress: what it is doing.
        result: what it returned, once `done` and without `error`.
        error: one sentence that says why there is no result, or "".
    """

    def __init__(self, call: Callable[[Callable[[str], None]], Any], keep: object = None):
        """`keep` is not let go before the task is done: the upload that it reads."""
        self._call = call
        self._keep = keep
        self._finished = threading.Event()
        self.progress = Progress()
        self.result: Any = None
        self.error = ""

    @property
    def done(self) -> bool:
        return self._finished.is_set()

    def wait(self, seconds: float) -> bool:
        """Whether it was done within `seconds`."""
        return self._finished.wait(seconds)

    def run(self) -> None:
        self.progress.restart()
        try:
            self.result = self._call(self.progress.step)
        except UserError as error:
            self.error = str(error)
        except Exception as error:
            logger.exception("a task failed")
            self.error = f"This failed inside the app ({type(error).__name__}: {error}); the server's log has more."
        self._call = self._keep = None
        self.progress.end()
        self._finished.set()


class Worker:
    """Runs what is submitted, in that order. The thread is a daemon: it never keeps the server from stopping."""

    def __init__(self, name: str):
        self._queue: SimpleQueue[Callable[[], None]] = SimpleQueue()
        threading.Thread(target=self._loop, name=name, daemon=True).start()

    def submit(self, run: Callable[[], None]) -> None:
        """Queues a call that raises nothing."""
        self._queue.put(run)

    def _loop(self) -> None:
        while True:
            self._queue.get()()
