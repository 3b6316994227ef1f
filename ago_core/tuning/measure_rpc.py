"""Measures candidates on all devices that a tracker lends under one key.

Workers on this machine compile and link; a thread for each device takes what is ready, uploads it, times it and checks
it there. What a lost device had is measured on another one; what has ended two sessions is itself to blame.
"""

from __future__ import annotations

import contextlib
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from queue import LifoQueue
from tempfile import TemporaryDirectory

import numpy as np
import tvm
from tvm import tirx

from ago_core.artifacts.linker import linker_for
from ago_core.artifacts.reference import relative_error
from ago_core.devices.pool import Pool
from ago_core.devices.remote import CodeFault, DeviceLost, NoDevice, Session, Timing
from ago_core.devices.threads import allowed_cores
from ago_core.devices.tracker import Address, TrackerLost
from ago_core.graph.model import Model
from ago_core.lowering.executable import Functions
from ago_core.partition.partition import Partition
from ago_core.tuning.bench import (
    ENTRY,
    HOPELESS,
    MODEL_RUNS,
    REFERENCE_LEVEL,
    REPEAT_SECONDS,
    REPEATS,
    difference,
    random_arguments,
)
from ago_core.tuning.build_worker import RequestFailed, Worker, WorkerDied
from ago_core.tuning.interfaces import Candidate, DevicesLost, DeviceState, Measurement
from ago_core.tuning.library_worker import Compiler
from ago_core.tuning.measure import (
    BUILD_SECONDS,
    COMPLAINT,
    MAX_WORKERS,
    MODEL_COMPLAINT,
    MODEL_SECONDS,
    REFERENCE_SECONDS,
    START_SECONDS,
    UNKNOWN_SECONDS,
    failed,
    judged,
)
from ago_core.tuning.remote_batch import Batch
from ago_core.tuning.settings import RemoteDevice

WAIT_SECONDS = 120.0
"""For a device to become free, or to come back, before the session pauses."""


class RemoteMeasurer:
    """See `interfaces.Measurer`; a context manager.

    Attributes:
        folder: of the libraries, of one batch at a time.
    """

    def __init__(self, device: RemoteDevice, target: tvm.target.Target, report: Callable[[DeviceState], None]):
        linker_for(target)
        count = min(MAX_WORKERS, len(allowed_cores()))
        self._key = device.key
        self._report = report
        self._pool = Pool(Address(device.host, device.port), device.key, self._device_changed)
        self._workers = [Worker(partial(Compiler, target)) for _ in range(count)]
        self._free: LifoQueue[Worker] = LifoQueue()
        self._builders = ThreadPoolExecutor(count)
        self._batch: Batch | None = None

    def __enter__(self) -> RemoteMeasurer:
        self._temporary = TemporaryDirectory(prefix="ago-", ignore_cleanup_errors=True)
        self.folder = Path(self._temporary.name)
        for worker in self._workers:
            self._builders.submit(self._start, worker)
        return self

    def _start(self, worker: Worker) -> None:
        """Starts a worker; one that does not start says so when it is to build."""
        with contextlib.suppress(WorkerDied, RequestFailed):
            worker.ask(START_SECONDS, "warm_up")
        self._free.put(worker)

    def __exit__(self, *_) -> None:
        if self._batch is not None:
            self._batch.give_up()
        for worker in self._workers:
            worker.stop()
        self._builders.shutdown(cancel_futures=True)
        self._temporary.cleanup()

    def measure(
        self, reference: tirx.PrimFunc, candidates: Sequence[Candidate], below: float
    ) -> Iterator[tuple[int, Measurement]]:
        """See `interfaces.Measurer`. What an earlier call has not yielded yet is given up."""
        if self._batch is not None:
            self._batch.give_up()
            self._batch.folder.cleanup()
        batch = self._batch = Batch(
            random_arguments(reference),
            len(candidates),
            below,
            TemporaryDirectory(dir=self.folder, ignore_cleanup_errors=True),
        )
        for index, candidate in enumerate(candidates):
            self._builders.submit(self._build, batch, index, candidate.function)
        self._builders.submit(self._build_reference, batch, reference)
        for _ in range(min(len(candidates), self._device_count())):
            batch.start(self._serve)
        return batch.results()

    def _device_count(self) -> int:
        """At least one: it is the thread of a device that finds out why there is none."""
        with contextlib.suppress(TrackerLost):
            return max(1, len(self._pool.devices()))
        return 1

    def _build(self, batch: Batch, index: int, function: tirx.PrimFunc) -> None:
        try:
            batch.built(index, self._written(batch.path(index), BUILD_SECONDS, function, None))
        except (WorkerDied, RequestFailed) as failure:
            batch.done(index, failed(f"Not built: {failure}", self._key))

    def _build_reference(self, batch: Batch, function: tirx.PrimFunc) -> None:
        try:
            batch.set_reference(self._written(batch.path(-1), REFERENCE_SECONDS, function, REFERENCE_LEVEL))
        except (WorkerDied, RequestFailed) as failure:
            batch.set_reference(failed(f"The unscheduled function is not built: {failure}", self._key))

    def _written(self, path: Path, seconds: float, function: tirx.PrimFunc, level: int | None) -> Path:
        worker = self._free.get()
        try:
            worker.ask(seconds, "write", function, str(path), level)
        finally:
            self._free.put(worker)
        return path

    def _serve(self, batch: Batch) -> str:
        """Measures with one device after the other until nothing is left; "", or why it cannot go on."""
        while True:
            try:
                with self._pool.session(WAIT_SECONDS) as session:
                    self._report(DeviceState(str(session.device), "busy"))
                    _measure_on(session, batch)
                    self._report(DeviceState(str(session.device), "free"))
                    return ""
            except DeviceLost:
                continue
            except (NoDevice, TrackerLost) as gone:
                return str(gone)

    def _device_changed(self, device: Address, reason: str) -> None:
        """What the pool says: a device is lost, or works again."""
        if not reason:
            self._report(DeviceState(str(device), "free"))
            return
        pause = 0.0
        with contextlib.suppress(TrackerLost):
            pauses = [each.pause for each in self._pool.devices() if each.device.address == device]
            pause = max(pauses, default=0.0)
        self._report(DeviceState(str(device), "quarantined", reason, pause))

    def end_to_end(self, model: Model, partition: Partition, functions: Functions) -> Measurement:
        """See `interfaces.Measurer`."""
        path = self.folder / "model.so"
        worker = self._free.get()
        try:
            inputs, expected = worker.ask(MODEL_SECONDS, "start_model", model)
            worker.ask(MODEL_SECONDS, "write_model", partition, dict(functions), str(path))
        except (WorkerDied, RequestFailed) as failure:
            return failed(str(failure), self._key)
        finally:
            self._free.put(worker)
        try:
            with self._pool.session(WAIT_SECONDS) as session:
                device = str(session.device)
                remote = session.model(session.load(path, MODEL_SECONDS), inputs, MODEL_SECONDS)
                error = max(map(relative_error, remote.outputs(MODEL_SECONDS), expected))
                runs = remote.latency(MODEL_RUNS, MODEL_SECONDS).runs_ms
        except (DeviceLost, CodeFault) as failure:
            return failed(str(failure), self._key)
        except (NoDevice, TrackerLost) as gone:
            raise DevicesLost(str(gone)) from gone
        return judged(tuple(ms / 1e3 for ms in runs), error, device, MODEL_COMPLAINT)


def _measure_on(session: Session, batch: Batch) -> None:
    """Takes candidates until none is left."""
    task = RemoteTask(session, batch)
    while (taken := batch.take()) is not None:
        index, path = taken
        try:
            batch.done(index, task.measure(path))
        except CodeFault as fault:
            batch.done(index, failed(str(fault), str(session.device)))
        except DeviceLost as lost:
            batch.lost(index, str(lost), str(session.device))
            raise


class RemoteTask:
    """The arguments of a batch on a device."""

    def __init__(self, session: Session, batch: Batch):
        self._session = session
        self._batch = batch
        self._tensors: list | None = None
        self._expected: list[np.ndarray] | None = None

    def measure(self, path: Path) -> Measurement:
        """Times a library, and checks it where it may be the best."""
        device, below = str(self._session.device), self._batch.below
        if self._tensors is None:
            self._tensors = self._session.copy_in(self._batch.arrays)
        library = self._session.load(path)
        seconds = self._time(library, below)
        if statistics.median(seconds) >= below:
            return Measurement(seconds, None, None, device)
        if self._expected is None:
            reference = self._batch.wait_for_reference()
            if isinstance(reference, Measurement):
                return reference
            self._expected = self._after(self._session.load(reference), REFERENCE_SECONDS)
        error = max(map(difference, self._after(library, UNKNOWN_SECONDS), self._expected))
        return judged(seconds, error, device, COMPLAINT)

    def _time(self, library, below: float) -> tuple[float, ...]:
        """As `bench.time_function` does."""
        first = self._evaluate(library, Timing(number=1, repeat=2))
        if min(first) > HOPELESS * below:
            return first
        number = math.ceil(REPEAT_SECONDS / max(min(first), 1e-9))
        return self._evaluate(library, Timing(number=number, repeat=REPEATS))

    def _evaluate(self, library, timing: Timing) -> tuple[float, ...]:
        return self._session.time(library, ENTRY, self._tensors, timing, UNKNOWN_SECONDS)

    def _after(self, library, seconds: float) -> list[np.ndarray]:
        """All arrays after a run on the task's arguments."""
        return self._session.run(library, ENTRY, self._batch.arrays, len(self._batch.arrays), seconds)
