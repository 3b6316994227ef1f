"""Saves what can be read of a damaged journal into a new one."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from ago_core.errors import UserError
from ago_core.tuning.files import JOURNAL
from ago_core.tuning.journal import SCHEMA, TABLES, explained
from ago_core.tuning.lock import take_lock

KEPT_AS = "damaged"
JSON_COLUMNS = {"meta": (1,), "tasks": (2,), "trials": (2,), "events": (4,)}
"""Places of the columns that must parse."""


def repair(folder: Path) -> int:
    """Replaces the journal by what can be read of it; the old one is kept beside it as `damaged-….sqlite`.

    Each table is read from its first row to the damage and from its last row back to it, so only what lies on damaged
    pages is lost, and records that do not parse.

    Returns:
        Trials saved.

    Raises:
        UserError: the session runs, nothing of use can be read, or the folder cannot be written.
    """
    lock, new = take_lock(folder), folder / f"{JOURNAL}-repaired"
    try:
        with explained(folder):
            new.unlink(missing_ok=True)
            count = _copy(folder, new)
            number = 1 + sum(1 for _ in folder.glob(f"{KEPT_AS}-*.sqlite"))
            for suffix in ("-shm", "-wal", ""):  # the file itself last: until then, a repair can be repeated
                old = folder / f"{JOURNAL}{suffix}"
                if old.exists():
                    old.rename(folder / f"{KEPT_AS}-{number}.sqlite{suffix}")
            new.rename(folder / JOURNAL)
        return count
    finally:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        os.close(lock)


def _copy(folder: Path, new: Path) -> int:
    address = f"{(folder / JOURNAL).absolute().as_uri()}?mode=ro"
    with (
        contextlib.closing(sqlite3.connect(address, uri=True)) as source,
        contextlib.closing(sqlite3.connect(new)) as target,
    ):
        target.executescript(TABLES)
        for table, columns in JSON_COLUMNS.items():
            for row in _readable(source, table, columns):
                target.execute(f"INSERT OR IGNORE INTO {table} VALUES ({','.join('?' * len(row))})", row)
        target.execute("UPDATE tasks SET composed = NULL")  # those trials may be lost; joins are composed anew
        target.commit()
        target.execute("PRAGMA journal_mode = WAL")
        meta = dict(target.execute("SELECT key, value FROM meta"))
        if meta.get("schema") != str(SCHEMA) or "settings" not in meta:
            raise UserError(f"Nothing can be saved of the journal {folder / JOURNAL}: what it was about is lost.")
        return target.execute("SELECT count(*) FROM trials").fetchone()[0]


def _readable(source: sqlite3.Connection, table: str, columns: tuple[int, ...]) -> Iterator[tuple]:
    """Rows from both ends up to the damage; the same row may come twice."""
    for order in ("ASC", "DESC"):
        try:
            for row in source.execute(f"SELECT * FROM {table} ORDER BY rowid {order}"):
                if all(_parses(row[column]) for column in columns):
                    yield row
            return
        except sqlite3.DatabaseError:
            continue


def _parses(text: object) -> bool:
    try:
        json.loads(text)
    except (TypeError, ValueError):
        return False
    return True
