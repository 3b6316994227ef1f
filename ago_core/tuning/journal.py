"""A session's journal: one SQLite file in its folder, appended to by the tuner and polled by any number of readers.

In WAL mode readers never wait for the writer nor the writer for them, and what was committed survives the death of the
process at any moment: a record torn by it is recognised by its checksum and left out (https://sqlite.org/wal.html).
Each trial is one transaction with its events. Others write only to `commands`.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ago_core.errors import UserError
from ago_core.tuning.events import Command, Event, Kind, State
from ago_core.tuning.files import JOURNAL
from ago_core.tuning.interfaces import Measurement

SCHEMA = 1
BUSY_SECONDS = 10.0
"""How long a write waits for another one, such as a command that is being sent."""

TABLES = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE tasks(id INTEGER PRIMARY KEY, kind TEXT NOT NULL, data TEXT NOT NULL, composed TEXT);
CREATE TABLE trials(
    id INTEGER PRIMARY KEY, task INTEGER NOT NULL, seconds TEXT NOT NULL, error TEXT, correct INTEGER,
    device TEXT NOT NULL, at REAL NOT NULL, elapsed REAL NOT NULL, trace TEXT NOT NULL);
CREATE INDEX trials_by_task ON trials(task);
CREATE TABLE events(
    id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, elapsed REAL NOT NULL, kind TEXT NOT NULL,
    data TEXT NOT NULL);
CREATE INDEX events_by_kind ON events(kind, id);
CREATE TABLE commands(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, value INTEGER NOT NULL);
"""
TRIAL = "id, task, seconds, error, correct, device, at, elapsed"
"""Columns of a `Trial`."""


class DamagedJournal(UserError):
    """The journal is not as it was written. `repair.repair` saves what can be read of it."""

    def __init__(self, folder: Path, detail: str):
        super().__init__(
            f"The journal {folder / JOURNAL} is damaged ({detail}); nothing was changed in it. "
            f"Go on with what can be read of it by: python -m ago_core resume {folder} --repair."
        )


@dataclass(frozen=True)
class Trial:
    """One measured candidate.

    Attributes:
        id: ascending in the order in which trials were measured.
        task: its number.
        measurement: what came of it.
        at: Unix time.
        elapsed: seconds of tuning, as in `Event`.
    """

    id: int
    task: int
    measurement: Measurement
    at: float
    elapsed: float


class JournalReader:
    """Reads a journal that may be written at the same time.

    Raises:
        UserError: from every method, where there is no journal, it cannot be read, or it is damaged.
    """

    def __init__(self, folder: Path, connection: sqlite3.Connection):
        self.folder = folder
        self._connection = connection
        self._lock = threading.RLock()

    def meta(self) -> dict[str, Any]:
        return {key: self._json(value, f"the entry {key}") for key, value in self._rows("SELECT key, value FROM meta")}

    def tasks(self) -> list[dict[str, Any]]:
        """What `Journal.write_plan` wrote, with id and kind."""
        rows = self._rows("SELECT id, kind, data FROM tasks ORDER BY id")
        return [{"id": id_, "kind": kind, **self._json(data, f"task {id_}")} for id_, kind, data in rows]

    def composed(self, task: int) -> dict[str, int | None] | None:
        """The trials that a join was composed from, by task of its parts; None where it has not begun."""
        (value,) = next(self._rows("SELECT composed FROM tasks WHERE id = ?", task), (None,))
        return None if value is None else self._json(value, f"task {task}")

    def trials(self, after: int = 0) -> Iterator[Trial]:
        """In order; those after trial `after`."""
        query = f"SELECT {TRIAL} FROM trials WHERE id > ? ORDER BY id"
        return (self._trial(*row) for row in self._rows(query, after))

    def trials_with_traces(self) -> Iterator[tuple[Trial, str]]:
        """All, in order."""
        return (
            (self._trial(*row), trace) for *row, trace in self._rows(f"SELECT {TRIAL}, trace FROM trials ORDER BY id")
        )

    def traces(self, task: int) -> Iterator[tuple[str, Measurement]]:
        """What was measured of a task, in order."""
        query = "SELECT id, trace, seconds, error, correct, device FROM trials WHERE task = ? ORDER BY id"
        for id_, trace, seconds, error, correct, device in self._rows(query, task):
            yield trace, self._measurement(id_, seconds, error, correct, device)

    def trace(self, trial: int) -> str:
        return next(self._rows("SELECT trace FROM trials WHERE id = ?", trial))[0]

    def trial_count(self) -> int:
        return next(self._rows("SELECT count(*) FROM trials"))[0]

    def last_trial(self) -> int:
        """Number of the newest; 0 where there is none."""
        return next(self._rows("SELECT coalesce(max(id), 0) FROM trials"))[0]

    def recent(self, count: int) -> list[float]:
        """Elapsed seconds of the last so many trials, ascending."""
        rows = self._rows("SELECT elapsed FROM trials ORDER BY id DESC LIMIT ?", count)
        return [elapsed for (elapsed,) in rows][::-1]

    def events(self, after: int = 0, kinds: Sequence[Kind] = tuple(Kind), limit: int = -1) -> list[Event]:
        """Events after number `after`, in order; the first `limit` of them."""
        marks = ",".join("?" * len(kinds))
        query = f"SELECT id, at, elapsed, kind, data FROM events WHERE id > ? AND kind IN ({marks}) ORDER BY id LIMIT ?"
        rows = self._rows(query, after, *(kind.value for kind in kinds), limit)
        return [self._event(*row) for row in rows]

    def last(self, kind: Kind) -> Event | None:
        """The last event of a kind."""
        query = "SELECT id, at, elapsed, kind, data FROM events WHERE kind = ? ORDER BY id DESC LIMIT 1"
        return next((self._event(*row) for row in self._rows(query, kind.value)), None)

    def last_event(self) -> int:
        """Number of the newest event."""
        return next(self._rows("SELECT coalesce(max(id), 0) FROM events"))[0]

    def elapsed(self) -> float:
        """Seconds of tuning so far."""
        return next(self._rows("SELECT elapsed FROM events ORDER BY id DESC LIMIT 1"), (0.0,))[0]

    def _event(self, id_: int, at: float, elapsed: float, kind: str, data: str) -> Event:
        return Event(id_, at, elapsed, Kind(kind), self._json(data, f"event {id_}"))

    def _trial(self, id_: int, task: int, seconds: str, error, correct, device, at: float, elapsed: float) -> Trial:
        return Trial(id_, task, self._measurement(id_, seconds, error, correct, device), at, elapsed)

    def _measurement(self, id_: int, seconds: str, error: str | None, correct: int | None, device: str) -> Measurement:
        values = tuple(self._json(seconds, f"trial {id_}"))
        return Measurement(values, error, None if correct is None else bool(correct), device)

    def _json(self, text: str, what: str) -> Any:
        try:
            return json.loads(text)
        except ValueError as error:
            raise DamagedJournal(self.folder, f"{what} cannot be read") from error

    def _rows(self, query: str, *values: object) -> Iterator[tuple]:
        """Rows as they are read: those before a damaged page are given before the error is raised."""
        with explained(self.folder), self._lock:
            cursor = self._connection.execute(query, values)
        while True:
            with explained(self.folder), self._lock:
                row = cursor.fetchone()
            if row is None:
                return
            yield row


class Journal(JournalReader):
    """Writes a journal; the session's process has the only one. May be used from several threads."""

    def write_meta(self, values: Mapping[str, Any]) -> None:
        with self.transaction() as connection:
            rows = [(key, json.dumps(value)) for key, value in values.items()]
            connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)

    def write_plan(self, identity: Mapping[str, Any], tasks: Sequence[Mapping[str, Any]]) -> None:
        """What the session tunes: its identity and its tasks, with `kind` and any other fields, numbered from 0."""
        with self.transaction() as connection:
            self.write_meta(identity)
            rows = [(index, task["kind"], json.dumps(_without_kind(task))) for index, task in enumerate(tasks)]
            connection.executemany("INSERT INTO tasks(id, kind, data) VALUES (?, ?, ?)", rows)

    def write_composed(self, task: int, trials: Mapping[str, int | None]) -> None:
        with self.transaction() as connection:
            connection.execute("UPDATE tasks SET composed = ? WHERE id = ?", (json.dumps(trials), task))

    def add_trial(self, task: int, trace: str, measurement: Measurement, elapsed: float) -> int:
        """Records a trial and its event. Returns its number."""
        m = measurement
        with self.transaction() as connection:
            values = (task, json.dumps(m.seconds), m.error, m.correct, m.device, time.time(), elapsed, trace)
            query = "INSERT INTO trials(task, seconds, error, correct, device, at, elapsed, trace) VALUES "
            trial = connection.execute(f"{query}(?, ?, ?, ?, ?, ?, ?, ?)", values).lastrowid
            data = {"trial": trial, "task": task, "latency": m.latency}
            data |= {"error": m.error, "correct": m.correct, "device": m.device}
            self.add_event(Kind.TRIAL, data, elapsed)
            return trial

    def add_event(self, kind: Kind, data: Mapping[str, Any], elapsed: float) -> None:
        with self.transaction() as connection:
            values = (time.time(), elapsed, kind.value, json.dumps(data))
            connection.execute("INSERT INTO events(at, elapsed, kind, data) VALUES (?, ?, ?, ?)", values)

    def send(self, command: Command, value: int = 0) -> None:
        with self.transaction() as connection:
            connection.execute("INSERT INTO commands(name, value) VALUES (?, ?)", (command.value, value))

    def waiting_commands(self) -> int:
        return next(self._rows("SELECT count(*) FROM commands"))[0]

    def take_commands(self) -> list[tuple[Command, int]]:
        """Commands since the last time, in order; they are gone from the journal."""
        with self.transaction() as connection:
            rows = connection.execute("SELECT name, value FROM commands ORDER BY id").fetchall()
            connection.execute("DELETE FROM commands")
        return [(Command(name), value) for name, value in rows]

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing; one inside another is part of it.

        Raises:
            UserError: it could not be written; what was there before still is.
        """
        with self._lock, explained(self.folder):
            if self._connection.in_transaction:
                yield self._connection
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise


def _without_kind(task: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in task.items() if key != "kind"}


def create_journal(folder: Path, meta: Mapping[str, Any]) -> None:
    """Makes the folder, if need be, and an empty journal in the state queued.

    Raises:
        UserError: there is a session in it already, or it cannot be written.
    """
    if (folder / JOURNAL).exists():
        raise UserError(f"{folder} holds a session already; resume it, or choose another folder.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The folder {folder} cannot be made: {error.strerror}; choose another one.") from error
    new = folder / f"{JOURNAL}.new"  # readers see it whole or not at all
    with explained(folder):
        new.unlink(missing_ok=True)  # of a process that was killed here
        try:
            with contextlib.closing(sqlite3.connect(new, isolation_level=None)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(TABLES)
                journal = Journal(folder, connection)
                journal.write_meta({"schema": SCHEMA, "created": time.time(), **meta})
                journal.add_event(Kind.SESSION, {"state": State.QUEUED.value, "reason": ""}, 0.0)
            new.rename(folder / JOURNAL)
        finally:
            new.unlink(missing_ok=True)


@contextlib.contextmanager
def open_journal(folder: Path) -> Iterator[Journal]:
    """For writing. Raises UserError where there is none of this version, it is damaged, or it cannot be written."""
    _require(folder)
    with explained(folder):
        connection = sqlite3.connect(folder / JOURNAL, BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    with contextlib.closing(connection):
        journal = Journal(folder, connection)
        _check_schema(journal)
        with explained(folder):
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA user_version = 0")  # a write: fails where it cannot be written
        yield journal


@contextlib.contextmanager
def read_journal(folder: Path) -> Iterator[JournalReader]:
    """For reading. Raises UserError where there is none of this version, or it is damaged."""
    _require(folder)
    with contextlib.ExitStack() as stack:
        with explained(folder):
            connection = stack.enter_context(contextlib.closing(_read_only(folder, stack)))
        reader = JournalReader(folder, connection)
        _check_schema(reader)
        yield reader


def check_journal(folder: Path) -> None:
    """Reads the whole file once. Raises UserError where a page or an index of it is damaged."""
    with read_journal(folder) as reader:
        found = next(reader._rows("PRAGMA quick_check(1)"))[0]
        if found != "ok":
            raise DamagedJournal(folder, found.splitlines()[-1])


def _require(folder: Path) -> None:
    if not (folder / JOURNAL).is_file():
        raise UserError(f"There is no session in {folder}: it has no {JOURNAL}.")


def _check_schema(reader: JournalReader) -> None:
    schema = reader.meta().get("schema")
    if schema != SCHEMA:
        raise UserError(f"The session in {reader.folder} has schema {schema!r}; this version reads {SCHEMA}.")


def _read_only(folder: Path, stack: contextlib.ExitStack) -> sqlite3.Connection:
    """A connection that cannot write. In a folder where SQLite may not make its index of the log, a copy is read."""
    connection = _connect_read_only(folder)
    try:
        connection.execute("SELECT 1 FROM sqlite_master")
        return connection
    except sqlite3.OperationalError as error:
        connection.close()
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise
    copy = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ago-journal-")))
    for file in (folder / JOURNAL, folder / f"{JOURNAL}-wal"):
        if file.exists():
            shutil.copyfile(file, copy / file.name)
    return _connect_read_only(copy)


def _connect_read_only(folder: Path) -> sqlite3.Connection:
    address = f"{(folder / JOURNAL).absolute().as_uri()}?mode=ro"
    return sqlite3.connect(address, BUSY_SECONDS, uri=True, isolation_level=None, check_same_thread=False)


@contextlib.contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turns SQLite's errors, and those of files, into sentences."""
    try:
        yield
    except OSError as error:
        raise UserError(f"The session in {folder} cannot be read: {error.strerror}.") from error
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):  # the last: no such table
            raise DamagedJournal(folder, str(error)) from error
        reasons = {
            sqlite3.SQLITE_FULL: "the disk is full; make room and resume it",
            sqlite3.SQLITE_IOERR: "the disk is full or failing; make room and resume it",
            sqlite3.SQLITE_READONLY: "the folder is read-only; make it writable or copy it elsewhere",
            sqlite3.SQLITE_CANTOPEN: "the folder is read-only or gone; make it writable or copy it elsewhere",
            sqlite3.SQLITE_PERM: "its files may not be written; change their permissions",
            sqlite3.SQLITE_BUSY: "another program holds its journal; close that program",
        }
        reason = reasons.get(code, str(error))
        raise UserError(f"The session in {folder} cannot be written: {reason}. No earlier trial is lost.") from error
