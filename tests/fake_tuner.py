"""A session's process with a compiler and devices that are made up: deterministic, and as fast as asked for.

`python -m tests.fake_tuner FOLDER DESCRIPTOR` is to `control.start` what the real tuner is. What it does is written in
`fake.json` in the session's folder, see `Fake`.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from ago_core.tuning.interfaces import Candidate, DevicesLost, DeviceState, Measurement, SearchTask

PROGRAM = (sys.executable, "-m", "tests.fake_tuner")


@dataclass(frozen=True)
class Fake:
    """How the made-up devices behave.

    Attributes:
        space: candidates of a task.
        delay: real seconds that a trial takes.
        join_factor: a join's best as a multiple of its parts'.
        overhead: of each function in the whole model, as a factor for all of it.
        wrong: traces that compute something else.
        lucky: traces that take `luck` times as long when they are measured in turns.
        lost_after: trials after which all devices are gone, once.
        target: of the compiler.
    """

    space: int = 1000
    delay: float = 0.0
    join_factor: float = 0.8
    overhead: float = 1.0
    wrong: tuple[str, ...] = ()
    lucky: tuple[str, ...] = ()
    luck: float = 2.0
    lost_after: int = -1
    target: str = "fake"

    def write(self, folder: Path) -> None:
        (folder / "fake.json").write_text(json.dumps(asdict(self)))


def read_fake(folder: Path) -> Fake:
    path = folder / "fake.json"
    data = json.loads(path.read_text()) if path.exists() else {}
    return Fake(**data | {key: tuple(data.get(key, ())) for key in ("wrong", "lucky")})


def noise(*parts: object) -> float:
    """In [0, 1), the same for the same parts in every process."""
    return zlib.crc32(repr(parts).encode()) / 2**32


class FakeSearch:
    """Goes through `space` numbers in order. A trace is "SEED:NUMBER"."""

    def __init__(self, task: SearchTask, space: int):
        self.task, self.space, self.told, self.next = task, space, 0, 0

    def propose(self, count: int) -> list[Candidate]:
        numbers = range(self.next, min(self.next + count, self.space))
        self.next = numbers.stop if numbers else self.next
        kind = "join" if self.task.parts else "mini"
        traces = [f"{kind}:{self.task.seed}:{number}" for number in numbers]
        return [Candidate(self.task.function.with_attr("fake_trace", trace), trace) for trace in traces]

    def tell(self, candidates, measurements) -> None:
        assert len(candidates) == len(measurements) > 0
        self.told += len(candidates)

    def replay(self, traces, measurements) -> None:
        self.told += len(traces)
        self.next = 1 + max(int(trace.rsplit(":", 1)[1]) for trace in traces)


def latency(trace: str, fake: Fake) -> float:
    """Falls as 1 / number, with noise; another level for each task, and joins as `join_factor` says."""
    kind, seed, number = trace.split(":")
    level = 1e-4 * (1 + noise(seed)) * (2 * fake.join_factor if kind == "join" else 1)
    return level * (1 + 1 / (1 + int(number)) + 0.01 * noise(seed, number))


class FakeBackend:
    def __init__(self, fake: Fake, report=None):
        self.fake, self.target, self.trials, self.searches = fake, fake.target, 0, []

    @contextlib.contextmanager
    def measurer(self, report):
        report(DeviceState("fake-0", "free"))
        yield self

    def search(self, task: SearchTask) -> FakeSearch:
        self.searches.append(FakeSearch(task, self.fake.space))
        return self.searches[-1]

    def rebuild(self, function, trace: str):
        return function.with_attr("fake_trace", trace)

    def measure(self, reference, candidates, below, done=lambda: None) -> Iterator[tuple[int, Measurement]]:
        for index, candidate in enumerate(candidates):
            if self.trials == self.fake.lost_after:
                self.trials += 1
                raise DevicesLost("All devices are gone.")
            time.sleep(self.fake.delay)
            self.trials += 1
            yield index, self._measurement(candidate.trace, below)

    def _measurement(self, trace: str, below: float) -> Measurement:
        seconds = latency(trace, self.fake)
        if trace in self.fake.wrong:
            return Measurement((seconds / 100,), "A wrong result.", False, "fake-0")
        if noise(trace, "fails") < 0.1:
            return Measurement((), "It could not be built.", None, "fake-0")
        return Measurement((seconds, seconds * 1.01, seconds * 0.99), None, True if seconds < below else None, "fake-0")

    def in_turns(self, contests) -> Iterator[list[Measurement]]:
        for contest in contests:
            yield [self._turns(each.function.attrs["fake_trace"]) for each in contest]

    def _turns(self, trace: str) -> Measurement:
        """As measured before, but for what was then only luck."""
        seconds = latency(trace, self.fake) * (self.fake.luck if trace in self.fake.lucky else 1)
        return Measurement((seconds,) * 3, None, None, "fake-0")

    def end_to_end(self, model, versions) -> list[Measurement]:
        return [self._run(*version) for version in versions]

    def _run(self, partition, functions) -> Measurement:
        """The sum of the functions, in turns; one without a schedule takes a millisecond."""
        traces = [function.attrs["fake_trace"] for function in functions.values()]
        seconds = 1e-3 * (len(partition) - len(traces)) + sum(self._turns(trace).latency for trace in traces)
        return Measurement((seconds * self.fake.overhead ** len(traces),) * 3, None, True, "fake-0")


if __name__ == "__main__":
    from ago_core.tuning.session import main

    fake = read_fake(Path(sys.argv[1]))
    sys.exit(main(sys.argv[1:], lambda settings: FakeBackend(fake)))
