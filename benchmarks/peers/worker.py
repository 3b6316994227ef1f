"""The process of a peer: loads a model, gives its outputs, and times calls when it is its turn.

    python -m benchmarks.peers.worker MODULE

Runs in the peer's environment, so it imports nothing but numpy and MODULE, which has `load(request)`. Requests and
answers are JSON, a line each, on standard input and output; what a library prints goes to standard error.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

TURN_SECONDS = 0.1
LEAST_CALLS, MOST_CALLS = 3, 200


@dataclass(frozen=True)
class Loaded:
    """A model ready to run, its inputs bound.

    Attributes:
        version: of the peer.
        call: one inference; the outputs stay where the peer leaves them.
        outputs: of the last call, in the model's order.
        run: calls a function on the threads that `call` must be timed on.
    """

    version: str
    call: Callable[[], object]
    outputs: Callable[[], list[np.ndarray]]
    run: Callable[[Callable[[], Any]], Any] = lambda work: work()


def turn(call: Callable[[], object]) -> list[float]:
    """Seconds of each of several calls after one that is not counted: the peers before have emptied the caches."""
    start = time.perf_counter()
    call()
    first = time.perf_counter() - start
    seconds = []
    for _ in range(min(MOST_CALLS, max(LEAST_CALLS, int(TURN_SECONDS / max(first, 1e-9))))):
        before = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - before)
    return seconds


def inputs_of(request: dict) -> dict[str, np.ndarray]:
    with np.load(request["inputs"]) as file:
        return {name: file[name] for name in file.files}


class Server:
    """Answers requests; holds the model."""

    def __init__(self, module: str):
        self._module = module
        self._loaded: Loaded | None = None

    def load(self, request: dict) -> dict:
        """Loads a model and writes the outputs of one call."""
        os.sched_setaffinity(0, request["cores"])
        loaded = self._loaded = importlib.import_module(self._module).load(request)
        loaded.run(loaded.call)
        np.savez(request["outputs"], *loaded.outputs())
        return {"version": loaded.version}

    def time(self, request: dict) -> dict:
        """Seconds of each call of a turn."""
        loaded = self._loaded
        return {"seconds": loaded.run(lambda: turn(loaded.call))}


def main() -> int:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    server = Server(sys.argv[1])
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(server, request["do"])(request)
        except Exception as error:  # whatever a peer raises is its result
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            answer = {"failed": f"{type(error).__name__}: {(lines or ['no message'])[-1][:300]}"}
        print(json.dumps(answer), file=answers, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
