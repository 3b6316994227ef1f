"""The records of a tuning session that go with what was compiled from it. Needs no TVM.

An artifact's folder `tuned` holds the session's best schedules as the session wrote them, and what it was asked for. So
the code can be compiled again (`export --tuned ARTIFACT/tuned`) without tuning again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ago_core.artifacts.layout import BEGUN, BEST, SESSION
from ago_core.errors import UserError
from ago_core.tuning import control
from ago_core.tuning.journal import read_journal

KEPT = ("settings", "dims", "partition", "method", "target", "versions", "created")
"""Entries of a journal's `meta` that are kept."""


def session_record(folder: Path) -> dict[str, Any]:
    """What a session was asked for and what it measured, or the same as an artifact recorded it.

    Raises:
        UserError: there is neither a session nor a record of one.
    """
    recorded = folder / Path(SESSION).name
    if recorded.exists() and not (folder / control.JOURNAL).exists():
        return _read(recorded)
    with read_journal(folder) as journal:
        meta = journal.meta()
    status = control.status(folder)
    model = meta["model"].get("sample") or Path(meta["model"]["path"]).name
    measured = {"runs_s": list(status.runs), "trials": status.trials, "elapsed_s": status.elapsed}
    kept = {key: meta[key] for key in KEPT if key in meta}
    return {"session": folder.name, "model": model, "ablation": status.ablation, **kept, **measured}


def tuned_files(folder: Path, record: Mapping[str, Any]) -> dict[str, str]:
    """Texts of the artifact's files about a session, by name. Raises UserError where it has no result."""
    best = _read(folder / Path(BEST).name)
    return {
        SESSION: json.dumps(record, indent=1),
        BEST: json.dumps(best, indent=1),
        BEGUN: json.dumps(record["partition"]),
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}.") from error
