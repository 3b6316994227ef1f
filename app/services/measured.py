"""Measured times of plans: what `python -m ago_core profile` found, kept on disk.

A *plan* is what can be compiled: a partition with default schedules, with or without intensive fusion, or what a tuning
session found. For each the newest profile is kept in a file named by a hash of its content, so a reload, another tab
and a restart of the server find it again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ago_core.artifacts.profile import Profile, plan_key, profile_from_json
from ago_core.errors import UserError
from ago_core.partition.partition import Partition
from app.services.models import Choice
from app.services.study import Study
from app.services.tuning import sessions_folder

KEPT_READ = 64
PLAN_FILE = "plan-{}.json"


@dataclass(frozen=True)
class Plan:
    """What is compiled.

    Attributes:
        partition: of the model.
        fusion: whether the default schedule may put several stages into one nest (intensive fusion).
        tuned: the folder of the session whose functions are compiled; None for default schedules.
        threads: that the session tuned for; 0 for as many as this machine has cores.
    """

    partition: Partition
    fusion: bool = True
    tuned: Path | None = None
    threads: int = 0

    @property
    def key(self) -> str:
        """Of its profile."""
        tuned = str(self.tuned.resolve()) if self.tuned else ""
        return plan_key(self.partition.model_hash, self.partition.subgraphs, self.fusion, tuned)


@dataclass(frozen=True)
class Measured:
    """The newest profile of a plan. All times in seconds.

    Attributes:
        profile: everything that was measured.
    """

    profile: Profile

    @property
    def subgraphs(self) -> tuple[float, ...]:
        """Of each subgraph in the partition's order the median, in place; 0 where it has no kernel of its own."""
        return tuple(part.median if part else 0.0 for part in self.profile.subgraphs)

    @property
    def total(self) -> float:
        """Of the whole inference the median, with no clock inside."""
        return self.profile.whole.median


def measured(study: Study, method: str) -> Measured | None:
    """Of one of a study's partitions, not tuned, with intensive fusion; None where it was never measured."""
    partition = study.partitions.get(method)
    return measured_plan(Plan(partition)) if partition else None


def measured_plan(plan: Plan) -> Measured | None:
    """The newest profile of a plan; None where there is none that can be read."""
    path = profiles_folder() / f"{plan.key}.json"
    try:
        profile = _read(path, path.stat().st_mtime_ns)
    except (OSError, ValueError, UserError):
        return None
    return Measured(profile)


@lru_cache(KEPT_READ)
def _read(path: Path, _changed: int) -> Profile:
    return profile_from_json(json.loads(path.read_text()))


def profiles_folder() -> Path:
    """Beside the folder of the sessions."""
    return sessions_folder().parent / "profiles"


@dataclass(frozen=True)
class Measuring:
    """A job that measures plans of one model in turns; see `jobs.Job`."""

    choice: Choice
    plans: tuple[Plan, ...]

    kind = "profile"

    @property
    def partition(self) -> Partition:
        return self.plans[0].partition

    @property
    def method(self) -> str:
        return self.partition.method

    @property
    def tuned(self) -> Path | None:
        return self.plans[0].tuned

    @property
    def file_name(self) -> str:
        return PLAN_FILE.format(0)

    def prepare(self, folder: Path) -> None:
        """Writes what the command reads."""
        for number, plan in enumerate(self.plans):
            (folder / PLAN_FILE.format(number)).write_text(json.dumps(plan.partition.to_json()))

    def arguments(self, folder: Path) -> list[str]:
        dims = [part for name, size in self.choice.dims for part in ("--dim", f"{name}={size}")]
        plans = [_named(plan, folder / PLAN_FILE.format(number)) for number, plan in enumerate(self.plans)]
        keep = ["--keep", str(profiles_folder())]
        threads = max(plan.threads for plan in self.plans)
        count = ["--threads", str(threads)] if threads else []
        return [self.kind, str(self.choice.spec), *plans, *dims, *keep, *count, "--json", "--progress"]


def _named(plan: Plan, file: Path) -> str:
    """As the command line names it."""
    return str(plan.tuned) if plan.tuned else f"{file}{'' if plan.fusion else ':no-fusion'}"


def profiles_of(result: dict) -> Sequence[Profile]:
    """Of what the job reported, in the order of its plans."""
    return [profile_from_json(data) for data in result["profiles"]]
