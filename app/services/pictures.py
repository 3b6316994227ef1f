"""Pictures of partitions for the graph view: laid out in a thread, so that a slow layout neither blocks a page nor
has to be waited for to its end."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass

from ago_core.graph.opgraph import OpGraph
from ago_core.partition.partition import Partition
from app.services.kept import Kept
from app.services.worker import Task
from visualizers.elements import describe, elements, search_index
from visualizers.layout import layout
from visualizers.scene import Folding, make_scene

PANEL_ASPECT = 1.15
KEPT_PICTURES = 32


@dataclass(frozen=True)
class Picture:
    """A partition as the graph view takes it.

    Attributes:
        elements: in cytoscape.js' format, as JSON: it is kept and sent, never read here.
        index: what the operators are found by, as JSON.
        description: one sentence for those who cannot see it.
        note: what a person should know about the drawing, or "".
        revision: names what is drawn: another one for every grouping and folding of every model.
        folded: indices of the folded subgraphs.
    """

    elements: str
    index: str
    description: str
    note: str
    revision: str
    folded: tuple[int, ...]


class Drawing(Task):
    """A picture on its way. `stop` makes it end soon, with a simpler layout."""

    def __init__(self, graph: OpGraph, partition: Partition, folded: tuple[int, ...]):
        self._stopped = threading.Event()
        super().__init__(lambda progress: draw(graph, partition, folded, self._stopped.is_set))

    def stop(self) -> None:
        self._stopped.set()


class Gallery:
    """The pictures of one model that were asked for last; each is drawn by a thread of its own."""

    def __init__(self, graph: OpGraph):
        self._graph = graph
        self._drawings: Kept[tuple, Drawing] = Kept(KEPT_PICTURES)

    def drawing(self, partition: Partition, folding: Folding) -> Drawing:
        """The drawing of `partition`: kept, under way, or begun now."""
        folded = folding.folded(partition)

        def begin() -> Drawing:
            drawing = Drawing(self._graph, partition, folded)
            threading.Thread(target=drawing.run, name="drawing", daemon=True).start()
            return drawing

        return self._drawings.get((partition, folded), begin)


def draw(
    graph: OpGraph,
    partition: Partition,
    folded: tuple[int, ...] = (),
    stop: Callable[[], bool] = lambda: False,
    aspect: float = PANEL_ASPECT,
) -> Picture:
    """Some hundred milliseconds, more for large models; `stop` makes it end with the simple layout."""
    scene = make_scene(graph, partition, folded)
    arranged = layout(scene.drawn, scene.groups, aspect, stop)
    items = elements(scene, arranged)
    return Picture(
        elements=json.dumps(items, separators=(",", ":"), ensure_ascii=False),
        index=json.dumps(search_index(graph), separators=(",", ":"), ensure_ascii=False),
        description=describe(items),
        note=arranged.note,
        revision=f"{partition.model_hash}-{partition.method}-{hash((partition.subgraphs, folded)):x}",
        folded=folded,
    )
