"""The page without a mouse, in a real browser: all of it is reached by Tab, and seen to have the focus."""

from __future__ import annotations

import pytest

from tests.test_browser_app import browser, page, painted, reads, server  # noqa: F401

pytestmark = pytest.mark.browser

STILL = "* { transition: none !important; }"
MOST_STOPS = 120
STOP = """() => {
    let at = document.activeElement;
    while (at.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
    const look = (one) => {
        const looks = [];
        for (let up = one; up && looks.length < 8; up = up.parentElement ?? up.getRootNode().host) {
            const { outlineStyle, outlineWidth, boxShadow, borderColor, backgroundColor } = getComputedStyle(up);
            looks.push(outlineStyle === 'none' ? '' : outlineWidth, boxShadow, borderColor, backgroundColor);
        }
        return looks.join();
    };
    const before = window.stop;
    window.stop = { at, look: look(at) };
    if (at === document.body) window.stop = undefined;
    return {
        name: at === document.body ? '' : (at.ariaLabel || at.innerText || at.title).replaceAll('\\n', ' '),
        cell: at.role === 'gridcell',
        inPopover: Boolean(at.closest('[data-testid=stPopoverBody]')),
        told: before ? look(before.at) !== before.look : undefined,
    };
}"""
"""What has the focus, and whether what had it at the last stop looks otherwise now."""


def stop(page, key="Tab"):  # noqa: F811
    page.keyboard.press(key)
    return page.evaluate(STOP)


def stops(page):  # noqa: F811
    """Names of all that Tab goes to, in order, each with whether it was seen to have the focus."""
    found, here = [], stop(page)
    while here["name"] and len(found) < MOST_STOPS:
        following = stop(page)
        if not here["cell"]:  # a grid draws its own frame around a cell
            found.append((here["name"], following["told"]))
        here = following
    return found


def test_tab_goes_everywhere_and_is_seen_and_no_page_calls_out(page, server):  # noqa: F811
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{server}/?model=squeezenet@56&subgraph=ago:3")
    painted(page)
    reads(page, "pointwise_conv2d_6")
    page.locator("[data-test-script-state=notRunning]").wait_for(timeout=30_000)
    page.add_style_tag(content=STILL)
    found = stops(page)
    names = [name for name, _ in found]
    for wanted in ("Sample model", "Compare", "Keys", "Partition on the right", "Settings", "Inside"):
        assert any(wanted in name for name in names), wanted
    for wanted in ("Colour by", "Search", "Lasso", "Fit", "Zoom out", "Zoom in", "More"):
        assert sum(name.startswith(wanted) for name in names) >= 2, f"{wanted}, in each panel"
    assert [name for name, seen in found if not seen] == []
    assert [url for url in asked if not url.startswith((server, "data:", "blob:"))] == []

    # A popover lies at the end of the page: it is gone into from its button, round, and left by Escape.
    button = page.get_by_role("button", name="Settings").first
    button.focus()
    page.keyboard.press("Enter")
    reads(page, "Weight limit of a subgraph")
    assert "Weight limit" in stop(page)["name"]
    assert "Settings" in stop(page, "Shift+Tab")["name"]
    inside = [stop(page) for _ in range(6)]
    assert all(one["inPopover"] for one in inside), inside
    assert "Settings" in stop(page)["name"], "past its end it is the button again"
    page.keyboard.press("Escape")
    page.get_by_text("Weight limit of a subgraph").first.wait_for(state="detached")
    assert "How it was built" in stop(page)["name"]
