"""Measures candidates on this machine.

A batch has two phases. First all its candidates are built, by one worker for each core, while the session searches
for the next batch. Only when the session asks for results, and every build has ended, they are timed, one after the
other in the worker that built them; nothing of ours runs meanwhile. So building and searching fill the cores, and
neither disturbs a measurement.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from queue import LifoQueue

import tvm
import tvm_ffi
from tvm import tirx

from ago_core.artifacts.verify import TOLERANCE
from ago_core.devices.cores import allowed_cores
from ago_core.graph.model import Model
from ago_core.tuning.bench import Bench
from ago_core.tuning.build_worker import RequestFailed, Worker, WorkerDied
from ago_core.tuning.interfaces import Candidate, Contestant, DevicesLost, DeviceState, Done, Measurement, Version

MAX_WORKERS = 8
START_SECONDS = 60.0
BUILD_SECONDS = 20.0
RUN_SECONDS = 10.0
RUN_CALLS = 30
"""For timing or checking a candidate there are RUN_SECONDS, and the time of so many calls of the best."""
UNKNOWN_SECONDS = 60.0
"""The same where there is no best yet."""
REFERENCE_SECONDS = 120.0
MODEL_SECONDS = 600.0
DEVICE = "local"
COMPLAINT = "Its result differs from that of the unscheduled function"
MODEL_COMPLAINT = "The model's outputs differ from ONNX Runtime's"

Report = Callable[[DeviceState], None]


@dataclass(frozen=True)
class Built:
    """Where a candidate, or a contest, lies: in this worker, while it is the process of that generation."""

    worker: Worker
    generation: int


class LocalMeasurer:
    """A context manager: the workers start on entering and end on leaving.

    Attributes:
        workers: that build and run candidates.
    """

    def __init__(self, threads: int, target: tvm.target.Target, report: Report):
        count = min(MAX_WORKERS, len(allowed_cores()))
        make = partial(Bench, threads, target)
        self.workers = [Worker(make) for _ in range(count)]
        self._deployer = Worker(make)
        self._model: tuple[str, int] | None = None
        self._free: LifoQueue[Worker] = LifoQueue()
        self._pool = ThreadPoolExecutor(count)
        self._batch: Batch | None = None
        self._report = report

    def __enter__(self) -> LocalMeasurer:
        self._starts = [self._pool.submit(self._start, worker) for worker in self.workers]
        return self

    def _start(self, worker: Worker) -> str | None:
        """What went wrong, if the worker does not start."""
        try:
            worker.ask(START_SECONDS, "warm_up")
            return None
        except (WorkerDied, RequestFailed) as failure:
            return str(failure)
        finally:
            self._free.put(worker)

    def __exit__(self, *_) -> None:
        for worker in (*self.workers, self._deployer):
            worker.stop()
        self._pool.shutdown(cancel_futures=True)

    def measure(
        self, reference: tirx.PrimFunc, candidates: Sequence[Candidate], below: float, done: Done = lambda: None
    ) -> Iterator[tuple[int, Measurement]]:
        """See `interfaces.Measurer`. What an earlier call has not yielded yet is given up; `done` is never called."""
        if self._batch is not None:
            self._batch.give_up()
        self._batch = Batch(reference, [candidate.function for candidate in candidates], self._free, self._pool)
        return self._timed(self._batch, below)

    def _timed(self, batch: Batch, below: float) -> Iterator[tuple[int, Measurement]]:
        batch.wait()
        faults = [start.result() for start in self._starts]
        if all(faults):
            raise DevicesLost(f"The processes that measure do not start: {faults[0]}")
        self._report(DeviceState(DEVICE, "busy"))
        for index in range(len(batch.functions)):
            measurement = batch.time(index, below)
            below = min(below, measurement.latency or math.inf)
            yield index, measurement
        self._report(DeviceState(DEVICE, "free"))

    def in_turns(self, contests: Sequence[Sequence[Contestant]]) -> Iterator[list[Measurement]]:
        """See `interfaces.Measurer`. All are compiled, by all workers, before the first begins."""
        if self._batch is not None:
            self._batch.give_up()
        entries = [self._pool.submit(self._enter_anywhere, *each) for each in enumerate(contests)]
        wait(entries)
        for number, (entry, contestants) in enumerate(zip(entries, contests)):
            yield self._compete(number, entry.result(), contestants)

    def _enter_anywhere(self, number: int, contestants: Sequence[Contestant]) -> Built | Measurement:
        worker = self._free.get()
        try:
            return _enter(worker, number, contestants)
        finally:
            self._free.put(worker)

    def _compete(self, number: int, entry: Built | Measurement, contestants: Sequence[Contestant]):
        if isinstance(entry, Built) and entry.generation != entry.worker.generation:
            entry = _enter(entry.worker, number, contestants)  # another contest has ended its process
        if isinstance(entry, Measurement):
            return [entry] * len(contestants)
        try:
            rows = entry.worker.ask(UNKNOWN_SECONDS + RUN_SECONDS * len(contestants), "compete", number)
        except (WorkerDied, RequestFailed) as failure:
            return [failed(str(failure))] * len(contestants)
        return [Measurement(seconds, None, None, DEVICE) for seconds in rows]

    def end_to_end(self, model: Model, versions: Sequence[Version]) -> list[Measurement]:
        """See `interfaces.Measurer`; compiled and run in a process of its own."""
        try:
            if self._model != (model.graph.model_hash, self._deployer.generation):
                self._deployer.ask(MODEL_SECONDS, "start_model", model)
                self._model = (model.graph.model_hash, self._deployer.generation)
            versions = [(partition, dict(functions)) for partition, functions in versions]
            rows = self._deployer.ask(MODEL_SECONDS * len(versions), "end_to_end", versions)
        except (WorkerDied, RequestFailed) as failure:
            return [failed(str(failure))] * len(versions)
        return [judged(seconds, error, DEVICE, MODEL_COMPLAINT) for seconds, error in rows]


def _enter(worker: Worker, number: int, contestants: Sequence[Contestant]) -> Built | Measurement:
    try:
        worker.ask(BUILD_SECONDS * len(contestants), "enter", number, list(contestants))
    except (WorkerDied, RequestFailed) as failure:
        return failed(f"Not built: {failure}")
    return Built(worker, worker.generation)


class Batch:
    """Candidates of one task on their way through the workers; building starts at once."""

    def __init__(
        self,
        reference: tirx.PrimFunc,
        functions: list[tirx.PrimFunc],
        free: LifoQueue[Worker],
        pool: ThreadPoolExecutor,
    ):
        self.functions = functions
        self._reference = reference
        self._key = str(tvm_ffi.structural_hash(reference))
        self._free = free
        self._started: dict[Worker, int] = {}
        self._builds: list[Future[Built | Measurement]] = [
            pool.submit(self._build_anywhere, index) for index in range(len(functions))
        ]

    def wait(self) -> None:
        """Until every build has ended."""
        wait(self._builds)

    def give_up(self) -> None:
        """Waits only for the builds that have begun."""
        for build in self._builds:
            build.cancel()
        self.wait()

    def time(self, index: int, below: float) -> Measurement:
        """Times a candidate, and checks it where it is faster than `below` seconds."""
        built = self._builds[index].result()
        if isinstance(built, Built) and built.generation != built.worker.generation:
            built = self._build(index, built.worker)  # another candidate has ended its process
        if isinstance(built, Measurement):
            return built
        try:
            return _time(built.worker, index, below)
        except (WorkerDied, RequestFailed) as failure:
            return failed(str(failure))

    def _build_anywhere(self, index: int) -> Built | Measurement:
        worker = self._free.get()
        try:
            return self._build(index, worker)
        finally:
            self._free.put(worker)

    def _build(self, index: int, worker: Worker) -> Built | Measurement:
        try:
            if self._started.get(worker) != worker.generation:
                worker.ask(START_SECONDS, "start_batch", self._key, self._reference)
                self._started[worker] = worker.generation
            worker.ask(BUILD_SECONDS, "build", index, self.functions[index])
        except (WorkerDied, RequestFailed) as failure:
            return failed(f"Not built: {failure}")
        return Built(worker, worker.generation)


def _time(worker: Worker, index: int, below: float) -> Measurement:
    limit = UNKNOWN_SECONDS if below == math.inf else RUN_SECONDS + RUN_CALLS * below
    seconds = worker.ask(limit, "time", index, below)
    if statistics.median(seconds) >= below:
        return Measurement(seconds, None, None, DEVICE)
    worker.ask(REFERENCE_SECONDS, "expect")
    error = worker.ask(limit, "error_of", index)
    return judged(seconds, error, DEVICE, COMPLAINT)


def judged(seconds: tuple[float, ...], error: float, device: str, complaint: str) -> Measurement:
    """A measurement whose results were compared with the expected ones."""
    right = error <= TOLERANCE
    return Measurement(seconds, None if right else f"{complaint} by {error:.1e}.", right, device)


def failed(sentence: str, device: str = DEVICE) -> Measurement:
    return Measurement((), sentence, None, device)
