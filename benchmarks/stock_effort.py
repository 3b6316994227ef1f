"""What MetaSchedule's rules find with the effort that sessions give them, beside MetaSchedule's own defaults.

    python -m benchmarks.stock_effort             measure what has no record yet (minutes), print the table
    python -m benchmarks.stock_effort --report    print the table of what has been measured

A session searches MetaSchedule's rules with small populations (ago_core/tuning/space.py), since those that it has by
default, 512 over 4 generations for batches of 64, take longer. That must not make the baseline weak. Here one
convolution each is tuned by both, TRIALS trials with each seed, on one thread; equal trials are compared, since those
are what budgets count. Results are kept in benchmarks/results/stock_effort.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ago_core.tuning import control
from ago_core.tuning.events import State
from ago_core.tuning.journal import read_journal
from ago_core.tuning.settings import ABLATIONS, BATCH, LocalDevice, TuningSettings
from benchmarks.environment import environment

RESULTS = Path(__file__).parent / "results" / "stock_effort.json"
LAYERS = {
    "pointwise 144→24, 56×56": (144, 24, 1, 1, 1, 56),
    "depthwise 3×3 of 144, 56×56": (144, 144, 3, 1, 144, 56),
    "3×3, 3→32, stride 2, 224×224": (3, 32, 3, 2, 1, 224),
}
"""Channels in and out, side of the window, stride, groups, side of the image."""
EFFORTS = {"sessions'": None, "defaults": (512, 64, 4)}
"""Population, batch and generations; None leaves them as they are."""
TRIALS = 128
SEEDS = (1, 2, 3)
AFTER = (16, 32, 64, 120)
"""Trials after which the best is compared; the transposes around a layer take the rest."""
POLL_SECONDS = 0.5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", action="store_true", help="print what has been measured")
    parser.add_argument("--session", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.session:
        return _session(args.session)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"environment": environment(), "runs": []}
    if not args.report:
        _measure_missing(results)
    print(table(results))
    return 0


def _session(arguments: list[str]) -> int:
    """The process of a session with MetaSchedule's defaults."""
    from ago_core.tuning import space
    from ago_core.tuning.backend import make_backend
    from ago_core.tuning.session import main as session

    population, batch, generations = EFFORTS["defaults"]
    space.STOCKS, space.GENERATIONS = space.Effort(population, batch), generations
    return session(arguments, make_backend)


def _measure_missing(results: dict) -> None:
    known = {(run["layer"], run["effort"], run["seed"]) for run in results["runs"]}
    for seed in SEEDS:
        for layer in LAYERS:
            for effort in EFFORTS:
                if (layer, effort, seed) not in known:
                    print(f"{layer}, seed {seed}, {effort}", file=sys.stderr, flush=True)
                    results["runs"].append(_run(layer, effort, seed))
                    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


def _run(layer: str, effort: str, seed: int) -> dict:
    batch = EFFORTS[effort][1] if EFFORTS[effort] else BATCH
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "session"
        onnx.save(_model(*LAYERS[layer]), Path(name) / "layer.onnx")
        settings = TuningSettings(TRIALS, LocalDevice(1), ABLATIONS["stock"], batch, seed)
        control.create(folder, control.Request(Path(name) / "layer.onnx", {}, settings))
        own = (sys.executable, "-m", "benchmarks.stock_effort", "--session")
        control.start(folder, own if EFFORTS[effort] else None)
        while not (status := control.status(folder)).state.ended:
            time.sleep(POLL_SECONDS)
        if status.state is not State.FINISHED:
            sys.exit(f"{layer}: {status.reason}")
        with read_journal(folder) as journal:
            task = max(journal.tasks(), key=lambda task: len(task["operators"]))["id"]
            found = [trial.measurement.latency for trial in journal.trials() if trial.task == task]
    best = [min((seconds for seconds in found[:count] if seconds), default=None) for count in AFTER]
    return {"layer": layer, "effort": effort, "seed": seed, "seconds": round(status.elapsed, 1), "best": best}


def _model(channels: int, results: int, window: int, stride: int, groups: int, side: int) -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    shapes = {"w": (results, channels // groups, window, window), "b": (results,)}
    weights = [numpy_helper.from_array(rng.standard_normal(s, dtype=np.float32), name) for name, s in shapes.items()]
    options = {"pads": [window // 2] * 4, "strides": [stride] * 2, "group": groups}
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["c"], **options), helper.make_node("Relu", ["c"], ["y"])]
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, channels, side, side])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, results, side // stride, side // stride])
    graph = helper.make_graph(nodes, "layer", [image], [result], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def table(results: dict) -> str:
    """The best after so many trials by the defaults over that by the sessions' effort: above 1 the latter is faster."""
    runs = {(run["layer"], run["effort"], run["seed"]): run for run in results["runs"]}
    lines = [f"| defaults / sessions' | {' | '.join(f'after {n}' for n in AFTER)} | time |", "|---|" + "--:|" * 5]
    found: list[list[float]] = [[] for _ in AFTER]
    for layer in LAYERS:
        pairs = [[runs.get((layer, effort, seed)) for effort in EFFORTS] for seed in SEEDS]
        pairs = [pair for pair in pairs if all(pair)]
        if not pairs:
            continue
        ratios = [[theirs["best"][k] / ours["best"][k] for ours, theirs in pairs] for k in range(len(AFTER))]
        found = [[*known, *new] for known, new in zip(found, ratios)]
        longer = statistics.geometric_mean(theirs["seconds"] / ours["seconds"] for ours, theirs in pairs)
        seeds = f"{len(pairs)} seed{'s' * (len(pairs) > 1)}"
        lines.append(_row(f"{layer}, {seeds}", ratios, f"{longer:.1f}"))
    if all(found):
        lines.append(_row("geometric mean", found, ""))
    where = results["environment"]
    return "\n".join([*lines, "", f"{where['machine']}, one thread, {where['date']}."])


def _row(title: str, ratios: list[list[float]], longer: str) -> str:
    return f"| {title} | " + " | ".join(f"{statistics.geometric_mean(each):.2f}" for each in ratios) + f" | {longer} |"


if __name__ == "__main__":
    sys.exit(main())
