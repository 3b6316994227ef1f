"""Edited partitions on disk, each named by its content and by what it was made from, so that an address can name one.

A file is a saved partition (`Partition.to_json`) with the key of the one before the edit: following these gives the
undo history, as in a version control system. Undo and redo write nothing; an edit writes one file of some kilobytes.

Only addresses name these files: sessions, profiles and exports hold their own partitions. So a file goes once there
are `KEPT` newer ones and for `KEPT_DAYS` nobody has opened it, gone on from it or undone to it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path

from ago_core.errors import UserError
from ago_core.graph.opgraph import OpGraph
from ago_core.partition.history import History
from ago_core.partition.partition import Partition, partition_from_json
from app.services.tuning import sessions_folder

DIGITS = 12
MAX_DEPTH = 500
"""Edits that can be undone after a reload."""
KEPT, KEPT_DAYS = 200, 30


def edits_folder() -> Path:
    """`edits`, beside the tuning sessions."""
    return sessions_folder().parent / "edits"


def keep(history: History, folder: Path) -> tuple[str, str]:
    """Writes what is not there yet, and lets go of what nobody has used for long.

    Returns:
        The keys of the present partition, and of the last one that was undone ("" where none was).

    Raises:
        UserError: the folder cannot be written.
    """
    line = (*history.past, history.present, *reversed(history.future))
    keys, parent, new = [], "", False
    for partition in line:
        content = _content(partition, parent)
        parent = hashlib.sha256(content).hexdigest()[:DIGITS]
        keys.append(parent)
        new |= _write(folder / f"{parent}.json", content)
    if new:
        _let_go(folder)
    return keys[len(history.past)], keys[-1] if history.future else ""


def find(graph: OpGraph, folder: Path, present: str, redo: str = "") -> History:
    """Reads what `keep` wrote.

    Raises:
        UserError: the partition is not there, or not one of this graph.
    """
    line = _line(graph, folder, redo)
    if present not in [key for key, _ in line]:
        line = _line(graph, folder, present)
    if not line:
        raise UserError(f"The address names an edited partition that is not kept here ({present!r}).")
    at = [key for key, _ in line].index(present)
    partitions = [partition for _, partition in line]
    return History(partitions[at], tuple(partitions[:at]), tuple(reversed(partitions[at + 1 :])))


def _line(graph: OpGraph, folder: Path, key: str) -> list[tuple[str, Partition]]:
    """Keys and partitions from the first edit to `key`; empty where that one is not there."""
    found: list[tuple[str, Partition]] = []
    while key and len(found) < MAX_DEPTH:
        path = folder / f"{key}.json"
        try:
            data = json.loads(path.read_text())
        except (OSError, ValueError):
            break
        _used(path)
        found.append((key, partition_from_json(graph, data)))
        key = str(data.get("parent", ""))
    return found[::-1]


def _content(partition: Partition, parent: str) -> bytes:
    return json.dumps(partition.to_json() | {"parent": parent}, separators=(",", ":")).encode()


def _write(path: Path, content: bytes) -> bool:
    """Whether it was not there."""
    if path.exists():
        _used(path)
        return False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_bytes(content)
        new.replace(path)
    except OSError as error:
        raise UserError(
            f"The edited partition cannot be kept in {path.parent} ({error.strerror}): a reload would lose it."
        ) from error
    return True


def _used(path: Path) -> None:
    """Dates a file to now; where it is another user's, it keeps its date."""
    with contextlib.suppress(OSError):
        os.utime(path)


def _let_go(folder: Path) -> None:
    """Deletes what is neither among the newest nor was used lately; another server may do the same meanwhile."""
    oldest = time.time() - KEPT_DAYS * 86_400
    dated = []
    for path in folder.glob("*.json"):
        with contextlib.suppress(OSError):
            dated.append((path.stat().st_mtime, path))
    for used, path in sorted(dated, reverse=True)[KEPT:]:
        if used < oldest:
            with contextlib.suppress(OSError):
                path.unlink()
