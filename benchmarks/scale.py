"""How what a user waits for grows: with the size of the model, and with the number of devices.

    python -m benchmarks.scale            measure what has no record yet; print the tables
    python -m benchmarks.scale --again    measure everything anew
    python -m benchmarks.scale --report   print the tables of the last run

Options: --sizes N..., --devices N..., --json. Results are kept in benchmarks/results/scale.json.

Models: residual networks of so many ONNX nodes, each figure one run in a process of its own. Import is from the file to
a loaded model. Drawing is of both partitions, on the server, as the app draws them at first; uploading counts from
choosing the file in a browser until both are painted (Chromium on the PATH; 3 minutes at most). The first trial counts
from when the session's process is started, and includes its import.

Devices: sessions of MODEL on simulated devices (benchmarks/simulated_devices.py), on which a trial takes a fixed time.
Efficiency is the rate beside that of one device times their number: what is left over is building, uploading, search,
and devices that wait for a batch's last.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import onnx

from ago_core.tuning import control
from ago_core.tuning.events import State
from ago_core.tuning.settings import LocalDevice, TuningSettings
from benchmarks.browser import APP, CHROMIUM, FLAGS, serving
from benchmarks.environment import environment
from benchmarks.resumable import save
from benchmarks.scale_devices import CALLS, SECONDS, rate
from benchmarks.synthetic import residual_onnx
from benchmarks.ui import WIDE, upload

RESULTS = Path(__file__).parent / "results" / "scale.json"
SIZES = (100, 1_000, 3_000, 10_000)
DEVICES = (1, 2, 4, 8, 16, 32)
START_SECONDS = 1800.0
STEPS = ("import", "heuristic", "ago", "drawing")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, metavar="N", help="ONNX nodes of the models")
    parser.add_argument("--devices", type=int, nargs="*", default=DEVICES, metavar="N", help="that tune together")
    parser.add_argument("--again", action="store_true", help="measure everything anew")
    parser.add_argument("--report", action="store_true", help="print the tables of the last run")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FILE", help=argparse.SUPPRESS)
    parser.add_argument("--one", type=Path, metavar="FILE", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(steps(args.one)))
        return 0
    results = json.loads(args.results.read_text()) if args.results.exists() else {}
    if not args.report:
        results = _started(results, args.again)
        _measure(results, args)
    if not results:
        sys.exit("Nothing has been measured: run without --report first.")
    print(json.dumps(results) if args.json else table(results))
    return 0


def _started(old: dict, again: bool) -> dict:
    """The old results, where they are of this machine and these versions."""
    here = environment()
    same = not again and old and all(old["environment"][key] == here[key] for key in ("machine", "versions"))
    return (old if same else {"models": {}, "devices": {}}) | {"environment": here}


def _measure(results: dict, args: argparse.Namespace) -> None:
    for size in args.sizes:
        if str(size) not in results["models"]:
            results["models"][str(size)] = _model(size)
            save(args.results, results)
    for count in args.devices:
        if str(count) not in results["devices"]:
            print(f"{count} devices", file=sys.stderr, flush=True)
            results["devices"][str(count)] = rate(count)
            save(args.results, results)


def _model(size: int) -> dict:
    """Seconds of each step for a model of so many nodes."""
    with tempfile.TemporaryDirectory(prefix="ago-scale-") as folder:
        path = Path(folder) / f"residual-{size}.onnx"
        onnx.save(residual_onnx(size), path)
        command = [sys.executable, "-m", "benchmarks.scale", "--one", str(path)]
        found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
        print(f"{size} nodes: {found}", file=sys.stderr, flush=True)
        found |= {"upload": in_browser(path, Path(folder))}
        return found | {"first_trial": first_trial(path, Path(folder) / "session")}


def steps(path: Path) -> dict:
    """Seconds of each of STEPS, one after the other, in this process; and the numbers of operators and subgraphs."""
    from ago_core.graph.model import load_model
    from ago_core.partition.ago import cluster
    from ago_core.partition.heuristic import heuristic_partition
    from ago_core.partition.settings import Settings

    model, loading = _timed(lambda: load_model(path))
    heuristic, by_tvm = _timed(lambda: heuristic_partition(model))
    ago, by_ago = _timed(lambda: cluster(model.graph, Settings()).partition)
    pictures, drawing = _timed(lambda: [_draw(model.graph, partition) for partition in (heuristic, ago)])
    return {
        "operators": len(model.graph),
        "subgraphs": {"heuristic": len(heuristic), "ago": len(ago)},
        "seconds": dict(zip(STEPS, (loading, by_tvm, by_ago, drawing))),
        "picture_bytes": sum(len(picture.elements) for picture in pictures),
    }


def _draw(graph, partition):
    from app.services.pictures import draw
    from visualizers.scene import Folding

    return draw(graph, partition, Folding.at_first(graph).folded(partition))


def _timed(work) -> tuple:
    """(result, seconds)."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def in_browser(path: Path, folder: Path) -> float | None:
    """Seconds from choosing the file until both drawings are there; None without a browser, or where it gave up."""
    if CHROMIUM is None:
        return None
    from playwright.sync_api import Error, sync_playwright

    with serving(APP, AGO_DATA=f"{folder}/data") as (address, _), sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            return upload(browser.new_page(viewport=WIDE), address, path)
        except Error as error:
            print(f"{path.stem}: {str(error).splitlines()[0]}", file=sys.stderr)
            return None
        finally:
            browser.close()


def first_trial(path: Path, folder: Path) -> float | None:
    """Seconds from the start of a session's process to its first measured trial; None where none came in time."""
    control.create(folder, control.Request(path, {}, TuningSettings(1_000_000, LocalDevice(1))))
    begun = time.monotonic()
    control.start(folder)
    while not (status := control.status(folder)).trials and not status.state.ended:
        if time.monotonic() - begun > START_SECONDS:
            break
        time.sleep(0.05)
    seconds = time.monotonic() - begun
    if not status.state.ended:
        control.stop(folder)
        control.wait(folder, tuple(state for state in State if state.ended), START_SECONDS)
    return seconds if status.trials else None


def table(results: dict) -> str:
    """Both tables as Markdown."""
    heads = ("ONNX nodes", "operators", "subgraphs, TVM", "subgraphs, AGO", "import, s", "TVM's partition, s")
    heads += ("AGO's partition, s", "drawing both, s", "drawing, MB", "upload, s", "first trial, s")
    lines = ["| " + " | ".join(heads) + " |", "|" + "--:|" * len(heads)]
    lines += [_model_row(size, results["models"][size]) for size in sorted(results["models"], key=int)]
    heads = ("devices", "trials/s", "efficiency", "trials")
    lines += ["", "| " + " | ".join(heads) + " |", "|" + "--:|" * len(heads)]
    alone = results["devices"].get("1")
    lines += [_device_row(int(n), results["devices"][n], alone) for n in sorted(results["devices"], key=int)]
    where = results["environment"]
    lines += ["", f"Each trial takes {CALLS} × {SECONDS} s on a device. {where['machine']}, {where['cores']} cores, "]
    lines[-1] += f"{where['date']}, TVM {where['versions']['apache-tvm']}."
    return "\n".join(lines)


def _model_row(size: str, found: dict) -> str:
    seconds = [f"{found['seconds'][step]:.2f}" for step in STEPS]
    waits = ["–" if found[name] is None else f"{found[name]:.1f}" for name in ("upload", "first_trial")]
    megabytes = f"{found['picture_bytes'] / 1e6:.1f}"
    cells = (size, found["operators"], *found["subgraphs"].values(), *seconds, megabytes, *waits)
    return f"| {' | '.join(map(str, cells))} |"


def _device_row(count: int, found: dict, alone: dict | None) -> str:
    efficiency = f"{found['trials_per_second'] / count / alone['trials_per_second']:.0%}" if alone else "–"
    return f"| {count} | {found['trials_per_second']:.2f} | {efficiency} | {found['trials']} |"


if __name__ == "__main__":
    sys.exit(main())
