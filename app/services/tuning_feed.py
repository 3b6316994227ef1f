"""What is known of a session, kept up to date by reading only what its journal has gained since the last time."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ago_core.errors import UserError
from ago_core.tuning import control, lock
from ago_core.tuning.events import Kind, State
from ago_core.tuning.journal import DamagedJournal, JournalReader, read_journal
from app.services.kept import Kept
from app.services.tuning import ABLATION_NAMES, device_json, signature
from visualizers.tuning_history import History, Task, Unit, read_tasks, units

KEPT_FEEDS = 32
MAX_EVENTS = 4000
"""Read at once: a long session appears in steps, rather than after seconds."""
PLANNED = "target"
"""The entry of a journal that is written with its plan."""


class Feed:
    """A session's journal in memory; any number of pages may share it.

    Attributes:
        folder: of the session.
        meta: the journal's entries.
        tasks, units: what is tuned; empty before the session has planned it.
        history: its events so far.
        state, reason: how it stands, as `control.Status` has them.
        error: one sentence that says why it cannot be read, or "".
        damaged: whether that is because its journal is damaged, which can be repaired.
        version: another one after each change.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._lock = threading.Lock()
        self._forget()
        self.version = 0

    def _forget(self) -> None:
        self.meta: dict[str, Any] = {}
        self.tasks: tuple[Task, ...] = ()
        self.units: tuple[Unit, ...] = ()
        self.history = History()
        self.state, self.reason, self.error = State.QUEUED, "", ""
        self.damaged = False
        self._seen: tuple | None = None
        self._file: int | None = None

    def update(self) -> Feed:
        """Reads what is new. Costs next to nothing where there is nothing."""
        with self._lock:
            seen = signature(self.folder)
            if seen == self._seen:
                return self
            file = _inode(self.folder)
            if file != self._file:
                self._forget()  # another journal, after a repair
            try:
                self._read()
                self.error, self.damaged = "", False
            except UserError as error:
                self.error, self.damaged = str(error), isinstance(error, DamagedJournal)
            self._file, self._seen = file, seen
            self.version += 1
        return self

    def _read(self) -> None:
        alive = lock.is_held(self.folder)  # asked first: it may end in between
        with read_journal(self.folder) as journal:
            self.meta = journal.meta()
            if PLANNED in self.meta and not self.tasks:
                self.tasks = read_tasks(journal.tasks())
                self.units = units(self.tasks, self.meta["partition"]["subgraphs"])
            self._read_events(journal)
        last = self.history.of(Kind.SESSION)[-1].data
        self.state, self.reason = State(last["state"]), last["reason"]
        if not alive and not self.state.ended:
            status = control.status(self.folder)
            self.state, self.reason = status.state, status.reason

    def _read_events(self, journal: JournalReader) -> None:
        while new := journal.events(self.history.last, limit=MAX_EVENTS):
            self.history.add(new)

    @property
    def settings(self) -> Mapping[str, Any]:
        return self.meta["settings"]

    @property
    def total(self) -> int:
        """Trials asked for."""
        return self.settings["trials"]

    @property
    def model(self) -> str:
        """Its name, or what was asked for before it was loaded."""
        return self.meta.get("name") or next(iter(self.meta["model"].values()))

    @property
    def ablation(self) -> str:
        return ABLATION_NAMES[control.settings_from_json(self.settings).ablation_name]

    @property
    def device(self) -> str:
        return device_json(self.settings)

    @property
    def planned(self) -> bool:
        """Whether the session has begun: its process has loaded the model and knows its tasks."""
        return bool(self.tasks)


def _inode(folder: Path) -> int | None:
    try:
        return (folder / control.JOURNAL).stat().st_ino
    except OSError:
        return None


@cache
def _feeds() -> Kept[Path, Feed]:
    return Kept(KEPT_FEEDS)


def feed(folder: Path) -> Feed:
    """The server's feed of a session, up to date."""
    return _feeds().get(folder, lambda: Feed(folder)).update()
