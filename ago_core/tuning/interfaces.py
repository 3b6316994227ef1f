"""What a session asks of the compiler and of the devices: it proposes, measures and tells, and knows nothing of TVM.

The real ones are made by `ago_core.tuning.backend.make_backend(settings)`; tests put deterministic ones in their place.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ago_core.errors import UserError

if TYPE_CHECKING:  # readers of a journal need no TVM
    from tvm import tirx

    from ago_core.graph.model import Model
    from ago_core.partition.partition import Partition


Version = tuple["Partition", Mapping[int, "tirx.PrimFunc"]]
"""A partition, and scheduled functions by index of its subgraphs; the others get the analytic schedule."""


Done = Callable[[], None]


class DevicesLost(UserError):
    """No device is left, and none has come back within the quarantine: the session pauses with this sentence."""


@dataclass(frozen=True)
class Measurement:
    """One trial, or one end-to-end run.

    Attributes:
        seconds: of each repeat; empty where it failed.
        error: one sentence, such as that it could not be built, timed out, or gave a wrong result; else None.
        correct: whether the results matched those of the unscheduled function; None where they were not compared.
        device: that it ran on.
    """

    seconds: tuple[float, ...]
    error: str | None
    correct: bool | None
    device: str

    @property
    def latency(self) -> float | None:
        """Median seconds; None where it failed or was wrong. The one figure by which candidates are compared."""
        if self.error is not None or self.correct is False or not self.seconds:
            return None
        return statistics.median(self.seconds)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A schedule to try.

    Attributes:
        function: scheduled.
        trace: JSON from which `Backend.rebuild` makes the same function out of the unscheduled one: MetaSchedule's
            trace, and which space it belongs to.
    """

    function: tirx.PrimFunc
    trace: str


@dataclass(frozen=True, eq=False)
class Contestant:
    """A schedule that has been found right.

    Attributes:
        reference: the unscheduled function, which says what its arguments are.
        function: scheduled.
    """

    reference: tirx.PrimFunc
    function: tirx.PrimFunc


@dataclass(frozen=True, eq=False)
class Part:
    """A mini of a subgraph to be joined.

    Attributes:
        function: not scheduled: that of the mini's task, structurally equal to the mini's own.
        trace: of its best schedule; None where none was found.
        operators: which of the subgraph's operators it holds, counted from 0 in the subgraph's order.
    """

    function: tirx.PrimFunc
    trace: str | None
    operators: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class SearchTask:
    """A function to find schedules for.

    Attributes:
        function: not scheduled, without a global symbol.
        parts: for a join, the minis in the order in which they are called; the first proposals are composed from
            their best schedules. Empty for every other task.
        seed: of the random numbers.
    """

    function: tirx.PrimFunc
    parts: tuple[Part, ...]
    seed: int


class Search(Protocol):
    """Proposes schedules of one task. Used from one thread."""

    def propose(self, count: int) -> list[Candidate]:
        """At most `count` candidates, none proposed or replayed before; fewer where the space ends, none at its end.

        May be called again before what it returned is told.
        """

    def tell(self, candidates: Sequence[Candidate], measurements: Sequence[Measurement]) -> None:
        """What came of candidates that it proposed."""

    def replay(self, traces: Sequence[str], measurements: Sequence[Measurement]) -> None:
        """What an earlier process has measured, in that order, before anything is proposed.

        There may be thousands: functions need not be rebuilt, but none of them may be proposed again.
        """


class Measurer(Protocol):
    """Builds and runs on the devices of a session."""

    def measure(
        self, reference: tirx.PrimFunc, candidates: Sequence[Candidate], below: float, done: Done = lambda: None
    ) -> Iterator[tuple[int, Measurement]]:
        """Measures each candidate once.

        Building begins when this is called, in processes of its own. Timing on this machine waits for the first
        `next`, since the session searches in between; on other devices it need not.

        Args:
            reference: the unscheduled function.
            candidates: of the same task.
            below: seconds. A candidate whose median is less may become the best and is compared with the reference
                on the device; one that is wrong has `correct=False`.
            done: called, from any thread, when no device is needed any more, though results are still to be yielded;
                never where the session's own work would disturb who has the device next.

        Yields:
            (index of the candidate, measurement) as they finish. What a lost device had is measured on another one.

        Raises:
            DevicesLost: see there.
        """

    def in_turns(self, contests: Sequence[Sequence[Contestant]]) -> Iterator[list[Measurement]]:
        """Measures functions in turns, so that what disturbs the device disturbs all of a contest alike.

        Yields:
            For each contest, in order, a measurement of each contestant, not compared with the reference.

        Raises:
            DevicesLost: see there.
        """

    def end_to_end(self, model: Model, versions: Sequence[Version]) -> list[Measurement]:
        """The whole model, compiled as it would be deployed, in turns where there are several versions.

        Raises:
            DevicesLost: see there.
        """


@dataclass(frozen=True)
class DeviceState:
    """A device as the measurer sees it.

    Attributes:
        device: the name that `Measurement.device` has.
        state: "free", "busy", "quarantined" or "lost".
        reason: one sentence, or "".
        until: seconds from now for which it is left alone, where it is quarantined.
    """

    device: str
    state: str
    reason: str = ""
    until: float = 0.0


class Backend(Protocol):
    """The compiler and the devices, for the settings that it was made with.

    Attributes:
        target: the compilation target as text; a session goes on only with the same one.
    """

    target: str

    def measurer(self, report: Callable[[DeviceState], None]) -> AbstractContextManager[Measurer]:
        """Workers start on entering, so that they are warm when the model is loaded.

        Args:
            report: told of each change of a device, from any thread.
        """

    def search(self, task: SearchTask) -> Search:
        """Analytic schedules, or what the parts give, come first; then the settings' spaces."""

    def rebuild(self, function: tirx.PrimFunc, trace: str) -> tirx.PrimFunc:
        """The scheduled function of a trace.

        Raises:
            ValueError: the trace does not apply to the function.
        """
