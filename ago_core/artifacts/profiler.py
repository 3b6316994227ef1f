"""Where the time of an inference goes: each subgraph's kernel timed in place, on this machine.

TVM's virtual machine calls an *instrument* before and after each call of an inference (`VirtualMachine.set_instrument`,
src/runtime/vm/vm.cc, RunInstrCall; `vm.profile` of older versions is gone). With a clock in it, a kernel is timed with
the caches as the kernels before it left them. What the clock itself takes is measured by calls that do nothing, and
taken off. It disturbs the caches too, so whole inferences are timed without it, and the difference to the sum of the
parts is shown, never hidden.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import tvm

from ago_core.artifacts.profile import KernelCall, Profile, Spread
from ago_core.artifacts.reference import Arrays, Reference, random_inputs, relative_error
from ago_core.artifacts.verify import TOLERANCE
from ago_core.devices.local import machine
from ago_core.graph.model import Progress
from ago_core.lowering.executable import Compiled
from ago_core.lowering.run import Runner

ROUNDS = 40
LEAST_ROUNDS = 5
BUDGET_SECONDS = 12.0
RUNS = 3
"""Inferences of each round without the clock, and as many with it; each after one that is not counted."""
EMPTY_CALL = "vm.builtin.null_value"
"""What the virtual machine calls to let go of a register: it does nothing else, so the clock alone is timed."""


@dataclass(frozen=True, eq=False)
class Entrant:
    """A compiled plan that is to be measured, and what the profile says about it."""

    compiled: Compiled
    fusion: bool = True
    tuned: str = ""


def measure_profiles(
    entrants: Sequence[Entrant], threads: int, rounds: int = ROUNDS, progress: Progress = lambda _: None
) -> list[Profile]:
    """Measures plans of one model on one random input, in turns, so that what else the machine does meets all alike.

    Args:
        rounds: each runs every plan; fewer, but at least 5, where they take more than 12 s.
    """
    onnx = entrants[0].compiled.model.onnx
    inputs = random_inputs(onnx)
    progress("Running ONNX Runtime for comparison")
    expected = Reference(onnx, threads).outputs(inputs)
    sides = [_Side(entrant, inputs, threads) for entrant in entrants]
    errors = [side.error(expected) for side in sides]
    for done in _paced(rounds):
        progress(f"Measuring, round {done + 1} of {rounds}")
        for side in sides if done % 2 == 0 else reversed(sides):
            side.turn()
    return [side.profile(threads, error) for side, error in zip(sides, errors)]


def _paced(rounds: int) -> Iterator[int]:
    start = time.perf_counter()
    for done in range(max(rounds, LEAST_ROUNDS)):
        if done >= LEAST_ROUNDS and time.perf_counter() - start > BUDGET_SECONDS:
            return
        yield done


class _Side:
    """One plan with all that was measured of it so far. Two virtual machines: an instrument cannot be taken out."""

    def __init__(self, entrant: Entrant, inputs: Arrays, threads: int):
        self._entrant = entrant
        self._plain = Runner(entrant.compiled, inputs, threads)
        self._clocked = ClockedRunner(entrant.compiled, inputs, threads)
        self._wholes: list[float] = []
        self._inferences: list[list[Event]] = []

    def error(self, expected: Sequence) -> float:
        """Largest relative error of the outputs; both machines are warm then."""
        self._clocked.events()
        return max(map(relative_error, self._plain.outputs(), expected))

    def turn(self) -> None:
        self._wholes += [run / 1e3 for run in self._plain.latency(RUNS).runs_ms]
        self._clocked.events()
        self._inferences += [self._clocked.events() for _ in range(RUNS)]

    def profile(self, threads: int, error: float) -> Profile:
        compiled = self._entrant.compiled
        empty = [event.seconds for events in self._inferences for event in events if event.name == EMPTY_CALL]
        clock = statistics.median(empty) if empty else 0.0
        inferences = [kernel_calls(events, compiled.kernels, clock) for events in self._inferences]
        return Profile(
            model=compiled.model.name,
            model_hash=compiled.model.graph.model_hash,
            method=compiled.partition.method,
            groups=compiled.partition.subgraphs,
            fusion=self._entrant.fusion,
            tuned=self._entrant.tuned,
            max_rel_error=error,
            tolerance=TOLERANCE,
            whole=_spread(self._wholes),
            subgraphs=tuple(_by_subgraph(inferences, len(compiled.kernels))),
            calls=tuple(sorted(inferences, key=_sum)[len(inferences) // 2]),
            clock=clock,
            runs=len(self._wholes),
            threads=threads,
            machine=machine(),
            target=str(compiled.target),
            build_seconds=compiled.build_seconds,
            at=time.time(),
        )


def _by_subgraph(inferences: Sequence[Sequence[KernelCall]], count: int) -> list[Spread | None]:
    times: list[list[float]] = [[] for _ in range(count)]
    for call in (call for inference in inferences for call in inference):
        times[call.subgraph].append(call.seconds)
    return [_spread(found) if found else None for found in times]


def _sum(calls: Sequence[KernelCall]) -> float:
    return sum(call.seconds for call in calls)


def _spread(seconds: Sequence[float]) -> Spread:
    first, middle, third = statistics.quantiles(seconds, n=4, method="inclusive")
    return Spread(middle, first, third)


@dataclass(frozen=True, slots=True)
class Event:
    """A call that the virtual machine made: the function's name, seconds since the inference began, and its own."""

    name: str
    start: float
    seconds: float


class ClockedRunner(Runner):
    """A runner that notes when each call of an inference began and ended."""

    def __init__(self, compiled: Compiled, inputs: Arrays, threads: int):
        super().__init__(compiled, inputs, threads)
        self._ticks: list[tuple[str, float]] = []
        ticks, clock = self._ticks, time.perf_counter

        def tick(_function, name, _before, _value, *_arguments) -> int:
            ticks.append((name, clock()))
            return 0  # VMInstrumentReturnKind.NO_OP

        self._machine.set_instrument(tvm.runtime.convert(tick))

    def events(self) -> list[Event]:
        """The calls of one inference, in order."""
        self._ticks.clear()
        start = self._threads.run(self._started)
        pairs = zip(self._ticks[::2], self._ticks[1::2], strict=True)  # no call of `main` makes a call
        return [Event(name, begun - start, ended - begun) for (name, begun), (_, ended) in pairs]

    def _started(self) -> float:
        start = time.perf_counter()
        self._invoke()
        return start


def kernel_calls(events: Sequence[Event], kernels: Sequence[str], clock: float = 0.0) -> list[KernelCall]:
    """Which subgraph each kernel of an inference belongs to.

    Kernels are called in the partition's order. Some subgraphs call none: TVM makes views of reshapes.

    Args:
        events: of the inference; calls of other functions are passed over.
        kernels: the function of each subgraph, see `Compiled.kernels`.
        clock: seconds that timing a call takes, which are taken off.

    Raises:
        ValueError: the calls are not those of the subgraphs.
    """
    found, waiting = [], iter(enumerate(kernels))
    for event in events:
        if event.name not in kernels:
            continue
        subgraph = next((index for index, name in waiting if name == event.name), None)
        if subgraph is None:
            raise ValueError(f"{event.name} was called in another order than that of the partition")
        found.append(KernelCall(subgraph, event.start, max(0.0, event.seconds - clock)))
    return found
