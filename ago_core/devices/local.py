"""This machine as a device."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import psutil
import tvm
from tvm.target import codegen


def host_target() -> tvm.target.Target:
    """An LLVM target for this machine's processor and its physical cores."""
    return tvm.target.Target({"kind": "llvm", "mcpu": codegen.llvm_get_system_cpu(), "num-cores": physical_cores()})


def physical_cores() -> int:
    """Cores that this process may use; hyper-threads count once where the system tells."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, psutil.cpu_count(logical=False) or allowed))


def machine() -> str:
    """The processor's name and architecture, for beside a measured figure."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name} ({platform.machine()}, {codegen.llvm_get_system_cpu()})"
