"""Who holds a session: the lock of its process, which the operating system lets go however the process ends.

It is an flock, so it says alive or dead without a heartbeat, whatever number the process had and whoever asks.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from ago_core.errors import UserError
from ago_core.tuning.files import LOCK

TRY_SECONDS = 1.0
"""Somebody who asks whether it is held holds it for a moment."""


def take_lock(folder: Path) -> int:
    """The descriptor of the lock, taken.

    Raises:
        UserError: another process holds it, or it cannot be written.
    """
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise UserError(f"The session in {folder} cannot be started: {error.strerror}; make it writable.") from error
    end = time.monotonic() + TRY_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            if time.monotonic() > end:
                os.close(descriptor)
                raise UserError(f"The session in {folder} is running already.") from None
            time.sleep(TRY_SECONDS / 50)


def is_held(folder: Path) -> bool:
    """Whether a process holds it."""
    try:
        with (folder / LOCK).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
