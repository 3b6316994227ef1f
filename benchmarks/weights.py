"""Calibrates operator weights: how many trials does tuning need until it stops improving?

    python -m benchmarks.weights            tune every task (hours; goes on where it stopped), then fit
    python -m benchmarks.weights --report   fit and print what has been measured

Each task is one operator of the sample networks, tuned by MetaSchedule with its stock spaces, evolutionary search and
XGBoost cost model (pip install xgboost-cpu), TRIALS trials. *Trials to convergence* is the first trial after which the
best latency is within 5 % of the best of all. The fit is least squares of this number, averaged over seeds, against the
operator's bits of schedule space (ago_core/partition/weights.py); R² says how much of it the bits explain.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.environment import environment

RESULTS = Path(__file__).parent / "results" / "weights.json"
MODELS = ("mobilenet_v2@112", "squeezenet@112", "shufflenet_v2@112", "mobilevit_xs@112", "bert_tiny@64")
TASKS_A_KIND = 4
TRIALS = 128
BATCH = 16
SEEDS = (1, 2)
CONVERGED = 1.05
TIME_LIMIT = 600
"""Seconds for one task: a search that finds no new candidates goes on for minutes. What was measured counts."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", action="store_true", help="fit what has been measured")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--worker", nargs=3, metavar=("MODEL", "OPERATOR", "SEED"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        model, operator, seed = args.worker
        for latencies in _tune(model, operator, int(seed)):
            print(json.dumps(latencies), flush=True)
        return 0
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"environment": environment(), "runs": []}
    if not args.report:
        _measure_missing(results)
    _refresh_bits(results["runs"])
    results["fit"] = fit(results["runs"])
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results) if args.json else table(results))
    return 0


def _measure_missing(results: dict) -> None:
    """Runs each task and seed that has no record, each in a process of its own, and saves after each."""
    done = {(run["model"], run["operator"], run["seed"]) for run in results["runs"]}
    tasks = list(_tasks())
    for seed in SEEDS:
        for model, operator, kind in tasks:
            if (model, operator, seed) in done:
                continue
            latencies = _in_a_process(model, operator, seed)
            if not latencies:
                print(f"{model} {operator}: nothing measured", file=sys.stderr, flush=True)
                continue
            run = {"model": model, "operator": operator, "kind": kind, "seed": seed}
            results["runs"].append(run | {"latencies_us": latencies, "trials": trials_to_convergence(latencies)})
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
            print(f"{model:18s} {operator:22s} {results['runs'][-1]['trials']:4d} trials", flush=True)


def _in_a_process(model: str, operator: str, seed: int) -> list[float]:
    """Latencies of a task's trials; what was measured until the time limit; empty where tuning failed."""
    command = [sys.executable, "-m", "benchmarks.weights", "--worker", model, operator, str(seed)]
    try:
        lines = subprocess.run(command, capture_output=True, timeout=TIME_LIMIT, check=False).stdout.splitlines()
    except subprocess.TimeoutExpired as stopped:
        lines = (stopped.stdout or b"").splitlines()
    return json.loads(lines[-1]) if lines else []


def _refresh_bits(runs: list[dict]) -> None:
    """Bits by the formula as it is now: what was measured stays valid when the formula changes."""
    from ago_core.graph.model import load_model
    from ago_core.partition.weights import schedule_bits

    graphs = {spec: load_model(spec).graph for spec in {run["model"] for run in runs}}
    operators = {(spec, op.name): op for spec, graph in graphs.items() for op in graph.operators}
    for run in runs:
        run["bits"] = schedule_bits(operators[run["model"], run["operator"]])


def _tasks() -> Iterator[tuple[str, str, str]]:
    """(model, operator, kind): of each kind of operator some with different loops, spread over the networks."""
    from ago_core.graph.model import load_model
    from ago_core.partition.weights import tiling_bits

    by_kind: dict[str, dict[float, tuple[str, str]]] = {}
    for spec in MODELS:
        for op in load_model(spec).graph.operators:
            if op.flops and not op.extern:
                by_kind.setdefault(op.kind, {}).setdefault(tiling_bits(op), (spec, op.name))
    for kind, found in by_kind.items():
        order = sorted(found)
        for k in sorted({round(i * (len(order) - 1) / (TASKS_A_KIND - 1)) for i in range(TASKS_A_KIND)}):
            yield *found[order[k]], kind


def trials_to_convergence(latencies: list[float]) -> int:
    """The first trial, from 1, after which the best so far is within 5 % of the best of all."""
    limit = min(latencies) * CONVERGED
    return next(index for index, latency in enumerate(latencies, start=1) if latency <= limit)


def fit(runs: list[dict]) -> dict:
    """Least squares of the mean trials to convergence of a task against its bits."""
    tasks: dict[tuple[str, str], list[dict]] = {}
    for run in runs:
        tasks.setdefault((run["model"], run["operator"]), []).append(run)
    if len(tasks) < 3:
        return {"tasks": len(tasks)}
    bits = np.array([group[0]["bits"] for group in tasks.values()])
    trials = np.array([statistics.mean(run["trials"] for run in group) for group in tasks.values()])
    slope, intercept = np.polyfit(bits, trials, 1)
    residual = trials - (slope * bits + intercept)
    r_squared = 1 - float(residual @ residual) / float(((trials - trials.mean()) ** 2).sum())
    return {"tasks": len(tasks), "trials_per_bit": float(slope), "intercept": float(intercept), "r_squared": r_squared}


def table(results: dict) -> str:
    found = results["fit"]
    lines = ["| operator | kind | bits | trials to convergence |", "|---|---|--:|--:|"]
    for run in results["runs"]:
        lines.append(f"| {run['model']} {run['operator']} | {run['kind']} | {run['bits']:.1f} | {run['trials']} |")
    if "r_squared" in found:
        line = f"trials = {found['intercept']:.1f} + {found['trials_per_bit']:.2f} · bits"
        lines += ["", f"{found['tasks']} tasks: {line}, R² = {found['r_squared']:.2f}"]
    return "\n".join(lines)


def _tune(spec: str, operator: str, seed: int) -> Iterator[list[float]]:
    """After each batch: microseconds of the trials so far, in order; failed ones take the worst of the others."""
    _without_intrinsics_for_other_targets()
    from tvm.s_tir import meta_schedule as ms

    from ago_core.devices.local import host_target

    module, target = _operator_module(spec, operator), host_target()
    context = ms.TuneContext(
        mod=module,
        target=target,
        space_generator="post-order-apply",
        search_strategy=ms.search_strategy.EvolutionarySearch(population_size=128, genetic_num_iters=3),
        rand_state=seed,
        num_threads=2,
    )
    cost_model = ms.cost_model.XGBModel(extractor=ms.feature_extractor.PerStoreFeature())
    spaces = context.generate_design_space()
    database = ms.database.MemoryDatabase()
    context.pre_tuning(TRIALS, BATCH, spaces, database, cost_model)
    seconds: list[float | None] = []
    while (candidates := context.generate_measure_candidates()) is not None:
        measured = [_measure(candidate.sch.mod, target) for candidate in candidates]
        seconds += measured
        results = [ms.runner.RunnerResult([s] if s else None, None if s else "failed") for s in measured]
        context.notify_runner_results(candidates, results)
        cost_model.update(context, candidates, results)
        worst = max((s for s in seconds if s), default=0.0)
        yield [(s or worst) * 1e6 for s in seconds]


def _without_intrinsics_for_other_targets() -> None:
    """Importing tvm.s_tir.tensor_intrin parses every CUDA intrinsic, half a minute; a CPU needs none of them."""
    for name in ("cuda", "rocm", "metal", "hexagon", "riscv_cpu"):
        sys.modules[f"tvm.s_tir.tensor_intrin.{name}"] = types.ModuleType(name)


def _operator_module(spec: str, operator: str):
    import tvm

    from ago_core.graph.model import load_model
    from ago_core.lowering.regroup import regroup_one
    from ago_core.partition.partition import make_partition

    model = load_model(spec)
    partition = make_partition(model.graph, [[op.id] for op in model.graph.operators], "edited")
    index = next(partition.owner[op.id] for op in model.graph.operators if op.name == operator)
    function = regroup_one(model, partition, index)
    return tvm.IRModule({"main": function.with_attr("global_symbol", "main")})


def _measure(module, target) -> float | None:
    """Least seconds of a call over five repeats; None where the schedule cannot be built or run."""
    import tvm

    try:
        library = tvm.tirx.build(module, target)
        arguments = [tvm.runtime.tensor(_random(parameter)) for parameter in module["main"].params]
        timer = library.time_evaluator("main", tvm.cpu(), number=1, repeat=5, min_repeat_ms=10)
        return min(timer(*arguments).results)
    except RuntimeError:
        return None


def _random(parameter) -> np.ndarray:
    shape = [int(extent) for extent in parameter.ty.shape]
    return np.random.default_rng(0).standard_normal(shape).astype(str(parameter.ty.dtype))


if __name__ == "__main__":
    sys.exit(main())
