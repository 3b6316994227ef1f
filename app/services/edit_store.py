"""Edited partitions on disk, each named by its content and by what it was made from, so that an address can name one.

A file is a saved partition (`Partition.to_json`) with the key of the one before the edit: following these gives the
undo history, as in a version control system. Undo and redo write nothing; an edit writes one file of some kilobytes.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from ago_core.errors import UserError
from ago_core.graph.opgraph import OpGraph
from ago_core.partition.history import History
from ago_core.partition.partition import Partition, partition_from_json
from app.services.tuning import sessions_folder

DIGITS = 12
MAX_DEPTH = 500
"""Edits that can be undone after a reload."""


def edits_folder() -> Path:
    """`edits`, beside the tuning sessions."""
    return sessions_folder().parent / "edits"


def keep(history: History, folder: Path) -> tuple[str, str]:
    """Writes what is not there yet.

    Returns:
        The keys of the present partition, and of the last one that was undone ("" where none was).

    Raises:
        UserError: the folder cannot be written.
    """
    line = (*history.past, history.present, *reversed(history.future))
    keys, parent = [], ""
    for partition in line:
        content = _content(partition, parent)
        parent = hashlib.sha256(content).hexdigest()[:DIGITS]
        keys.append(parent)
        _write(folder / f"{parent}.json", content)
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
        try:
            data = json.loads((folder / f"{key}.json").read_text())
        except (OSError, ValueError):
            break
        found.append((key, partition_from_json(graph, data)))
        key = str(data.get("parent", ""))
    return found[::-1]


def _content(partition: Partition, parent: str) -> bytes:
    return json.dumps(partition.to_json() | {"parent": parent}, separators=(",", ":")).encode()


def _write(path: Path, content: bytes) -> None:
    if path.exists():
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_bytes(content)
        new.replace(path)
    except OSError as error:
        raise UserError(
            f"The edited partition cannot be kept in {path.parent} ({error.strerror}): a reload would lose it."
        ) from error
