"""What the graph view emphasises on top of a drawing: a step of the construction, a cycle, what differs.

Marks only recolour: the drawing stays where it is, and the browser is sent a few hundred bytes, not the elements again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ago_core.graph.opgraph import OpGraph
from ago_core.partition.ago import Verdict
from ago_core.partition.compare import Change, Comparison
from ago_core.partition.edits import Refusal
from ago_core.partition.trace import Edge, State

CLUSTER, CANDIDATE, AFFIX, GROUP, ALONG, CYCLE = "cluster", "candidate", "affix", "group", "along", "cycle"
CHANGES = {Change.SAME: "same", Change.SPLIT: "split", Change.MERGED: "merged", Change.RECUT: "recut"}


@dataclass(frozen=True)
class Marks:
    """Emphasis of some elements.

    Attributes:
        elements: mark (one of `palette.MARK_HUES`) → ids of elements; where an element has several, the later one of
            that table wins.
        legend: mark and what it means here.
        fade: whether all else fades.
        focus: ids of elements that must be in sight.
    """

    elements: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    legend: tuple[tuple[str, str], ...] = ()
    fade: bool = False
    focus: tuple[str, ...] = ()

    def to_json(self) -> dict:
        return {
            "elements": {mark: list(ids) for mark, ids in self.elements.items()},
            "legend": [list(row) for row in self.legend],
            "fade": self.fade,
            "focus": list(self.focus),
        }


def step_marks(graph: OpGraph, state: State) -> Marks:
    """A step of AGO's construction: the growing cluster, its affix set, the candidate, and the groups so far."""
    affix = {op for members in state.affix_set for op in members} - set(state.candidate)
    elements = {
        GROUP: _operators(op for group in state.groups for op in group) + _inner_edges(graph, state.groups),
        AFFIX: _operators(affix),
        CLUSTER: _operators(state.cluster) + _inner_edges(graph, [state.cluster]),
        CANDIDATE: _operators(state.candidate) + _inner_edges(graph, [state.candidate]),
        CYCLE: _edges(state.detour) + _operators(_between(state)),
    }
    legend = [(CLUSTER, "growing"), (CANDIDATE, "candidate"), (AFFIX, "affix set"), (GROUP, "so far")]
    if state.step.verdict is Verdict.CYCLE:
        legend.append((CYCLE, "cycle"))
    focus = _operators((*state.cluster, *state.candidate))
    return Marks(elements, tuple(legend), fade=True, focus=focus)


def refusal_marks(graph: OpGraph, group: Iterable[int], refusal: Refusal) -> Marks:
    """A refused edit: the operators that were to be together, the cycle, and what would have to come along."""
    ends = {op for edge in refusal.cycle for op in edge}
    elements = {
        CLUSTER: _operators(group),
        ALONG: _operators(refusal.take_along),
        CYCLE: _edges(refusal.cycle),
    }
    legend = ((CLUSTER, "to be together"), (ALONG, "would have to come along"), (CYCLE, "cycle"))
    return Marks(elements, legend, fade=True, focus=_operators(sorted(ends)))


def cycle_marks(edges: Iterable[Edge]) -> Marks:
    """A cycle that merging would close, by its edges; the operators at their ends are outlined."""
    edges = tuple(edges)
    ends = sorted({op for edge in edges for op in edge})
    return Marks({CYCLE: _edges(edges) + _operators(ends)}, ((CYCLE, "cycle that merging would close"),))


def change_marks(comparison: Comparison, after: bool) -> Marks:
    """What differs between two partitions, for the drawing of the second (`after`) or of the first."""
    elements: dict[str, tuple[str, ...]] = dict.fromkeys(CHANGES.values(), ())
    for block in comparison.blocks:
        boxes = tuple(f"S{index}" for index in (block.after if after else block.before))
        elements[CHANGES[block.change]] += _operators(block.operators) + boxes
    legend = [(CHANGES[change], f"{change.value} {comparison.count(change)}") for change in Change]
    return Marks(elements, tuple(legend))


def _between(state: State) -> list[int]:
    """Operators at the ends of the detour's edges that are in neither of the two clusters."""
    return sorted({op for edge in state.detour for op in edge} - {*state.cluster, *state.candidate})


def _operators(ids: Iterable[int]) -> tuple[str, ...]:
    return tuple(str(op) for op in ids)


def _edges(edges: Iterable[Edge]) -> tuple[str, ...]:
    return tuple(f"{u}-{v}" for u, v in edges)


def _inner_edges(graph: OpGraph, groups: Iterable[tuple[int, ...]]) -> tuple[str, ...]:
    """Edges whose ends are in one group."""
    found: list[Edge] = []
    for group in groups:
        inside = set(group)
        found += [(u, v) for u in group for v in graph.successors[u] if v in inside]
    return _edges(found)
