"""Devices on this machine: a tracker and servers that outlive whoever started them, and can be found and stopped later.

Each group has a folder in `devices` below `$AGO_STATE`, else `$XDG_STATE_HOME/ago-explorer`, else
`~/.local/state/ago-explorer`, with a log of each process. All processes of a group are one process group.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from ago_core.devices.cores import allowed_cores, cores_for, physical_cores
from ago_core.devices.supervisor import Plan, read_plan, write_json
from ago_core.devices.tracker import Address, TrackerLost, list_devices, parse_address
from ago_core.errors import UserError

LOOPBACK = "127.0.0.1"
START_SECONDS = 60.0
STOP_SECONDS = 10.0
GIVE_UP = 3
"""A process that has died so often while the group was starting is not waited for."""
MODULES = "ago_core.devices."


@dataclass(frozen=True)
class Group:
    """Processes of one start.

    Attributes:
        folder: with their logs.
        pid: of the supervisor, and number of the process group.
        tracker: that the servers register with.
        own_tracker: whether the tracker is one of the processes.
        key: of the servers.
        servers: how many.
        threads: of each server.
    """

    folder: Path
    pid: int
    tracker: Address
    own_tracker: bool
    key: str
    servers: int
    threads: int

    def to_json(self) -> dict:
        return asdict(self) | {"folder": str(self.folder), "tracker": str(self.tracker)}


def start_devices(
    servers: int,
    key: str,
    host: str = LOOPBACK,
    tracker: Address | None = None,
    threads: int | None = None,
    port: int | None = None,
) -> Group:
    """Starts servers, and a tracker unless one is named, and waits until they have registered.

    Args:
        servers: how many; 0 for a tracker alone, with which devices elsewhere register.
        host: address of this machine to listen on; others than loopback let everyone who reaches them run code here.
        tracker: to register with, instead of starting one.
        threads: of each server; by default the machine's cores are shared out, so that servers do not disturb others.
        port: of the tracker that is started; by default TVM's usual one, 9190, or any other where that is taken.

    Raises:
        UserError: the key or the address is no good, or something does not start; nothing is left running then.
    """
    _check(servers, key, host, port or 0)
    plan = Plan(host, str(tracker) if tracker else None, port, key, _share_out(servers, threads))
    folder = _new_folder()
    write_json(folder / "plan.json", asdict(plan))
    command = [sys.executable, "-m", f"{MODULES}supervisor", str(folder)]
    with (folder / "supervisor.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=_environment()
        )
    try:
        return _registered(folder, process, plan)
    except BaseException:
        _end_group(process.pid)
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)
        raise


def running_groups() -> tuple[Group, ...]:
    """Groups of which a process lives; folders of others are removed."""
    found = []
    for folder in sorted(_base_folder().glob("*")):
        with contextlib.suppress(OSError, KeyError, ValueError, TypeError):
            group = _read(folder)
            if _members(group.pid):
                found.append(group)
            else:
                shutil.rmtree(folder, ignore_errors=True)
    return tuple(found)


def stop_devices(group: Group) -> None:
    """Ends all processes of a group, hung ones too, and removes its folder."""
    _end_group(group.pid)
    shutil.rmtree(group.folder, ignore_errors=True)


def exposure(host: str) -> str | None:
    """A warning for an address that others can reach; None for loopback."""
    if _is_loopback(host):
        return None
    return (
        f"TVM's RPC protocol has no authentication: whoever can reach {host} can run any program as you on this "
        "machine. Use it only in a network that you trust."
    )


def _check(servers: int, key: str, host: str, port: int) -> None:
    if servers < 0:
        raise UserError(f"{servers} servers cannot be started: name how many, or 0 for a tracker alone.")
    if not key or any(letter.isspace() or letter == ":" for letter in key):
        raise UserError(f"{key!r} cannot be a key: it must be a word without spaces and colons, such as pi4.")
    if host in ("0.0.0.0", "::"):
        raise UserError(f"{host} is every address at once; name the one at which other machines reach this one.")
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        where = Address(host, port) if port else host
        raise UserError(f"This machine cannot listen on {where}: {error.strerror or error}.") from error


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _share_out(servers: int, threads: int | None) -> tuple[tuple[int, ...], ...]:
    """Cores of each server: disjoint where there are enough of them, else in turn."""
    threads = threads or max(1, physical_cores() // max(1, servers))
    cores = cores_for(len(allowed_cores()))
    cores_for(threads)  # refuses too many
    turns = [[cores[(number * threads + k) % len(cores)] for k in range(threads)] for number in range(servers)]
    return tuple(map(tuple, turns))


def _environment() -> dict[str, str]:
    """The supervisor's: this package can be imported wherever it is started."""
    root = str(Path(__file__).parents[2])
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))}


def _base_folder() -> Path:
    if own := os.environ.get("AGO_STATE"):
        return Path(own) / "devices"
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "ago-explorer" / "devices"


def _new_folder() -> Path:
    base = _base_folder()
    try:
        base.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=base, prefix=time.strftime("%Y%m%d-%H%M%S-")))
    except OSError as error:
        raise UserError(f"The folder {base} cannot be written: {error.strerror}.") from error


def _read(folder: Path) -> Group:
    plan = read_plan(folder)
    state = json.loads((folder / "state.json").read_text())
    address = parse_address(state["tracker"])
    threads = len(plan.servers[0]) if plan.servers else 0
    return Group(folder, state["pid"], address, plan.tracker is None, plan.key, len(plan.servers), threads)


def _registered(folder: Path, supervisor: subprocess.Popen, plan: Plan) -> Group:
    """The group, once its tracker lists all its servers."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if supervisor.poll() is not None:
            raise UserError(f"The devices could not be started: {_last_words(folder)}")
        with contextlib.suppress(OSError, TrackerLost, KeyError, ValueError):
            if max(json.loads((folder / "state.json").read_text())["failures"].values()) >= GIVE_UP:
                raise UserError(f"The devices could not be started: {_last_words(folder)}")
            group = _read(folder)
            if _own_servers(folder, group):
                return group
        time.sleep(0.1)
    raise UserError(f"The devices did not start in {START_SECONDS:.0f} seconds: {_last_words(folder)}")


def _own_servers(folder: Path, group: Group) -> bool:
    """Whether all servers of the group are on the tracker's list, among those that others have registered."""
    ports = {_port(folder / f"server-{number}.log") for number in range(group.servers)}
    listed = {device.address.port for device in list_devices(group.tracker) if device.key == group.key}
    return None not in ports and ports <= listed


def _port(log: Path) -> int | None:
    words = [line.rpartition(":")[2] for line in log.read_text().splitlines() if " serving " in line]
    return int(words[-1]) if words else None


def _last_words(folder: Path) -> str:
    """The last line of the logs that is no ordinary message."""
    lines = [line for log in sorted(folder.glob("*.log")) for line in log.read_text(errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line.strip() and " INFO " not in line), "they said nothing.")


def _members(group: int) -> list[psutil.Process]:
    """Our processes in a process group; none where its number has come to mean something else."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    with contextlib.suppress(psutil.Error):
        if any(MODULES in word for process in found for word in process.cmdline()):
            return found
    return []


def _end_group(group: int) -> None:
    """SIGTERM to the supervisor's group, then SIGKILL to whoever is left."""
    for number, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, STOP_SECONDS)):
        if not _members(group):
            return
        with contextlib.suppress(OSError):
            os.killpg(group, number)
        deadline = time.monotonic() + seconds
        while _members(group) and time.monotonic() < deadline:
            time.sleep(0.05)
