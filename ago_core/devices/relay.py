"""A connection to a device that can be cut.

TVM's RPC client waits for an answer for ever in native code, and where it frees a remote tensor or function it holds
Python's lock meanwhile, so no thread of the same process could help it. It is therefore given the port of a process
that only passes bytes on: `python relay.py HOST PORT TIMEOUT`. That cuts off a device that is silent for too long while
it is asked something, and the client raises. Ending that process frees the device, whatever still refers to the
session's tensors and modules.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from enum import Enum

BLOCK = 1 << 18
IDLE_SECONDS = 10.0
"""For an answer to what is asked outside a call, which is to free something."""
START_SECONDS = 10.0
EXIT_SECONDS = 0.2


class End(Enum):
    """Why a connection has ended; the value is the exit code of its process."""

    TIMED_OUT = 3
    BROKEN = 4
    UNREACHABLE = 5
    CLOSED = 6

    @property
    def sentence(self) -> str:
        return {
            End.TIMED_OUT: "did not answer in time",
            End.BROKEN: "closed the connection",
            End.UNREACHABLE: "cannot be reached",
            End.CLOSED: "was released",
        }[self]


class Relay:
    """Passes bytes between one client of this machine, which connects to `port`, and a device.

    Attributes:
        port: on 127.0.0.1; None where the device cannot be reached.
    """

    def __init__(self, host: str, port: int, timeout: float):
        command = [sys.executable, "-I", "-S", __file__, host, str(port), str(timeout)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        ready = select.select([self._process.stdout], [], [], timeout + START_SECONDS)[0]
        line = self._process.stdout.readline() if ready else b""
        self.port = int(line) if line else None
        self._closed = False

    @property
    def ended(self) -> End | None:
        """Why it has ended; None as long as it has not."""
        if self._closed:
            return End.CLOSED
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(EXIT_SECONDS)  # the client sees the end a moment earlier
            return End(code) if code in {end.value for end in End} else End.BROKEN
        return None

    @contextlib.contextmanager
    def limit(self, seconds: float) -> Iterator[None]:
        """Inside, the device may be silent for so long."""
        self._say(seconds)
        try:
            yield
        finally:
            self._say(0)

    def close(self) -> None:
        """Frees the device."""
        if self._closed:
            return
        self._closed = True
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def _say(self, seconds: float) -> None:
        with contextlib.suppress(OSError, ValueError):  # it has ended: whoever asks next is told
            self._process.stdin.write(f"{seconds}\n".encode())
            self._process.stdin.flush()


class _Line:
    """Both directions, in the process of its own."""

    def __init__(self, client: socket.socket, device: socket.socket):
        self.waiting = False
        self.active_at = time.monotonic()
        self._client, self._device = client, device
        for end in (client, device):
            end.settimeout(None)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=self._questions, daemon=True).start()
        threading.Thread(target=self._answers, daemon=True).start()

    def _questions(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._client.recv(BLOCK):
                self.active_at, self.waiting = time.monotonic(), True
                self._device.sendall(data)
        os._exit(End.CLOSED.value)

    def _answers(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._device.recv(BLOCK):
                self.active_at, self.waiting = time.monotonic(), False
                self._client.sendall(data)
        os._exit(End.BROKEN.value)


def main(host: str, port: int, timeout: float) -> None:
    """Runs until either side closes, an answer is late, or the parent has ended."""
    try:
        device = socket.create_connection((host, port), timeout)
    except OSError:
        os._exit(End.UNREACHABLE.value)
    listener = socket.create_server(("127.0.0.1", 0), backlog=1)
    listener.settimeout(START_SECONDS)
    os.write(1, b"%d\n" % listener.getsockname()[1])
    try:
        line = _Line(listener.accept()[0], device)
    except OSError:
        os._exit(End.CLOSED.value)
    limit = 0.0
    while True:
        silence = time.monotonic() - line.active_at
        allowed = limit or (IDLE_SECONDS if line.waiting else float("inf"))
        if silence > allowed:
            os._exit(End.TIMED_OUT.value)
        if select.select([0], [], [], min(allowed - silence, 1.0) + 0.001)[0]:
            words = os.read(0, 4096).split()
            if not words:
                os._exit(End.CLOSED.value)
            limit = float(words[-1])
            line.active_at = time.monotonic()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
