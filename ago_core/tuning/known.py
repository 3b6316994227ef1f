"""What another session of the same model has found, taken over for the functions that both tune.

After an edit most of a partition is as it was. Its functions keep the best schedule that the earlier session found:
each is measured once in the new session, so that all its figures are of one time, and gets no further trial. All other
trials go to what has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ago_core.errors import UserError
from ago_core.tuning.interfaces import Candidate, Measurement, Search
from ago_core.tuning.journal import read_journal
from ago_core.tuning.settings import Ablation, TuningSettings, settings_from_json

if TYPE_CHECKING:  # who only asks `why_not` needs no TVM
    from ago_core.tuning.plan import PlannedTask


def why_not(meta: Mapping[str, Any], identity: Mapping[str, Any], settings: TuningSettings) -> str | None:
    """Why the schedules of a session cannot be taken over by one of these settings.

    Args:
        meta: of the earlier session's journal.
        identity: of the new one, as far as it is known: `model_hash`, `target`, `versions` and `code` of a journal.

    Returns:
        The rest of a sentence, or None where they can.
    """
    words = {"model_hash": "another model", "target": "another target", "versions": "other versions of TVM"}
    words |= {"code": "other code of this tool"}
    for key, value in identity.items():
        if meta.get(key) != value:
            return f"it is of {words[key]}"
    earlier = settings_from_json(meta["settings"])
    if earlier.device != settings.device:
        return "it was measured on other devices"
    if _spaces(earlier.ablation) != _spaces(settings.ablation):
        return "it searched other spaces"
    return None


def _spaces(ablation: Ablation) -> tuple:
    return ablation.spaces, ablation.fusion


def known_traces(
    folder: Path, identity: Mapping[str, Any], settings: TuningSettings, tasks: Sequence[PlannedTask]
) -> dict[int, str]:
    """The best schedule that an earlier session found of each task that it has tuned too, by the task's number.

    A task is the same where the same operators make up a function of both sessions. A join that the earlier session
    has dropped is taken over too, so that it is dropped here without further trials.

    Raises:
        UserError: there is no such session, or nothing of it can be taken over.
    """
    from ago_core.tuning.best import read_data

    with read_journal(folder) as journal:
        reason = why_not(journal.meta(), identity, settings)
        if reason is not None:
            raise UserError(f"The schedules of the session in {folder} cannot be taken over: {reason}.")
        best: dict[int, tuple[float, str]] = {}
        for trial, trace in journal.trials_with_traces():
            seconds = trial.measurement.latency
            if trial.measurement.correct and seconds is not None:
                best[trial.task] = min(best.get(trial.task, (seconds, trace)), (seconds, trace))
        found = {
            tuple(place): best[task["id"]][1]
            for task in journal.tasks()
            if task["id"] in best
            for place in task["places"]
        }
    found |= {tuple(row["like"]): row["trace"] for row in read_data(folder)["functions"]}  # as the last check has it
    return {task.id: found[task.places[0]] for task in tasks if task.places[0] in found}


class KnownSearch:
    """See `interfaces.Search`: proposes one schedule that is known, and nothing more where that is right.

    Args:
        function: not scheduled.
        trace: of the schedule.
        rebuild: `Backend.rebuild`.
        own: makes the search that goes on where the schedule does not apply, or is found to be wrong.
    """

    def __init__(self, function, trace: str, rebuild: Callable[[Any, str], Any], own: Callable[[], Search]):
        self._function, self._trace, self._rebuild, self._own = function, trace, rebuild, own
        self._proposed = False
        self._search: Search | None = None

    def propose(self, count: int) -> list[Candidate]:
        if self._search is None and not self._proposed:
            self._proposed = True
            try:
                return [Candidate(self._rebuild(self._function, self._trace), self._trace)]
            except ValueError:  # equal functions may name their blocks otherwise
                self._search = self._own()
        return [] if self._search is None else self._search.propose(count)

    def tell(self, candidates: Sequence[Candidate], measurements: Sequence[Measurement]) -> None:
        if self._search is not None:
            self._search.tell(candidates, measurements)
        elif any(not measurement.correct or measurement.latency is None for measurement in measurements):
            self._search = self._own()

    def replay(self, traces: Sequence[str], measurements: Sequence[Measurement]) -> None:
        rows = list(zip(traces, measurements))
        works = any(trace == self._trace and m.correct and m.latency is not None for trace, m in rows)
        self._proposed = any(trace == self._trace for trace, _ in rows)
        if rows and not works:
            self._search = self._own()
            others = [(trace, m) for trace, m in rows if trace != self._trace]
            self._search.replay([trace for trace, _ in others], [m for _, m in others])
