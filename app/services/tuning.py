"""Tuning sessions on disk: where they lie, how each stands, starting, deleting and exporting them.

Sessions are processes of their own (`ago_core.tuning`): this only reads their journals and sends them commands, so any
number of pages, servers and command lines can look at one, and none of them needs TVM for it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import statistics
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ago_core.errors import UserError
from ago_core.graph.opgraph import OpGraph
from ago_core.partition.partition import Partition, partition_from_json
from ago_core.partition.settings import Settings
from ago_core.tuning import control, lock
from ago_core.tuning.control import Request, Status
from ago_core.tuning.files import BEST
from ago_core.tuning.journal import read_journal
from ago_core.tuning.records import write_csv
from ago_core.tuning.settings import ABLATIONS, Ablation, Device, TuningSettings
from app.services.models import Choice

ABLATION_NAMES = {
    "ago": "AGO",
    "no-fusion": "No intensive fusion",
    "no-reformer": "No reformer",
    "heuristic": "TVM heuristic",
    "stock": "Stock MetaSchedule",
    "custom": "Edited",
}
ABLATION_HELPS = {
    "ago": "AGO's partition, tuned by parts and then joined, with several complex operators in one nest.",
    "no-fusion": "As AGO, but no nest holds two complex operators.",
    "no-reformer": "AGO's subgraphs tuned whole from the start, without tuning their parts first.",
    "heuristic": "TVM's partition, tuned in the same spaces as AGO.",
    "stock": "TVM's partition, tuned in the spaces that TVM's MetaSchedule ships.",
    "custom": "Your edited partition, tuned as AGO's would be.",
}
EDITED_ABLATION = Ablation("edited")
"""What "custom" names: all of AGO, on the user's partition."""
ADOPTED = "folders.json"
FEW_TRIALS = 16
"""Sessions with fewer tell no rate."""
MAX_NAME = 80


def sessions_folder() -> Path:
    """`sessions` in `$AGO_DATA`, else in `$XDG_DATA_HOME/ago-explorer`, else in `~/.local/share/ago-explorer`."""
    if own := os.environ.get("AGO_DATA"):
        return Path(own) / "sessions"
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "ago-explorer" / "sessions"


@dataclass(frozen=True)
class Wish:
    """What to tune, once for each of `ablations`.

    Attributes:
        choice: the model.
        ablations: names in `ABLATION_NAMES`; "custom" tunes `edited`.
        device: that measures.
        trials: of each session.
        name: of the session, or of the folder that holds them; an absolute path puts it elsewhere.
        clustering: of AGO's partition.
        edited: the user's partition, where "custom" is asked for.
        reuse: folder of a session whose schedules that takes over, see `ago_core.tuning.known`.
    """

    choice: Choice
    ablations: tuple[str, ...]
    device: Device
    trials: int
    name: str
    clustering: Settings = Settings()
    edited: Partition | None = None
    reuse: Path | None = None

    def request(self, ablation: str, model: str | Path) -> Request:
        """For one session."""
        is_edited = ablation == "custom"
        chosen = EDITED_ABLATION if is_edited else ABLATIONS[ablation]
        settings = TuningSettings(self.trials, self.device, chosen, clustering=self.clustering)
        partition, reuse = (self.edited.to_json(), self.reuse) if is_edited else (None, None)
        return Request(model, dict(self.choice.dims), settings, partition, reuse)


@dataclass(frozen=True)
class Row:
    """A session in the list.

    Attributes:
        key: names it in an address.
        folder: where it lies.
        changed: Unix time of the last change of its journal.
        status: how it stands; None where it cannot be read.
        error: one sentence that says why, or "".
        model_hash: of the model that it tunes; "" before it is known.
        threads: of its device, where that is this machine; else 0.
    """

    key: str
    folder: Path
    changed: float
    status: Status | None
    error: str = ""
    model_hash: str = ""
    threads: int = 0


class SessionStore:
    """The sessions of this user: those below `root`, two folders deep, and others that were named to it."""

    def __init__(self, root: Path):
        self.root = root
        self._rows: dict[Path, tuple[tuple, Row]] = {}
        self._lock = threading.Lock()

    def folders(self) -> dict[str, Path]:
        """By key."""
        found = {}
        with contextlib.suppress(OSError):
            for pattern in ("*", "*/*"):
                for journal in self.root.glob(f"{pattern}/{control.JOURNAL}"):
                    found[journal.parent.relative_to(self.root).as_posix()] = journal.parent
        return found | {_key_elsewhere(folder): folder for folder in self._adopted() if has_journal(folder)}

    def folder(self, key: str) -> Path | None:
        """Of one of them: an address opens no other file."""
        return self.folders().get(key)

    def key_of(self, folder: Path) -> str | None:
        return next((key for key, one in self.folders().items() if one == folder), None)

    def rows(self) -> list[Row]:
        """All, the one that changed last first."""
        rows = [self.row(key, folder) for key, folder in self.folders().items()]
        return sorted(rows, key=lambda row: (row.changed, row.key), reverse=True)

    def row(self, key: str, folder: Path) -> Row:
        """Read anew only where its journal has changed."""
        seen = signature(folder)
        with self._lock:
            if (kept := self._rows.get(folder)) and kept[0] == seen:
                return kept[1]
        row = _read_row(key, folder, seen)
        with self._lock:
            self._rows[folder] = seen, row
        return row

    def adopt(self, folder: Path) -> str:
        """Adds a session that lies elsewhere. Returns its key. Raises UserError where there is none."""
        folder = folder.expanduser().absolute()
        if not has_journal(folder):
            raise UserError(f"There is no session in {folder}: it has no {control.JOURNAL}.")
        if (key := self.key_of(folder)) is None:
            self._write_adopted({*self._adopted(), folder})
            key = _key_elsewhere(folder)
        return key

    def launch(self, wish: Wish, upload: Path | None = None, program: tuple[str, ...] | None = None) -> list[str]:
        """Creates and starts a session for each ablation; on one device they take turns.

        Args:
            wish: what to tune.
            upload: the model's file, which is copied into each session: what was uploaded does not stay.
            program: instead of the real tuner.

        Returns:
            Their keys.

        Raises:
            UserError: nothing was started, or not all of them: the sentence says why.
        """
        base = self._new_folder(wish.name)
        if not wish.ablations:
            raise UserError("Nothing to run is chosen: choose at least one of the settings.")
        folders = [base] if len(wish.ablations) == 1 else [base / name for name in wish.ablations]
        keys = []
        for folder, ablation in zip(folders, wish.ablations):
            model = wish.choice.spec if upload is None else folder / upload.name
            control.create(folder, wish.request(ablation, model))
            if upload is not None:
                _copied(upload, folder)
            control.start(folder, program)
            keys.append(self.key_of(folder) or self.adopt(folder))
        return keys

    def _new_folder(self, name: str) -> Path:
        path = Path(name).expanduser()
        if not path.is_absolute():
            if not name or name != path.name or name in (".", "..") or not name.isprintable() or len(name) > MAX_NAME:
                raise UserError(f"{name[:MAX_NAME]!r} cannot name a session: use a plain name, or an absolute path.")
            path = self.root / name
        if has_journal(path) or any(map(has_journal, path.glob("*"))):
            raise UserError(f"There is a session in {path} already: choose another name.")
        return path

    def delete(self, key: str) -> None:
        """Removes a session's files for good. Raises UserError where it runs or cannot be removed."""
        folder = self.folder(key)
        if folder is None:
            return
        if lock.is_held(folder):
            raise UserError(f"{key} is running: stop it first.")
        try:
            for pattern in (f"{control.JOURNAL}*", "damaged-*.sqlite*", "*.onnx", "*.json", "*.new", "tuner.*"):
                for file in folder.glob(pattern):
                    file.unlink()
            with contextlib.suppress(OSError):  # something of the user's own lies there
                folder.rmdir()
                if folder.parent.parent == self.root:
                    folder.parent.rmdir()
        except OSError as error:
            raise UserError(f"{key} cannot be deleted: {error.strerror}.") from error
        adopted = self._adopted()
        if folder in adopted:
            self._write_adopted(set(adopted) - {folder})

    def _adopted(self) -> list[Path]:
        with contextlib.suppress(OSError, ValueError, TypeError):
            return [Path(text) for text in json.loads((self.root / ADOPTED).read_text())]
        return []

    def _write_adopted(self, folders: Iterable[Path]) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            (self.root / ADOPTED).write_text(json.dumps(sorted(map(str, folders))))
        except OSError as error:
            raise UserError(f"The list {self.root / ADOPTED} cannot be written: {error.strerror}.") from error


def has_journal(folder: Path) -> bool:
    return (folder / control.JOURNAL).is_file()


def signature(folder: Path) -> tuple:
    """Changes when the journal does, or when its process comes or goes. SQLite's log counts only with something in it:
    whoever reads a journal that nobody writes makes an empty one."""
    seen = [lock.is_held(folder)]
    for name in (control.JOURNAL, f"{control.JOURNAL}-wal"):
        with contextlib.suppress(OSError):
            found = (folder / name).stat()
            if found.st_size:
                seen += [name, found.st_ino, found.st_size, found.st_mtime_ns]
    return tuple(seen)


def _read_row(key: str, folder: Path, seen: tuple) -> Row:
    changed = max((part for part in seen if isinstance(part, int) and part > 10**17), default=0) / 1e9
    try:
        status = control.status(folder)
        with read_journal(folder) as journal:
            meta = journal.meta()
    except UserError as error:
        return Row(key, folder, changed, None, str(error))
    threads = meta["settings"]["device"].get("threads", 0)
    return Row(key, folder, changed, status, "", meta.get("model_hash", ""), threads)


def _key_elsewhere(folder: Path) -> str:
    return f"{folder.name}~{hashlib.sha256(str(folder).encode()).hexdigest()[:6]}"


def _copied(upload: Path, folder: Path) -> None:
    try:
        shutil.copyfile(upload, folder / upload.name)
    except OSError as error:
        raise UserError(f"The model cannot be copied into {folder}: {error.strerror}.") from error


def typical_rate(rows: Iterable[Row], device: str, threads: int, model: str) -> float | None:
    """Trials a second of earlier sessions on a device, of the same model where there are any; None: not known."""
    there = [row for row in rows if row.status and row.status.device == device and row.threads == threads]
    told = [row.status for row in there if row.status.trials >= FEW_TRIALS and row.status.elapsed > 0]
    same = [status for status in told if status.model == model]
    return statistics.median(status.trials / status.elapsed for status in same or told) if told else None


def default_name(choice: Choice, ablations: Sequence[str], taken: Iterable[str]) -> str:
    """Such as "squeezenet-56-ago", with a number where there is one already."""
    stem = Path(choice.name).stem if choice.path else choice.name.replace("@", "-")
    base = f"{stem}-{ablations[0]}" if len(ablations) == 1 else f"{stem}-compare"
    used = {key.split("/")[0] for key in taken}
    names = (base if number == 1 else f"{base}-{number}" for number in range(1, len(used) + 2))
    return next(name for name in names if name not in used)


def results(rows: Iterable[Row], model_hash: str) -> list[Row]:
    """Sessions of a model whose best functions can be compiled."""
    return [row for row in rows if row.status and row.model_hash == model_hash and (row.folder / BEST).exists()]


def result(folder: Path, graph: OpGraph) -> tuple[Partition, int]:
    """The partition that a session found, and a number that changes with its result.

    Raises:
        UserError: it has none, or one of another model.
    """
    file = folder / BEST
    try:
        data = json.loads(file.read_text())["partition"]
        return partition_from_json(graph, data), file.stat().st_mtime_ns
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"The session in {folder} has no result that can be read: {error}.") from error


def csv_of(folder: Path) -> bytes:
    """All trials. Raises UserError where the journal is damaged."""
    with tempfile.TemporaryDirectory(prefix="ago-csv-") as temporary, read_journal(folder) as journal:
        path = Path(temporary) / "trials.csv"
        write_csv(journal, path)
        return path.read_bytes()


def device_json(settings: Mapping[str, Any]) -> str:
    """A device as people read it, from the settings in a journal."""
    device = settings["device"]
    if device["kind"] == "local":
        return f"this machine, {device['threads']} thread{'s' if device['threads'] != 1 else ''}"
    return f"{device['key']} at {device['host']}:{device['port']}"


@cache
def session_store() -> SessionStore:
    """The server's store."""
    return SessionStore(sessions_folder())
