"""Each distinct operator of the sample networks by itself: our untuned code, ONNX Runtime, and what the machine allows.

    python -m benchmarks.kernels              measure what has no record yet, or whose code has changed; print the table
    python -m benchmarks.kernels --again      measure everything anew
    python -m benchmarks.kernels --quick      only one shape of each kind
    python -m benchmarks.kernels --report     print the table of the last run

Options: --threads N (default 1, of both sides alike), --json (print the results, not the table). Results are kept
in benchmarks/results/kernels.json, for each number of threads by itself, and saved after every operator.

Ours is scheduled without a trial (ago_core/schedules/analytic.py) and checked against ONNX Runtime's results first.
ONNX Runtime runs a model of one node on buffers that stay in place; where it has several ways to compute it
(benchmarks/onnx_operators.py) the fastest counts. Its time holds the overhead of a call, measured with a model that
copies one number, and is given less that overhead. Both sides and the overhead are timed in turn, ROUNDS times, each
time for BATCH_SECONDS after a call that does not count; medians and quartiles. Data are where the last call left
them: in cache if they fit. The roofline is ago_core/devices/roofline.py's.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from pathlib import Path

import numpy as np
import tvm

from ago_core.artifacts.reference import relative_error
from ago_core.artifacts.verify import TOLERANCE
from ago_core.devices.local import host_target
from ago_core.devices.roofline import Roofline, measure_roofline
from ago_core.lowering.build import build_functions
from ago_core.schedules.analytic import schedule_function
from ago_core.schedules.machine import machine_of
from benchmarks.kernels_report import table
from benchmarks.models import SAMPLES
from benchmarks.onnx_operators import BoundSession, identity_session, sessions
from benchmarks.operators import SEED, Kernel, distinct_kernels
from benchmarks.resumable import command, kept, one_of_each_kind, save, started
from benchmarks.roofline import use_threads
from benchmarks.timing import ROUNDS, Side, in_turn, library_side, quartiles

RESULTS = Path(__file__).parent / "results" / "kernels.json"


def main() -> int:
    return command(__doc__, RESULTS, _measure, table)


def _measure(results: dict, args: argparse.Namespace) -> None:
    """Adds what is missing to `results`, and saves after each operator."""
    use_threads(args.threads)
    run = results[str(args.threads)] = started(results.get(str(args.threads)), args.threads)
    run["roofline"] = _roofline(run.get("roofline"), args.threads)
    every = distinct_kernels(SAMPLES)
    run |= {"seed": SEED, "kernels": kept(run.get("kernels", {}), every)}
    for kernel in one_of_each_kind(sorted(every, key=lambda each: each.traffic)) if args.quick else every:
        function = schedule_function(kernel.function, machine_of(host_target(args.threads)))
        code = hashlib.sha256(function.script().encode()).hexdigest()[:16]
        if not args.again and run["kernels"].get(kernel.name, {}).get("code") == code:
            continue
        record = describe(kernel) | {"code": code} | measure_kernel(kernel, function, args.threads)
        run["kernels"][kernel.name] = record
        save(RESULTS, results)
        print(_line(record), file=sys.stderr, flush=True)
    save(RESULTS, results)


def _roofline(old: dict | None, threads: int) -> dict:
    """As it is measured now, or as it was where that was better."""
    roofline = measure_roofline(threads)
    return (roofline.or_better(Roofline.from_json(old)) if old else roofline).to_json()


def describe(kernel: Kernel) -> dict:
    """What does not depend on a measurement. `calls`: how often each network has this operator."""
    return {
        "name": kernel.name,
        "kind": kernel.kind,
        "shape": kernel.shape,
        "calls": dict(kernel.calls),
        "flops": kernel.operator.flops,
        "bytes": kernel.traffic,
    }


def measure_kernel(kernel: Kernel, function: tvm.tirx.PrimFunc, threads: int) -> dict:
    """Checks a scheduled function against ONNX Runtime, then times both.

    Returns:
        `error`: max |difference| / max |expected|; and times in microseconds, each [median, first quartile, third
        quartile]: `ours`, `overhead` of a call of ONNX Runtime, and for each of its ways, that overhead included,
        `peers`. Only `failed`, in words, where the code is wrong or cannot be built.
    """
    try:
        library = build_functions(tvm.IRModule({"main": function}), host_target(threads))
    except RuntimeError as error:
        return {"failed": f"does not build: {str(error).strip().splitlines()[-1]}"}
    given = [tvm.runtime.tensor(np.ascontiguousarray(argument.value)) for argument in kernel.arguments]
    results = [tvm.runtime.tensor(np.full(out.shape, np.nan, out.dtype)) for out in kernel.operator.outputs]
    library["main"](*given, *results)
    peers = sessions(kernel.peer, threads)
    expected = kernel.peer.ours(peers["nchw"].outputs())
    error = max(relative_error(got.numpy(), want) for got, want in zip(results, expected, strict=True))
    if error > TOLERANCE:
        return {"failed": f"wrong: differs from ONNX Runtime by {error:.1e}"}
    sides = {"ours": library_side(library, [*given, *results]), "overhead": _peer_side(identity_session(threads))}
    sides |= {way: _peer_side(session) for way, session in peers.items()}
    times = in_turn(sides, ROUNDS, threads)
    found = {name: quartiles(seconds) for name, seconds in times.items()}
    return {
        "error": error,
        "ours": found["ours"],
        "overhead": found["overhead"],
        "peers": {way: found[way] for way in peers},
    }


def _peer_side(session: BoundSession) -> Side:
    def timed(number: int) -> float:
        session.run()
        start = time.perf_counter()
        for _ in range(number):
            session.run()
        return (time.perf_counter() - start) / number

    return timed


def _line(record: dict) -> str:
    if "failed" in record:
        return f"{record['name']:42s} {record['failed']}"
    peers = "  ".join(f"{way} {times[0]:.1f}" for way, times in record["peers"].items())
    return f"{record['name']:42s} ours {record['ours'][0]:9.1f} µs  {peers}"


if __name__ == "__main__":
    sys.exit(main())
