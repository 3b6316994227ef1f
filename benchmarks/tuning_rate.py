"""How fast sessions go: start-up, trials a second, processor time, memory, and what comes of it.

    python -m benchmarks.tuning_rate             run a session of each ablation and print the table
    python -m benchmarks.tuning_rate --report    print the table of the last run

Options: --trials N (default 500), --threads N of the measured code (default all cores), --only ABLATION, --json.
Results are kept in benchmarks/results/tuning_rate.json.

Real sessions (ago_core/tuning/session.py) tune MODEL one after the other on this machine. The first trial counts from
when the session's process is started, so it includes importing, loading the model and starting the workers; the rate is
of all trials after it, with the whole model measured now and then in between; the last check follows the trials.
Processor time and resident memory are of the session's process and all below it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from ago_core.devices.cores import physical_cores
from ago_core.tuning import control
from ago_core.tuning.events import Kind
from ago_core.tuning.journal import read_journal
from ago_core.tuning.settings import ABLATIONS as PRESETS
from ago_core.tuning.settings import LocalDevice, TuningSettings
from benchmarks.environment import environment

RESULTS = Path(__file__).parent / "results" / "tuning_rate.json"
MODEL = "mobilenet_v2@224"
ABLATIONS = ("ago", "heuristic", "stock")
TRIALS = 500
SEED = 1
POLL_SECONDS = 1.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=TRIALS, help="of each session")
    parser.add_argument("--threads", type=int, default=physical_cores(), help="of the measured code")
    parser.add_argument("--only", choices=ABLATIONS, help="one ablation")
    parser.add_argument("--report", action="store_true", help="print the table of the last run")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    args = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if not args.report:
        results = measure(args, results)
    if not results:
        sys.exit("Nothing has been measured: run without --report first.")
    print(json.dumps(results) if args.json else table(results))
    return 0


def measure(args: argparse.Namespace, old: dict) -> dict:
    """Runs each session and saves; what is not run now is kept from an old run on the same machine."""
    where = environment() | {"threads": args.threads}
    keep = all(old.get("environment", {}).get(key) == where[key] for key in ("machine", "versions", "threads"))
    results = {"environment": where, "model": MODEL, "seed": SEED, "runs": dict(old["runs"]) if keep and old else {}}
    for ablation in [args.only] if args.only else ABLATIONS:
        settings = TuningSettings(args.trials, LocalDevice(args.threads), PRESETS[ablation], seed=SEED)
        with tempfile.TemporaryDirectory(prefix="ago-rate-") as folder:
            results["runs"][ablation] = _session(Path(folder) / "session", settings)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    return results


@dataclass
class Use:
    """Of a session's processes, sampled while it runs.

    Attributes:
        seconds: of processor time, by process, at the last look.
        memory: (trials, megabytes) of all that were there, at each look.
    """

    seconds: dict[psutil.Process, float] = field(default_factory=dict)
    memory: list[tuple[int, float]] = field(default_factory=list)

    def look(self, trials: int) -> None:
        """At all processes below this one: those of the session."""
        total = 0.0
        for each in psutil.Process().children(recursive=True):
            try:
                self.seconds[each] = sum(each.cpu_times()[:2])
                total += each.memory_info().rss / 1e6
            except psutil.NoSuchProcess:
                continue
        self.memory.append((trials, total))

    def memory_after(self, trials: float) -> float:
        """Megabytes at the first look after so many trials."""
        return next((size for count, size in self.memory if count >= trials), self.memory[-1][1])


def _session(folder: Path, settings: TuningSettings) -> dict:
    control.create(folder, control.Request(MODEL, {}, settings))
    begun, use = time.time(), Use()
    control.start(folder)
    while not (status := control.status(folder)).state.ended:
        use.look(status.trials)
        time.sleep(POLL_SECONDS)
    if status.end_to_end is None:
        sys.exit(f"{status.ablation}: {status.state.value}. {status.reason}")
    with read_journal(folder) as journal:
        trials = list(journal.trials())
        runs = [event.data for event in journal.events(kinds=[Kind.END_TO_END])]
    first, last = trials[0], trials[-1]
    return {
        "start_seconds": first.at - begun,
        "trials": len(trials),
        "failed": sum(trial.measurement.latency is None for trial in trials),
        "trials_per_second": (len(trials) - 1) / (last.at - first.at),
        "check_seconds": status.elapsed - last.elapsed,
        "cpu_ms_a_trial": sum(use.seconds.values()) / len(trials) * 1e3,
        "memory_mb": {"half": use.memory_after(len(trials) / 2), "end": use.memory_after(len(trials))},
        "tasks": status.tasks,
        "ms": {"first": status.first * 1e3, "best": status.end_to_end * 1e3},
        "plans_ms": {name: seconds and seconds * 1e3 for name, seconds in (status.plans or {}).items()},
        "chosen": status.chosen,
        "joins": {"kept": status.joins_kept, "dropped": status.joins_dropped},
        "runs": len(runs),
    }


def table(results: dict) -> str:
    heads = ("session", "first trial, s", "trials/s", "trials", "failed", "CPU, ms a trial", "last check, s")
    heads += ("memory, MB", "ms at first", "ms at the end", "in turns at the end")
    lines = ["| " + " | ".join(heads) + " |", "|---" + "|--:" * (len(heads) - 2) + "|---|"]
    lines += [f"| {' | '.join([name, *_cells(run)])} |" for name, run in results["runs"].items()]
    where = results["environment"]
    lines += ["", f"{results['model']} on {where['machine']}, {where['threads']} thread(s), {where['date']}."]
    return "\n".join(lines)


def _cells(run: dict) -> list[str]:
    memory, ms = run["memory_mb"], run["ms"]
    plans = ", ".join(f"{name} {value:.2f}" if value else f"{name} failed" for name, value in run["plans_ms"].items())
    return [
        f"{run['start_seconds']:.1f}",
        f"{run['trials_per_second']:.2f}",
        str(run["trials"]),
        str(run["failed"]),
        f"{run['cpu_ms_a_trial']:.0f}",
        f"{run['check_seconds']:.0f}",
        f"{memory['half']:.0f} → {memory['end']:.0f}",
        f"{ms['first']:.2f}",
        f"{ms['best']:.2f}",
        plans,
    ]


if __name__ == "__main__":
    sys.exit(main())
