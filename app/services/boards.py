"""What tabs compiled and ran, kept by a short key that stands in the address, so that a reload finds it again."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from functools import cache

from app.services.jobs import Job, Work

Board = dict[Work, list[Job]]
"""For each kind of work the last job that is done, and the one after it."""
KEPT = 32


class Boards:
    """The boards that were asked for last; one with a job that waits or runs stays."""

    def __init__(self, kept: int = KEPT):
        self._kept = kept
        self._lock = threading.Lock()
        self._boards: OrderedDict[str, Board] = OrderedDict()

    def new(self) -> tuple[str, Board]:
        """An empty board and its key."""
        key = secrets.token_hex(4)
        with self._lock:
            self._boards[key] = board = {}
            idle = [one for one, jobs in self._boards.items() if one != key and not _active(jobs)]
            for one in idle[: max(0, len(self._boards) - self._kept)]:
                del self._boards[one]
        return key, board

    def find(self, key: str) -> Board | None:
        with self._lock:
            if key in self._boards:
                self._boards.move_to_end(key)
            return self._boards.get(key)


def _active(board: Board) -> bool:
    return any(job.active for jobs in list(board.values()) for job in jobs)


@cache
def boards() -> Boards:
    """The server's boards."""
    return Boards()
