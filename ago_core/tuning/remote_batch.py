"""Candidates of one task on their way to devices; shared by the threads of builders and devices."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory

import numpy as np

from ago_core.tuning.interfaces import DevicesLost, Done, Measurement
from ago_core.tuning.measure import failed

MAX_LOSSES = 2
"""Sessions that a candidate may end before it is to blame."""


class Batch:
    """What is built, what is measured, and what a lost device gave back.

    Attributes:
        arrays: the arguments.
        below: seconds of the best so far.
        folder: of the libraries.
        done: called when the last thread that serves it has ended, and its device is free.
        reference: the library of the unscheduled function, or why there is none; None while it is built.
    """

    def __init__(self, arrays: list[np.ndarray], count: int, below: float, folder: TemporaryDirectory, done: Done):
        self.folder = folder
        self.arrays = arrays
        self.below = below
        self._count = count
        self._free = done
        self._built: dict[int, Path] = {}
        self._ready: list[int] = []
        self._losses: Counter[int] = Counter()
        self._left = set(range(count))
        self._threads: list[threading.Thread] = []
        self._gone = "No device serves this batch."
        self._results: SimpleQueue[tuple[int, Measurement] | None] = SimpleQueue()
        self._changed = threading.Condition()
        self.reference: Path | Measurement | None = None

    def path(self, index: int) -> Path:
        """Where the library of a candidate goes; −1 is the unscheduled function."""
        return Path(self.folder.name) / f"{index}.so"

    def start(self, serve: Callable[[Batch], str]) -> None:
        """A thread that serves the batch until nothing is left, or says why it cannot go on."""
        self._threads.append(threading.Thread(target=self._served, args=(serve,), daemon=True))
        self._threads[-1].start()

    def _served(self, serve: Callable[[Batch], str]) -> None:
        reason = serve(self)
        with self._changed:
            self._threads.remove(threading.current_thread())
            self._gone = reason or self._gone
            if not self._threads:
                self._results.put(None)
                self._free()

    def built(self, index: int, path: Path) -> None:
        """A candidate can be taken."""
        with self._changed:
            self._built[index] = path
            self._ready.append(index)
            self._changed.notify_all()

    def take(self) -> tuple[int, Path] | None:
        """Waits for a candidate; None where all are measured or given up."""
        with self._changed:
            self._changed.wait_for(lambda: self._ready or not self._left)
            if not self._left:
                return None
            index = self._ready.pop(0)
            return index, self._built[index]

    def done(self, index: int, measurement: Measurement) -> None:
        """A candidate is measured, or could not be built."""
        with self._changed:
            if index in self._left:
                self._left.remove(index)
                self._results.put((index, measurement))
                if measurement.correct and measurement.latency is not None:
                    self.below = min(self.below, measurement.latency)
            self._changed.notify_all()

    def lost(self, index: int, sentence: str, device: str) -> None:
        """A device was lost while it had a candidate: another one takes it, unless it was the last straw."""
        self._losses[index] += 1
        if self._losses[index] < MAX_LOSSES:
            self.built(index, self._built[index])
        else:
            self.done(index, failed(f"It ended {MAX_LOSSES} sessions; the last time: {sentence}", device))

    def set_reference(self, reference: Path | Measurement) -> None:
        """The library of the unscheduled function, or why there is none."""
        with self._changed:
            self.reference = reference
            self._changed.notify_all()

    def wait_for_reference(self) -> Path | Measurement:
        """What `set_reference` was told."""
        with self._changed:
            self._changed.wait_for(lambda: self.reference is not None or not self._left)
            return self.reference or failed("The batch was given up.")

    def results(self) -> Iterator[tuple[int, Measurement]]:
        """Measurements as they come.

        Raises:
            DevicesLost: no thread serves the batch any more.
        """
        try:
            for _ in range(self._count):
                result = self._results.get()
                if result is None:
                    raise DevicesLost(self._gone)
                yield result
        finally:
            self.give_up()

    def give_up(self) -> None:
        """Nothing more is taken; waits for what is being measured."""
        with self._changed:
            self._left.clear()
            self._changed.notify_all()
            threads = list(self._threads)
        for thread in threads:
            thread.join()
