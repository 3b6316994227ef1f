"""The code view in a real browser: numbered lines as they are, marks, going to a place, copying."""

from __future__ import annotations

import pytest

from benchmarks.browser import CHROMIUM, FLAGS, serving
from tests.code_view_page import LINES

pytestmark = pytest.mark.browser


@pytest.fixture
def server():
    with serving("tests/code_view_page.py") as (address, _):
        yield address


@pytest.fixture
def page(server):
    if CHROMIUM is None:
        pytest.skip("no Chromium on the PATH")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=server)
        yield context.new_page()
        browser.close()


def test_lines_are_numbered_marked_found_and_copied(page, server):
    page.goto(server)
    lines = page.locator(".code-view .line")
    lines.nth(299).wait_for(state="attached", timeout=30_000)
    assert lines.count() == 300
    assert lines.nth(0).inner_text().split("\n") == ["1", LINES[0]], "what looks like HTML is shown as it is"
    marked = lines.nth(200)
    assert {"mark-nest", "mark-shared"} <= set(marked.get_attribute("class").split())
    assert marked.get_attribute("title") == "A nest\nShared by two"
    assert lines.nth(203).get_attribute("title") is None

    page.get_by_role("button", name="Go to Fused nest 1, line 200").click()
    page.wait_for_function(
        """() => [...document.querySelectorAll('[data-testid=stBidiComponentIsolated]')]
            .some((host) => host.shadowRoot?.querySelector('.lines')?.scrollTop > 1000)"""
    )
    page.get_by_role("button", name="Copy Some code").click()
    page.get_by_text("Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == "\n".join(LINES)
