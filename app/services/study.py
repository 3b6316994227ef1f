"""What one session does with one model: how AGO is set, the partition that it edits, the step that it looks at."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ago_core.errors import UserError
from ago_core.graph.opgraph import OpGraph
from ago_core.partition import edits
from ago_core.partition.ago import Clustering, Verdict
from ago_core.partition.edits import EDITED, Refusal
from ago_core.partition.history import History
from ago_core.partition.partition import Partition, partition_from_json
from ago_core.partition.settings import Settings
from app.services.loaded import Loaded, View
from app.services.pictures import Drawing
from visualizers.colouring import Colour, Shown
from visualizers.scene import Folding

MERGE, SPLIT, MOVE = "merge", "split", "move"
PACES = (1, 2, 4)
"""Steps a second, as far as the browser keeps up."""
EARLY = 0.2
"""How much of an interval a tick may come early: timers are not exact."""


@dataclass(frozen=True)
class Refused:
    """An edit that was not made.

    Attributes:
        group: the operators that it would have put together.
        refusal: why not, and what would make it legal.
    """

    group: tuple[int, ...]
    refusal: Refusal


@dataclass
class Study:
    """A session's work on one model.

    Attributes:
        loaded: the model; None while the session looks at another one, so that it can be let go.
        settings: of AGO's partition.
        step: index of the step of AGO's construction that is shown, or None where none is.
        refusals_only: whether only refused candidates are stepped through.
        playing: whether the steps go on by themselves.
        pace: steps a second, then.
        history: of the edited partition; None before the first edit.
        refused: the last edit, if it was refused.
        message: one sentence that says why the last edit was not possible at all, or "".
        file_error: one sentence that says why the last file was not taken, or "".
        colour: what the colours of the panels say.
        foldings: for each method which of its subgraphs are drawn as one node; those that the user changed.
    """

    loaded: Loaded | None = None
    settings: Settings = field(default_factory=Settings)
    step: int | None = None
    refusals_only: bool = False
    playing: bool = False
    pace: int = PACES[0]
    history: History | None = None
    refused: Refused | None = None
    message: str = ""
    file_error: str = ""
    colour: Colour = Colour.SUBGRAPH
    foldings: dict[str, Folding] = field(default_factory=dict)
    _due: float = field(default=0.0, init=False, repr=False)

    @property
    def graph(self) -> OpGraph:
        return self.loaded.graph

    @property
    def clustering(self) -> Clustering:
        return self.loaded.clustering(self.settings)

    @property
    def partitions(self) -> Mapping[str, Partition]:
        """By method; the edited one once there is one."""
        found = {"heuristic": self.loaded.heuristic, "ago": self.clustering.partition}
        return found | ({EDITED: self.history.present} if self.history else {})

    @property
    def views(self) -> Mapping[str, View]:
        return {method: self.loaded.view(partition) for method, partition in self.partitions.items()}

    def folding(self, method: str) -> Folding:
        return self.foldings.get(method) or Folding.at_first(self.graph)

    def fold(self, method: str, subgraph: int | None, closed: bool = False) -> None:
        """Folds one subgraph of a partition, or unfolds it; without one all are `closed` or not."""
        if subgraph is None:
            self.foldings[method] = Folding(closed)
        elif subgraph < len(self.partitions[method]):
            self.foldings[method] = self.folding(method).toggled(self.partitions[method].subgraphs[subgraph])

    def named_foldings(self) -> list[tuple[str, bool, tuple[int, ...]]]:
        """For each method whose drawing is not as at first: its name, whether subgraphs are folded, and indices of
        those of which the opposite holds."""
        usual = Folding.at_first(self.graph).closed
        folded = {method: self.folding(method) for method in self.partitions}
        named = [(method, one.closed, one.exceptions(self.partitions[method])) for method, one in folded.items()]
        return [(method, closed, others) for method, closed, others in named if others or closed != usual]

    def name_folding(self, method: str, closed: bool, others: Iterable[int]) -> bool:
        """Folds a partition as `named_foldings` says; False if it has no such subgraphs."""
        subgraphs = self.partitions[method].subgraphs
        if any(index >= len(subgraphs) for index in others):
            return False
        self.foldings[method] = Folding(closed, frozenset(subgraphs[index] for index in others))
        return True

    def drawing(self, method: str) -> Drawing:
        """The picture of a partition as it is folded now, kept or on its way."""
        return self.loaded.drawing(self.partitions[method], self.folding(method))

    def shown(self, method: str) -> Shown:
        partition = self.partitions[method]
        return Shown(partition, self.folding(method).folded(partition))

    def leave(self) -> None:
        """The session looks at another model now."""
        self.loaded, self.playing = None, False

    def set(self, settings: Settings) -> None:
        """Other settings are another construction: it is looked at from its first step."""
        if settings != self.settings:
            self.settings = settings
            self.step = None if self.step is None else 0
            self.playing = False

    # The construction of AGO's partition

    @property
    def steps(self) -> list[int]:
        """Indices of the steps to go through."""
        steps = self.clustering.steps
        return [i for i, step in enumerate(steps) if not self.refusals_only or step.verdict is not Verdict.ABSORBED]

    @property
    def position(self) -> int:
        """Where in `steps` the step is that is shown."""
        return next((i for i, step in enumerate(self.steps) if step >= self.step), len(self.steps) - 1)

    def show_steps(self, shown: bool) -> None:
        self.step, self.playing = 0 if shown else None, False

    def go(self, position: int) -> None:
        """Shows one of `steps`."""
        self.step = self.steps[position]

    def play(self, now: float) -> None:
        """From here on, or from the start where this is the end. `now` in seconds, of any clock."""
        if self.position == len(self.steps) - 1:
            self.go(0)
        self.playing, self._due = True, now + 1 / self.pace

    def pause(self) -> None:
        self.playing = False

    def tick(self, now: float) -> None:
        """The next step, if it is due; at the last one playing ends.

        Called too often, it keeps the pace all the same; called too seldom, it leaves no step out.
        """
        interval = 1 / self.pace
        if not self.playing or now < self._due - EARLY * interval:
            return
        behind = now > self._due + interval
        self._due = (now if behind else self._due) + interval
        left = self.steps[self.position + 1 :]
        if left:
            self.step = left[0]
        self.playing = len(left) > 1

    def only_refusals(self, only: bool) -> None:
        """Where the step is not among those left, the next one is shown that is, else the last."""
        self.refusals_only = only
        if self.steps:
            self.step = next((i for i in self.steps if i >= self.step), self.steps[-1])

    # The edited partition

    def edit_copy(self, method: str) -> None:
        """Makes the edited partition a copy of another one; what was edited before can be had back by undo."""
        self.foldings[EDITED] = self.folding(method)
        self._take(replace(self.partitions[method], method=EDITED))

    def edit(self, kind: str, operators: Iterable[int], target: int | None = None) -> None:
        """Merges the subgraphs of operators, splits operators out, or moves them into the subgraph `target`.

        What came of it is in `history`, `refused` and `message`.
        """
        operators = tuple(sorted(set(operators)))
        partition = self.history.present
        try:
            group, result = _carry_out(self.graph, partition, kind, operators, target)
        except UserError as error:
            self.refused, self.message = None, str(error)
            return
        if isinstance(result, Refusal):
            self.refused, self.message = Refused(tuple(sorted(group)), result), ""
        else:
            self._take(result)

    def take_along(self) -> None:
        """Makes the refused edit, with the operators that make it legal; nothing where none was refused any more."""
        if self.refused:
            self.edit(SPLIT, (*self.refused.group, *self.refused.refusal.take_along))

    def forget_refusal(self) -> None:
        self.refused, self.message = None, ""

    def undo(self) -> None:
        self.history = self.history.undo()
        self.forget_refusal()

    def redo(self) -> None:
        self.history = self.history.redo()
        self.forget_refusal()

    def read(self, content: bytes) -> None:
        """Takes a partition that was saved as JSON; `file_error` says why where it cannot be."""
        self.file_error = ""
        try:
            self._take(replace(partition_from_json(self.graph, json.loads(content)), method=EDITED))
        except (ValueError, RecursionError):
            self.file_error = "The file is not JSON, so it is no saved partition."
        except UserError as error:
            self.file_error = str(error)

    def _take(self, partition: Partition) -> None:
        self.history = self.history.edited(partition) if self.history else History(partition)
        self.forget_refusal()


def _carry_out(
    graph: OpGraph, partition: Partition, kind: str, operators: tuple[int, ...], target: int | None
) -> tuple[set[int], Partition | Refusal]:
    """The operators that the edit puts together, and what came of it. Raises UserError: it cannot be meant so."""
    owner = partition.owner
    if kind == MERGE:
        touched = {owner[op] for op in operators}
        return _members(partition, touched), edits.merge(graph, partition, touched)
    if kind == SPLIT:
        return set(operators), edits.split(graph, partition, operators)
    group = {*operators, *partition.subgraphs[target]}
    return group, edits.move(graph, partition, operators, target)


def _members(partition: Partition, subgraphs: Iterable[int]) -> set[int]:
    return {op for index in subgraphs for op in partition.subgraphs[index]}


def targets(graph: OpGraph, partition: Partition, operators: Iterable[int]) -> tuple[list[int], list[int]]:
    """Subgraphs to which operators can be moved, ascending: those beside them, and the others.

    Beside are those that read one of the operators or that one of them reads. None is the one that holds them all, and
    there are none for no operators.
    """
    owner, moved = partition.owner, set(operators)
    home = {owner[op] for op in moved}
    if not moved:
        return [], []
    possible = set(range(len(partition))) - (home if len(home) == 1 else set())
    near = {other for op in moved for other in (*graph.predecessors[op], *graph.successors[op])} - moved
    beside = {owner[op] for op in near} & possible
    return sorted(beside), sorted(possible - beside)
