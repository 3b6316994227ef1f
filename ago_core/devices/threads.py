"""The threads that code runs on, each on a core of its own.

Left alone, TVM runs on half of an x86-64 machine's logical cores, whether or not they are hyper-threads, and lets the
calling thread, which does a share of the work, wander over all cores: where the operating system keeps it on the core
of a waiting worker, two threads are as slow as one for seconds (src/runtime/threading_backend.cc, `MaxConcurrency` and
`SetMainThreadFullCpuAffinity`). MobileNetV2 at 224 took 4.2 ms so, and 2.4 ms with each thread on a core of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TypeVar

import tvm

from ago_core.errors import UserError

ONE_CORE_EACH = -2
"""kSpecifyOneCorePerThread, include/tvm/runtime/threading_backend.h."""

CAN_PIN = hasattr(os, "sched_setaffinity")
"""Whether the operating system lets a thread choose its cores."""

T = TypeVar("T")


class PinnedThreads:
    """A thread of ours, and TVM's workers for its parallel loops, each on its own core; `threads` in all.

    TVM keeps one pool for each thread that calls it, so what runs here has exactly these workers whatever ran before.

    Raises:
        UserError: the process may not use so many cores.
    """

    def __init__(self, threads: int):
        self.cores = cores_for(threads)
        self._caller = ThreadPoolExecutor(1, initializer=use_cores, initargs=(self.cores,))

    def run(self, work: Callable[[], T]) -> T:
        """Calls `work` on these threads and waits; what it raises is raised here."""
        return self._caller.submit(work).result()


@cache
def pinned_threads(threads: int) -> PinnedThreads:
    """The process's threads for so many; what runs on them waits for its turn.

    They stay: a worker of TVM that is told to end spins for a while first, and hundreds of them slowed all else down.

    Raises:
        UserError: the process may not use so many cores.
    """
    return PinnedThreads(threads)


def cores_for(threads: int) -> list[int]:
    """Numbers of the cores for so many threads: one hyper-thread of each core first, then the others.

    Raises:
        UserError: the process may not use so many.
    """
    allowed = allowed_cores()
    if threads > len(allowed):
        raise UserError(f"{threads} threads are asked for, but this process may use {len(allowed)}: choose fewer.")
    first = [core for core in allowed if not set(_siblings(core)) & {other for other in allowed if other < core}]
    return [*first, *(core for core in allowed if core not in first)][:threads]


def allowed_cores() -> list[int]:
    """Logical cores that this process may use, ascending."""
    return sorted(os.sched_getaffinity(0)) if CAN_PIN else list(range(os.cpu_count() or 1))


def use_cores(cores: list[int]) -> None:
    """Parallel loops that the calling thread starts run on these cores, itself on the first.

    TVM's pool for this thread must not have been used before.
    """
    tvm.get_global_func("runtime.config_threadpool")(ONE_CORE_EACH, len(cores), [str(core) for core in cores])
    pin_caller(cores[0])


def pin_caller(core: int) -> None:
    """Keeps the calling thread on one core, where the operating system lets a thread say so (Linux)."""
    if CAN_PIN:
        os.sched_setaffinity(0, {core})


def _siblings(core: int) -> list[int]:
    """Logical cores that share the core's arithmetic, itself included; itself alone where the system does not tell."""
    try:
        text = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list").read_text()
    except OSError:
        return [core]
    ends = [[int(end) for end in part.split("-")] for part in text.strip().split(",")]
    return [sibling for part in ends for sibling in range(part[0], part[-1] + 1)]
