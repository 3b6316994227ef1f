"""What a tuner works on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ago_core.graph.model import Model
from ago_core.tuning.interfaces import Backend, Candidate, Search, SearchTask
from ago_core.tuning.known import KnownSearch
from ago_core.tuning.plan import Plan


@dataclass(frozen=True, eq=False)
class Batch:
    """Candidates of one task that have been proposed and not measured."""

    task: int
    candidates: Sequence[Candidate]


@dataclass(frozen=True, eq=False)
class Study:
    """What is tuned, with what.

    Attributes:
        folder: of the session.
        name: what other sessions are told while they wait for the device.
        turns: folder of the queues, see `turns`.
        known: by task, traces that are taken over from another session, see `known`.
    """

    folder: Path
    name: str
    model: Model
    plan: Plan
    method: str
    backend: Backend
    turns: Path
    known: Mapping[int, str]

    def search(self, task: int, wanted: SearchTask) -> Search:
        """Of one of the plan's tasks."""
        own = partial(self.backend.search, wanted)
        if task not in self.known:
            return own()
        return KnownSearch(wanted.function, self.known[task], self.backend.rebuild, own)
