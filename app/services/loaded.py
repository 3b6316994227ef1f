"""A loaded model with whatever partitions of it are looked at: computed on demand, kept for all sessions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import TYPE_CHECKING

from ago_core.graph.opgraph import OpGraph
from ago_core.partition.ago import Clustering, cluster
from ago_core.partition.edits import EDITED
from ago_core.partition.metrics import Metrics, complex_per_subgraph, measure, subgraph_weights
from ago_core.partition.partition import Partition
from ago_core.partition.settings import Settings
from app.services.kept import Kept
from app.services.pictures import Drawing, Gallery
from app.services.worker import Task, Worker
from visualizers.scene import Folding

if TYPE_CHECKING:  # importing TVM takes more than a second: the worker's thread does it
    from ago_core.graph.model import Model

METHOD_NAMES = {"heuristic": "TVM heuristic", "ago": "AGO", EDITED: "Edited", "tuned": "Tuned"}
Subgraphs = tuple[tuple[int, ...], ...]
KEPT_VIEWS, KEPT_CLUSTERINGS, KEPT_REGIONS = 64, 16, 64


@dataclass(frozen=True, eq=False)
class View:
    """One partition of a loaded model with what is counted on it.

    Attributes:
        weights: of the subgraphs, in trials.
        complex_counts: complex operators in each subgraph.
    """

    partition: Partition
    metrics: Metrics
    weights: tuple[float, ...]
    complex_counts: tuple[int, ...]

    @property
    def method(self) -> str:
        return self.partition.method

    @property
    def title(self) -> str:
        return METHOD_NAMES[self.method]


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model with its partitions.

    Attributes:
        model: the model.
        heuristic: TVM's partition.
    """

    model: Model
    heuristic: Partition
    _views: Kept[Partition, View] = field(default_factory=lambda: Kept(KEPT_VIEWS), repr=False)
    _clusterings: Kept[Settings, Clustering] = field(default_factory=lambda: Kept(KEPT_CLUSTERINGS), repr=False)
    _regions: Kept[Subgraphs, Task] = field(default_factory=lambda: Kept(KEPT_REGIONS), repr=False)

    @property
    def graph(self) -> OpGraph:
        return self.model.graph

    @property
    def views(self) -> Mapping[str, View]:
        """What every session sees at first, by method."""
        ago = self.clustering(Settings()).partition
        return {partition.method: self.view(partition) for partition in (self.heuristic, ago)}

    def clustering(self, settings: Settings) -> Clustering:
        """AGO's partition with its construction; some ten milliseconds the first time."""
        return self._clusterings.get(settings, lambda: cluster(self.graph, settings))

    @cached_property
    def _gallery(self) -> Gallery:
        return Gallery(self.graph)

    def drawing(self, partition: Partition, folding: Folding) -> Drawing:
        """The picture of a partition, kept or on its way."""
        return self._gallery.drawing(partition, folding)

    def view(self, partition: Partition) -> View:
        """Counts; some ten milliseconds the first time."""
        return self._views.get(partition, lambda: _view(self.graph, partition))

    def regions(self, partition: Partition) -> Task:
        """The task that counts the parallel regions of a partition, which takes lowering: seconds for large models.

        The same groups are counted once, whatever method made them.
        """

        def count(progress: Callable[[str], None]) -> int:
            from ago_core.lowering.regions import parallel_regions

            progress("Lowering")
            return parallel_regions(self.model, partition)

        def begin() -> Task:
            task = Task(count)
            _counter().submit(task.run)
            return task

        return self._regions.get(partition.subgraphs, begin)


@cache
def _counter() -> Worker:
    """The server's thread for figures that take long; one, so that they leave a core to the pages."""
    return Worker("figures")


def _view(graph: OpGraph, partition: Partition) -> View:
    return View(
        partition=partition,
        metrics=measure(graph, partition),
        weights=subgraph_weights(graph, partition),
        complex_counts=complex_per_subgraph(graph, partition),
    )
