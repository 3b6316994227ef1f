"""How long something that failed is left alone: a pause that doubles with each failure in a row."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 60.0


@dataclass(frozen=True)
class Health:
    """Of a device or a process; no clock of its own.

    Attributes:
        failures: in a row.
        until: time up to which it is left alone.
        reason: one sentence about the last failure; "" where there is none.
    """

    failures: int = 0
    until: float = 0.0
    reason: str = ""

    def failed(self, now: float, reason: str) -> Health:
        """Pauses of 0.5, 1, 2, 4… and at most 60 seconds."""
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self.failures, 32))
        return Health(self.failures + 1, now + pause, reason)

    def pause(self, now: float) -> float:
        """Seconds for which it is still left alone."""
        return max(0.0, self.until - now)


HEALTHY = Health()
