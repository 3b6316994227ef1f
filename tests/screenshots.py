"""Pictures of the pages that browser tests open: output of continuous integration to look at, never compared."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(os.environ.get("AGO_SCREENSHOTS") or Path(__file__).resolve().parents[1] / "test-output" / "screenshots")
TIMEOUT_MS = 5_000


def keep(page, name: str) -> None:
    """Saves what a page shows as NAME.png, in place of an older one."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=FOLDER / f"{name}.png", timeout=TIMEOUT_MS)
