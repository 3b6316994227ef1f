"""Neighbouring complex operators, tuned: with intensive fusion, without, and by MetaSchedule's own rules.

    python -m benchmarks.fusion_tuned            measure what has no record yet; print the table
    python -m benchmarks.fusion_tuned --again    measure everything anew
    python -m benchmarks.fusion_tuned --quick    only one shape of each kind
    python -m benchmarks.fusion_tuned --report   print the table of the last run

Options: --threads N (default 1), --json. Results are kept in benchmarks/results/fusion_tuned.json.

For each distinct chain of two or three complex operators (benchmarks/chains.py) of MobileNetV2 and MNasNet, each side
searches its space for TRIALS trials, as a session does; then the bests of all sides run in turns:

    fused   this project's spaces, several operators in a nest or not
    apart   this project's spaces without such nests
    stock   the rules that MetaSchedule ships, all of the chain in one function
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from pathlib import Path

from ago_core.tuning.backend import make_backend
from ago_core.tuning.interfaces import Candidate, Contestant, Measurer, SearchTask
from ago_core.tuning.settings import BATCH, Ablation, LocalDevice, Spaces, TuningSettings
from benchmarks.chains import Chain, distinct_chains, function_of, model_of
from benchmarks.resumable import command, kept, one_of_each_kind, save, started
from benchmarks.timing import quartiles

RESULTS = Path(__file__).parent / "results" / "fusion_tuned.json"
NETWORKS = ("mobilenet_v2@224", "mnasnet@224")
TRIALS = 64
SEED = 1
SIDES = {
    "fused": Ablation(reformer=False),
    "apart": Ablation(reformer=False, fusion=False),
    "stock": Ablation(reformer=False, fusion=False, spaces=Spaces.STOCK),
}


def main() -> int:
    return command(__doc__, RESULTS, _measure, table)


def _measure(results: dict, args: argparse.Namespace) -> None:
    """Adds what is missing to `results`, and saves after each chain."""
    run = results[str(args.threads)] = started(results.get(str(args.threads)), args.threads)
    every = distinct_chains(NETWORKS)
    run |= {"seed": SEED, "trials": TRIALS, "chains": {} if args.again else kept(run.get("chains", {}), every)}
    settings = TuningSettings(TRIALS, LocalDevice(args.threads), seed=SEED)
    with make_backend(settings).measurer(lambda _: None) as measurer:
        for chain in one_of_each_kind(every) if args.quick else every:
            if chain.name not in run["chains"]:
                record = run["chains"][chain.name] = _tuned(chain, measurer, args.threads)
                save(RESULTS, results)
                print(line_of(record), file=sys.stderr, flush=True)


def _tuned(chain: Chain, measurer: Measurer, threads: int) -> dict:
    """One chain's record: microseconds of each side, [median, first quartile, third quartile], or None."""
    function = function_of(model_of(chain.model), chain.operators)
    found, counts = {}, {}
    for name, ablation in SIDES.items():
        backend = make_backend(TuningSettings(TRIALS, LocalDevice(threads), ablation, seed=SEED))
        found[name], counts[name] = _search(backend.search(SearchTask(function, (), SEED)), function, measurer)
    bests = {name: best for name, best in found.items() if best is not None}
    (row,) = measurer.in_turns([[Contestant(function, best.function) for best in bests.values()]])
    times = {name: quartiles(list(measurement.seconds)) for name, measurement in zip(bests, row) if measurement.seconds}
    described = {"name": chain.name, "kind": chain.kind, "length": chain.length, "shape": chain.shape}
    return described | {"calls": dict(chain.calls), "trials": counts, **{name: times.get(name) for name in SIDES}}


def _search(search, function, measurer: Measurer) -> tuple[Candidate | None, int]:
    """(the fastest right candidate, trials)."""
    best, below, trials = None, math.inf, 0
    while trials < TRIALS and (candidates := search.propose(min(BATCH, TRIALS - trials))):
        measured = dict(measurer.measure(function, candidates, below))
        search.tell(candidates, [measured[index] for index in range(len(candidates))])
        trials += len(candidates)
        for index, measurement in measured.items():
            if measurement.correct and measurement.latency < below:
                best, below = candidates[index], measurement.latency
    return best, trials


def table(run: dict) -> str:
    """A row for each kind and network, and the chains for which fusion lost."""
    records = [r for r in run["chains"].values() if r["fused"] and r["apart"]]
    lines = ["| chains | number | apart / fused | stock / fused | fused slower by over 2 % |", "|---|--:|--:|--:|--:|"]
    kinds = dict.fromkeys(record["kind"] for record in records)
    lines += [_row(kind, [r for r in records if r["kind"] == kind]) for kind in kinds]
    lines += [_row(spec, [r for r in records if spec in r["calls"]]) for spec in NETWORKS]
    lines += [_row("pairs", [r for r in records if r["length"] == 2]), _row("all", records)]
    where = run["environment"]
    lines += ["", f"Geometric means of medians in turns after {run['trials']} trials a side; seed {run['seed']}."]
    versions = where["versions"]["apache-tvm"]
    lines += [f"{where['machine']}, {where['threads']} thread(s), {where['date']}, TVM {versions}."]
    return "\n".join(lines)


def _row(name: str, records: list[dict]) -> str:
    gains = [r["apart"][0] / r["fused"][0] for r in records]
    stock = [r["stock"][0] / r["fused"][0] for r in records if r["stock"]]
    slower = sum(gain < 1 / 1.02 for gain in gains)
    return f"| {name} | {len(records)} | {_mean(gains)} | {_mean(stock)} | {slower} |"


def _mean(ratios: list[float]) -> str:
    return f"{statistics.geometric_mean(ratios):.2f}" if ratios else "–"


def line_of(record: dict) -> str:
    """What is printed of a chain as soon as it is measured."""
    times = ", ".join(f"{side} {record[side][0]:.1f} µs" if record[side] else f"{side} –" for side in SIDES)
    return f"{record['name']} ({record['kind']}, {record['shape']}): {times}"


if __name__ == "__main__":
    sys.exit(main())
