"""Turns on a device: two sessions that measure at once would slow each other down.

Every session that wants a device leaves a ticket, a file named by the time at which it came and locked by its process;
the oldest ticket has the turn. The lock of a process that dies goes with it, and others then remove its ticket.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from pathlib import Path
from typing import IO

from ago_core.errors import UserError

TICKET = ".ticket"


def turns_folder() -> Path:
    """Shared by all sessions of this user: `turns` in $AGO_CACHE, $XDG_CACHE_HOME/ago-explorer or its default."""
    if own := os.environ.get("AGO_CACHE"):
        return Path(own) / "turns"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "ago-explorer" / "turns"


class Turn:
    """A place in the queue for a device, from entering to leaving.

    Attributes:
        ahead: who has the turn, as they named themselves, while this one waits; else "".
    """

    def __init__(self, folder: Path, device: str, name: str):
        """`folder` is `turns_folder()`; `name` is what others are told while they wait."""
        self._folder = folder / hashlib.sha256(device.encode()).hexdigest()[:16]
        self._name = name
        self._ticket: Path | None = None
        self._files: list[IO[str]] = []
        self.ahead = ""

    def __enter__(self) -> Turn:
        """Raises UserError where the folder cannot be written."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            stem = f"{time.time_ns():020d}-{os.getpid()}"
            new = self._folder / f"{stem}.new"
            file = new.open("w")
            self._files.append(file)
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(self._name)
            file.flush()
            self._ticket = new.rename(self._folder / f"{stem}{TICKET}")  # locked before it can be seen
            self._device = (self._folder / "device").open("w")
            self._files.append(self._device)
        except OSError as error:
            self.__exit__()
            raise UserError(
                f"The folder {self._folder}, where sessions queue for a device, cannot be written: {error.strerror}; "
                "set AGO_CACHE to one that can."
            ) from error
        return self

    def has_come(self) -> bool:
        """Whether it is this one's turn: then it stays so until it leaves."""
        first = self._first()
        if first != self._ticket:
            with contextlib.suppress(OSError):
                self.ahead = first.read_text()
            return False
        try:  # a ticket written late may be older than one that has the turn: this lock decides
            fcntl.flock(self._device, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        self.ahead = ""
        return True

    def leave(self) -> None:
        """The turn is the next one's; may be called from any thread, and more than once."""
        if self._ticket is not None:
            self._ticket.unlink(missing_ok=True)
        for file in self._files:
            file.close()

    def __exit__(self, *_: object) -> None:
        self.leave()

    def _first(self) -> Path:
        """The oldest ticket whose process lives. Dead ones are removed on the way."""
        for ticket in sorted(self._folder.glob(f"*{TICKET}")):
            if ticket == self._ticket or _is_held(ticket):
                return ticket
            ticket.unlink(missing_ok=True)
        raise UserError(f"The session's ticket in {self._folder} was removed; resume the session.")


def _is_held(file: Path) -> bool:
    try:
        with file.open() as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
