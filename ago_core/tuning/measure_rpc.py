"""Measures candidates on all devices that a tracker lends under one key.

Workers on this machine compile and link; a thread for each device takes what is ready, uploads it, times it and checks
it there. What a lost device had is measured on another one; what has ended two sessions is itself to blame.
"""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from queue import LifoQueue
from tempfile import TemporaryDirectory

import numpy as np
import tvm
import tvm_ffi
from tvm import tirx

from ago_core.artifacts.linker import linker_for
from ago_core.artifacts.reference import relative_error
from ago_core.devices.cores import allowed_cores
from ago_core.devices.pool import Pool
from ago_core.devices.remote import CodeFault, DeviceLost, NoDevice, RemoteModel, Session
from ago_core.devices.tracker import Address, TrackerLost
from ago_core.graph.model import Model
from ago_core.tuning.bench import (
    ENTRY,
    MODEL_RUNS,
    MODEL_TURNS,
    REFERENCE_LEVEL,
    Evaluate,
    difference,
    flushed_bytes,
    in_turns,
    random_arguments,
    time_function,
)
from ago_core.tuning.build_worker import RequestFailed, Worker, WorkerDied
from ago_core.tuning.interfaces import Candidate, Contestant, DevicesLost, DeviceState, Done, Measurement, Version
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
        self._flushed = flushed_bytes(target)
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
        self, reference: tirx.PrimFunc, candidates: Sequence[Candidate], below: float, done: Done = lambda: None
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
            done,
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
                    _measure_on(session, batch, self._flushed)
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

    def in_turns(self, contests: Sequence[Sequence[Contestant]]) -> Iterator[list[Measurement]]:
        """See `interfaces.Measurer`. Each contest is on one device."""
        if self._batch is not None:
            self._batch.give_up()
        for contestants in contests:
            with TemporaryDirectory(dir=self.folder, ignore_cleanup_errors=True) as folder:
                yield self._contest(contestants, Path(folder))

    def _contest(self, contestants: Sequence[Contestant], folder: Path) -> list[Measurement]:
        def write(index: int) -> Path:
            return self._written(folder / f"{index}.so", BUILD_SECONDS, contestants[index].function, None)

        try:
            paths = list(self._builders.map(write, range(len(contestants))))
            with self._one_device() as session:
                device = str(session.device)
                rows = in_turns(_sides(session, contestants, paths, self._flushed))
        except (WorkerDied, RequestFailed, DeviceLost, CodeFault) as failure:
            return [failed(str(failure), self._key)] * len(contestants)
        return [Measurement(seconds, None, None, device) for seconds in rows]

    @contextlib.contextmanager
    def _one_device(self) -> Iterator[Session]:
        try:
            with self._pool.session(WAIT_SECONDS) as session:
                yield session
        except (NoDevice, TrackerLost) as gone:
            raise DevicesLost(str(gone)) from gone

    def end_to_end(self, model: Model, versions: Sequence[Version]) -> list[Measurement]:
        """See `interfaces.Measurer`."""
        paths = [self.folder / f"model-{index}.so" for index in range(len(versions))]
        try:
            inputs, expected = self._write_models(model, versions, paths)
            with self._one_device() as session:
                device = str(session.device)
                models = [session.model(session.load(path, MODEL_SECONDS), inputs, MODEL_SECONDS) for path in paths]
                errors = [max(map(relative_error, each.outputs(MODEL_SECONDS), expected)) for each in models]
                rows = _runs_in_turns(models)
        except (WorkerDied, RequestFailed, DeviceLost, CodeFault) as failure:
            return [failed(str(failure), self._key)] * len(versions)
        return [judged(seconds, error, device, MODEL_COMPLAINT) for seconds, error in zip(rows, errors)]

    def _write_models(self, model: Model, versions: Sequence[Version], paths: list[Path]):
        """Writes a library of each version; what `Compiler.start_model` returns."""
        worker = self._free.get()
        try:
            data = worker.ask(MODEL_SECONDS, "start_model", model)
            for (partition, functions), path in zip(versions, paths):
                worker.ask(MODEL_SECONDS, "write_model", partition, dict(functions), str(path))
            return data
        finally:
            self._free.put(worker)


def _sides(session: Session, contestants: Sequence[Contestant], paths: list[Path], flushed: int) -> list[Evaluate]:
    """The contestants on a device, with arguments for each different reference."""
    tensors: dict[str, list] = {}
    sides: list[Evaluate] = []
    for each, path in zip(contestants, paths):
        key = str(tvm_ffi.structural_hash(each.reference))
        if key not in tensors:
            tensors[key] = session.copy_in(random_arguments(each.reference))
        sides.append(partial(_evaluate, session, session.load(path), tensors[key], flushed))
    return sides


def _evaluate(session: Session, library, tensors: list, flushed: int, calls: int) -> tuple[float, ...]:
    return session.time(library, ENTRY, tensors, calls, flushed, UNKNOWN_SECONDS)


def _runs_in_turns(models: Sequence[RemoteModel]) -> list[tuple[float, ...]]:
    """Seconds of each run of each."""
    turns = range(1 if len(models) == 1 else MODEL_TURNS)
    rows = [[model.latency(MODEL_RUNS, MODEL_SECONDS).runs_ms for model in models] for _ in turns]
    return [tuple(ms / 1e3 for runs in column for ms in runs) for column in zip(*rows)]


def _measure_on(session: Session, batch: Batch, flushed: int) -> None:
    """Takes candidates until none is left."""
    task = RemoteTask(session, batch, flushed)
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

    def __init__(self, session: Session, batch: Batch, flushed: int):
        self._session = session
        self._flushed = flushed
        self._batch = batch
        self._tensors: list | None = None
        self._expected: list[np.ndarray] | None = None

    def measure(self, path: Path) -> Measurement:
        """Times a library, and checks it where it may be the best."""
        device, below = str(self._session.device), self._batch.below
        if self._tensors is None:
            self._tensors = self._session.copy_in(self._batch.arrays)
        library = self._session.load(path)
        seconds = time_function(partial(_evaluate, self._session, library, self._tensors, self._flushed), below)
        if statistics.median(seconds) >= below:
            return Measurement(seconds, None, None, device)
        if self._expected is None:
            reference = self._batch.wait_for_reference()
            if isinstance(reference, Measurement):
                return reference
            self._expected = self._after(self._session.load(reference), REFERENCE_SECONDS)
        error = max(map(difference, self._after(library, UNKNOWN_SECONDS), self._expected))
        return judged(seconds, error, device, COMPLAINT)

    def _after(self, library, seconds: float) -> list[np.ndarray]:
        """All arrays after a run on the task's arguments."""
        return self._session.run(library, ENTRY, self._batch.arrays, len(self._batch.arrays), seconds)
