"""What a tuner works on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ago_core.graph.model import Model
from ago_core.tuning.interfaces import Backend, Candidate
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
    """

    folder: Path
    name: str
    model: Model
    plan: Plan
    method: str
    backend: Backend
    turns: Path
