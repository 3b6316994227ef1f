"""Builds, runs, times and checks code on this machine; lives in a process of its own (build_worker.py).

Code is compiled in place by LLVM, so there is nothing to link, write or upload. A function is timed on arguments that
are allocated once for its task, one call at a time; before each, twice the second cache is written, as the rest of a
model would. By calls in a row, with all weights in cache, MobileNetV2's best schedules after 500 trials made a model
that took 1.11 times as long as the analytic ones; timed so, 1.03 times, and the joined plan as long.

What may become the best then runs once more on the arguments that the unscheduled function was given, and every array
that it can reach must hold the same afterwards.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tvm
import tvm_ffi
from tvm import tirx

from ago_core.artifacts.reference import Reference, random_inputs, relative_error
from ago_core.devices.threads import PinnedThreads
from ago_core.graph.model import Model
from ago_core.lowering.build import build_functions
from ago_core.lowering.executable import Functions, compile_model
from ago_core.lowering.run import Runner
from ago_core.partition.partition import Partition
from ago_core.schedules.machine import machine_of
from ago_core.tuning.interfaces import Contestant, Version

SEED = 0
CALLS, LEAST_CALLS = 15, 3
CALLS_SECONDS = 0.05
"""Calls of which the median is taken; fewer where they would take longer."""
FLUSHED = 2
"""Times the second cache."""
HOPELESS = 3.0
"""Times the best: a candidate that takes so long in its first two calls gets no further ones."""
REFERENCE_LEVEL = 1
"""Of LLVM, for unscheduled code: at its default level it compiles for seconds, and runs once."""
MODEL_RUNS = 20
MODEL_TURNS = 5
"""Of so many runs, where several versions are compared."""
TURNS = 31
"""In the last check a function's figure is the median of so many calls."""

ENTRY = "main"

M_PERTURB = -6
"""Of glibc's mallopt: fill what is allocated."""


class Bench:
    """What a worker holds: built candidates, the arguments of one task, and a model."""

    def __init__(self, threads: int, target: tvm.target.Target):
        self._threads = PinnedThreads(threads)
        self._target = target
        self._built: dict[int, tvm.runtime.Executable] = {}
        self._key: str | None = None
        self._task: TaskData | None = None
        self._model: ModelData | None = None
        self._contests: dict[int, list[Timed]] = {}

    def warm_up(self) -> None:
        """Compiles something and calls it, so that LLVM and the threads are ready."""
        nothing = tirx.PrimFunc([], tirx.Evaluate(0))
        self._threads.run(compile_function(nothing, self._target)[ENTRY])

    def start_batch(self, key: str, reference: tirx.PrimFunc) -> None:
        """Forgets all candidates; and the arguments, unless they are of the same task."""
        self._built.clear()
        if key != self._key:
            self._key, self._task = None, None
            self._key, self._task = key, TaskData(reference, self._target, self._threads.run)

    def build(self, key: int, function: tirx.PrimFunc) -> None:
        """Compiles a candidate and keeps it under a key."""
        self._built[key] = compile_function(function, self._target)

    def time(self, key: int, below: float) -> tuple[float, ...]:
        """Seconds of single calls of a candidate."""
        timed = self._timed(self._built[key], self._task.tensors)

        def work() -> tuple[float, ...]:
            with dirty_memory():
                timed.evaluate(1)
            return time_function(timed.evaluate, below)

        return self._threads.run(work)

    def _timed(self, library: tvm.runtime.Executable, tensors: list) -> Timed:
        return Timed(library, tensors, flushed_bytes(self._target))

    def expect(self) -> None:
        """Runs the unscheduled function, once for each task."""
        self._task.expect()

    def error_of(self, key: int) -> float:
        """Largest relative error over all arrays that a candidate can reach, after a run on the task's arguments."""
        return self._task.error_of(self._built[key])

    def drop(self, key: int) -> None:
        """Forgets a candidate."""
        del self._built[key]

    def start_model(self, model: Model) -> None:
        """Computes what a model should give (ONNX Runtime)."""
        self._model = ModelData(model)

    def end_to_end(self, versions: Sequence[Version]) -> list[tuple[tuple[float, ...], float]]:
        """Of each version of the whole model as it would be deployed, seconds of each run, and its relative error."""
        runners = [self._runner(partition, functions) for partition, functions in versions]
        errors = [max(map(relative_error, runner.outputs(), self._model.expected)) for runner in runners]
        seconds: list[list[float]] = [[] for _ in runners]
        for _ in range(1 if len(runners) == 1 else MODEL_TURNS):
            for runner, found in zip(runners, seconds):
                found.extend(milliseconds / 1e3 for milliseconds in runner.latency(MODEL_RUNS).runs_ms)
        return list(zip(map(tuple, seconds), errors))

    def _runner(self, partition: Partition, functions: Functions) -> Runner:
        compiled = compile_model(self._model.model, partition, self._target, functions=functions)
        return Runner(compiled, self._model.inputs, len(self._threads.cores))

    def enter(self, contest: int, contestants: Sequence[Contestant]) -> None:
        """Compiles what is to be measured in turns."""
        tensors: dict[str, list] = {}
        self._contests[contest] = []
        for each in contestants:
            key = str(tvm_ffi.structural_hash(each.reference))
            if key not in tensors:
                tensors[key] = [tvm.runtime.tensor(array) for array in random_arguments(each.reference)]
            self._contests[contest].append(self._timed(compile_function(each.function, self._target), tensors[key]))

    def compete(self, contest: int) -> list[tuple[float, ...]]:
        """Seconds of one call of each contestant, for each turn; forgets them."""
        timed = self._contests.pop(contest)
        return self._threads.run(lambda: in_turns([each.evaluate for each in timed]))


def generate_code(function: tirx.PrimFunc, target: tvm.target.Target) -> tvm.runtime.Executable:
    """A library whose `main` is the function."""
    return build_functions(tvm.IRModule({ENTRY: function.with_attr("global_symbol", ENTRY)}), target)


def compile_function(function: tirx.PrimFunc, target: tvm.target.Target) -> tvm.runtime.Executable:
    """The same for this machine, ready to be called."""
    library = generate_code(function, target)
    library[ENTRY]  # LLVM's code generator runs when a function is asked for
    return library


Evaluate = Callable[[int], tuple[float, ...]]
"""Seconds of so many single calls of something."""


@dataclass(frozen=True, eq=False)
class Timed:
    """A built function with its arguments.

    Attributes:
        flushed: bytes that are written before each call.
    """

    library: tvm.runtime.Executable
    tensors: list
    flushed: int

    def evaluate(self, calls: int) -> tuple[float, ...]:
        evaluator = self.library.time_evaluator(ENTRY, tvm.cpu(), 1, calls, cache_flush_bytes=self.flushed)
        return tuple(evaluator(*self.tensors).results)


def flushed_bytes(target: tvm.target.Target) -> int:
    """What is written before a call that is timed, so that the second cache holds nothing of use."""
    return FLUSHED * machine_of(target).l2_bytes


def time_function(side: Evaluate, below: float) -> tuple[float, ...]:
    """Seconds of single calls; only of two if it is hopeless."""
    first = side(2)
    return first if min(first) > HOPELESS * below else side(calls_for(min(first)))


def calls_for(seconds: float) -> int:
    """How many calls are timed of what takes so many seconds."""
    return max(LEAST_CALLS, min(CALLS, int(CALLS_SECONDS / max(seconds, 1e-9))))


def in_turns(sides: Sequence[Evaluate]) -> list[tuple[float, ...]]:
    """Seconds of a call of each, for each of TURNS turns."""
    turns = [[side(1)[0] for side in sides] for _ in range(TURNS)]
    return list(zip(*turns))


@contextlib.contextmanager
def dirty_memory() -> Iterator[None]:
    """What is allocated meanwhile is filled with huge numbers, so that code which reads what it never wrote is found.

    A function's buffers are allocated in its first call and kept (src/runtime/workspace_pool.cc); fresh from the
    operating system they would hold zeros, which is what padding should hold. MetaSchedule's stock rules leave padding
    unwritten where they compute it inside the loops of what it pads. Linux with glibc only.
    """
    try:
        fill = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        yield
        return
    fill(M_PERTURB, 0x81)  # written is its complement: 0x7e7e7e7e is 8e37
    try:
        yield
    finally:
        fill(M_PERTURB, 0)


class TaskData:
    """Arguments of a task, and what the unscheduled function makes of them.

    Attributes:
        tensors: for timing; what functions write stays there.
    """

    def __init__(self, reference: tirx.PrimFunc, target: tvm.target.Target, run: Callable):
        self._reference = reference
        self._target = target
        self._run = run
        self._arrays = random_arguments(reference)
        self._expected: list[np.ndarray] | None = None
        self.tensors = [tvm.runtime.tensor(array) for array in self._arrays]

    def expect(self) -> None:
        if self._expected is None:
            target = tvm.target.Target(dict(self._target.export()) | {"opt-level": REFERENCE_LEVEL})
            self._expected = self._after(compile_function(self._reference, target))

    def error_of(self, library) -> float:
        return max(map(difference, self._after(library), self._expected))

    def _after(self, library) -> list[np.ndarray]:
        for tensor, array in zip(self.tensors, self._arrays):
            tensor.copyfrom(array)
        self._run(lambda: library[ENTRY](*self.tensors))
        return [tensor.numpy() for tensor in self.tensors]


class ModelData:
    """A model with one random input and ONNX Runtime's outputs for it."""

    def __init__(self, model: Model):
        self.model = model
        self.inputs = random_inputs(model.onnx, SEED)
        self.expected = Reference(model.onnx, 1).outputs(self.inputs)


def random_arguments(function: tirx.PrimFunc) -> list[np.ndarray]:
    """Floats from N(0, 1), integers and booleans 0 or 1, for inputs and outputs alike."""
    rng = np.random.default_rng(SEED)
    return [_random(rng, [int(extent) for extent in p.shape], np.dtype(str(p.dtype))) for p in function.params]


def _random(rng: np.random.Generator, shape: list[int], dtype: np.dtype) -> np.ndarray:
    return (rng.standard_normal(shape) if dtype.kind == "f" else rng.integers(0, 2, shape)).astype(dtype)


def difference(got: np.ndarray, expected: np.ndarray) -> float:
    """Relative error of the finite values; infinite where one is finite and the other is not."""
    finite = np.isfinite(expected)
    if not np.array_equal(finite, np.isfinite(got)):
        return math.inf
    return relative_error(np.where(finite, got, 0), np.where(finite, expected, 0))
