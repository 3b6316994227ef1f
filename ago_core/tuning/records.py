"""A session's trials as CSV, for a spreadsheet or another program."""

from __future__ import annotations

import contextlib
import csv
import json
from collections import Counter
from pathlib import Path

from ago_core.errors import UserError
from ago_core.tuning.files import BEST
from ago_core.tuning.journal import JournalReader

COLUMNS = (
    *("trial", "task", "kind", "operators", "unix_time", "elapsed_s", "median_s", "runs_s"),
    *("error", "correct", "device", "used", "trace"),
)


def write_csv(journal: JournalReader, path: Path) -> int:
    """Writes one row a trial, in the order in which they were measured.

    `used`: in how many subgraphs of its result the session uses the schedule; in the end, of the plan that the last
    check has kept.

    Returns:
        How many there are.

    Raises:
        UserError: the file cannot be written; or the journal is damaged, after all that can be read has been written.
    """
    used = _used(journal.folder)
    tasks = {task["id"]: (task["kind"], " ".join(task["operators"])) for task in journal.tasks()}
    count = 0
    try:
        with path.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(COLUMNS)
            for trial, trace in journal.trials_with_traces():
                m = trial.measurement
                runs = json.dumps(m.seconds)
                when = (f"{trial.at:.3f}", f"{trial.elapsed:.3f}")
                result = (m.latency, runs, m.error, m.correct, m.device, used[trial.id])
                rows.writerow((trial.id, trial.task, *tasks.get(trial.task, ("", "")), *when, *result, trace))
                count += 1
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from error
    return count


def _used(folder: Path) -> Counter[int]:
    """How often each trial stands in the session's result; empty where there is none that can be read."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return Counter(row["trial"] for row in json.loads((folder / BEST).read_text())["functions"])
    return Counter()
