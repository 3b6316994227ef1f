"""The quotient graph while it is being contracted, with topological stages that say in O(degree) what closes no cycle.

A *stage labelling* gives every cluster a number so that each edge goes up. It starts as the paper's topological stage:
the longest path from an input. Two facts make merging neighbours u → v safe, and both only look at neighbours:

* TS(v) = TS(u) + 1: any other path from u to v would have length two or more, so TS(v) would be at least TS(u) + 2
  (AGO, section III).
* A number fits between all predecessors and all successors of the merged cluster: then it can carry that number, and a
  labelling in which each edge goes up exists, so there is no cycle. The labels need not be longest paths for this.

After a merge the new cluster takes a number that fits; only where none does are the clusters after it pushed up.
Recomputing longest paths instead would cost O(n) a merge on a chain, where each merge shortens everything behind it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from ago_core.graph.opgraph import OpGraph


class Clusters:
    """Contraction of an OpGraph, one merge at a time. A cluster is named by one of its operators.

    Attributes:
        members: cluster → its operators.
        weight: cluster → sum of its operators' weights.
        stage: cluster → its stage; every edge of the quotient graph goes up.
        after: cluster → its readers in the quotient graph, each with the bytes that merging them would save.
        before: cluster → those it reads.
        complex: clusters that hold a complex operator.
        sealed: library calls, which are in no cluster but their own.
    """

    def __init__(
        self, graph: OpGraph, weights: tuple[float, ...], savings: Mapping[tuple[int, int], int] | None = None
    ):
        size = len(graph)
        self.members = {op: [op] for op in range(size)}
        self.weight = dict(enumerate(weights))
        self.complex = {op.id for op in graph.operators if op.is_complex}
        self.sealed = {op.id for op in graph.operators if op.extern}
        savings = savings or {}
        self.after = {
            op: {reader: savings.get((op, reader), 0) for reader in graph.successors[op]} for op in range(size)
        }
        self.before = {op: set(graph.predecessors[op]) for op in range(size)}
        self.stage: dict[int, int] = {}
        for op in range(size):  # ids are topological
            self.stage[op] = max((self.stage[p] + 1 for p in self.before[op]), default=0)
        self._name = list(range(size))

    def of(self, op: int) -> int:
        """The cluster that holds an operator."""
        root = op
        while self._name[root] != root:
            root = self._name[root]
        while self._name[op] != root:
            self._name[op], op = root, self._name[op]
        return root

    def neighbours(self, cluster: int) -> list[int]:
        """Readers and those read, ascending."""
        return sorted({*self.after[cluster], *self.before[cluster]} - self.sealed)

    def saving(self, a: int, b: int) -> int:
        """Bytes that merging two neighbours would save."""
        return self.after[a].get(b, 0) + self.after[b].get(a, 0)

    def stages_allow(self, a: int, b: int) -> bool:
        """Whether the stages prove that merging two neighbours closes no cycle. O(degree); may say no needlessly."""
        first, last = (a, b) if b in self.after[a] else (b, a)
        if self.stage[last] == self.stage[first] + 1:
            return True
        low, high = self._room(first, last)
        return low <= high

    def detour(self, a: int, b: int) -> list[int] | None:
        """A path from one neighbour to the other besides the direct edge, ends included; None if there is none.

        Merging the two would close it into a cycle. Only clusters with stages between theirs can lie on it. The search
        goes from both ends, a level at a time where the frontier is smaller: an edge that skips most of the model, such
        as a mask's, has a short detour at one end and all the model between. The path is a shortest one.
        """
        first, last = (a, b) if b in self.after[a] else (b, a)
        ahead, behind = {first: first}, {last: last}
        edge, leading, trailing = None, [first], [last]
        while leading and trailing and edge is None:
            if len(leading) <= len(trailing):
                leading, edge = self._advance(leading, ahead, behind, self.after, (first, last))
            else:
                trailing, edge = self._advance(trailing, behind, ahead, self.before, (last, first))
                edge = edge and edge[::-1]
        return edge and _chain(ahead, edge[0])[::-1] + _chain(behind, edge[1])

    def _advance(self, level: list[int], seen: dict[int, int], other: dict[int, int], step: Mapping, ends) -> tuple:
        """One level of a breadth-first search towards one that comes from the other end: (next level, meeting edge).

        `seen` maps what was reached to where it was reached from; `ends` are where this search and the other began.
        """
        start, end = ends
        low, high = sorted((self.stage[start], self.stage[end]))
        found = []
        for node in level:
            for neighbour in sorted(step[node]):
                if neighbour in other and (node, neighbour) != ends:
                    return found, (node, neighbour)
                if neighbour not in seen and low < self.stage[neighbour] < high:
                    seen[neighbour] = node
                    found.append(neighbour)
        return found, None

    def merge(self, a: int, b: int) -> int:
        """Contracts two neighbours that close no cycle, and keeps the labelling. Returns the cluster's name."""
        first, last = (a, b) if b in self.after[a] else (b, a)
        low, high = self._room(first, last)
        stage = max(low, min(high, self.stage[last]))
        keep, gone = (first, last) if len(self.members[first]) >= len(self.members[last]) else (last, first)
        self._name[gone] = keep
        self.members[keep] += self.members.pop(gone)
        self.weight[keep] += self.weight.pop(gone)
        self._redirect(keep, gone)
        if gone in self.complex:
            self.complex.remove(gone)
            self.complex.add(keep)
        del self.stage[gone]
        self.stage[keep] = stage
        if low > high:
            self._push(keep)
        return keep

    def _room(self, first: int, last: int) -> tuple[int, int]:
        """The lowest and the highest stage between all predecessors and all successors of the two merged."""
        stage = self.stage
        above = [stage[p] for p in self.before[first]] + [stage[p] for p in self.before[last] if p != first]
        below = [stage[s] for s in self.after[last]] + [stage[s] for s in self.after[first] if s != last]
        return max(above, default=-1) + 1, min(below, default=stage[last] + 2) - 1

    def _redirect(self, keep: int, gone: int) -> None:
        """Gives the neighbours of `gone` to `keep`; savings towards the same neighbour add up."""
        readers, read = self.after.pop(gone), self.before.pop(gone)
        for reader, saving in readers.items():
            self.before[reader].discard(gone)
            if reader != keep:
                self.before[reader].add(keep)
                self.after[keep][reader] = self.after[keep].get(reader, 0) + saving
        for source in read:
            saving = self.after[source].pop(gone)
            if source != keep:
                self.after[source][keep] = self.after[source].get(keep, 0) + saving
                self.before[keep].add(source)
        self.after[keep].pop(gone, None)
        self.before[keep].discard(gone)

    def _push(self, start: int) -> None:
        """Raises what follows `start` until each edge goes up again."""
        waiting = deque([start])
        while waiting:
            node = waiting.popleft()
            for reader in sorted(self.after[node]):
                if self.stage[reader] <= self.stage[node]:
                    self.stage[reader] = self.stage[node] + 1
                    waiting.append(reader)


def _chain(came_from: Mapping[int, int], node: int) -> list[int]:
    """From a node back to where its search began, both included."""
    path = [node]
    while came_from[path[-1]] != path[-1]:
        path.append(came_from[path[-1]])
    return path
