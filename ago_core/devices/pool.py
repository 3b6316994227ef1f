"""The devices of one key, for measuring on all of them at once: one session per thread, lost devices left alone.

The tracker decides which device it lends. One that is quarantined is kept until its pause is over; where that is long,
it is not connected to, and its server offers it again some seconds later. A lost device counts as lost until a session
on it succeeds.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ago_core.devices.quarantine import HEALTHY, Health
from ago_core.devices.remote import CONNECT_SECONDS, SESSION_SECONDS, DeviceLost, NoDevice, Session, connect
from ago_core.devices.tracker import Address, RemoteDevice, State, list_devices, request

SHORT_PAUSE = 5.0
"""Seconds that a device is kept without being connected to: its server waits longer before it offers it again."""


@dataclass(frozen=True)
class PooledDevice:
    """A device as the pool sees it.

    Attributes:
        device: from the tracker; its state is that of the moment of asking.
        pause: seconds for which it is still left alone.
        failures: in a row.
        reason: of the last one; "" where there is none.
    """

    device: RemoteDevice
    pause: float = 0.0
    failures: int = 0
    reason: str = ""


class Pool:
    """Devices of a key. Threads may share it; each opens sessions of its own.

    Args:
        report: told of each device that is lost, with the sentence, and of each that works again, with "".
    """

    def __init__(self, tracker: Address, key: str, report: Callable[[Address, str], None] = lambda *_: None):
        self._tracker, self._key, self._report = tracker, key, report
        self._health: dict[Address, Health] = {}
        self._lock = threading.Lock()

    def devices(self) -> tuple[PooledDevice, ...]:
        """All that have registered. Raises TrackerLost."""
        now = time.monotonic()
        found = []
        for device in list_devices(self._tracker):
            if device.key == self._key:
                health = self._health.get(device.address, HEALTHY)
                found.append(PooledDevice(device, health.pause(now), health.failures, health.reason))
        return tuple(found)

    @contextlib.contextmanager
    def session(self, wait: float = 60.0, lifetime: float = SESSION_SECONDS) -> Iterator[Session]:
        """A device of one's own for the block; one that is lost in it is quarantined, and DeviceLost goes on.

        Args:
            wait: seconds for a device to become free, or to come back.

        Raises:
            NoDevice: none did; the sentence says whether they are busy, lost or not there.
            TrackerLost: the tracker does not answer.
            DeviceLost: in the block.
        """
        session = self._open(wait, lifetime)
        try:
            yield session
        except DeviceLost as lost:
            self._failed(session.device, str(lost))
            raise
        else:
            self._worked(session.device)
        finally:
            session.close()

    def _open(self, wait: float, lifetime: float) -> Session:
        deadline = time.monotonic() + wait
        while (left := deadline - time.monotonic()) > 0:
            offer = request(self._tracker, self._key, left)
            if offer is None or not self._sat_out(offer.address):
                continue
            try:
                return connect(offer, lifetime, min(left, CONNECT_SECONDS))
            except DeviceLost as lost:
                self._failed(offer.address, str(lost))
        raise NoDevice(self._why_none(wait))

    def _sat_out(self, address: Address) -> bool:
        """Waits for the end of a short pause; False where it is a long one."""
        pause = self._health.get(address, HEALTHY).pause(time.monotonic())
        if pause <= SHORT_PAUSE:
            time.sleep(pause)
        return pause <= SHORT_PAUSE

    def _failed(self, address: Address, reason: str) -> None:
        with self._lock:
            self._health[address] = self._health.get(address, HEALTHY).failed(time.monotonic(), reason)
        self._report(address, reason)

    def _worked(self, address: Address) -> None:
        with self._lock:
            was_lost = self._health.pop(address, None) is not None
        if was_lost:
            self._report(address, "")

    def _why_none(self, wait: float) -> str:
        devices = self.devices()
        where = f"{self._key!r} at {self._tracker}"
        if not devices:
            return f"No device {where} has been there for {wait:.0f} seconds: start its server again."
        lost = [device for device in devices if device.failures]
        if len(lost) == len(devices):
            return f"All devices {where} are lost. {lost[-1].reason}"
        busy = sum(device.device.state is State.BUSY for device in devices)
        return f"No device {where} became free in {wait:.0f} seconds: {busy} of {len(devices)} are busy."
