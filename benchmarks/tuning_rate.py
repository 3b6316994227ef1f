"""How fast trials go: start-up, trials a second, where the time goes, and memory.

    python -m benchmarks.tuning_rate             measure and print the table
    python -m benchmarks.tuning_rate --report    print the table of the last run

Options: --trials N (default 400), --threads N of the measured code (default all cores), --only ABLATION, --json.
Results are kept in benchmarks/results/tuning_rate.json.

For each ablation (ago_core/tuning/settings.py) a process of its own tunes the operators of MODEL as a session does:
batches of BATCH, the tasks in turn; while one batch is built, the next is searched for. All begins with a fresh
interpreter, so the time to the first trial includes importing, loading the model and starting the workers. Times by
part are wall time and overlap: `build` is summed over the workers, `model` (the cost model) is part of `search`.
CPU time is that of the tuner and of its workers, which is of use on a busy machine as well. Memory is resident, of the
tuner with its workers, after half of the trials and at the end.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import math
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "tuning_rate.json"
MODEL = "mobilenet_v2@224"
ABLATIONS = ("heuristic", "ago", "stock")
TRIALS = 400
BATCH = 16
SEED = 1
PARTS = ("search", "model", "wait", "build", "run")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=TRIALS, help="of each ablation")
    parser.add_argument("--threads", type=int, help="of the measured code; all cores by default")
    parser.add_argument("--only", choices=ABLATIONS, help="one ablation")
    parser.add_argument("--report", action="store_true", help="print the table of the last run")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        print(json.dumps(tune(args.only, args.trials, args.threads)))
        return 0
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if not args.report:
        results = measure(args, results)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    if not results:
        sys.exit("Nothing has been measured: run without --report first.")
    print(json.dumps(results) if args.json else table(results))
    return 0


def measure(args: argparse.Namespace, old: dict) -> dict:
    """Runs each ablation in a process of its own; what is not run now is kept from an old run on the same machine."""
    from ago_core.devices.local import physical_cores
    from benchmarks.environment import environment

    threads = args.threads or physical_cores()
    where = environment() | {"threads": threads}
    keep = all(old.get("environment", {}).get(key) == where[key] for key in ("machine", "versions", "threads"))
    runs = dict(old["runs"]) if keep and old else {}
    for ablation in [args.only] if args.only else ABLATIONS:
        command = [sys.executable, "-m", "benchmarks.tuning_rate", "--worker", "--only", ablation]
        command += ["--trials", str(args.trials), "--threads", str(threads)]
        begun = time.time()
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        run = json.loads(done.stdout.splitlines()[-1])
        runs[ablation] = {"start_seconds": run.pop("first_trial_at") - begun} | run
    return {"environment": where, "model": MODEL, "batch": BATCH, "seed": SEED, "runs": runs}


def tune(ablation: str, trials: int, threads: int) -> dict:
    """Tunes the tasks in turn until there were so many trials, or every space is exhausted."""
    spent = _instrumented()
    from ago_core.tuning.backend import make_backend
    from ago_core.tuning.settings import ABLATIONS as PRESETS
    from ago_core.tuning.settings import LocalDevice, TuningSettings

    settings = TuningSettings(trials, LocalDevice(threads), PRESETS[ablation], BATCH, SEED)
    backend = make_backend(settings)
    with backend.measurer(lambda _: None) as measurer:
        searches = _searches(backend, settings)
        return _tune(measurer, searches, trials, spent)


def _searches(backend, settings) -> dict[int, tuple]:
    """(function, search) of each task, the searches made when they are first asked for."""
    from ago_core.graph.model import load_model
    from ago_core.partition.ago import cluster
    from ago_core.partition.heuristic import heuristic_partition
    from ago_core.tuning.interfaces import SearchTask
    from ago_core.tuning.tasks import tasks_of

    model = load_model(MODEL)
    ours = settings.ablation.partition == "ago"
    partition = cluster(model.graph, settings.clustering).partition if ours else heuristic_partition(model)
    tasks = tasks_of(model, partition)

    @functools.cache
    def search(index: int):
        return backend.search(SearchTask(tasks[index].function, (), SEED + index))

    return {index: (task.function, functools.partial(search, index)) for index, task in enumerate(tasks)}


def _tune(measurer, tasks: dict[int, tuple], trials: int, spent: Counter) -> dict:
    """A session's loop; see ago_core/tuning/tuner.py."""
    open_tasks = list(tasks)
    best = dict.fromkeys(tasks, math.inf)
    turns = itertools.cycle(tasks)
    done, failed, memory, first_trial_at, begun, cpu = 0, 0, [], None, 0.0, (0.0, 0.0)

    def propose(busy: int | None) -> tuple[int, list] | None:
        """The next batch, of another task than the one that is measured."""
        begun = time.perf_counter()
        found = None
        for task in itertools.islice(turns, len(tasks)):
            if task == busy or task not in open_tasks:
                continue
            if candidates := tasks[task][1]().propose(BATCH):
                found = task, candidates
                break
            open_tasks.remove(task)
        spent["search"] += time.perf_counter() - begun
        return found

    batch = propose(None)
    while batch is not None and done < trials:
        task, candidates = batch
        results = measurer.measure(tasks[task][0], candidates, best[task])
        following = propose(task)
        measured = {}
        waited = time.perf_counter()
        for index, measurement in results:
            if first_trial_at is None:
                first_trial_at, begun, cpu = time.time(), time.perf_counter(), _cpu()
                spent.clear()
                done = -1  # trials are counted from here
            measured[index] = measurement
        spent["wait"] += time.perf_counter() - waited
        told = time.perf_counter()
        tasks[task][1]().tell([candidates[index] for index in measured], list(measured.values()))
        spent["search"] += time.perf_counter() - told
        failed += sum(measurement.latency is None for measurement in measured.values())
        good = [m.latency for m in measured.values() if m.latency is not None]
        best[task] = min([best[task], *good])
        done += len(measured)
        memory.append(_resident())
        batch = following or propose(None)
    seconds = time.perf_counter() - begun
    tuner, workers = (after - before for after, before in zip(_cpu(), cpu))
    return {
        "first_trial_at": first_trial_at,
        "trials": done,
        "failed": failed,
        "seconds": seconds,
        "trials_per_second": done / seconds,
        "exhausted_tasks": len(tasks) - len(open_tasks),
        "tasks": len(tasks),
        "parts_seconds": {part: spent[part] for part in PARTS},
        "cpu_seconds": {"tuner": tuner, "workers": workers},
        "memory_mb": {"half": memory[len(memory) // 2], "end": memory[-1]},
    }


def _instrumented() -> Counter:
    """Seconds spent in building, running and the cost model, as they come."""
    from ago_core.tuning import cost_model, measure
    from ago_core.tuning.build_worker import Worker

    spent: Counter = Counter()

    def timed(owner, name: str, part) -> None:
        inner = getattr(owner, name)

        @functools.wraps(inner)
        def outer(*arguments):
            begun = time.perf_counter()
            try:
                return inner(*arguments)
            finally:
                spent[part(arguments)] += time.perf_counter() - begun

        setattr(owner, name, outer)

    timed(Worker, "ask", lambda arguments: "build" if arguments[2] == "build" else "other")
    timed(measure, "_time", lambda _: "run")
    for owner, name in ((cost_model, "store_features"), (cost_model, "cut_features"), (cost_model.xgboost, "train")):
        timed(owner, name, lambda _: "model")
    return spent


def _resident() -> float:
    """Megabytes of this process and all below it."""
    return sum(process.memory_info().rss for process in _family()) / 1e6


def _cpu() -> tuple[float, float]:
    """Seconds of processor time that this process has used, and those below it that live."""
    own, *others = (sum(process.cpu_times()[:2]) for process in _family())
    return own, sum(others)


def _family() -> list:
    import psutil

    this = psutil.Process()
    return [this, *this.children(recursive=True)]


def table(results: dict) -> str:
    lines = [
        "| ablation | first trial, s | trials/s | trials | failed | "
        + " | ".join(f"{part}, ms a trial" for part in PARTS)
        + " | CPU, ms a trial | memory, MB |",
        "|---" * (7 + len(PARTS)) + "|",
    ]
    for name, run in results["runs"].items():
        parts = " | ".join(f"{run['parts_seconds'][part] / run['trials'] * 1e3:.0f}" for part in PARTS)
        memory = run["memory_mb"]
        cpu = run["cpu_seconds"]
        cells = [name, f"{run['start_seconds']:.1f}", f"{run['trials_per_second']:.2f}", run["trials"], run["failed"]]
        cells += [
            parts,
            f"{sum(cpu.values()) / run['trials'] * 1e3:.0f}",
            f"{memory['half']:.0f} → {memory['end']:.0f}",
        ]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
