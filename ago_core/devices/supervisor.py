"""Keeps a tracker and servers running: `python -m ago_core.devices.supervisor FOLDER`, started by `local_group.py`.

A process that dies is started again after a pause that grows with each failure in a row. The folder holds `plan.json`
(what to run), `state.json` (what runs) and a log for each process. SIGTERM ends everything.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from ago_core.devices.quarantine import HEALTHY, Health
from ago_core.devices.tracker import Address

LOOK_SECONDS = 0.2
STABLE_SECONDS = 60.0
"""Whoever has run so long starts again at the shortest pause."""
STOP_SECONDS = 2.0
USUAL_PORT = 9190
"""Of TVM's tracker."""
BACKLOG = 64


@dataclass(frozen=True)
class Plan:
    """What a group runs.

    Attributes:
        host: address of this machine that everything listens on.
        tracker: HOST:PORT of an existing tracker; None to run one.
        port: of the tracker that is run; None for TVM's usual one, or any other where that is taken.
        key: of every server.
        servers: the cores of each.
    """

    host: str
    tracker: str | None
    port: int | None
    key: str
    servers: tuple[tuple[int, ...], ...]


class Child:
    """A process that is started again when it dies."""

    def __init__(self, name: str, command: list[str], folder: Path, descriptors: tuple[int, ...] = ()):
        self.name = name
        self._command = command
        self._log = folder / f"{name}.log"
        self._descriptors = descriptors
        self.health: Health = HEALTHY
        self._started = 0.0
        self._process: subprocess.Popen | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def look(self, now: float) -> bool:
        """Starts it if it does not run and its pause is over; tells whether its process has changed."""
        if self._process is not None and self._process.poll() is not None:
            health = HEALTHY if now - self._started > STABLE_SECONDS else self.health
            self.health = health.failed(now, f"ended with code {self._process.returncode}")
            self._process = None
            return True
        if self._process is not None or self.health.pause(now):
            return False
        self._started = now
        environment = os.environ | {"TMPDIR": str(self._log.parent)}  # what killed sessions leave goes with the folder
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                pass_fds=self._descriptors,
            )
        return True

    def stop(self) -> None:
        """Ends it, by force where it does not follow."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def supervise(folder: Path) -> None:
    """Runs the folder's plan until SIGTERM."""
    plan = read_plan(folder)
    tracker, children = _children(folder, plan)
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    while not stopping:
        changed = [child.look(time.monotonic()) for child in children]
        if any(changed):
            write_json(folder / "state.json", _state(tracker, children))
        time.sleep(LOOK_SECONDS)
    for child in children:
        child.stop()


def _state(tracker: str, children: list[Child]) -> dict:
    processes = {child.name: child.pid for child in children}
    failures = {child.name: child.health.failures for child in children}
    return {"pid": os.getpid(), "tracker": tracker, "processes": processes, "failures": failures}


def read_plan(folder: Path) -> Plan:
    data = json.loads((folder / "plan.json").read_text())
    servers = tuple(tuple(cores) for cores in data["servers"])
    return Plan(data["host"], data["tracker"], data["port"], data["key"], servers)


def write_json(path: Path, data: dict) -> None:
    """Whole or not at all."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(data))
    part.replace(path)


def _children(folder: Path, plan: Plan) -> tuple[str, list[Child]]:
    """The tracker's address, and a child for each process."""
    python = [sys.executable, "-m"]
    address, children = plan.tracker, []
    if address is None:
        listener = _listener(plan)
        address = str(Address(plan.host, listener.getsockname()[1]))
        listener_fd = listener.detach()  # stays open here, so that a new tracker has the same port
        command = [*python, "ago_core.devices.tracker_server", str(listener_fd)]
        children.append(Child("tracker", command, folder, (listener_fd,)))
    for number, cores in enumerate(plan.servers):
        command = [*python, "ago_core.devices.server", "--tracker", address, "--key", plan.key, "--host", plan.host]
        children.append(Child(f"server-{number}", [*command, "--cores", ",".join(map(str, cores))], folder))
    return address, children


def _listener(plan: Plan) -> socket.socket:
    family = socket.AF_INET6 if ":" in plan.host else socket.AF_INET
    if plan.port is None:
        with contextlib.suppress(OSError):
            return socket.create_server((plan.host, USUAL_PORT), family=family, backlog=BACKLOG)
    return socket.create_server((plan.host, plan.port or 0), family=family, backlog=BACKLOG)


if __name__ == "__main__":
    supervise(Path(sys.argv[1]))
