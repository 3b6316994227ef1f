"""Proposes schedules of one function out of several spaces, each searched by MetaSchedule's evolutionary search.

The first of each space come before all else. Then a space is drawn for each candidate, the more often the closer its
best is to the best of all: where fusing does not pay, few trials are spent on it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ago_core.tuning.interfaces import Candidate, Measurement
from ago_core.tuning.space import Proposal, Space, hash_of, space_of

FAVOUR = 8.0
"""A space whose best takes 1.1 times the best of all is drawn about half as often: 1.1 to this power is 2.1."""


class ScheduleSearch:
    """See `interfaces.Search`.

    Args:
        spaces: that the candidates come from.
        firsts: to propose first, in order.
        seen: hashes of what was proposed; the spaces may look at it, and it grows.
        seed: of the draws.
    """

    def __init__(self, spaces: Sequence[Space], firsts: Sequence[Proposal], seen: set[str], seed: int):
        self._spaces = {space.label: space for space in spaces}
        self._firsts = list(firsts)
        self._random = np.random.default_rng(seed)
        self._best = dict.fromkeys(self._spaces, math.inf)
        self._seen = seen
        self._pending: dict[str, Proposal] = {}

    def propose(self, count: int) -> list[Candidate]:
        found: list[Candidate] = []
        while len(found) < count:
            proposal = self._firsts.pop(0) if self._firsts else self._draw()
            if proposal is None:
                break
            if proposal.hash not in self._seen:
                self._seen.add(proposal.hash)
                self._pending[proposal.trace] = proposal
                found.append(Candidate(proposal.function, proposal.trace))
        return found

    def tell(self, candidates: Sequence[Candidate], measurements: Sequence[Measurement]) -> None:
        self._learn([self._pending.pop(candidate.trace) for candidate in candidates], measurements)

    def replay(self, traces: Sequence[str], measurements: Sequence[Measurement]) -> None:
        """Only the best of each space are rebuilt, to be parents and samples again."""
        self._seen.update(map(hash_of, traces))
        for space in self._spaces.values():
            mine = [
                (m, trace) for trace, m in zip(traces, measurements) if m.latency and space_of(trace) == space.label
            ]
            best = sorted(mine, key=lambda pair: pair[0].latency)[: space.KEPT]
            self._learn([space.rebuild(trace) for _, trace in best], [measurement for measurement, _ in best])

    def _draw(self) -> Proposal | None:
        """From one of the spaces that are not exhausted; None where all are."""
        while open_spaces := [space for space in self._spaces.values() if not space.exhausted]:
            best = min(self._best.values())
            bests = [self._best[space.label] for space in open_spaces]
            weights = np.array([1.0 if math.isinf(own) else (best / own) ** FAVOUR for own in bests])
            space = open_spaces[self._random.choice(len(open_spaces), p=weights / weights.sum())]
            proposal = space.next(self._seen)
            if proposal is not None:
                return proposal
        return None

    def _learn(self, proposals: Sequence[Proposal], measurements: Sequence[Measurement]) -> None:
        for label, space in self._spaces.items():
            mine = [(p, m) for p, m in zip(proposals, measurements) if p.space == label]
            space.learn([proposal for proposal, _ in mine], [measurement for _, measurement in mine])
            latencies = [m.latency for _, m in mine if m.latency is not None]
            self._best[label] = min([self._best[label], *latencies])
