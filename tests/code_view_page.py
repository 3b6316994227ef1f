"""The page that `test_code_view_browser.py` drives: one code view."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.components.code_view import code_view
from visualizers.code import Mark, Place

LINES = [f"for i{k} in T.serial({k}):  # <b>{k}</b>" for k in range(1, 301)]

code_view(
    "\n".join(LINES),
    key="code",
    label="Some code",
    marks=[Mark(200, 202, "nest", "A nest"), Mark(201, 201, "shared", "Shared by two")],
    places=[Place("Fused nest 1", 200)],
)
