"""What an edit of a partition gives, as plain data: an estimate before, and what was measured after."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from ago_core.artifacts.profile import Spread
from ago_core.errors import UserError
from ago_core.partition.compare import changed
from ago_core.partition.partition import Partition

SCHEMA = 1


@dataclass(frozen=True)
class Estimate:
    """Of the subgraphs that an edit changes, by the estimate that schedules are chosen with; nothing is run.

    Attributes:
        before, after: seconds of all of them.
        hertz: of the processor, by which cycles became seconds.
    """

    before: float
    after: float
    hertz: float


@dataclass(frozen=True)
class Part:
    """A subgraph that the edit changed: its operators, and its seconds by itself with a cold second cache."""

    operators: tuple[int, ...]
    seconds: Spread


@dataclass(frozen=True)
class EditTimes:
    """Of the subgraphs that an edit changed, each function run by itself, those before and after in turns.

    Attributes:
        key: see `edit_key`.
        parts_before, parts_after: those subgraphs.
        before, after: seconds of all of them, the spread over the turns.
        turns: how often each was run.
        threads: that ran them.
        machine: the processor.
        at: when, Unix time.
    """

    key: str
    parts_before: tuple[Part, ...]
    parts_after: tuple[Part, ...]
    before: Spread
    after: Spread
    turns: int
    threads: int
    machine: str
    at: float

    def to_json(self) -> dict:
        return {"schema": SCHEMA, **asdict(self)}


def edit_times_from_json(data: object) -> EditTimes:
    """Reads what `EditTimes.to_json` wrote.

    Raises:
        UserError: it is something else, or of another version.
    """
    if not isinstance(data, Mapping) or data.get("schema") != SCHEMA:
        raise UserError("These are no times of an edit of this version: measure again.")
    try:
        fields = {name: value for name, value in data.items() if name != "schema"}
        for side in ("before", "after"):
            fields[side] = Spread(**data[side])
            parts = data[f"parts_{side}"]
            fields[f"parts_{side}"] = tuple(Part(tuple(p["operators"]), Spread(**p["seconds"])) for p in parts)
        return EditTimes(**fields)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"The times of the edit cannot be read: {error!r}. Measure again.") from error


def edit_key(before: Partition, after: Partition) -> str:
    """A content hash of what an edit changed: the same for every edit that cuts the same operators in the same way."""
    left, right = changed(before.subgraphs, after.subgraphs)
    groups = [[list(side.subgraphs[k]) for k in indices] for side, indices in ((before, left), (after, right))]
    return hashlib.sha256(json.dumps([SCHEMA, before.model_hash, groups]).encode()).hexdigest()[:32]
