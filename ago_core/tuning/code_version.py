"""Which code of this tool gave a session's traces and figures their meaning.

A trace is a list of steps on a prepared function: other code that writes functions, spaces or tasks may make another
schedule of it, and code that measures otherwise makes figures that cannot be compared. A source checkout keeps its
package version through all of that, so the sources themselves are hashed.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = (
    "graph",
    "lowering",
    "schedules",
    *(f"tuning/{name}.py" for name in ("bench", "plan", "space", "split", "tasks")),
)
"""Below `ago_core`: what writes functions, prepares and schedules them, numbers tasks, and measures."""
DIGITS = 16


@cache
def code_version() -> str:
    """Hexadecimal; another one after any change of `SOURCES`, comments included."""
    digest = hashlib.sha256()
    for source in SOURCES:
        path = ROOT / source
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.relative_to(ROOT).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:DIGITS]
