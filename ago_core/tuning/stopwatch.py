"""A clock of tuning time."""

from __future__ import annotations

from collections.abc import Callable

Clock = Callable[[], float]


class Stopwatch:
    """Seconds of tuning, `before` those of earlier processes: it stands while the session is paused or waits."""

    def __init__(self, clock: Clock, before: float):
        self._clock = clock
        self._sum = before
        self._since: float | None = None

    def start(self) -> None:
        if self._since is None:
            self._since = self._clock()

    def stop(self) -> None:
        self._sum, self._since = self.seconds, None

    @property
    def seconds(self) -> float:
        return self._sum + (0.0 if self._since is None else self._clock() - self._since)
