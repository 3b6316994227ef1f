"""Loading models for the app: in a thread, with progress, kept for all sessions in a small cache."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import sample_models
from ago_core.graph.opgraph import OpGraph
from ago_core.graph.source import symbolic_dimensions
from ago_core.partition.metrics import Metrics, complex_per_subgraph, measure, subgraph_weights
from ago_core.partition.partition import Partition
from app.services.uploads import Upload
from app.services.worker import Task, Worker
from visualizers.elements import elements
from visualizers.layout import Layout, layout

if TYPE_CHECKING:  # importing TVM takes more than a second: the worker's thread does it
    from ago_core.graph.model import Model

DEFAULT_SAMPLE = "mobilenet_v2@224"
METHOD_NAMES = {"heuristic": "TVM heuristic", "ago": "AGO"}
Progress = Callable[[str], None]
PANEL_ASPECT = 1.15
KEPT = 4


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


@dataclass(frozen=True, eq=False)
class View:
    """One partition of a loaded model, measured and drawn.

    Attributes:
        weights: of the subgraphs, in bits of schedule space.
        complex_counts: complex operators in each subgraph.
        elements: the drawing as the graph view takes it.
    """

    method: str
    partition: Partition
    metrics: Metrics
    weights: tuple[float, ...]
    complex_counts: tuple[int, ...]
    layout: Layout
    elements: list[dict]

    @property
    def title(self) -> str:
        return METHOD_NAMES[self.method]


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model with its partitions, by method."""

    model: Model
    views: Mapping[str, View]
    _texts: dict[tuple, str] = field(default_factory=dict, repr=False)

    @property
    def graph(self) -> OpGraph:
        return self.model.graph

    def code(self, method: str, subgraph: int, scheduled: bool) -> str:
        """TVMScript of a subgraph's fused function, before or after scheduling; well under a second the first time."""
        key = (method, subgraph, scheduled)
        if key not in self._texts:
            from ago_core.lowering.inspect import prim_func_text

            self._texts[key] = prim_func_text(self.model, self.views[method].partition, subgraph, scheduled)
        return self._texts[key]


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
    from ago_core.partition.methods import partition_by

    progress("Reading the model")
    stem = choice.path.stem if choice.path else None
    model = import_source(open_source(choice.spec, dict(choice.dims), name=stem), progress)
    views = {}
    for method, title in METHOD_NAMES.items():
        progress(f"Partitioning and drawing: {title}")
        views[method] = _view(model, partition_by(model, method), method)
    return Loaded(model, views)


def _view(model: Model, partition: Partition, method: str) -> View:
    graph = model.graph
    drawing = layout(graph, partition, aspect=PANEL_ASPECT)
    return View(
        method=method,
        partition=partition,
        metrics=measure(graph, partition),
        weights=subgraph_weights(graph, partition),
        complex_counts=complex_per_subgraph(graph, partition),
        layout=drawing,
        elements=elements(graph, partition, drawing),
    )


@cache
def model_store() -> ModelStore:
    """The server's store."""
    return ModelStore(load)
