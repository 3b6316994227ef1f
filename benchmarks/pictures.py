"""The README's pictures, taken of the running app.

    python -m benchmarks.pictures            write docs/pictures/*.png

Needs Chromium on the PATH. The app runs with a folder of its own: a short session tunes MobileNetV2 first, and Compare
measures two plans, so that the figures in the pictures are of this machine and day.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.browser import APP, CHROMIUM, FLAGS, ROOT, serving
from benchmarks.ui import DRAWN, QUIET, WAIT_MS, WATCH, WIDE

PICTURES = ROOT / "docs" / "pictures"
MODEL, TRIALS = "mobilenet_v2@224", 200
SESSION = "mobilenet_v2_112"


def main() -> int:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    if CHROMIUM is None:
        sys.exit("Pictures need Chromium on the PATH: install the package chromium.")
    from playwright.sync_api import sync_playwright

    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        _tune(Path(folder) / "data" / "sessions" / SESSION)
        with serving(APP, AGO_DATA=f"{folder}/data") as (address, _), sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            for name, (query, act) in SCENES.items():
                page = browser.new_context(viewport=WIDE).new_page()
                page.goto(f"{address}/{query}")
                act(page)
                _settled(page)
                page.screenshot(path=PICTURES / f"{name}.png")
                page.context.close()
            browser.close()
    return 0


def _tune(folder: Path) -> None:
    command = [sys.executable, "-m", "ago_core", "tune", "mobilenet_v2@112", "--trials", str(TRIALS)]
    subprocess.run([*command, "--session", str(folder)], cwd=ROOT, check=True)


def _explore(page) -> None:
    page.wait_for_function(DRAWN, timeout=WAIT_MS)


def _code(page) -> None:
    page.wait_for_function(DRAWN, timeout=WAIT_MS)
    page.get_by_role("radio", name="Code", exact=True).click()
    page.get_by_text(re.compile("prim_func")).first.wait_for(timeout=WAIT_MS)
    page.get_by_role("radio", name="Code", exact=True).scroll_into_view_if_needed()
    page.mouse.wheel(0, 500)


def _compare(page) -> None:
    page.get_by_role("button", name="Measure both").click(timeout=WAIT_MS)
    page.get_by_text("Not in kernels").first.wait_for(timeout=WAIT_MS)


def _loaded(page) -> None:
    page.wait_for_timeout(3000)
    page.get_by_text("Loading").first.wait_for(state="hidden", timeout=WAIT_MS)


def _settled(page) -> None:
    page.evaluate(WATCH)
    page.wait_for_function(QUIET, timeout=WAIT_MS)
    page.wait_for_timeout(2000)  # drawings turn to what is selected


SCENES: dict[str, tuple[str, Callable]] = {
    "explore": (f"?model={MODEL}&subgraph=ago:4", _explore),
    "code": (f"?model={MODEL}&subgraph=ago:4", _code),
    "compare": (f"compare?model={MODEL}", _compare),
    "tune": (f"tune?model=mobilenet_v2@112&session={SESSION}", _loaded),
    "lessons": ("lessons?lesson=cycles", _loaded),
}
"""Of each picture the address, and what is done there."""


if __name__ == "__main__":
    sys.exit(main())
