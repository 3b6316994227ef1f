"""Neighbouring complex operators of the sample networks: one nest for all against the best code apart.

    python -m benchmarks.fusion              measure what has no record yet, or whose code has changed; print the table
    python -m benchmarks.fusion --again      measure everything anew
    python -m benchmarks.fusion --quick      only one shape of each kind
    python -m benchmarks.fusion --report     print the table of the last run

Options: --threads N (default 1), --json (print the results, not the table). Results are kept in
benchmarks/results/fusion.json, for each number of threads by itself, and saved after every chain.

For each distinct chain of two or three complex operators (benchmarks/chains.py), all without tuning:

    apart   each operator, with what follows it, in a nest of its own, one after the other, as a model runs them; apart
            from each other, each would find its input in cache from its own last call
    chosen  what ago_core/schedules/analytic.py makes of the chain: it decides whether to fuse, and how
    fused   all in one nest, by the fastest of some tasks (benchmarks/fusion_worker.py)

Every function is compared with the one that is not scheduled before its time counts. The best task is looked for in a
few batches; then all take turns for ROUNDS rounds, as in benchmarks/timing.py. Data are random, and in cache if they
fit. Compiling happens in a process of its own: what takes more than COMPILE_SECONDS, or more than MEMORY, is
recorded as such and left out.

TVM binds the threads of its pool to the first cores; to measure on another one, say which and turn that off:
TVM_BIND_THREADS=0 TVM_NUM_THREADS=1 taskset -c 1 python -m benchmarks.fusion
"""

from __future__ import annotations

import argparse
import multiprocessing
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.chains import Chain, distinct_chains
from benchmarks.fusion_report import line_of, table
from benchmarks.fusion_worker import SEED, measure_chain
from benchmarks.models import SAMPLES
from benchmarks.resumable import command, kept, one_of_each_kind, save, started
from benchmarks.roofline import use_threads

RESULTS = Path(__file__).parent / "results" / "fusion.json"
COMPILE_SECONDS = 60
MEMORY = 12_000_000 << 10
"""Bytes of address space."""


def main() -> int:
    return command(__doc__, RESULTS, _measure, table)


def _measure(results: dict, args: argparse.Namespace) -> None:
    """Adds what is missing to `results`, and saves after each chain."""
    use_threads(args.threads)
    run = results[str(args.threads)] = started(results.get(str(args.threads)), args.threads)
    every = distinct_chains(SAMPLES)
    run |= {"seed": SEED, "chains": kept(run.get("chains", {}), every)}
    with Worker(args.threads) as worker:
        for chain in one_of_each_kind(every) if args.quick else every:
            known = None if args.again else run["chains"].get(chain.name, {}).get("code")
            found = worker.measure(chain, known)
            if found["code"] is not None and found["code"] == known:
                continue
            record = run["chains"][chain.name] = describe(chain) | found
            save(RESULTS, results)
            print(line_of(record), file=sys.stderr, flush=True)


def describe(chain: Chain) -> dict:
    """What does not depend on a measurement."""
    return {
        "name": chain.name,
        "kind": chain.kind,
        "length": chain.length,
        "shape": chain.shape,
        "calls": dict(chain.calls),
        "reuse": [{"pays": pays, "reason": reason} for pays, reason in chain.verdicts],
    }


class Worker:
    """A process that measures chains, and another one when it does not answer any more."""

    def __init__(self, threads: int):
        self._threads = threads
        self._process = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_) -> None:
        self._stop()

    def measure(self, chain: Chain, known: str | None) -> dict:
        """`measure_chain`'s record, with `exploded`: what took too long or too much memory to compile, and which.

        Only `code` (None), `exploded` and `failed`, in words, where nothing can be timed without that.
        """
        exploded: dict[str, str] = {}
        while True:
            step, answer = self._ask(chain, known, frozenset(exploded))
            if isinstance(answer, dict):
                return answer if known and answer["code"] == known else answer | {"exploded": exploded}
            self._stop()
            needed = step is None or step in exploded or "schedule" in step
            exploded[step or "start"] = answer
            if needed:
                return {"code": None, "exploded": exploded, "failed": f"{step}: {answer}"}

    def _ask(self, chain: Chain, known: str | None, skip: frozenset[str]) -> tuple[str | None, dict | str]:
        """(what was compiled last, the record or what went wrong)."""
        if self._process is None:
            self._start()
        self._pipe.send((chain, known, skip))
        step = None
        while self._pipe.poll(COMPILE_SECONDS):
            try:
                message = self._pipe.recv()
            except EOFError:
                return step, "its process ended, perhaps for want of memory"
            if isinstance(message, dict):
                return step, message
            step = message
        return step, f"not compiled after {COMPILE_SECONDS} s"

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=serve, args=(other, self._threads), daemon=True)
        self._process.start()
        other.close()

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None


def serve(pipe: Connection, threads: int) -> None:
    """Measures the chains that come through the pipe; answers with names of steps, then the record."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's: it ends this process
    _limit_memory()
    use_threads(threads)
    with suppress(EOFError):
        while True:
            chain, known, skip = pipe.recv()
            with _failures() as failed:
                pipe.send(measure_chain(chain, threads, known, skip, pipe.send))
            for sentence in failed:
                pipe.send({"code": None, "failed": sentence})


@contextmanager
def _failures() -> Iterator[list[str]]:
    """Collects what went wrong inside: one chain that cannot be built must not end the run."""
    failed: list[str] = []
    try:
        yield failed
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        failed.append(f"{type(error).__name__}: {lines[-1][:240]}")


def _limit_memory() -> None:
    """Where the system can: what needs more than MEMORY fails alone."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))


if __name__ == "__main__":
    sys.exit(main())
