"""Going through a session again at speed: which moment of its tuning is looked at."""

from __future__ import annotations

from dataclasses import dataclass

SPEEDS = (1, 5, 20, 100, 500)
"""Times as fast as it was."""
LASTS = 30.0
"""Seconds that a replay should last at the speed that it begins with."""


@dataclass
class Replay:
    """A moment of a session, in seconds of tuning.

    Attributes:
        position: the moment.
        speed: of playing, one of `SPEEDS`.
        playing: whether it goes on by itself.
    """

    position: float
    speed: int
    playing: bool = False
    _at: float = 0.0

    def play(self, now: float, end: float) -> None:
        """From here on, or from the start where this is the end. `now` in seconds, of any clock."""
        if self.position >= end:
            self.position = 0.0
        self.playing, self._at = True, now

    def pause(self) -> None:
        self.playing = False

    def go(self, position: float) -> None:
        self.position = position

    def tick(self, now: float, end: float) -> None:
        """Where playing is by now; it ends at the end."""
        if not self.playing:
            return
        self.position = min(end, self.position + (now - self._at) * self.speed)
        self._at = now
        self.playing = self.position < end


def begin(end: float) -> Replay:
    """At the start of a session that lasted so long."""
    return Replay(0.0, next((speed for speed in SPEEDS if end / speed <= LASTS), SPEEDS[-1]))
