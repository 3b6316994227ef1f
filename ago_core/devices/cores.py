"""The cores that this process may use. Needs no TVM."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

from ago_core.errors import UserError

CAN_PIN = hasattr(os, "sched_setaffinity")
"""Whether the operating system lets a thread choose its cores."""


def physical_cores() -> int:
    """Cores that this process may use; hyper-threads count once where the system tells."""
    allowed = len(allowed_cores())
    return max(1, min(allowed, psutil.cpu_count(logical=False) or allowed))


def allowed_cores() -> list[int]:
    """Logical cores that this process may use, ascending."""
    return sorted(os.sched_getaffinity(0)) if CAN_PIN else list(range(os.cpu_count() or 1))


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


def _siblings(core: int) -> list[int]:
    """Logical cores that share the core's arithmetic, itself included; itself alone where the system does not tell."""
    try:
        text = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list").read_text()
    except OSError:
        return [core]
    ends = [[int(end) for end in part.split("-")] for part in text.strip().split(",")]
    return [sibling for part in ends for sibling in range(part[0], part[-1] + 1)]
