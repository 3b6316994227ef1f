"""The graph view in a real browser: what a person does with mouse and keys, and what Python hears of it."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.browser import CHROMIUM, FLAGS, serving

pytestmark = pytest.mark.browser

# cytoscape registers itself on its container, which lies in the component's shadow root.
CY = """(index) => [...document.querySelectorAll('[data-testid=stBidiComponentIsolated]')]
    .map((host) => host.shadowRoot?.querySelector(".canvas")?._cyreg?.cy).filter(Boolean)[index]"""


@pytest.fixture(scope="module")
def server():
    with serving("tests/graph_view_page.py") as (address, _):
        yield address


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium on the PATH")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def panels(browser, server):
    """Two panels of the same 150 operators, in a fresh session. Fails if the page logs an error."""
    context = browser.new_context(viewport={"width": 1400, "height": 1100})
    view = Panels(context.new_page())
    view.open(f"{server}/?n=150")
    yield view
    assert view.errors == []
    context.close()


class Panels:
    """What a person sees and does; `panel` is 0 for the left one."""

    def __init__(self, page):
        self.page = page
        self.errors = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self, address):
        self.page.goto(address)
        for panel in (0, 1):
            self.page.wait_for_function(f"() => ({CY})({panel})?.nodes('.op').length > 0", timeout=30_000)
        self.page.wait_for_selector("text=returned")

    def ask(self, panel, expression):
        """The value of a JavaScript expression of `cy`."""
        return self.page.evaluate(f"() => {{ const cy = ({CY})({panel}); return {expression}; }}")

    def at(self, panel, node):
        """Where a node's centre is on the page."""
        return tuple(
            self.ask(
                panel,
                f"""(() => {{
                    const at = cy.getElementById('{node}').renderedPosition();
                    const area = cy.container().getBoundingClientRect();
                    return [at.x + area.left, at.y + area.top];
                }})()""",
            )
        )

    def selected(self, panel):
        return sorted(self.ask(panel, "cy.nodes('.op:selected').map((node) => Number(node.id()))"))

    def camera(self, panel):
        return self.ask(panel, "[cy.zoom(), cy.pan().x, cy.pan().y].map((v) => Math.round(v * 100) / 100)")

    def drag(self, points):
        self.page.mouse.move(*points[0])
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*point, steps=4)
        self.page.mouse.up()

    def expect(self, text):
        self.page.wait_for_selector(f"text={text}", timeout=30_000)

    def until(self, panel, expression):
        self.page.wait_for_function(f"() => {{ const cy = ({CY})({panel}); return {expression}; }}", timeout=30_000)

    def button(self, name, panel=None):
        if panel is None:
            self.page.get_by_role("button", name=name, exact=True).click()
        else:
            self.page.get_by_role("button", name=name, exact=True).nth(panel).click()

    def around(self, panel, nodes, margin=4):
        """The corners of a rectangle around nodes, on the page."""
        spots = [self.at(panel, node) for node in nodes]
        sizes = [self.ask(panel, f"cy.getElementById('{node}').renderedWidth()") for node in nodes]
        left = min(x - w / 2 for (x, _), w in zip(spots, sizes)) - margin
        right = max(x + w / 2 for (x, _), w in zip(spots, sizes)) + margin
        top, bottom = min(y for _, y in spots) - 12, max(y for _, y in spots) + 12
        return [(left, top), (right, top), (right, bottom), (left, bottom)]


def test_click_selects_in_python_and_in_the_other_panel(panels):
    panels.page.mouse.click(*panels.at(0, 3))
    panels.expect("selected [3] count 1 subgraph None")
    panels.until(1, "cy.getElementById('3').selected()")
    assert panels.selected(0) == [3]


def test_shift_click_adds_and_escape_clears(panels):
    panels.page.mouse.click(*panels.at(0, 3))
    panels.page.keyboard.down("Shift")
    panels.page.mouse.click(*panels.at(0, 5))
    panels.page.keyboard.up("Shift")
    panels.expect("selected [3, 5] count 2")
    panels.page.keyboard.press("Escape")
    panels.expect("selected [] count 0")
    panels.until(1, "cy.nodes(':selected').empty()")


def test_click_on_a_box_selects_its_subgraph(panels):
    x, y = panels.at(1, "S0")
    height = panels.ask(1, "cy.getElementById('S0').renderedHeight()")
    panels.page.mouse.click(x, y - height / 2 + 4)
    panels.expect("selected [0, 1, 2, 3, 4, 5, 6, 7, 8] count 9 subgraph 0")
    panels.until(0, "cy.nodes('.op:selected').length === 9")


def test_shift_drag_selects_what_the_box_holds(panels):
    corners = panels.around(0, [3, 4, 5])
    panels.page.keyboard.down("Shift")
    panels.drag([corners[0], corners[2]])
    panels.page.keyboard.up("Shift")
    panels.expect("selected [3, 4, 5] count 3")


def test_lasso_by_button_and_by_key(panels):
    panels.button("Lasso", panel=0)
    panels.drag(panels.around(0, [4, 5]))
    panels.expect("selected [4, 5] count 2")
    panels.page.keyboard.press("l")
    panels.drag(panels.around(0, [3]))
    panels.expect("selected [3] count 1")


def test_the_latest_selection_wins_whichever_panel_it_comes_from(panels):
    panels.page.mouse.click(*panels.at(0, 3))
    panels.expect("selected [3]")
    panels.page.mouse.click(*panels.at(1, 4))
    panels.expect("selected [4]")
    panels.until(0, "cy.getElementById('4').selected()")
    panels.button("Clear")
    panels.expect("selected []")
    for panel in (0, 1):
        panels.until(panel, "cy.nodes(':selected').empty()")


def test_the_camera_stays_where_it_is_over_reruns(panels):
    x, y = panels.at(0, 3)
    panels.page.mouse.move(x, y)
    panels.page.mouse.wheel(0, -300)
    panels.drag([(x, y), (x + 30, y + 40)])
    panels.page.wait_for_timeout(300)
    before = panels.camera(0)
    panels.button("Rerun")
    panels.page.mouse.click(*panels.at(0, 3))
    panels.expect("selected [3]")
    assert panels.camera(0) == before


def test_a_selection_out_of_sight_is_panned_into_sight(panels):
    x, y = panels.at(1, 0)
    panels.page.mouse.move(x, y)
    for _ in range(6):
        panels.page.mouse.wheel(0, -300)
    panels.page.wait_for_timeout(300)
    in_sight = (
        "(() => { const p = cy.getElementById('149').renderedPosition();"
        " return p.x > 0 && p.y > 0 && p.x < cy.width() && p.y < cy.height(); })()"
    )
    assert not panels.ask(1, in_sight)
    panels.page.mouse.click(*panels.at(0, 149))
    panels.until(1, in_sight)


def test_a_new_revision_reloads_only_its_own_panel_and_keeps_the_selection(panels):
    panels.page.mouse.click(*panels.at(0, 3))
    panels.expect("selected [3]")
    for panel in (0, 1):
        panels.ask(panel, "cy.getElementById('3').scratch('seen', true) && true")
    boxes = panels.ask(1, "cy.nodes('.box').length")
    panels.button("Regroup")
    panels.until(1, f"cy.nodes('.box').length < {boxes}")
    assert panels.ask(0, "cy.getElementById('3').scratch('seen')") is True
    assert panels.ask(1, "cy.getElementById('3').scratch('seen')") is None
    assert panels.selected(1) == [3]


def test_an_edit_keeps_the_operators_in_view_in_place(panels):
    x, y = panels.at(1, 40)
    panels.page.mouse.move(x, y)
    panels.page.mouse.wheel(0, -300)
    panels.page.mouse.click(*panels.at(1, 40))
    panels.expect("selected [40]")
    before = panels.at(1, 40)
    boxes = panels.ask(1, "cy.nodes('.box').length")
    panels.button("Regroup")
    panels.until(1, f"cy.nodes('.box').length < {boxes}")
    after = panels.at(1, 40)
    assert after == pytest.approx(before, abs=2)


def test_keys_step_through_operators_and_fit(panels):
    fitted = panels.camera(0)
    panels.page.mouse.click(*panels.at(0, 3))
    panels.page.keyboard.press("n")
    panels.expect("selected [4] count 1")
    panels.page.keyboard.press("+")
    panels.page.keyboard.press("ArrowLeft")
    assert panels.camera(0) != fitted
    panels.page.keyboard.press("f")
    assert panels.camera(0) == fitted


def test_arrows_walk_along_edges_and_enter_tells(panels):
    panels.page.mouse.click(*panels.at(0, 3))
    panels.page.mouse.move(5, 5)
    panels.page.keyboard.press("ArrowDown")
    panels.expect("selected [4] count 1")
    panels.expect("1 selected: add_4 (S1, 1 in, 1 out)")
    panels.page.keyboard.press("ArrowUp")
    panels.expect("selected [3] count 1")
    panels.page.keyboard.press("Enter")
    card = panels.page.locator(".card:not([hidden])")
    card.wait_for()
    assert "conv2d_3" in card.inner_text()
    panels.page.keyboard.press("Escape")
    card.wait_for(state="hidden")
    assert panels.selected(0) == [3]
    panels.page.keyboard.press("Escape")
    panels.expect("selected [] count 0")


def test_the_menu_is_reached_by_keys(panels):
    panels.page.locator("button.more").first.focus()
    panels.page.keyboard.press("Enter")
    panels.page.keyboard.press("ArrowDown")
    panels.page.keyboard.press("ArrowDown")
    panels.page.keyboard.press("Enter")
    panels.until(0, "cy.edges('.shaped').length === 170")
    assert panels.ask(0, "cy.edges().first().data('shape')") == "1×32×28×28"
    panels.page.keyboard.press("Escape")
    panels.page.locator(".menu").first.wait_for(state="hidden")
    assert panels.page.locator("button.more").first.evaluate("(button) => button.matches(':focus')")


def test_search_finds_by_every_word_jumps_and_selects_all(panels):
    panels.page.locator(".stage").first.focus()
    panels.page.keyboard.press("/")
    panels.page.keyboard.type("relu")
    panels.page.keyboard.press("Enter")
    panels.expect("selected [2] count 1")
    panels.page.keyboard.press("Enter")
    panels.expect("selected [5] count 1")
    panels.until(0, "cy.nodes('.hit').length > 10")
    count = panels.ask(0, "cy.nodes('.hit').length")
    panels.expect(f"2 of {count}")
    panels.page.get_by_role("button", name="Select all").click()
    panels.expect(f"count {count} subgraph None")
    panels.until(0, "cy.nodes('.hit').empty()")
    panels.page.keyboard.press("/")
    panels.page.keyboard.type(
        " broadcast /add/8"
    )  # TVM's pattern and a part of the ONNX node's name; "relu" was selected
    panels.page.keyboard.press("Enter")
    panels.expect("selected [8] count 1")


def test_a_subgraph_folds_and_unfolds_and_the_selection_stays(panels):
    panels.page.mouse.click(*panels.at(1, 4))
    panels.expect("selected [4] count 1")
    panels.page.keyboard.press("e")
    panels.until(1, "cy.getElementById('S0').hasClass('folded') && cy.getElementById('4').empty()")
    assert panels.ask(1, "cy.getElementById('S0').selected()")
    assert panels.selected(0) == [4]
    panels.expect("1 selected: part of S0")
    panels.page.mouse.click(*panels.at(1, "S0"))
    panels.expect("selected [0, 1, 2, 3, 4, 5, 6, 7, 8] count 9 subgraph 0")
    panels.until(0, "cy.nodes('.op:selected').length === 9")
    panels.page.keyboard.press("Enter")
    panels.until(1, "cy.getElementById('4').nonempty() && cy.getElementById('4').selected()")
    panels.button("More", panel=1)
    panels.page.get_by_role("menuitem", name="Fold all subgraphs", exact=True).click()
    panels.until(1, "cy.nodes('.box').empty() && cy.nodes('.folded').length === cy.nodes('.op').length")
    assert panels.ask(0, "cy.nodes('.folded').length") == 0


def test_colours_come_without_the_drawing(panels):
    panels.ask(0, "cy.getElementById('3').scratch('seen', true) && true")
    received = []
    panels.page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(len(frame))))
    panels.page.reload()
    panels.until(0, "cy && cy.nodes('.op').length > 0")
    panels.until(1, "cy && cy.nodes('.op').length > 0")
    drawing = sum(received)
    received.clear()
    menu = panels.page.locator("select.colour").first
    menu.select_option("flops")
    for panel in (0, 1):
        panels.until(panel, "cy.nodes('.op').every((node) => node.hasClass('painted'))")
    assert 0 < sum(received) < drawing / 4
    colour = "[3, 4].map((op) => cy.getElementById(op).style('background-color'))"
    assert len(set(panels.ask(0, colour))) == 2, "a convolution does more than an addition"
    assert panels.ask(0, colour) == panels.ask(1, colour)
    panels.expect("FLOPs, computed, log scale")
    assert panels.page.locator("select.colour option:disabled").first.inner_text() == "Latency (not measured yet)"
    menu.select_option("subgraph")
    panels.until(1, "cy.nodes('.painted').empty()")


def test_the_mini_map_shows_where_the_camera_is_and_moves_it(panels):
    small = panels.page.locator(".mini-map").first
    assert not small.is_visible(), "all is in sight"
    x, y = panels.at(0, 75)
    panels.page.mouse.move(x, y)
    for _ in range(5):
        panels.page.mouse.wheel(0, -300)
    small.wait_for()
    in_sight = "(() => { const p = cy.getElementById('0').renderedPosition(); return p.x > 0 && p.y > 0; })()"
    assert not panels.ask(0, in_sight)
    panels.button("More", panel=0)
    panels.page.get_by_role("menuitemcheckbox", name="Link both cameras").first.click()
    small.click(position={"x": 4, "y": 4})
    for panel in (0, 1):
        panels.until(panel, in_sight)
    assert panels.ask(0, "cy.zoom()") == pytest.approx(panels.ask(1, "cy.zoom()"))


def test_the_whole_drawing_is_saved(panels):
    def saved(kind):
        panels.button("More", panel=0)
        with panels.page.expect_download(timeout=10_000) as download:
            panels.page.get_by_role("menuitem", name=f"Save as {kind}").first.click()
        return Path(download.value.path()).read_bytes()

    svg = ElementTree.fromstring(saved("SVG"))
    titles = [element.text for element in svg.iter("{http://www.w3.org/2000/svg}title")]
    assert len(titles) == panels.ask(0, "cy.nodes().length") and "conv2d_3" in titles
    assert len(list(svg.iter("{http://www.w3.org/2000/svg}polyline"))) == 170
    assert saved("PNG").startswith(b"\x89PNG")
    assert saved("DOT").decode().count("->") > 170


def test_the_hover_card_shows_the_model_s_names_as_text(panels):
    panels.page.mouse.move(*panels.at(0, 3))
    card = panels.page.locator(".card:not([hidden])")
    card.wait_for()
    text = card.inner_text()
    assert "conv2d_3" in text
    assert "/conv2d/3<b>" in text
    assert card.locator("b").count() == 0


def test_an_empty_graph_says_so(browser, server):
    page = browser.new_page()
    page.goto(f"{server}/?n=0")
    page.wait_for_selector("text=No operators to show.")
    page.close()


def test_the_text_alternative_counts(panels):
    label = panels.page.locator(".stage").first.get_attribute("aria-label")
    assert re.match(r"heuristic partition: 150 operators, 43 of them complex, and 170 edges; \d+ subgraphs", label)
