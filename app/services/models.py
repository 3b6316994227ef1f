"""Loading models for the app: in a thread, with progress, kept for all sessions in a small cache."""

from __future__ import annotations

import gc
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import sample_models
from ago_core.graph.source import symbolic_dimensions
from ago_core.partition.settings import Settings
from app.services.loaded import METHOD_NAMES, Loaded
from app.services.uploads import Upload
from app.services.worker import Task, Worker
from visualizers.scene import Folding

DEFAULT_SAMPLE = "mobilenet_v2@224"
Progress = Callable[[str], None]
KEPT = 4
DRAW_SECONDS = 3.0
"""A drawing that takes longer goes on while the page is there."""


@dataclass(frozen=True)
class Choice:
    """What identifies a loaded model.

    Attributes:
        name: a sample such as "mobilenet_v2@224", or an uploaded file's name.
        dims: (symbol, size) of the symbolic dimensions, sorted.
        sha256: of an uploaded file; "" for a sample.
        path: of an uploaded file, which may have gone meanwhile; None for a sample.
    """

    name: str
    dims: tuple[tuple[str, int], ...] = ()
    sha256: str = ""
    path: Path | None = field(default=None, compare=False)

    @property
    def spec(self) -> str | Path:
        """What `load_model` takes."""
        return self.path or self.name

    @classmethod
    def sample(cls, spec: str) -> Choice:
        """Raises sample_models.UnknownSample: there is no such sample or size."""
        sample, size = sample_models.parse(spec)
        return cls(f"{sample.name}@{size}")


class ModelStore:
    """Loads models one at a time and keeps the last few, for all sessions."""

    def __init__(self, load: Callable[[Choice, Progress], Loaded], kept: int = KEPT):
        self._load = load
        self._kept = kept
        self._worker = Worker("models")
        self._lock = threading.Lock()
        self._tasks: OrderedDict[Choice, Task] = OrderedDict()

    def request(self, choice: Choice, keep: object = None) -> Task:
        """The task that loads `choice`: a new one unless it is kept or under way. One that failed is tried again.

        Args:
            choice: the model.
            keep: not let go before the task is done: the upload that it reads.
        """
        with self._lock:
            task = self._tasks.pop(choice, None)
            if task is None or task.error:
                task = Task(lambda progress: self._load(choice, progress), keep)
                self._worker.submit(task.run)
            self._tasks[choice] = task
            while len(self._tasks) > self._kept:
                self._tasks.popitem(last=False)
            return task

    def examine(self, upload: Upload) -> Task:
        """A task that finds an uploaded file's symbolic dimensions: symbol → where it is used."""

        def examine(progress: Progress) -> dict[str, list[str]]:
            progress("Reading the file")
            return symbolic_dimensions(upload.path)

        task = Task(examine)
        self._worker.submit(task.run)
        return task


def load(choice: Choice, progress: Progress) -> Loaded:
    """Loads, partitions by every method and draws.

    Raises:
        UserError: the model cannot be loaded.
    """
    progress("Starting the compiler")
    from ago_core.graph.model import import_source
    from ago_core.graph.source import open_source
    from ago_core.partition.heuristic import heuristic_partition

    progress("Reading the model")
    stem = choice.path.stem if choice.path else None
    model = import_source(open_source(choice.spec, dict(choice.dims), name=stem), progress)
    progress("Partitioning")
    loaded = Loaded(model, heuristic_partition(model))
    for partition in (loaded.heuristic, loaded.clustering(Settings()).partition):
        progress(f"Drawing: {METHOD_NAMES[partition.method]}")
        loaded.view(partition)
        loaded.drawing(partition, Folding.at_first(loaded.graph)).wait(DRAW_SECONDS)
    _spare_collector()
    return loaded


def _spare_collector() -> None:
    """Takes what is there now out of the garbage collector's rounds until the next model is loaded.

    Streamlit has it go through everything after each run of a page: with the compiler's modules and a model's graphs
    that takes a tenth of a second, in which no other thread runs. What a model that was let go left behind is
    collected first.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


@cache
def model_store() -> ModelStore:
    """The server's store."""
    return ModelStore(load)
