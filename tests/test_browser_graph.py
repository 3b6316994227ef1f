"""The panels of the app in a real browser: selecting by box and lasso, folding, and coming back to them."""

from __future__ import annotations

import re

import pytest

from tests.screenshots import keep
from tests.test_browser_app import CY, browser, merge_by_key, page, painted, place, reads, server, until  # noqa: F401

pytestmark = pytest.mark.browser


def partition(page):  # noqa: F811
    """The subgraphs that the left panel shows."""
    owners = page.evaluate(f"() => ({CY})(0).nodes('.op').map((node) => [Number(node.id()), node.data('subgraph')])")
    found: dict[int, set[int]] = {}
    for op, subgraph in owners:
        found.setdefault(subgraph, set()).add(op)
    return {frozenset(members) for members in found.values()}


def merged(groups, operators):
    """A partition whose subgraphs that hold any of `operators` are one."""
    touched = {group for group in groups if group & set(operators)}
    return groups - touched | {frozenset().union(*touched)}


def selected(page, operators):  # noqa: F811
    ids = ",".join(map(str, sorted(operators)))
    until(page, 0, f"cy.nodes('.op:selected').map((node) => node.id()).sort((a, b) => a - b).join() === '{ids}'")


def together(one, other):
    return f"cy.getElementById('{one}').data('subgraph') === cy.getElementById('{other}').data('subgraph')"


def drag(page, points):  # noqa: F811
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=3)
    page.mouse.up()


def test_what_a_box_or_a_lasso_holds_is_merged_and_undone(page, server):  # noqa: F811
    page.goto(f"{server}/?model=squeezenet@56")
    painted(page)
    page.locator(".st-key-icon-edit-left button").first.click()
    reads(page, "Select operators")
    page.evaluate(f"() => {{ const cy = ({CY})(0); cy.fit(cy.nodes('#1, #4, #8, #11, #14'), 30); }}")
    page.locator(".stage").first.focus()
    before = partition(page)

    # A box around a fused convolution and the pooling behind it.
    (x, top), (_, bottom) = place(page, 0, 1), place(page, 0, 4)
    room = page.evaluate(f"() => ({CY})(0).zoom()") * 70
    page.keyboard.down("Shift")
    drag(page, [(x - room, top - room / 4), (x + room, bottom + room / 4)])
    page.keyboard.up("Shift")
    selected(page, [1, 2, 3, 4])
    reads(page, "4 operators selected")
    merge_by_key(page)
    boxed = merged(before, [1, 4])
    until(page, 0, together(1, 4))
    assert partition(page) == boxed

    # A lasso around both branches' heads, one branch and where they meet, but not the rest of the other branch.
    at = {op: place(page, 0, op) for op in (8, 9, 10, 11, 12, 14)}
    left, right = min(x for x, _ in at.values()) - 12, at[11][0] + 12
    top, bottom = min(at[8][1], at[11][1]) - 12, at[14][1] + 12
    inner = (at[14][0] + at[12][0]) / 2, (at[11][1] + at[12][1]) / 2
    page.keyboard.press("Escape")
    page.keyboard.press("l")
    drag(page, [(left, top), (right, top), (right, inner[1]), inner, (inner[0], bottom), (left, bottom), (left, top)])
    selected(page, [8, 9, 10, 11, 14])
    reads(page, "5 operators selected")
    keep(page, "explore-lasso")
    page.get_by_role("button", name="Merge").first.click()
    until(page, 0, together(8, 14))
    assert partition(page) == merged(boxed, [8, 11, 14])

    page.locator(".stage").first.focus()
    page.keyboard.press("Control+z")
    until(page, 0, f"!({together(8, 14)})")
    assert partition(page) == boxed


def test_panels_that_were_left_are_found_as_they_were(page, server):  # noqa: F811
    received = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(len(frame))))
    page.goto(f"{server}/?model=squeezenet@56")
    painted(page)
    page.mouse.click(*place(page, 0, 4))
    reads(page, "ONNX nodes")
    page.keyboard.press("+")
    drawings, camera = sum(received), "[cy.zoom(), cy.pan().x, cy.pan().y].map(Math.round).join()"
    look = f"() => {{ const cy = ({CY})(0); cy.scratch('seen', true); return {camera}; }}"
    before = page.evaluate(look)

    page.get_by_role("link", name="Lessons", exact=True).click()
    page.get_by_text("ONNX nodes").first.wait_for(state="detached")
    page.wait_for_timeout(700)  # until cytoscape rests
    keep(page, "lessons")
    received.clear()
    page.get_by_role("link", name="Model & Partition", exact=True).click()
    reads(page, "ONNX nodes")
    until(page, 0, f"cy?.scratch('seen') && {camera} === '{before}'")
    until(page, 1, "cy?.getElementById('4').selected()")
    assert sum(received) < drawings / 10, "the browser has the drawings"

    # They listen to the page and to each other again, and what is folded is found by a reload, too.
    page.mouse.click(*place(page, 1, 8))
    until(page, 0, "cy.getElementById('8').selected() && !cy.getElementById('4').selected()")
    page.keyboard.press("e")
    until(page, 1, "cy.getElementById('8').empty() && cy.nodes('.folded').length === 1")
    page.wait_for_url(re.compile("folded=ago"))
    page.reload()
    painted(page)
    until(page, 1, "cy.getElementById('8').empty() && cy.nodes('.folded').length === 1")
    until(page, 0, "cy.getElementById('8').selected()")
