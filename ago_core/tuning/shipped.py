"""Tuned records that ship with the sample networks: the bests of a session, for one model and one target each.

A file is what a session's best.json holds, compressed. It is found by the model and the target that it
names.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import tvm

import sample_models
from ago_core.errors import UserError
from ago_core.graph.model import Model
from ago_core.schedules.machine import machine_of
from ago_core.tuning.best import Best, best_from, read_data
from ago_core.tuning.space import rebuild

FOLDER = Path(sample_models.__file__).parent / "tuned"
SUFFIX = ".json.gz"


def write_shipped(session: Path, path: Path) -> None:
    """Packs what a session found; the same result gives the same bytes.

    Raises:
        UserError: the session has no result.
    """
    text = json.dumps(read_data(session), separators=(",", ":"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def shipped_best(model: Model, target: tvm.target.Target, folder: Path = FOLDER) -> Best:
    """The record of a model for a target.

    Raises:
        UserError: none ships for this model, or none for this target, or it is of another version of this tool.
    """
    mine = [data for data in _records(folder) if data["partition"]["model_hash"] == model.graph.model_hash]
    found = next((data for data in mine if data["target"] == str(target)), None)
    if found is not None:
        machine = machine_of(target)
        return best_from(found, model, lambda function, trace: rebuild(function, trace, machine))
    if not mine:
        raise UserError(f"No tuned records ship for {model.name}: tune it, and give the session's folder.")
    targets = "; ".join(sorted(data["target"] for data in mine))
    raise UserError(
        f"The tuned records that ship for {model.name} are for {targets}, and the target now is {target}: choose "
        "another number of threads, or tune it here and give the session's folder."
    )


def _records(folder: Path) -> Iterator[dict]:
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            yield json.loads(gzip.decompress(path.read_bytes()))
        except (OSError, EOFError, ValueError) as error:
            raise UserError(f"The tuned record {path} cannot be read: {error}; install this tool again.") from error
