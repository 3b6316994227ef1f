"""Runs code on a device over TVM's RPC, every step with a time limit.

    with open_session(tracker, "pi4") as session:
        library = session.load(path)
        (result,) = session.run(library, "main", [a, b, out], results=1)
        seconds = session.time(library, "main", session.copy_in([a, b, out]))

A device that does not answer or closes the connection raises DeviceLost, and its session is over. An error that the
device reports raises CodeFault, and the session goes on. Leaving the block frees the device, whatever still refers to
tensors or modules of the session.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tvm
from tvm import rpc
from tvm.runtime.vm import VirtualMachine

from ago_core.devices.relay import End, Relay
from ago_core.devices.tracker import Address, Offer, request
from ago_core.errors import UserError
from ago_core.lowering.latency import Latency

CONNECT_SECONDS = 10.0
CALL_SECONDS = 60.0
SESSION_SECONDS = 600.0

_numbers = itertools.count()


class DeviceLost(Exception):
    """A device did not answer in time, or the connection broke: its session is over.

    The device may have died, or the code that it ran: a session that crashes looks the same from here.

    Attributes:
        device: its address.
        end: what happened.
    """

    def __init__(self, device: Address, end: End, doing: str):
        super().__init__(f"The device at {device} {end.sentence} ({doing}).")
        self.device = device
        self.end = end


class CodeFault(Exception):
    """The device reported an error, such as a library that cannot be loaded; the session goes on."""


class NoDevice(UserError):
    """No device of the key could be had in time."""


class Session:
    """A device of one's own until it is closed. Made by `open_session`, `connect` or a pool; used from one thread.

    Every method raises CodeFault, and DeviceLost after `seconds` in which the device sent and took nothing.
    """

    def __init__(self, device: Address, relay: Relay, session: rpc.RPCSession):
        self.device = device
        self._relay = relay
        self._session = session
        self._cpu = session.cpu(0)
        self._kept: list = []  # freeing one asks the device, so functions are freed after the connection

    def load(self, library: Path, seconds: float = CALL_SECONDS) -> tvm.runtime.Module:
        """Uploads a linked library under a name of its own and loads it."""
        name = f"library-{next(_numbers)}{library.suffix}"
        with self._within(seconds, "loading a library"):
            self._session.upload(str(library), target=name)
            return self._session.load_module(name)

    def copy_in(self, arrays: Sequence[np.ndarray], seconds: float = CALL_SECONDS) -> list[tvm.runtime.Tensor]:
        """Tensors on the device."""
        with self._within(seconds, "copying arrays to it"):
            return [tvm.runtime.tensor(array, device=self._cpu) for array in arrays]

    def copy_out(self, tensors: Sequence[tvm.runtime.Tensor], seconds: float = CALL_SECONDS) -> list[np.ndarray]:
        with self._within(seconds, "copying results from it"):
            return [tensor.numpy() for tensor in tensors]

    def call(self, library: tvm.runtime.Module, function: str, arguments: Sequence, seconds: float = CALL_SECONDS):
        """Calls a function with tensors of the device, or numbers; what it returns."""
        with self._within(seconds, f"calling {function}"):
            return self._keep(library[function])(*arguments)

    def run(
        self,
        library: tvm.runtime.Module,
        function: str,
        arrays: Sequence[np.ndarray],
        results: int = 1,
        seconds: float = CALL_SECONDS,
    ) -> list[np.ndarray]:
        """Calls a function with copies of arrays; what then stands in the last `results` of them, its outputs."""
        tensors = self.copy_in(arrays, seconds)
        self.call(library, function, tensors, seconds)
        return self.copy_out(tensors[len(tensors) - results :], seconds)

    def time(
        self,
        library: tvm.runtime.Module,
        function: str,
        arguments: Sequence,
        repeat: int = 3,
        flushed: int = 0,
        seconds: float = CALL_SECONDS,
    ) -> tuple[float, ...]:
        """Seconds of each of `repeat` calls by the device's clock, after one that is not counted (time_evaluator).

        Args:
            flushed: bytes that are written before each call, so that caches of that size hold nothing of use.
        """
        with self._within(seconds, f"timing {function}"):
            evaluator = library.time_evaluator(function, self._cpu, repeat=repeat, number=1, cache_flush_bytes=flushed)
            return tuple(self._keep(evaluator)(*arguments).results)

    def model(
        self, library: tvm.runtime.Module, inputs: Sequence[np.ndarray], seconds: float = CALL_SECONDS
    ) -> RemoteModel:
        """A whole model's library with its inputs bound."""
        tensors = self.copy_in(inputs, seconds)
        with self._within(seconds, "starting the virtual machine"):
            machine = VirtualMachine(library, self._cpu)
            machine.set_input("main", *tensors)
        return RemoteModel(self, machine)

    def ask(self, name: str, *arguments, seconds: float = CALL_SECONDS):
        """What a function of the device's own TVM returns, such as "runtime.NumThreads"; None where it has none."""
        with self._within(seconds, f"asking {name}"):
            try:
                function = self._keep(self._session.get_function(name))
            except AttributeError:
                return None
            return function(*arguments)

    def close(self) -> None:
        """Frees the device. What refers to the session's tensors and modules is useless from now on."""
        self._relay.close()
        self._kept.clear()

    def _keep(self, function):
        self._kept.append(function)
        return function

    @contextlib.contextmanager
    def _within(self, seconds: float, doing: str) -> Iterator[None]:
        with self._relay.limit(seconds):
            try:
                yield
            except Exception as error:  # native code raises many kinds
                if end := self._relay.ended:
                    raise DeviceLost(self.device, end, doing) from error
                raise CodeFault(f"The device at {self.device} reports, {doing}: {last_line(error)}") from error


class RemoteModel:
    """A compiled model in TVM's virtual machine on a device."""

    def __init__(self, session: Session, machine: VirtualMachine):
        self._session = session
        self._machine = machine

    def outputs(self, seconds: float = CALL_SECONDS) -> list[np.ndarray]:
        """Runs once; the outputs in order."""
        with self._session._within(seconds, "running the model"):
            self._machine.invoke_stateful("main")
            result = self._machine.get_outputs("main")
            tensors = [result] if isinstance(result, tvm.runtime.Tensor) else list(result)
            return [tensor.numpy() for tensor in tensors]

    def latency(self, runs: int, seconds: float = CALL_SECONDS) -> Latency:
        """Whole inferences, inputs already on the device, outputs left there, by the device's clock."""
        with self._session._within(seconds, "timing the model"):
            evaluator = self._machine.module.time_evaluator(
                "invoke_stateful", self._session._cpu, number=1, repeat=runs
            )
            return Latency(tuple(second * 1e3 for second in self._session._keep(evaluator)("main").results))


@contextlib.contextmanager
def open_session(
    tracker: Address, key: str, wait: float = 30.0, lifetime: float = SESSION_SECONDS
) -> Iterator[Session]:
    """A free device of the key, which is freed at the end of the block.

    Args:
        wait: seconds for a device to become free.
        lifetime: seconds after which the device itself ends the session.

    Raises:
        NoDevice: none became free.
        TrackerLost: the tracker does not answer.
        DeviceLost: the device that was lent does not answer.
    """
    offer = request(tracker, key, wait)
    if offer is None:
        raise NoDevice(
            f"No device {key!r} became free at {tracker} in {wait:.0f} seconds: `devices` lists those there are."
        )
    session = connect(offer, lifetime)
    try:
        yield session
    finally:
        session.close()


def connect(offer: Offer, lifetime: float = SESSION_SECONDS, seconds: float = CONNECT_SECONDS) -> Session:
    """A session on a device that the tracker has lent. Raises DeviceLost where it does not answer."""
    relay = Relay(offer.address.host, offer.address.port, seconds)
    try:
        if relay.port is None:
            raise DeviceLost(offer.address, relay.ended or End.UNREACHABLE, "connecting")
        with relay.limit(seconds):
            session = rpc.connect("127.0.0.1", relay.port, offer.password, session_timeout=lifetime)
    except DeviceLost:
        relay.close()
        raise
    except Exception as error:  # native code raises many kinds
        end = relay.ended or End.BROKEN
        relay.close()
        raise DeviceLost(offer.address, end, "opening a session") from error
    return Session(offer.address, relay, session)


def last_line(error: Exception) -> str:
    """The message at the end of TVM's errors, which begin with the remote stack."""
    return next((line for line in reversed(str(error).strip().splitlines()) if line.strip()), type(error).__name__)
