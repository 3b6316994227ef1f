"""Processes that build and run candidates, so that what crashes, hangs or explodes ends none but its own process.

A worker answers one request at a time. The operating system ends it when a request's time is up (SIGALRM, not
handled), also while native code runs and even if the tuner itself is gone; a limit on its address space ends what
wants too much memory. Workers are forked from a server that has imported everything, so a new one is there in
hundredths of a second.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from ago_core.tuning.bench import Bench

MEMORY = 12 << 30
"""Bytes of address space of a worker, TVM's own 2 GB included."""


class WorkerDied(Exception):
    """The process is gone; the message is a sentence that says why. The next request starts another one."""


class RequestFailed(Exception):
    """The request raised an error, of which this is the last line; the process lives on."""


class Worker:
    """A process with a Bench in it; used from one thread at a time, but for `stop`.

    Attributes:
        generation: processes that have ended; what one held is lost with it.
        process: the one at work, if any.
    """

    def __init__(self, make: Callable[[], Bench]):
        self.generation = 0
        self._make = make
        self.process: BaseProcess | None = None
        self._stopping = threading.Lock()
        self._stopped = False

    def ask(self, seconds: float, request: str, *arguments) -> Any:
        """What the Bench's method `request` returns.

        Args:
            seconds: after which its process is ended.

        Raises:
            WorkerDied, RequestFailed
        """
        if self.process is None:
            self._start()
        try:
            self._pipe.send((seconds, request, arguments))
            done, answer = self._pipe.recv()
        except (EOFError, OSError):
            raise WorkerDied(self._epitaph(seconds)) from None
        if not done:
            raise RequestFailed(answer)
        return answer

    def stop(self) -> None:
        """Ends the process at once, and what is asked of it, now or later."""
        with self._stopping:
            self._stopped = True
            if self.process is not None:
                self.process.kill()
                self.process.join()

    def _start(self) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        pipe, other = context.Pipe()
        process = context.Process(target=serve, args=(other, self._make), daemon=True)
        with self._stopping:
            if self._stopped:
                raise WorkerDied("It was stopped.")
            process.start()
            self.process, self._pipe = process, pipe
        other.close()

    def _epitaph(self, seconds: float) -> str:
        """Why the process ended; it is buried."""
        self._pipe.close()
        self.process.join()
        code = self.process.exitcode
        self.process = None
        self.generation += 1
        if code == -signal.SIGALRM:
            return f"It was ended after {seconds:.0f} seconds."
        if code == -signal.SIGKILL:
            return "Its process was killed, perhaps for want of memory."
        how = (signal.strsignal(-code) or f"signal {-code}") if code < 0 else f"exit code {code}"
        return f"It crashed its process ({how})."


def serve(pipe: Connection, make: Callable[[], Bench]) -> None:
    """Answers requests until the pipe is closed: (True, result) or (False, sentence)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the tuner's: it stops its workers
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    _limit_memory()
    bench = make()
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            seconds, request, arguments = pipe.recv()
            signal.setitimer(signal.ITIMER_REAL, seconds)
            answer = _answer(bench, request, arguments)
            signal.setitimer(signal.ITIMER_REAL, 0)
            pipe.send(answer)


def _answer(bench: Bench, request: str, arguments: tuple) -> tuple[bool, Any]:
    try:
        return True, getattr(bench, request)(*arguments)
    except Exception as error:  # a candidate may raise whatever TVM can
        return False, last_line(error)


def last_line(error: Exception) -> str:
    """What is worth reading of TVM's messages, which end with the reason."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1][:300]}" if lines else type(error).__name__


def _limit_memory() -> None:
    """Where the system can."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
