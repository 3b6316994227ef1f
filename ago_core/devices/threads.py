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
from typing import TypeVar

import tvm

from ago_core.devices.cores import CAN_PIN, cores_for

ONE_CORE_EACH = -2
"""kSpecifyOneCorePerThread, include/tvm/runtime/threading_backend.h."""

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
