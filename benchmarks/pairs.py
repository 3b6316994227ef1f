"""Two neighbouring operators: AGO's fused nest, our code apart, ONNX Runtime and MetaSchedule, at batch 1 and 4.

    python -m benchmarks.pairs               measure what has no record yet; print the table
    python -m benchmarks.pairs --trials 64   the same after a tuning session of so many trials for each side that tunes
    python -m benchmarks.pairs --again       measure everything anew
    python -m benchmarks.pairs --quick       only one shape of each kind, batch 1
    python -m benchmarks.pairs --report      print the tables of what has been measured

Options: --threads N (default 1), --json. Results are kept in benchmarks/results/pairs.json and saved after every pair;
models and sessions lie in --work, so that a run that was stopped goes on.

The pairs (benchmarks/pair_models.py) have shapes of MobileNetV2, MNasNet, MobileViT and BERT; each operator is followed
by bias and ReLU. All sides take turns, each in a process of its own on the same cores (benchmarks/networks/race.py),
and their outputs are compared with ONNX Runtime's:

    inside     ONNX Runtime as inside a network: images lie as its operators like them, the fastest way counts
    reordered  ONNX Runtime given images NHWC: with the reorders that a lone pair then costs it
    apart      this project's code, each operator in a nest of its own
    one nest   both in one nest (intensive fusion) by the task with the least estimate, untuned
    AGO        what AGO chooses of the last two, by its estimate or by tuning
    stock      MetaSchedule's own rules; only after trials, since without one they leave the loops as they are

Times are of a whole call; what a call costs that computes next to nothing stands beside them. The limit is the
roofline's time for the FLOPs and the bytes of inputs, weights and results, see benchmarks/networks/limits.py.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from pathlib import Path

import onnx

from ago_core.artifacts.reference import random_inputs
from ago_core.devices.cores import cores_for
from ago_core.errors import UserError
from ago_core.graph.model import load_model
from benchmarks.networks.cells import Cell
from benchmarks.networks.limits import compulsory
from benchmarks.networks.measure import Bench, default_work, prepared, raced
from benchmarks.networks.peers import AGO, REFERENCE, STOCK, UNFUSED
from benchmarks.networks.progress import INTERRUPTED, Line
from benchmarks.networks.race import OURS, ROUNDS, STARTS, Entrant
from benchmarks.networks.report import footer, table
from benchmarks.networks.sessions import SEED
from benchmarks.networks.store import OtherMachine, opened, read, write
from benchmarks.networks.summary import mean, milliseconds, ratio, share
from benchmarks.pair_models import CALL, PAIRS, Pair, pair_model
from benchmarks.peers.run_one_nest import chooses_one_nest
from benchmarks.resumable import one_of_each_kind

RESULTS = Path(__file__).parent / "results"
FILE = "pairs.json"
ONE_NEST, INSIDE = "one-nest", "inside"
SIDES = {
    INSIDE: "inside",
    REFERENCE: "reordered",
    STOCK[0]: "stock",
    UNFUSED: "apart",
    ONE_NEST: "one nest",
    AGO: "AGO",
}
NESTS = {True: "one nest", False: "apart"}
MODULES = {ONE_NEST: "run_one_nest", INSIDE: "run_onnxruntime_inside"}
"""Of the sides that are not peers of the networks; they run in this project's environment."""


def main(arguments: list[str] | None = None) -> int:
    args = _parser().parse_args(arguments)
    try:
        if not args.report:
            _measure(args)
    except (UserError, OtherMachine) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        print("\nInterrupted: run the same command to go on.", file=sys.stderr)
        return INTERRUPTED
    results = read(args.results, FILE)
    if not results:
        sys.exit(f"Nothing has been measured in {args.results}: run without --report first.")
    print(json.dumps(results | {"summary": summary(results)}) if args.json else text(results))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pairs", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of all sides")
    parser.add_argument("--trials", type=int, default=0, metavar="N", help="of each side that tunes")
    parser.add_argument("--quick", action="store_true", help="only one shape of each kind, batch 1")
    parser.add_argument("--again", action="store_true", help="measure everything anew, but keep what sessions found")
    parser.add_argument("--work", type=Path, metavar="DIR", help="default: in the folder where the samples are cached")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="default: benchmarks/results")
    parser.add_argument("--report", action="store_true", help="print the tables of what has been measured")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _measure(args: argparse.Namespace) -> None:
    """Adds what is missing and saves after each pair."""
    results = opened(args.results, FILE)
    bench = Bench((args.work or default_work()).absolute(), tuple(SIDES), STARTS, ROUNDS, math.inf, Line().say)
    every = [Cell(pair.name, args.threads, args.trials) for pair in chosen(args.quick)]
    pairs = {pair.name: pair for pair in (*PAIRS, CALL)}
    for cell in (Cell(CALL.name, args.threads, 0), *every):
        if cell.name in results["cells"] and not args.again:
            continue
        described, record = measured(bench, pairs[cell.model], cell)
        results["networks"][cell.model] = described
        results["cells"][cell.name] = vars(cell) | record
        write(args.results, results, FILE)


def chosen(quick: bool) -> list[Pair]:
    return one_of_each_kind(pair for pair in PAIRS if pair.batch == 1) if quick else list(PAIRS)


def sides_of(trials: int) -> list[str]:
    """Those that there are after so many trials."""
    without = ONE_NEST if trials else STOCK[0]
    return [name for name in SIDES if name != without]


def measured(bench: Bench, pair: Pair, cell: Cell) -> tuple[dict, dict]:
    """What is known of a pair without running it, and its record: see `measure.raced`; `estimate_fuses` untuned."""
    paths = {last: bench.work / "pairs" / f"{pair.name}{'' if last else ' NCHW'}.onnx" for last in (True, False)}
    paths[True].parent.mkdir(parents=True, exist_ok=True)
    for channels_last, path in paths.items():
        onnx.save(pair_model(pair, channels_last), path)
    model = load_model(paths[True])
    asked = {"path": str(paths[True]), "spec": str(paths[True]), "inside": str(paths[False])}
    asked |= {"cores": cores_for(cell.threads)}

    def prepare(name: str) -> tuple[Entrant, dict | None]:
        if name in MODULES:
            return Entrant(OURS, MODULES[name], asked), None
        return prepared(bench, cell, name, asked["spec"], paths[True])

    names = [name for name in sides_of(cell.trials) if pair is not CALL or name != ONE_NEST]
    record = raced(bench, cell, names, prepare, random_inputs(model.onnx, SEED))
    about = {"kind": pair.kind, "network": pair.network, "shape": pair.text, "batch": pair.batch}
    return compulsory(model) | about, record | {"estimate_fuses": chooses_one_nest(model, cell.threads)}


def summary(results: dict) -> list[dict]:
    """For each number of threads, budget, kind and batch: times of each side over AGO's, and AGO's share of the limit.

    Geometric means over the shapes, see `networks.summary.mean`.
    """
    groups: dict[tuple, list[dict]] = {}
    for cell in _pairs(results):
        about = results["networks"][cell["model"]]
        groups.setdefault((cell["threads"], cell["trials"], about["kind"], about["batch"]), []).append(cell)
    return [
        dict(zip(("threads", "trials", "kind", "batch"), key))
        | {f"{name}/{AGO}": mean(ratio(cell, [name]) for cell in cells) for name in SIDES if name != AGO}
        | {"apart/one nest": mean(_apart_over_one_nest(cell) for cell in cells)}
        | {"share_of_limit": mean(share(results, cell, AGO) for cell in cells)}
        for key, cells in groups.items()
    ]


def _pairs(results: dict) -> list[dict]:
    """Records by threads and budget, then in the order of PAIRS."""
    order = {pair.name: place for place, pair in enumerate(PAIRS)}
    known = [cell for cell in results["cells"].values() if cell["model"] in order]
    return sorted(known, key=lambda cell: (cell["threads"], cell["trials"], order[cell["model"]]))


def _apart_over_one_nest(cell: dict) -> float | None:
    apart, one_nest = milliseconds(cell, [UNFUSED]), milliseconds(cell, [ONE_NEST])
    return apart / one_nest if apart and one_nest else None


def text(results: dict) -> str:
    """Tables of all pairs and of their means, what failed, and where it was measured."""
    parts = []
    for threads, trials in dict.fromkeys((cell["threads"], cell["trials"]) for cell in _pairs(results)):
        cells = [cell for cell in _pairs(results) if (cell["threads"], cell["trials"]) == (threads, trials)]
        names = sides_of(trials)
        heads = ["pair", "network", "shape", *(SIDES[name] for name in names), "AGO's choice", "limit", "AGO of it"]
        rows = [_row(results, cell, names) for cell in cells]
        parts += [f"Microseconds, {threads} thread(s), {trials} trials: median, and half the quartiles' distance"]
        parts += [table(heads, rows, left=3), _call_alone(results, threads), _known_to(cells)]
    heads = ["threads", "trials", "pair", "batch", *(f"{SIDES[name]} / AGO" for name in SIDES if name != AGO)]
    parts += ["Geometric means of times over AGO's, and how many shapes are behind each"]
    parts += [table([*heads, "apart / one nest", "AGO of the limit"], map(_means, summary(results)), left=4)]
    parts += [_failed(results), footer(results)]
    return "\n\n".join(part for part in parts if part)


def _row(results: dict, cell: dict, names: list[str]) -> list[str]:
    about, part = results["networks"][cell["model"]], share(results, cell, AGO)
    choice = cell["sessions"][AGO]["chosen"] or "–" if AGO in cell["sessions"] else NESTS[cell["estimate_fuses"]]
    limit = [f"{milliseconds(cell, [AGO]) * 1e3 * part:.1f}", f"{part:.0%}"] if part else ["–", "–"]
    times = [_microseconds(cell["peers"].get(name)) for name in names]
    return [about["kind"], about["network"] or "–", about["shape"], *times, choice, *limit]


def _microseconds(record: dict | None) -> str:
    if record is None or "ms" not in record:
        return "–" if record is None else "failed"
    middle, low, high = record["ms"]
    return f"{middle * 1e3:.1f} ± {(high - low) / 2 / middle:.0%}"


def _means(group: dict) -> list[str]:
    ratios = [group[f"{name}/{AGO}"] for name in SIDES if name != AGO] + [group["apart/one nest"]]
    shown = [f"{found['mean']:.2f} ({found['cells']})" if found else "–" for found in ratios]
    limit = group["share_of_limit"]
    about = [group["threads"], group["trials"], group["kind"], group["batch"]]
    return [*about, *shown, f"{limit['mean']:.0%}" if limit else "–"]


def _call_alone(results: dict, threads: int) -> str:
    cell = results["cells"].get(Cell(CALL.name, threads, 0).name)
    if cell is None:
        return ""
    times = ", ".join(f"{SIDES[name]} {_microseconds(record)}" for name, record in cell["peers"].items())
    return f"In each of these a call that computes next to nothing, µs: {times}."


def _known_to(cells: list[dict]) -> str:
    """How much two processes of the same code differ: AGO's and that of the nests that it chose, untuned."""
    found = [
        abs(times - 1)
        for cell in cells
        if not cell["trials"]
        for times in [ratio(cell, [ONE_NEST if cell["estimate_fuses"] else UNFUSED])]
        if times is not None
    ]
    if not found:
        return ""
    middle, most = statistics.median(found), max(found)
    differs = f"{middle:.1%} in the median, {most:.1%} at most"
    return f"AGO and the nests that it chose are the same code: its times in two processes differ by {differs}."


def _failed(results: dict) -> str:
    lines = [
        f"- {name}, {SIDES[side]}: {record['failed']}"
        for name, cell in results["cells"].items()
        for side, record in cell["peers"].items()
        if "failed" in record
    ]
    return "\n".join(["Without a result:", "", *lines]) if lines else ""


if __name__ == "__main__":
    sys.exit(main())
