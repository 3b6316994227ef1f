"""All peers of a cell in turns, each in a process of its own, pinned to the same cores."""

from __future__ import annotations

import contextlib
import json
import queue
import statistics
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from ago_core.artifacts.reference import relative_error
from ago_core.artifacts.verify import TOLERANCE
from ago_core.devices.rest import comes_to_rest
from benchmarks.networks.peers import REFERENCE

ROOT = Path(__file__).resolve().parents[2]
MODULES = "benchmarks.peers."
STARTS = 3
"""Of each peer's process, since where its memory lies decides for as long as it lives: of two processes with the same
code of MNasNet at 56 one took 210 µs in each round, the other 249."""
ROUNDS = 5
"""Of turns, with each start."""
LOAD_SECONDS = 900.0
"""IREE compiles a large model for minutes."""
TURN_SECONDS = 120.0
RESTLESS_SECONDS = 10.0
"""After a turn, until its threads must sleep."""


class PeerFailed(Exception):
    """A peer raised, died or took too long; the message is a sentence."""


@dataclass(frozen=True)
class Entrant:
    """A peer with what it shall load.

    Attributes:
        python: of its environment.
        module: of benchmarks.peers.
        request: see its `load`; inputs and outputs are added.
    """

    python: Path
    module: str
    request: dict


def race(
    entrants: Mapping[str, Entrant], inputs: Mapping[str, np.ndarray], folder: Path, rounds: int, starts: int = STARTS
) -> dict:
    """Starts them so many times, and each time runs them in turns; each round begins with another one.

    Args:
        entrants: by name; the reference is one of them, and what differs from its outputs is no result.
        inputs: of the model.
        folder: for files of inputs and outputs.
        rounds: with each start.

    Returns:
        For each entrant {"ms": [median, first quartile, third quartile] over the medians of all rounds, "starts": the
        median of each start, "error": relative, "version"}, or {"failed": sentence}.
    """
    np.savez(folder / "inputs.npz", **inputs)
    found: dict[str, dict] = {name: {} for name in entrants}
    times: dict[str, list[list[float]]] = {name: [] for name in entrants}
    for _ in range(starts):
        left = {name: entrant for name, entrant in entrants.items() if "failed" not in found[name]}
        if REFERENCE not in left:
            break
        records, medians = _started(left, folder, rounds)
        for name, record in records.items():
            if "error" in record:
                record["error"] = max(record["error"], found[name].get("error", 0.0))
            found[name] = record
            times[name].append(medians.get(name, []))
    for name, record in found.items():
        if "failed" not in record:
            record["ms"] = _quartiles([each for start in times[name] for each in start])
            record["starts"] = [statistics.median(start) for start in times[name]]
    return found


def _started(entrants: Mapping[str, Entrant], folder: Path, rounds: int) -> tuple[dict[str, dict], dict[str, list]]:
    """(Record of each without its times, milliseconds of each round of those that did not fail), of one start."""
    found: dict[str, dict] = {}
    with contextlib.ExitStack() as stack:
        running: dict[str, Process] = {}
        for name, entrant in entrants.items():
            process = stack.enter_context(Process(entrant))
            files = {"inputs": str(folder / "inputs.npz"), "outputs": str(folder / f"{name}.npz")}
            try:
                answer = process.ask(LOAD_SECONDS, entrant.request | files | {"do": "load"})
                found[name] = {"version": answer["version"]}
                running[name] = process
            except PeerFailed as failure:
                found[name] = {"failed": str(failure)}
        _compare(found, folder)
        running = {name: process for name, process in running.items() if "failed" not in found[name]}
        return found, _turns(running, found, rounds)


def _turns(running: dict[str, Process], found: dict, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each round; without those that failed on the way."""
    medians: dict[str, list[float]] = {name: [] for name in running}
    names = list(running)
    for number in range(rounds):
        first = number % max(1, len(names))
        for name in names[first:] + names[:first]:
            if "failed" in found[name]:
                continue
            try:
                seconds = running[name].ask(TURN_SECONDS, {"do": "time"})["seconds"]
                medians[name].append(statistics.median(seconds) * 1e3)
            except PeerFailed as failure:
                found[name] = {"failed": str(failure)}
    return {name: times for name, times in medians.items() if "failed" not in found[name]}


def _compare(found: dict, folder: Path) -> None:
    """Adds each one's error; one that is wrong has failed. Without the reference nothing can be said to be right."""
    if "failed" in found[REFERENCE]:
        for name in found:
            found[name] = {"failed": f"ONNX Runtime, the reference, failed: {found[REFERENCE]['failed']}"}
        return
    expected = _outputs(folder / f"{REFERENCE}.npz")
    for name, record in found.items():
        if "failed" in record:
            continue
        got = _outputs(folder / f"{name}.npz")
        error = max(map(relative_error, got, expected)) if len(got) == len(expected) else float("inf")
        record["error"] = error
        if error > TOLERANCE:
            found[name] = {"failed": f"Its outputs differ from ONNX Runtime's by {error:.1e}."}


def _outputs(path: Path) -> list[np.ndarray]:
    with np.load(path) as file:
        return [file[name] for name in file.files]


def _quartiles(values: list[float]) -> list[float]:
    """[median, first quartile, third quartile]."""
    if len(values) == 1:
        return values * 3
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return [middle, low, high]


class Process:
    """A peer's process; it is ended on leaving."""

    def __init__(self, entrant: Entrant):
        self._answers: queue.Queue[str] = queue.Queue()
        self._process = subprocess.Popen(
            [str(entrant.python), "-m", "benchmarks.peers.worker", f"{MODULES}{entrant.module}"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._usage = psutil.Process(self._process.pid)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")

    def ask(self, seconds: float, request: dict) -> dict:
        """Its answer, given once its threads sleep again.

        Raises:
            PeerFailed: it raised, died, or needed more seconds; then it is ended. Or its threads do not sleep.
        """
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._answers.get(timeout=seconds)
        except queue.Empty:
            self._process.kill()
            raise PeerFailed(f"It needed more than {seconds:.0f} s.") from None
        except OSError:
            line = ""
        if not line:
            raise PeerFailed(f"Its process ended with code {self._process.wait()}.")
        answer = json.loads(line)
        if "failed" in answer:
            raise PeerFailed(answer["failed"])
        try:
            rests = comes_to_rest(self._usage, RESTLESS_SECONDS)
        except psutil.Error:
            raise PeerFailed(f"Its process ended with code {self._process.wait()}.") from None
        if not rests:
            self._process.kill()
            raise PeerFailed(f"Its threads kept the cores busy for {RESTLESS_SECONDS:.0f} s after its turn.")
        return answer

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()


OURS = Path(sys.executable)
"""Of peers that run in this project's environment."""
