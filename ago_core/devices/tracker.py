"""TVM's RPC tracker, asked in its own words, with time limits.

The tracker lends devices by key. Its protocol is JSON after a magic number (TVM's python/tvm/rpc/tracker.py, base.py);
TVM's own client waits without limit, so this one speaks it directly. It needs nothing but the standard library.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from dataclasses import dataclass, field
from enum import Enum, IntEnum

from ago_core.errors import UserError

TIMEOUT = 5.0
"""Seconds in which a tracker must answer."""
MAGIC = struct.pack("<i", 0x2F271)
LARGEST_MESSAGE = 1 << 24


class TrackerLost(UserError):
    """No tracker answers at the address."""


class _Code(IntEnum):
    SUCCESS = 0
    REQUEST = 4
    SUMMARY = 6


class State(Enum):
    """What a device does. TVM's own servers do not tell each for itself: UNKNOWN where some of a key are free."""

    FREE = "free"
    BUSY = "busy"
    UNKNOWN = "unknown"


@dataclass(frozen=True, order=True)
class Address:
    """A host and its TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class RemoteDevice:
    """A device that has registered with a tracker.

    Attributes:
        key: that it is lent under.
        address: of its server.
        state: at the moment of asking.
        about: what the server says of itself (`server.describe`); empty for TVM's own servers.
    """

    key: str
    address: Address
    state: State
    about: dict = field(default_factory=dict, hash=False)

    def to_json(self) -> dict:
        return {"key": self.key, "address": str(self.address), "state": self.state.value, **self.about}


@dataclass(frozen=True)
class Offer:
    """A device lent to whoever connects with `password`, which holds for one session."""

    address: Address
    password: str


def parse_address(text: str) -> Address:
    """Reads HOST:PORT. Raises UserError where it is something else."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdigit() or not 0 < int(port) < 1 << 16:
        raise UserError(f"{text!r} is not the address of a tracker; write HOST:PORT, such as 127.0.0.1:9190.")
    return Address(host, int(port))


def list_devices(tracker: Address, timeout: float = TIMEOUT) -> tuple[RemoteDevice, ...]:
    """Every device that the tracker knows, by key and address.

    Raises:
        TrackerLost: it does not answer in `timeout` seconds.
    """
    with _Connection(tracker, timeout) as connection:
        summary = connection.ask(_Code.SUMMARY)
    try:
        free = {key: queue["free"] for key, queue in summary["queue_info"].items()}
        servers = [(info["key"].removeprefix("server:"), info) for info in summary["server_info"]]
        total = {key: sum(key == other for other, _ in servers) for key, _ in servers}
        devices = [_device(key, info, free.get(key, 0), total[key]) for key, info in servers]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TrackerLost(f"What answers at {tracker} is not a tracker that this tool knows: {error!r}.") from error
    return tuple(sorted(devices, key=lambda device: (device.key, device.address)))


def request(tracker: Address, key: str, timeout: float) -> Offer | None:
    """Waits until a device of the key is free; None if none became free in `timeout` seconds.

    Raises:
        TrackerLost: the tracker cannot be reached, or closes the connection.
    """
    with _Connection(tracker, min(TIMEOUT, timeout)) as connection:
        try:
            connection.allow(timeout)
            host, port, password = connection.ask(_Code.REQUEST, key, "", 1)
        except _TimedOut:
            return None
    return Offer(Address(str(host), int(port)), str(password))


def _device(key: str, info: dict, free: int, total: int) -> RemoteDevice:
    host, port = info["addr"]
    guess = State.BUSY if free == 0 else State.FREE if free >= total else State.UNKNOWN
    state = State(info["state"]) if "state" in info else guess
    return RemoteDevice(key, Address(str(host), int(port)), state, dict(info.get("about", {})))


class _TimedOut(TrackerLost):
    """The tracker is there, but has not answered in time."""


class _Connection:
    """To a tracker; every call ends at the deadline."""

    def __init__(self, tracker: Address, timeout: float):
        self._tracker = tracker
        self.allow(timeout)
        try:
            self._socket = socket.create_connection((tracker.host, tracker.port), timeout)
        except OSError as error:
            raise TrackerLost(
                f"No tracker answers at {tracker} ({error.strerror or error}): start one, or name another address."
            ) from error

    def __enter__(self) -> _Connection:
        try:
            self._send(MAGIC)
            if self._receive(len(MAGIC)) != MAGIC:
                raise TrackerLost(f"What answers at {self._tracker} is not a TVM RPC tracker.")
        except BaseException:
            self._socket.close()
            raise
        return self

    def __exit__(self, *_) -> None:
        self._socket.close()

    def allow(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds

    def ask(self, code: _Code, *arguments):
        """The value of the tracker's answer."""
        message = json.dumps([code, *arguments]).encode()
        self._send(struct.pack("<i", len(message)) + message)
        (size,) = struct.unpack("<i", self._receive(4))
        try:
            if not 0 < size <= LARGEST_MESSAGE:
                raise ValueError(f"a message of {size} bytes")
            status, value = json.loads(self._receive(size))
            if status != _Code.SUCCESS:
                raise ValueError(f"status {status}")
        except (ValueError, TypeError) as error:
            raise TrackerLost(f"What answers at {self._tracker} is not a tracker: {error}.") from error
        return value

    def _send(self, data: bytes) -> None:
        self._within_deadline(self._socket.sendall, data)

    def _receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._within_deadline(self._socket.recv, size - len(data))
            if not part:
                raise TrackerLost(f"The tracker at {self._tracker} closed the connection.")
            data += part
        return data

    def _within_deadline(self, call, argument):
        left = self._deadline - time.monotonic()
        try:
            if left <= 0:
                raise TimeoutError
            self._socket.settimeout(left)
            return call(argument)
        except TimeoutError as error:
            raise _TimedOut(f"The tracker at {self._tracker} does not answer.") from error
        except OSError as error:
            raise TrackerLost(f"The connection to the tracker at {self._tracker} broke: {error.strerror}.") from error
