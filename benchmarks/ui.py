"""How fast the explorer answers, in a real browser.

    python -m benchmarks.ui            measure and print the table
    python -m benchmarks.ui --quick    one round, five visits
    python -m benchmarks.ui --report   print the table of the last run

Needs Chromium on the PATH. For models of 500, 1,500 and 5,000 operators (benchmarks/synthetic.py), uploaded as users
do: seconds until both partitions are drawn, and for each interaction the milliseconds from the click until nothing on
the page changes any more (the last change before QUIET_SECONDS of none), the median of ROUNDS. Then the server's memory
over VISITS visits that open a sample one after the other, and VISITORS visitors at once: ten browsers on the server's
machine, so the processor time that the server itself takes is told apart. Results are kept in
benchmarks/results/ui.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx
import psutil

from ago_core.graph.model import load_model
from benchmarks.browser import APP, CHROMIUM, FLAGS, serving
from benchmarks.environment import environment
from benchmarks.synthetic import residual_onnx

RESULTS = Path(__file__).parent / "results" / "ui.json"
OPERATORS = (500, 1500, 5000)
ROUNDS, VISITS, VISITORS = 5, 50, 10
QUIET_SECONDS = 0.6
ANSWER_SECONDS = 3.0
"""An action that changes nothing on the page for so long counts as none."""
SAMPLE = "squeezenet@56"
WIDE = {"width": 1280, "height": 800}
WAIT_MS = 180_000

CY = """[...document.querySelectorAll('[data-testid=stBidiComponentIsolated]')]
    .map((host) => host.shadowRoot?.querySelector('.canvas')?._cyreg?.cy).filter((cy) => cy)"""
DRAWN = f"() => {{ const cy = {CY}; return cy.length > 1 && cy.every((each) => each.nodes().length > 0); }}"
COUNTS = f"() => {CY}.map((each) => each.nodes().length)"
"""Nodes of each panel's drawing."""
REDRAWN = f"""(before) => {{
  const now = {CY}.map((each) => each.nodes().length);
  return now.length > 1 && now.every((count, panel) => count > 0 && count !== before[panel]);
}}"""
WATCH = """() => {
    const watch = {from: performance.now(), last: performance.now()};
    const changed = () => { watch.last = performance.now(); };
    new MutationObserver(changed).observe(document.body,
        {subtree: true, childList: true, attributes: true, characterData: true});
    window.agoWatch = watch;
}"""
QUIET = f"""() => {{
    const {{from, last}} = window.agoWatch, now = performance.now();
    return now - last > {QUIET_SECONDS * 1000} && (last > from || now - from > {ANSWER_SECONDS * 1000})
        && document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning';
}}"""
NODE = f"""(name) => {{
    const cy = ({CY})[0];
    const nodes = cy.nodes().filter((node) => !node.isParent() && node.visible());
    const node = nodes[Math.floor(nodes.length / 2) + (name % 7)];
    cy.center(node);
    const at = node.renderedPosition(), area = cy.container().getBoundingClientRect();
    return [at.x + area.left, at.y + area.top];
}}"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round, five visits")
    parser.add_argument("--report", action="store_true", help="print the table of the last run")
    args = parser.parse_args()
    if not args.report:
        if CHROMIUM is None:
            sys.exit("The browser's part needs Chromium on the PATH: install the package chromium.")
        rounds, visits = (1, 5) if args.quick else (ROUNDS, VISITS)
        RESULTS.write_text(json.dumps(_measure(rounds, visits), indent=1) + "\n")
    print(table(json.loads(RESULTS.read_text())))
    return 0


def _measure(rounds: int, visits: int) -> dict:
    from playwright.sync_api import sync_playwright

    run = {"environment": environment(), "rounds": rounds, "models": []}
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(APP, AGO_DATA=f"{folder}/data") as (address, server),
        sync_playwright() as driver,
    ):
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for size in OPERATORS:
            path = Path(folder) / f"residual_{size}.onnx"
            onnx.save(_of_size(size, path), path)
            run["models"].append(_model(browser, address, path, rounds))
        run["visits"] = _visits(browser, address, server, visits)
        run["visitors"] = _visitors(browser, address, server)
        browser.close()
    return run


def _of_size(operators: int, path: Path) -> onnx.ModelProto:
    """A model of about so many operators."""
    model = residual_onnx(operators)
    onnx.save(model, path)
    return residual_onnx(round(operators * operators / len(load_model(path).graph)))


def _model(browser, address: str, path: Path, rounds: int) -> dict:
    page = browser.new_context(viewport=WIDE).new_page()
    painted = upload(page, address, path)
    page.evaluate(WATCH)
    page.wait_for_function(QUIET, timeout=WAIT_MS)
    found: dict[str, list[float]] = {}
    for number in range(rounds):
        for name, act in _interactions(page, number):
            found.setdefault(name, []).append(_milliseconds(page, act))
    page.context.close()
    return {
        "operators": len(load_model(path).graph),
        "painted": painted,
        "interactions": {name: statistics.median(times) for name, times in found.items()},
        "first": {name: times[0] for name, times in found.items()},
    }


def upload(page, address: str, path: Path) -> float:
    """Seconds from choosing a file until both partitions of its model are drawn."""
    page.goto(f"{address}/?model={SAMPLE}")
    page.wait_for_function(DRAWN, timeout=WAIT_MS)
    page.get_by_role("radio", name="Your own").click()
    before = page.evaluate(COUNTS)
    began = time.perf_counter()
    page.locator("input[type=file]").set_input_files(path)
    page.wait_for_function(REDRAWN, arg=before, timeout=WAIT_MS)  # until then the former model stays on the page
    return time.perf_counter() - began


def _interactions(page, number: int) -> Iterator[tuple[str, Callable[[], None]]]:
    yield "select a node", lambda: page.mouse.click(*page.evaluate(NODE, number))
    for tab in ("Code", "Reasons", "Overview"):
        control = page.get_by_role("radio", name=tab, exact=True)
        if control.count():
            yield f"inspector: {tab}", control.first.click
    for title in ("Compare", "Tune", "Run", "Export", "Lessons", "Model & Partition"):
        yield f"page {title}", page.get_by_role("link", name=title, exact=True).click


def _milliseconds(page, act: Callable[[], None]) -> float:
    """From an action until the page changes no more."""
    page.evaluate(WATCH)
    act()
    page.wait_for_timeout(50)
    page.wait_for_function(QUIET, timeout=WAIT_MS)
    return page.evaluate("() => window.agoWatch.last - window.agoWatch.from")


def _visits(browser, address: str, server: psutil.Process, count: int) -> list[int]:
    """Bytes of memory of the server after each visit."""
    memory = []
    for _ in range(count):
        context = browser.new_context(viewport=WIDE)
        _open(context.new_page(), address)
        context.close()
        memory.append(server.memory_info().rss)
    return memory


def _visitors(browser, address: str, server: psutil.Process) -> dict:
    """Seconds until the last of several that come at once has both drawings, and of one alone; the server's own."""
    contexts = [browser.new_context(viewport=WIDE) for _ in range(VISITORS)]
    began = time.perf_counter()
    _open(contexts[0].new_page(), address)
    alone = time.perf_counter() - began
    pages = [context.new_page() for context in contexts]
    began, spent = time.perf_counter(), _processor_seconds(server)
    for page in pages:
        page.goto(f"{address}/?model={SAMPLE}", wait_until="commit")
    for page in pages:
        page.wait_for_function(DRAWN, timeout=WAIT_MS)
    together = time.perf_counter() - began
    spent = _processor_seconds(server) - spent
    for context in contexts:
        context.close()
    return {"count": VISITORS, "alone": alone, "together": together, "server": spent}


def _processor_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _open(page, address: str) -> None:
    page.goto(f"{address}/?model={SAMPLE}")
    page.wait_for_function(DRAWN, timeout=WAIT_MS)


def table(run: dict) -> str:
    """What was measured, as Markdown."""
    models = run["models"]
    names = list(dict.fromkeys(name for model in models for name in model["interactions"]))
    heads = "".join(f" {model['operators']} operators |" for model in models)
    lines = [f"| |{heads}", "|---|" + "--:|" * len(models)]
    lines += ["| upload until drawn, s |" + "".join(f" {model['painted']:.1f} |" for model in models)]
    for name in names:
        cells = (_cell(model["interactions"].get(name), model["first"].get(name)) for model in models)
        lines.append(f"| {name}, ms |" + "".join(f" {cell} |" for cell in cells))
    memory, visitors, where = run["visits"], run["visitors"], run["environment"]
    first, half, last = (memory[k] / 2**20 for k in (0, len(memory) // 2, -1))
    lines += [
        "",
        f"Server's memory over {len(memory)} visits: {first:.0f} MB after the first, {half:.0f} half-way, {last:.0f} "
        f"at the end. {visitors['count']} visitors at once: the last drawing after {visitors['together']:.1f} s, one "
        f"alone after {visitors['alone']:.1f} s."
        + (f" The server itself worked {visitors['server']:.1f} s of that." if "server" in visitors else ""),
        f"{where['machine']}, {where['cores']} cores, {where['date']}; medians of {run['rounds']} rounds, "
        "in brackets the first one, for which a browser fetches what the page is made with.",
    ]
    return "\n".join(lines)


def _cell(median: float | None, first: float | None) -> str:
    return "–" if median is None else f"{median:.0f} ({first:.0f})"


if __name__ == "__main__":
    sys.exit(main())
