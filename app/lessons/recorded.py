"""Recorded measurements that come with the samples: tuning sessions and timed kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from ago_core.tuning.events import Event, Kind
from sample_models import recorded
from visualizers.tuning_history import History, Task, Unit, read_tasks, units
from visualizers.units import count

if TYPE_CHECKING:
    from ago_core.devices.roofline import Roofline

AGO, AT_ONCE = "ago", "no-reformer"
NAMES = {AGO: "divide and conquer", AT_ONCE: "at once"}


@dataclass(frozen=True, eq=False)
class Session:
    """A recorded tuning session; `source` says in a sentence where it comes from."""

    source: str
    tasks: tuple[Task, ...]
    units: tuple[Unit, ...]
    history: History

    @property
    def trials(self) -> int:
        return len(self.history.of(Kind.TRIAL))

    def after(self, trials: int) -> History:
        """What was known after so many trials."""
        return self.history.until(self.history.of(Kind.TRIAL)[trials - 1].elapsed)


@cache
def session(name: str) -> Session:
    """A recorded session: `AGO` or `AT_ONCE`."""
    data = recorded.read(name)
    tasks = read_tasks(data["tasks"])
    history = History(Event(id_, at, elapsed, Kind(kind), fields) for id_, at, elapsed, kind, fields in data["events"])
    busy = data["load"] > data["threads"] + 1
    source = (
        f"Recorded on {data['machine']}, {count(data['threads'], 'thread')}, {data['date']}, at a load average of "
        f"{data['load']:g}{': other work ran beside it, so figures scatter' if busy else ''}. Recorded again by "
        f"`{data['command']}`."
    )
    return Session(source, tasks, units(tasks, data["meta"]["partition"]["subgraphs"]), history)


@dataclass(frozen=True)
class Kernel:
    """One timed operator.

    Attributes:
        name, shape: of the operator.
        flops: floating-point operations of a call.
        nbytes: that it reads and writes, each tensor once.
        seconds: of a call, median.
    """

    name: str
    shape: str
    flops: float
    nbytes: float
    seconds: float

    @property
    def intensity(self) -> float:
        """FLOP a byte."""
        return self.flops / self.nbytes

    @property
    def speed(self) -> float:
        """FLOP/s, measured."""
        return self.flops / self.seconds


@dataclass(frozen=True, eq=False)
class Kernels:
    """Timed operators, and what their machine can do at most.

    Attributes:
        source: one sentence that says where they come from.
        kernels: the operators.
        roofline: measured with them.
    """

    source: str
    kernels: tuple[Kernel, ...]
    roofline: Roofline

    def memory_bound(self, kernel: Kernel) -> bool:
        """Whether moving its bytes takes longer than its arithmetic."""
        return kernel.nbytes / self.roofline.bandwidth(kernel.nbytes) > kernel.flops / self.roofline.peak

    def roof(self, kernel: Kernel) -> float:
        """FLOP/s that the machine allows at most: the peak, or intensity × bandwidth."""
        return kernel.flops / self.roofline.seconds(kernel.flops, kernel.nbytes)

    def share(self, kernel: Kernel) -> float:
        """Of the roof that is reached."""
        return kernel.speed / self.roof(kernel)


@cache
def kernels() -> Kernels:
    from ago_core.devices.roofline import Roofline  # imports TVM, more than a second: where it is needed, not before

    data = recorded.read("kernels")
    found = [Kernel(row["name"], row["shape"], row["flops"], row["bytes"], row["seconds"]) for row in data["kernels"]]
    source = (
        f"Measured on {data['machine']}, {count(data['roofline']['threads'], 'thread')}, {data['date']}, by "
        f"`{data['command']}`; each operator by itself, again and again, so that its data stay in the caches where "
        "they fit."
    )
    return Kernels(source, tuple(found), Roofline.from_json(data["roofline"]))


def by_name(found: Sequence[Kernel], name: str) -> Kernel:
    return next(kernel for kernel in found if kernel.name == name)
