"""Memory of the tuner over a long session.

    python -m benchmarks.tuning_memory             run a session of 10,000 trials and print the table
    python -m benchmarks.tuning_memory --report    print the table of the last run

Options: --trials N, --ablation NAME, --seed N, --json. Results are kept in benchmarks/results/tuning_memory.json.

The session of MODEL is real but for its devices: the plan, the searches with their spaces, the cost model, the
journal, the joins and the last check. Nothing is built or run: a candidate's seconds are made up from a hash of its
code, so that 10,000 trials take minutes. Resident memory of the tuner's process, which is this one, is read every 500
trials. There are no builders in it; theirs is in `benchmarks.tuning_rate`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import psutil
import tvm_ffi

from ago_core.devices.local import host_target
from ago_core.tuning import control, session
from ago_core.tuning.backend import TvmBackend
from ago_core.tuning.interfaces import Candidate, Contestant, DeviceState, Done, Measurement, Version
from ago_core.tuning.settings import ABLATIONS, LocalDevice, TuningSettings
from ago_core.tuning.space import hash_of_code
from benchmarks.environment import environment

RESULTS = Path(__file__).parent / "results" / "tuning_memory.json"
MODEL = "mobilenet_v2@224"
TRIALS = 10_000
EVERY = 500
"""Trials between two looks."""
FAILING = 0.05
"""Share of the candidates that are said not to run."""
DEVICE = "made up"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--ablation", choices=list(ABLATIONS), default="ago")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", action="store_true", help="print the table of the last run")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    args = parser.parse_args()
    if not args.report:
        results = measure(args.trials, args.ablation, args.seed)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    elif RESULTS.exists():
        results = json.loads(RESULTS.read_text())
    else:
        sys.exit("Nothing has been measured: run without --report first.")
    print(json.dumps(results) if args.json else table(results))
    return 0


def measure(trials: int, ablation: str, seed: int) -> dict:
    """Runs the session in this process."""
    looks: list[dict] = []
    settings = TuningSettings(trials, LocalDevice(1), ABLATIONS[ablation], seed=seed)
    with tempfile.TemporaryDirectory(prefix="ago-memory-") as folder:
        os.environ["AGO_CACHE"] = folder  # waits for no other session
        place = Path(folder) / "session"
        control.create(place, control.Request(MODEL, {}, settings))
        begun = time.monotonic()
        code = session.main([str(place)], lambda chosen: Simulated(chosen, looks))
        status = control.status(place)
        if code or status.trials != trials:
            sys.exit(f"The session did not reach its end: {status.reason}")
        journal = (place / control.JOURNAL).stat().st_size
    return {
        "environment": environment(),
        "model": MODEL,
        "ablation": ablation,
        "seed": seed,
        "tasks": status.tasks,
        "seconds": time.monotonic() - begun,
        "journal_mb": journal / 1e6,
        "memory": looks,
        "growth_of_last_half": growth(looks),
    }


def growth(looks: Sequence[Mapping]) -> float:
    """Of resident memory from the middle of the trials to the end, as a share of what it was in the middle."""
    middle = next(look["mb"] for look in looks if look["trials"] >= looks[-1]["trials"] / 2)
    return looks[-1]["mb"] / middle - 1


class Simulated(TvmBackend):
    """The real compiler's searches, and a measurer that makes its figures up."""

    def __init__(self, settings: TuningSettings, looks: list[dict]):
        super().__init__(settings, host_target(settings.device.threads))
        self._looks = looks

    @contextlib.contextmanager
    def measurer(self, report: Callable[[DeviceState], None]) -> Iterator[SimulatedMeasurer]:
        report(DeviceState(DEVICE, "free"))
        yield SimulatedMeasurer(self._looks)


class SimulatedMeasurer:
    """See `interfaces.Measurer`; looks at the process's memory on the way."""

    def __init__(self, looks: list[dict]):
        self._looks = looks
        self._trials = 0

    def measure(
        self, reference, candidates: Sequence[Candidate], below: float, done: Done = lambda: None
    ) -> Iterator[tuple[int, Measurement]]:
        level = 1e-4 * (1 + _share(str(tvm_ffi.structural_hash(reference))))
        for index, candidate in enumerate(candidates):
            if self._trials % EVERY == 0:
                self._look()
            self._trials += 1
            yield index, _measured(level, hash_of_code(candidate.function), below)
        if self._trials % EVERY == 0:
            self._look()

    def in_turns(self, contests: Sequence[Sequence[Contestant]]) -> Iterator[list[Measurement]]:
        for contest in contests:
            yield [self._again(each) for each in contest]

    def _again(self, each: Contestant) -> Measurement:
        level = 1e-4 * (1 + _share(str(tvm_ffi.structural_hash(each.reference))))
        return Measurement((_seconds(level, hash_of_code(each.function)),), None, None, DEVICE)

    def end_to_end(self, model, versions: Sequence[Version]) -> list[Measurement]:
        return [Measurement((1e-3 * (1 + len(partition)),), None, True, DEVICE) for partition, _ in versions]

    def _look(self) -> None:
        if not self._looks or self._looks[-1]["trials"] != self._trials:
            self._looks.append({"trials": self._trials, "mb": psutil.Process().memory_info().rss / 1e6})
            print(f"{self._trials} trials, {self._looks[-1]['mb']:.0f} MB", file=sys.stderr, flush=True)


def _share(text: str) -> float:
    """In [0, 1), the same for the same text."""
    return zlib.crc32(text.encode()) / 2**32


def _seconds(level: float, code: str) -> float:
    return level * (1 + _share(code))


def _measured(level: float, code: str, below: float) -> Measurement:
    if _share(f"{code} fails") < FAILING:
        return Measurement((), "It is said not to run.", None, DEVICE)
    seconds = _seconds(level, code)
    return Measurement((seconds,), None, True if seconds < below else None, DEVICE)


def table(results: dict) -> str:
    lines = ["| trials | resident memory, MB |", "|--:|--:|"]
    lines += [f"| {look['trials']:,} | {look['mb']:.0f} |" for look in results["memory"]]
    where = results["environment"]
    lines += [
        "",
        f"{results['model']}, {results['ablation']}, {results['tasks']} tasks, {results['seconds']:.0f} s, journal "
        f"{results['journal_mb']:.0f} MB; the last half grew by {results['growth_of_last_half']:.1%}. "
        f"{where['machine']}, {where['date']}.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
