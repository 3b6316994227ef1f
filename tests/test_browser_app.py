"""The whole app in a real browser: from opening it to a compiled, verified model."""

from __future__ import annotations

import contextlib
import re
import shutil
import time
import zipfile
from pathlib import Path

import onnx
import pytest

from benchmarks.browser import APP, CHROMIUM, FLAGS, serving
from tests.screenshots import keep

pytestmark = pytest.mark.browser

# cytoscape registers itself on its container, which lies in the component's shadow root.
CY = """(index) => [...document.querySelectorAll('[data-testid=stBidiComponentIsolated]')]
    .map((host) => host.shadowRoot?.querySelector('.canvas')?._cyreg?.cy).filter((cy) => cy)[index]"""


@contextlib.contextmanager
def running_app(temporary: Path, **environment: str):
    """The app's server; its address."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on the PATH")
    environment = {"TMPDIR": str(temporary), "AGO_DATA": str(temporary / "data")} | environment
    with serving(APP, **environment) as (address, _):
        yield address
    left = sorted(path.name for path in temporary.iterdir() if path.name.startswith("ago-"))
    assert left == [], "uploads and jobs leave nothing behind"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_app(tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.fixture(scope="module")
def browser(server):
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    """A page whose scripts must not fail."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    assert errors == []
    context.close()


def painted(page):
    for panel in (0, 1):
        page.wait_for_function(f"() => ({CY})({panel})?.nodes('.op').length > 0", timeout=90_000)


def place(page, panel, node):
    """Where a node's centre is on the page."""
    return page.evaluate(
        f"""() => {{
            const cy = ({CY})({panel});
            const at = cy.getElementById('{node}').renderedPosition();
            const area = cy.container().getBoundingClientRect();
            return [at.x + area.left, at.y + area.top];
        }}"""
    )


def reads(page, text, seconds=30):
    page.get_by_text(text).first.wait_for(timeout=seconds * 1000)


def test_from_opening_to_a_verified_model(page, server):
    page.goto(f"{server}/?model=squeezenet@56")
    painted(page)
    reads(page, "Click an operator")

    page.mouse.click(*place(page, 0, 1))
    reads(page, "ONNX nodes")
    page.wait_for_function(f"() => ({CY})(1).getElementById('1').selected()", timeout=30_000)

    page.get_by_role("radio", name=re.compile("^AGO: S")).click()
    reads(page, "Bytes in")
    page.get_by_role("radio", name="Code").click()
    reads(page, "prim_func")
    keep(page, "explore")

    page.get_by_role("link", name="Run", exact=True).click()
    reads(page, "Not run yet.")
    page.get_by_role("radio", name="AGO", exact=True).click()
    page.get_by_role("button", name="Compile and run").click()
    page.get_by_role("button", name="Cancel").wait_for()
    reads(page, "Output matches ONNX Runtime", seconds=60)
    keep(page, "run")


def marked(page, panel, mark):
    """Ids of the elements of a panel that have a mark."""
    return page.evaluate(f"() => ({CY})({panel}).elements('.mark-{mark}').map((element) => element.id())")


def until(page, panel, expression):
    page.wait_for_function(f"() => {{ const cy = ({CY})({panel}); return {expression}; }}", timeout=30_000)


def press(page, name):
    page.get_by_role("button", name=name).first.click()


def merge_by_key(page):
    """A key presses its button only once that is enabled; the header tells of a selection before that."""
    page.wait_for_function("() => document.querySelector('.st-key-edit-merge button:not([disabled])')", timeout=30_000)
    page.keyboard.press("m")


def test_a_partition_is_edited_with_mouse_and_keys(page, server):
    page.goto(f"{server}/?model=squeezenet@56")
    painted(page)
    page.locator(".st-key-icon-edit-left button").first.click()
    reads(page, "Select operators")

    # Two neighbours are merged by a key: a fused convolution and the pooling behind it.
    together = "cy.getElementById('1').data('subgraph') === cy.getElementById('4').data('subgraph')"
    page.mouse.click(*place(page, 0, 1))
    page.keyboard.down("Shift")
    page.mouse.click(*place(page, 0, 4))
    page.keyboard.up("Shift")
    reads(page, "2 operators")
    merge_by_key(page)
    until(page, 0, together)
    page.keyboard.press("Control+z")
    until(page, 0, f"!({together})")
    page.keyboard.press("Control+y")
    until(page, 0, together)

    # Two that a path through others joins are refused, and go with what lies between them.
    page.keyboard.press("Escape")
    page.mouse.click(*place(page, 0, 5))
    page.keyboard.down("Shift")
    page.mouse.click(*place(page, 0, 14))
    page.keyboard.up("Shift")
    reads(page, "2 selected: pointwise_conv2d_1, concatenate_1")
    press(page, "Merge")
    reads(page, "Not possible:")
    until(page, 0, "cy.edges('.mark-cycle').length >= 2 && cy.elements('.faded').length > 0")
    for zoom in (0.05, 1):  # it can be seen in a drawing of any size
        page.evaluate(f"() => {{ ({CY})(0).zoom({zoom}); }}")
        assert page.evaluate(f"() => ({CY})(0).edges('.mark-cycle').every((edge) => edge.renderedWidth() > 2.9)")
    along = marked(page, 0, "along")
    press(page, "Take these along")
    until(page, 0, "cy.elements('.mark-cycle').length === 0")
    same = " && ".join(
        f"cy.getElementById('{op}').data('subgraph') === cy.getElementById('5').data('subgraph')"
        for op in [*along, "14"]
    )
    assert {"8", "11"} <= set(along)
    until(page, 0, same)
    page.keyboard.press("Control+z")
    until(page, 0, f"!({same}) && {together}")


def test_a_reload_loses_nothing_and_back_goes_back(page, server):
    page.goto(f"{server}/?model=squeezenet@56")
    painted(page)
    page.locator(".st-key-icon-edit-left button").first.click()
    reads(page, "Select operators")
    together = "cy.getElementById('1').data('subgraph') === cy.getElementById('4').data('subgraph')"
    page.mouse.click(*place(page, 0, 1))
    page.keyboard.down("Shift")
    page.mouse.click(*place(page, 0, 4))
    page.keyboard.up("Shift")
    page.wait_for_url(re.compile("operators=1(,|%2C)4"))
    reads(page, "2 operators selected")
    before = page.url
    merge_by_key(page)
    until(page, 0, together)
    page.wait_for_function("(before) => location.href !== before", arg=before)

    page.reload()
    painted(page)
    for panel in (0, 1):  # with a selection from the address as well
        until(page, panel, "cy.width() > 100 && cy.zoom() > 0.1 && cy.extent().w < 20000")
    until(page, 0, f"{together} && cy.getElementById('1').selected() && cy.getElementById('4').selected()")
    reads(page, "1 edit")
    reads(page, "2 operators selected")
    page.keyboard.press("Control+z")
    until(page, 0, f"!({together})")
    page.wait_for_url(re.compile("redo="))

    page.mouse.click(*place(page, 0, 5))
    page.wait_for_url(re.compile("operators=5"))
    page.go_back()
    until(page, 0, "cy.getElementById('1').selected() && !cy.getElementById('5').selected()")
    page.go_forward()
    until(page, 0, "cy.getElementById('5').selected() && !cy.getElementById('1').selected()")


def test_keys_work_wherever_the_focus_is(page, server):
    page.goto(f"{server}/?model=squeezenet@56")
    painted(page)
    page.keyboard.press("?")
    reads(page, "Search the drawing that was used last")
    page.keyboard.press("Escape")
    page.get_by_text("Search the drawing that was used last").wait_for(state="hidden")
    page.keyboard.press("/")
    page.keyboard.type("conv2d_1")
    page.get_by_text("pointwise_conv2d_1", exact=True).first.wait_for()
    page.keyboard.press("Escape")
    page.evaluate(f"() => {{ ({CY})(0).zoom(0.1); }}")
    page.get_by_text("AGO Explorer").first.click()
    page.keyboard.press("f")
    until(page, 0, "cy.zoom() > 0.11")


def test_the_construction_is_stepped_through_without_moving_anything(page, server):
    page.goto(f"{server}/?model=squeezenet@56")
    painted(page)
    page.locator(".st-key-icon-steps button").first.click()
    reads(page, "Step 1 of")
    until(page, 1, "cy.nodes('.mark-cluster').length > 0 && cy.nodes('.faded').length > 0")
    places = [place(page, 1, op) for op in (0, 20, 60)]
    before = marked(page, 1, "candidate")
    page.locator(".st-key-icon-next-step button").first.click()
    reads(page, "Step 2 of")
    page.wait_for_function(
        f"(before) => ({CY})(1).elements('.mark-candidate').map((element) => element.id()).join() !== before",
        arg=",".join(before),
    )
    assert [place(page, 1, op) for op in (0, 20, 60)] == places
    page.locator(".st-key-icon-steps button").first.click()
    until(page, 1, "cy.elements('.faded').length === 0 && cy.elements('.mark-cluster').length === 0")


def step_shown(page):
    text = page.get_by_text(re.compile("^Step [0-9]+ of")).first.inner_text()
    return int(re.match("Step ([0-9]+)", text)[1])


def after_step(page, number):
    """Waits for any later step, since a busy browser leaves some out; its number."""
    end = time.monotonic() + 30
    while (shown := step_shown(page)) <= number:
        assert time.monotonic() < end, f"step {number} stays"
        page.wait_for_timeout(100)
    return shown


def test_the_construction_is_played_without_sending_the_drawing_again(page, server):
    received = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(len(frame))))
    page.goto(f"{server}/?model=squeezenet@56")
    painted(page)
    page.locator(".st-key-icon-steps button").first.click()
    reads(page, "Step 1 of")
    drawing = max(received)
    page.locator(".st-key-icon-play button").first.click()
    begun = after_step(page, 1)
    received.clear()
    after_step(page, begun + 1)
    assert sum(received) < drawing / 10, "a step is a few kilobytes"
    page.locator(".st-key-icon-play button").first.click()
    page.get_by_role("button", name="Play").wait_for()
    shown = step_shown(page)
    page.wait_for_timeout(2_500)
    assert step_shown(page) == shown
    until(page, 1, "cy.nodes('.mark-cluster').length > 0")


def test_operators_are_moved_to_a_subgraph_found_by_typing(page, server):
    page.goto(f"{server}/?model=squeezenet@56")
    painted(page)
    page.locator(".st-key-icon-edit-left button").first.click()
    reads(page, "Select operators")
    page.mouse.click(*place(page, 0, 14))
    reads(page, "1 selected: concatenate_1")
    page.locator(".st-key-move button").first.click()
    page.locator(".st-key-move-to-another input").click()
    page.keyboard.type("conv2d_1,")  # the first convolution, which is not beside it
    page.get_by_role("option").first.click()
    reads(page, "Not possible:")
    page.locator(".st-key-move-to-another").wait_for(state="detached")
    until(page, 0, "cy.edges('.mark-cycle').length >= 2")


@pytest.mark.skipif(not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="no linker on the PATH")
def test_an_artifact_is_made_downloaded_and_opened_again(page, server, tmp_path):
    page.goto(f"{server}/export?model=squeezenet@56")
    reads(page, "What the artifact will hold", seconds=90)
    page.get_by_role("button", name="Make the artifact").click()
    reads(page, "its outputs match", seconds=120)
    keep(page, "export")
    with page.expect_download() as started:
        page.get_by_role("button", name="Download squeezenet-56-ago.zip").click()
    saved = tmp_path / "saved.zip"
    started.value.save_as(saved)
    with zipfile.ZipFile(saved) as archive:
        assert "run.py" in {Path(name).name for name in archive.namelist()}

    page.get_by_text("Open an artifact").click()
    page.set_input_files("input[type=file]", saved)
    reads(page, "92 operators in")
    page.wait_for_function("() => [...document.images].some((image) => image.naturalWidth > 500)")
    page.wait_for_url(re.compile("artifact="))
    page.reload()
    reads(page, "saved.zip")
    page.get_by_role("button", name="Show on the model").click()
    painted(page)
    with page.expect_download() as started:
        page.get_by_role("link", name="Export", exact=True).click()
        page.get_by_text("Report", exact=True).first.click()
        page.get_by_role("button", name="Download the report").click()
    assert "in a clean process" in Path(started.value.path()).read_text()


def test_a_broken_file_is_one_sentence_and_a_good_one_loads(page, server, tmp_path):
    page.goto(f"{server}/?model=squeezenet@56")
    painted(page)
    page.get_by_role("radio", name="Your own").click()
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"hello")
    page.set_input_files("input[type=file]", broken)
    reads(page, "'broken.onnx' is not an ONNX model")
    reads(page, "squeezenet@56")

    light = Path(onnx.__file__).parent / "backend/test/data/light/light_resnet50.onnx"
    page.set_input_files("input[type=file]", light)
    reads(page, "25.6 M", seconds=30)
    assert page.get_by_text("is not an ONNX model").count() == 0
    painted(page)


def test_a_page_can_be_opened_directly(page, server):
    page.goto(f"{server}/compare?model=squeezenet@56")
    reads(page, "Jain's index", seconds=30)
    row = page.get_by_role("row").filter(has_text="Parallel regions")
    row.filter(has_text=re.compile("Parallel regions[0-9]+")).wait_for(timeout=20_000)
    keep(page, "compare")
    assert "model=squeezenet" in page.url
    page.get_by_role("link", name="Run", exact=True).click()
    page.wait_for_url(re.compile("run.model=squeezenet"))
    page.go_back()
    page.wait_for_url(re.compile("compare.model=squeezenet"))
    reads(page, "Jain's index")


def test_the_chart_library_comes_before_the_first_chart(page, server):
    """Its name is found in Streamlit's own script: another version may call it otherwise."""
    page.goto(f"{server}/?model=squeezenet@56")
    painted(page)
    page.wait_for_function(
        "() => performance.getEntriesByType('resource').some(({ name }) => name.includes('PlotlyChart'))"
    )
