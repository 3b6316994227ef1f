"""What an edit would give and what it gave: estimated in the server's thread, measured by the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ago_core.artifacts.edit_times import EditTimes, Estimate, edit_key, edit_times_from_json
from ago_core.artifacts.profile import told_apart
from ago_core.errors import UserError
from ago_core.partition import edits
from ago_core.partition.compare import changed
from ago_core.partition.edits import Refusal
from ago_core.partition.partition import Partition
from app.services.kept import Kept
from app.services.loaded import Loaded
from app.services.measured import profiles_folder
from app.services.models import Choice
from app.services.study import MERGE, SPLIT, Study
from app.services.worker import Task, Worker
from visualizers.units import milliseconds
from visualizers.waterfall import signed

KEPT_ESTIMATES = 128
MOST_CHANGED = 24
"""Subgraphs that an edit may change to be measured by itself; more is another plan, which the Compare page measures."""
BEFORE, AFTER = "before.json", "after.json"


@dataclass(frozen=True)
class Edit:
    """One edit of a model's partition, made or only thought of."""

    before: Partition
    after: Partition

    @property
    def key(self) -> str:
        return edit_key(self.before, self.after)


def thought_of(study: Study, operators: Collection[int]) -> dict[str, Edit]:
    """The edits that the selected operators allow, by kind: merging their subgraphs, splitting the operators out."""
    partition = study.history.present
    touched = {partition.owner[op] for op in operators}
    found = {}
    if len(touched) > 1:
        found[MERGE] = _tried(partition, lambda: edits.merge(study.graph, partition, touched))
    if operators:
        found[SPLIT] = _tried(partition, lambda: edits.split(study.graph, partition, operators))
    return {kind: edit for kind, edit in found.items() if edit}


def _tried(before: Partition, make: Callable[[], Partition | Refusal]) -> Edit | None:
    """None where the edit is refused, cannot be meant so, or changes nothing."""
    try:
        after = make()
    except UserError:
        return None
    return None if isinstance(after, Refusal) or after.subgraphs == before.subgraphs else Edit(before, after)


def last_edit(study: Study) -> Edit | None:
    """From the partition before to the one now; None where none was made, or where it changed too much to be one."""
    history = study.history
    if not history.past or sum(map(len, changed(history.past[-1].subgraphs, history.present.subgraphs))) > MOST_CHANGED:
        return None
    return Edit(history.past[-1], history.present)


@dataclass(frozen=True)
class TimingEdit:
    """A job that measures an edit; see `jobs.Job`."""

    choice: Choice
    edit: Edit

    kind = "edit-times"
    tuned = None
    file_name = ""

    @property
    def partition(self) -> Partition:
        return self.edit.after

    @property
    def method(self) -> str:
        return self.partition.method

    def prepare(self, folder: Path) -> None:
        """Writes what the command reads."""
        for name, partition in ((BEFORE, self.edit.before), (AFTER, self.edit.after)):
            (folder / name).write_text(json.dumps(partition.to_json()))

    def arguments(self, folder: Path) -> list[str]:
        dims = [part for name, size in self.choice.dims for part in ("--dim", f"{name}={size}")]
        keep = ["--keep", str(times_folder())]
        files = [str(folder / BEFORE), str(folder / AFTER)]
        return [self.kind, str(self.choice.spec), *files, *dims, *keep, "--json", "--progress"]


def times_folder() -> Path:
    """Beside the profiles."""
    return profiles_folder().parent / "edit-times"


def measured_edit(edit: Edit) -> EditTimes | None:
    """The newest times of an edit; None where it was never measured."""
    try:
        return edit_times_from_json(json.loads((times_folder() / f"{edit.key}.json").read_text()))
    except (OSError, ValueError, UserError):
        return None


def estimate(loaded: Loaded, edit: Edit) -> Task:
    """The task that estimates an edit, about a second; one for each edit, whoever asks."""

    def work(progress: Callable[[str], None]) -> Estimate:
        from ago_core.devices.local import host_target
        from ago_core.tuning.edit_bench import estimate_edit

        progress("Estimating")
        return estimate_edit(loaded.model, edit.before, edit.after, host_target())

    def begin() -> Task:
        task = Task(work)
        _worker().submit(task.run)
        return task

    return _estimates().get(edit.key, begin)


def asked(edit: Edit) -> Task | None:
    """The task that estimates an edit; None where nobody asked."""
    return _estimates().find(edit.key)


@cache
def _estimates() -> Kept[str, Task]:
    return Kept(KEPT_ESTIMATES)


@cache
def _worker() -> Worker:
    return Worker("estimates")


def estimate_text(found: Estimate) -> str:
    """Such as "about 12.1 µs → 10.3 µs (−1.80 µs)"."""
    return f"about {_change(found.before, found.after)}"


def measured_text(found: EditTimes) -> str:
    """The medians, and whether the spreads tell them apart."""
    apart = told_apart(found.before, found.after, found.turns)
    doubt = "" if apart else "; too close for their spreads: these runs do not tell them apart"
    return f"{_change(found.before.median, found.after.median)}{doubt}"


def _change(before: float, after: float) -> str:
    change = signed((after - before) * 1e6)
    return f"{milliseconds(before)} → {milliseconds(after)} ({'no change' if change == '0 µs' else change})"
