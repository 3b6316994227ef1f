"""AGO side by side with ONNX Runtime, OpenVINO, IREE and TVM's own tuning, network by network.

    python -m benchmarks.networks                    measure what has no record yet, the most useful cells first
    python -m benchmarks.networks --minutes 120      the same, but stop cleanly before
    python -m benchmarks.networks --list             the cells in that order, and which are done
    python -m benchmarks.networks --report           tables of what has been measured; draws the plots
    python -m benchmarks.networks --report --json    the same as JSON, with `summary`
    python -m benchmarks.networks --report --readme  writes the means and goals into the README, and prints them

A cell is a model, a number of threads and a budget of trials. In each, every peer that tunes has a session of that
many trials; then all peers take turns, each in a process of its own on the same cores, and their outputs are compared
with ONNX Runtime's; the processes are started anew several times, and all turns count. What bounds any code is measured
before and after. A cell is saved when it is done, a session with every trial; run the same command to go on.

Peers that are not TVM run in environments of their own, which are made on first use. Environments, models and sessions
lie in --work, results in --results/networks.json, tuned records of the six networks in sample_models/tuned.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

from ago_core.devices.cores import allowed_cores
from ago_core.errors import UserError
from ago_core.tuning.shipped import FOLDER
from benchmarks.networks import plots, readme, report, store
from benchmarks.networks.cells import BUDGETS, THREADS, Cell, cells, quick
from benchmarks.networks.measure import Bench, default_work, measured, network, session_folder, ship, where
from benchmarks.networks.peers import AGO, PEERS, REFERENCE, peers_of
from benchmarks.networks.progress import INTERRUPTED, Line
from benchmarks.networks.race import ROUNDS, STARTS
from benchmarks.networks.sessions import OutOfTime
from benchmarks.networks.summary import summary
from benchmarks.peers.environments import Unavailable

RESULTS = Path(__file__).resolve().parents[1] / "results"
README = Path(__file__).resolve().parents[2] / "README.md"


def main(arguments: list[str] | None = None) -> int:
    parser = _parser()
    args = parser.parse_args(arguments)
    if args.readme and (not args.report or args.results != RESULTS):
        parser.error("--readme goes with --report, and with the results of benchmarks/results")
    try:
        chosen = quick(args.threads) if args.quick else cells(args.cells, args.threads, args.trials)
        if args.list:
            return _list(chosen, store.read(args.results), args.peers)
        if not args.report:
            results = store.opened(args.results)
            finished = _measure(_bench(args), chosen, results, args)
            print(_progress(chosen, results, args.peers, finished), file=sys.stderr)
        return _report(args)
    except (ValueError, UserError, store.OtherMachine) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        print("\nInterrupted: run the same command to go on.", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.networks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", nargs="+", default=[], metavar="MODEL", help="by the beginning of the name; or real")
    parser.add_argument("--threads", nargs="+", type=int, default=[], metavar="N", help=f"default: {THREADS}")
    parser.add_argument("--trials", nargs="+", type=int, default=[], metavar="N", help=f"default: {BUDGETS}")
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=PEERS, metavar="PEER", help=", ".join(PEERS))
    parser.add_argument("--starts", type=int, default=STARTS, help=f"of each peer's process (default {STARTS})")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of turns with each start (default {ROUNDS})")
    parser.add_argument(
        "--minutes", type=float, default=float("inf"), metavar="N", help="stop before so many have passed"
    )
    parser.add_argument("--again", action="store_true", help="these cells' peers shall take turns again")
    parser.add_argument("--anew", action="store_true", help="the same, and --peers tune anew: after a change of code")
    parser.add_argument("--work", type=Path, metavar="DIR", help="default: in the folder where the samples are cached")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="default: benchmarks/results")
    parser.add_argument("--quick", action="store_true", help="four small cells instead, in about 10 minutes")
    parser.add_argument("--list", action="store_true", help="print the cells, and measure nothing")
    parser.add_argument("--report", action="store_true", help="print the tables of what has been measured")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--readme", action="store_true", help="with --report: write the README's section on networks")
    return parser


def _bench(args: argparse.Namespace) -> Bench:
    deadline = time.monotonic() + args.minutes * 60
    work = args.work or default_work()
    return Bench(work.absolute(), tuple(args.peers), args.starts, args.rounds, deadline, Line().say)


def _measure(bench: Bench, chosen: list[Cell], results: dict, args: argparse.Namespace) -> bool:
    """Adds what is missing and saves after each cell. Returns whether it came to the end."""
    if args.again or args.anew:
        _set_aside(bench, chosen, results, args)
    for cell in chosen:
        known = results["cells"].get(cell.name)
        if is_done(known, cell, bench.peers):
            continue
        if cell.threads > len(allowed_cores()):
            bench.say(f"{cell.name}: left out, this process may use {len(allowed_cores())} cores")
            continue
        peers = tuple(dict.fromkeys((*(known or {"peers": {}})["peers"], *bench.peers)))
        try:
            if "failed" in results["networks"].get(cell.model, {"failed": "not looked at"}):
                results["networks"][cell.model] = _network(cell.model, bench)
            if "failed" in results["networks"][cell.model]:
                continue
            record = measured(replace(bench, peers=peers), cell)
        except OutOfTime:
            return False
        results["cells"][cell.name] = vars(cell) | record
        store.write(args.results, results)
        if cell.is_sample and AGO in record["sessions"] and cell.trials == _largest_budget(results, cell):
            ship(bench.work, FOLDER if args.results == RESULTS else args.results / "tuned", cell)
    return True


def _set_aside(bench: Bench, chosen: list[Cell], results: dict, args: argparse.Namespace) -> None:
    """Marks records as to be measured again, by this run or a later one; until then they are reported."""
    for cell in chosen:
        if cell.name in results["cells"]:
            results["cells"][cell.name]["stale"] = True
        for peer in bench.peers if args.anew else ():
            shutil.rmtree(session_folder(bench.work, cell, peer), ignore_errors=True)
    store.write(args.results, results)


def _network(model: str, bench: Bench) -> dict:
    bench.say(f"{model}: its partitions")
    try:
        return network(where(model, bench.work)[0])
    except (Unavailable, UserError) as failure:
        return {"failed": str(failure)}


def _largest_budget(results: dict, cell: Cell) -> int:
    """Of the cells of this model and number of threads that AGO tuned."""
    alike = [
        each for each in results["cells"].values() if (each["model"], each["threads"]) == (cell.model, cell.threads)
    ]
    return max(each["trials"] for each in alike if AGO in each["sessions"])


def is_done(record: dict | None, cell: Cell, peers: tuple[str, ...]) -> bool:
    """Whether all of the peers have taken part, and none shall do so again."""
    wanted = {name for name in peers_of(cell.trials) if name in {REFERENCE, *peers}}
    return record is not None and not record.get("stale") and wanted <= set(record["peers"])


def _progress(chosen: list[Cell], results: dict, peers: list[str], finished: bool) -> str:
    done = sum(is_done(results["cells"].get(cell.name), cell, tuple(peers)) for cell in chosen)
    rest = "" if finished else " The time is up: run the same command to go on."
    return f"\n{done} of {len(chosen)} cells are measured.{rest}"


def _list(chosen: list[Cell], results: dict, peers: list[str]) -> int:
    known = results.get("cells", {})
    for cell in chosen:
        print("done" if is_done(known.get(cell.name), cell, tuple(peers)) else "    ", cell.name)
    return 0


def _report(args: argparse.Namespace) -> int:
    results = store.read(args.results)
    if not results:
        sys.exit(f"Nothing has been measured in {args.results}: run without --report first.")
    for name, picture in plots.pictures(results).items():
        (args.results / name).write_text(picture)
    if args.readme:
        README.write_text(readme.updated(README.read_text(), results))
        print(readme.section(results))
        return 0
    print(json.dumps(results | {"summary": summary(results)}) if args.json else report.text(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
