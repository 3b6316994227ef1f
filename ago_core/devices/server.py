"""Serves a device to a TVM RPC tracker: `python -m ago_core.devices.server --tracker HOST:PORT --key KEY`.

The file needs nothing of this project: copied to a board or a phone that has TVM's runtime, `python server.py …` does.
Unlike TVM's own server (`tvm.exec.rpc_server`) it goes on after a session that crashed, ends what a client left behind,
runs as many threads as it says, each on a core of its own, and tells the tracker what it is and whether it is busy.

Each session runs in a process of its own. There is no authentication: whoever reaches the port can run any code.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import logging
import os
import platform
import random
import select
import shutil
import signal
import socket
import struct
import sys
import tempfile
import time
from pathlib import Path

PING_SECONDS = 2.0
UNUSED_SECONDS = 8.0
"""A device that was lent but not connected to for so long is offered again."""
HANDSHAKE_SECONDS = 5.0
TRACKER_SECONDS = 10.0
GRACE_SECONDS = 2.0
"""What a session may take to end after its client has gone."""
LONGEST_KEY = 1024
ONE_CORE_EACH = -2
"""kSpecifyOneCorePerThread, include/tvm/runtime/threading_backend.h."""

SESSION_MAGIC, MISMATCH = 0xFF271, 0xFF271 + 2
TRACKER_MAGIC = 0x2F271
PUT, UPDATE_INFO, GET_PENDING_MATCHKEYS = 3, 5, 7
"""python/tvm/rpc/base.py."""

log = logging.getLogger("device")


class Tracker:
    """The connection to the tracker, over which the device is offered."""

    def __init__(self, address: tuple[str, int], key: str, port: int, custom_host: str | None, about: dict):
        self._key, self._port, self._host, self._about = key, port, custom_host, about
        self.socket = socket.create_connection(address, TRACKER_SECONDS)
        self.socket.sendall(struct.pack("<i", TRACKER_MAGIC))
        if struct.unpack("<i", receive(self.socket, 4))[0] != TRACKER_MAGIC:
            raise OSError("not a tracker")

    def say(self, state: str) -> None:
        info = {"key": f"server:{self._key}", "addr": (self._host, self._port), "state": state, "about": self._about}
        self._ask([UPDATE_INFO, info])

    def offer(self) -> str:
        """Puts the device on the tracker's list; returns the key that the next client must show."""
        password = f"{self._key}:{random.random()}"
        self._ask([PUT, self._key, (self._port, password), self._host])
        return password

    def holds(self, password: str) -> bool:
        """Whether nobody has been given it yet."""
        return password in self._ask([GET_PENDING_MATCHKEYS])

    def close(self) -> None:
        self.socket.close()

    def _ask(self, message: list):
        data = json.dumps(message).encode()
        self.socket.sendall(struct.pack("<i", len(data)) + data)
        (size,) = struct.unpack("<i", receive(self.socket, 4))
        return json.loads(receive(self.socket, size))


def receive(connection: socket.socket, size: int) -> bytes:
    """Exactly `size` bytes. Raises OSError where the other side closes or is too slow."""
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise OSError("connection closed")
        data += part
    return data


def serve(listener: socket.socket, connect, key: str, cores: list[int]) -> None:
    """Serves sessions one after the other, for ever.

    Args:
        connect: makes a `Tracker`; called again whenever the tracker is lost.
    """
    tracker = None
    while True:
        try:
            tracker = tracker or connect()
            tracker.say("free")
            client, timeout = next_client(listener, tracker, key)
            tracker.say("busy")
        except (OSError, ValueError) as error:
            log.warning("tracker lost (%s), trying again", error)
            if tracker is not None:
                tracker.close()
            tracker = None
            time.sleep(1)
            continue
        with client:
            run_session(client, timeout, cores, [listener, tracker.socket])


def next_client(listener: socket.socket, tracker: Tracker, key: str) -> tuple[socket.socket, float | None]:
    """Waits for a client that shows the password; offers the device again where a client never came.

    Returns:
        (its connection, seconds that its session may last).
    """
    password, lent_at = tracker.offer(), None
    while True:
        if not select.select([listener], [], [], PING_SECONDS)[0]:
            now = time.monotonic()
            lent_at = None if tracker.holds(password) else lent_at or now
            if lent_at and now - lent_at > UNUSED_SECONDS:
                password, lent_at = tracker.offer(), None
            continue
        client, address = listener.accept()
        try:
            timeout = shake_hands(client, password, key)
        except (OSError, ValueError) as error:
            log.warning("refused %s: %s", address, error)
            client.close()
            continue
        log.info("session of %s", address)
        return client, timeout


def shake_hands(client: socket.socket, password: str, key: str) -> float | None:
    """Seconds that the session may last, if the client names any. Raises ValueError for a wrong password, OSError."""
    client.settimeout(HANDSHAKE_SECONDS)
    magic, size = struct.unpack("<ii", receive(client, 8))
    if magic != SESSION_MAGIC or not 0 < size <= LONGEST_KEY:
        raise ValueError("not a TVM RPC client")
    shown, *options = receive(client, size).decode().split()
    timeouts = [float(option.removeprefix("-timeout=")) for option in options if option.startswith("-timeout=")]
    if shown != f"client:{password}":
        client.sendall(struct.pack("<i", MISMATCH))
        raise ValueError("wrong key")
    name = f"server:{key}".encode()
    client.sendall(struct.pack("<ii", SESSION_MAGIC, len(name)) + name)
    client.settimeout(None)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return timeouts[0] if timeouts else None


def run_session(client: socket.socket, timeout: float | None, cores: list[int], others: list[socket.socket]) -> None:
    """One session in a process of its own; whatever happens in it, this returns."""
    folder = tempfile.mkdtemp(prefix="session-")
    watch, life = os.pipe()  # the session holds `life` open as long as it lives
    child = os.fork()
    if child == 0:
        os.close(watch)
        _session_process(client, folder, cores, others)
    os.close(life)
    try:
        reason = wait_for_end(client, watch, timeout)
        if reason:
            log.warning("%s: ending the session", reason)
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        if status and not reason:
            died = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"code {os.WEXITSTATUS(status)}"
            log.warning("session crashed: %s", died)
    finally:
        os.close(watch)
        shutil.rmtree(folder, ignore_errors=True)


def wait_for_end(client: socket.socket, watch: int, timeout: float | None) -> str | None:
    """None once the session's process has ended; else why it must be ended."""
    import tvm.rpc

    deadline, reason = (time.monotonic() + timeout if timeout else None), "time-out"
    poll = select.poll()
    poll.register(watch, select.POLLIN)
    poll.register(client, getattr(select, "POLLRDHUP", 0) | select.POLLHUP)
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1e3
        ready = {handle for handle, _ in poll.poll(left)}
        if watch in ready:
            return None
        if not ready:
            if reason == "time-out":
                text = f"RPCSessionTimeoutError: the session has lasted longer than {timeout} s."
                tvm.rpc._ffi_api.ReturnException(client.fileno(), text)
            return reason
        poll.unregister(client)
        deadline, reason = time.monotonic() + GRACE_SECONDS, "the client has gone"


def _session_process(client: socket.socket, folder: str, cores: list[int], others: list[socket.socket]) -> None:
    """Serves calls until the client closes; never returns."""
    code = 1
    try:
        for other in others:
            other.close()
        _die_with_parent()
        _no_core_dumps()
        os.chdir(folder)
        _use_cores(cores)
        import tvm.rpc.server

        tvm.rpc.server._server_env(None, _Folder(folder))
        tvm.rpc._ffi_api.ServerLoop(client.detach())
        code = 0
    except Exception:
        log.exception("session failed")
    finally:
        os._exit(code)


class _Folder:
    """What TVM's server functions want of a work folder (tvm.support.utils.TempDirectory)."""

    def __init__(self, path: str):
        self.path = path

    def relpath(self, name: str) -> str:
        return os.fspath(Path(self.path) / Path(name).name)


def _use_cores(cores: list[int]) -> None:
    """TVM's thread pool of this thread: one thread on each core."""
    import tvm

    names = [str(core) for core in cores]
    tvm.get_global_func("runtime.config_threadpool")(ONE_CORE_EACH, len(cores), names)
    tvm.get_global_func("tvm.runtime.threading.set_current_thread_affinity")(tvm.runtime.ShapeTuple(cores[:1]))


def _die_with_parent() -> None:
    """Where the system is Linux: a killed server must not leave its session behind."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, int(signal.SIGKILL), 0, 0, 0)  # PR_SET_PDEATHSIG


def _no_core_dumps() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _start_tvm(threads: int) -> str:
    """Loads TVM and its optional runtime (random_fill_for_measure); returns its version."""
    os.environ["TVM_NUM_THREADS"] = str(threads)  # read when a pool starts
    import tvm

    if tvm.get_global_func("tvm.contrib.random.random_fill_for_measure", allow_missing=True) is None:
        for library in Path(tvm.__file__).parent.glob("lib/libtvm_runtime_extra.*"):
            ctypes.CDLL(os.fspath(library), ctypes.RTLD_GLOBAL)
    return tvm.__version__


def describe(cores: list[int], version: str) -> dict:
    """What the device is, for people who choose among several."""
    memory = 0
    with contextlib.suppress(OSError, ValueError):
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "machine": _machine(),
        "architecture": platform.machine(),
        "cores": os.cpu_count() or 1,
        "threads": len(cores),
        "memory": memory,
        "tvm": version,
    }


def _machine() -> str:
    with contextlib.suppress(OSError):
        return Path("/proc/device-tree/model").read_text().strip("\0 \n")
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("model name", "Hardware")):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.node()


def _allowed_cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def _core_list(text: str) -> list[int]:
    """Reads 0,2 or 4-7."""
    ends = [[int(end) for end in part.split("-")] for part in text.split(",")]
    return [core for part in ends for core in range(part[0], part[-1] + 1)]


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracker", type=_address, required=True, metavar="HOST:PORT")
    parser.add_argument("--key", required=True, help="what kind of device this is; clients ask for it")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--reach-me-at", metavar="HOST", help="the address that clients use, where it is another one")
    parser.add_argument("--cores", type=_core_list, metavar="LIST", help="cores to run on, such as 4-7 (default: all)")
    args = parser.parse_args(argv)
    if not args.key or any(letter.isspace() for letter in args.key):
        parser.error("a key must be a word")
    cores = args.cores or _allowed_cores()
    if not set(cores) <= set(_allowed_cores()):
        parser.error(f"this process may only use the cores {','.join(map(str, _allowed_cores()))}")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    about = describe(cores, _start_tvm(len(cores)))
    listener = socket.create_server((args.host, args.port), family=_family(args.host), backlog=8)
    port = listener.getsockname()[1]
    log.info("serving %s on %s:%d", args.key, args.host, port)
    serve(listener, lambda: Tracker(args.tracker, args.key, port, args.reach_me_at, about), args.key, cores)
    return 0


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


if __name__ == "__main__":
    sys.exit(main())
