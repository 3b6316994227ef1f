"""Waiting until a process leaves the cores to others: threads that wait for work stay awake for a while.

TVM's ask for it 300,000 times before they sleep (src/runtime/thread_pool.cc), some 0.15 s in which they share the cores
with whatever is timed next: MobileNetV2 at 56 took 284 µs on two threads so, and takes 180.
"""

from __future__ import annotations

import time

import psutil

LOOK_SECONDS, TICK_SECONDS = 0.05, 0.01


def comes_to_rest(process: psutil.Process, seconds: float) -> bool:
    """Waits, at most so many seconds, until the process uses no more than a tick of processor time between two looks.

    Raises:
        psutil.Error: the process has ended.
    """
    end, used = time.monotonic() + seconds, _used(process)
    while time.monotonic() < end:
        time.sleep(LOOK_SECONDS)
        before, used = used, _used(process)
        if used - before <= TICK_SECONDS:
            return True
    return False


def _used(process: psutil.Process) -> float:
    """Seconds of processor time of all of its threads so far."""
    times = process.cpu_times()
    return times.user + times.system
