"""Progress of a long measurement on standard error."""

from __future__ import annotations

import sys

INTERRUPTED = 130
"""Exit status of a measurement that Ctrl+C ended."""


class Line:
    """Progress on standard error: at a terminal one line that is written over, else a line for each change of step."""

    def __init__(self) -> None:
        self._step = ""

    def say(self, text: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\x1b[K{text[:118]}", end="", file=sys.stderr, flush=True)
        elif (step := text.rpartition(" ")[0].rpartition(" ")[0]) != self._step:
            self._step = step
            print(text, file=sys.stderr, flush=True)
