"""This machine as a device."""

from __future__ import annotations

import platform
from pathlib import Path

import tvm
from tvm.target import codegen

from ago_core.devices.cores import physical_cores


def host_target(cores: int | None = None) -> tvm.target.Target:
    """An LLVM target for this machine's processor and so many of its cores; all physical ones unless told."""
    cores = physical_cores() if cores is None else cores
    return tvm.target.Target({"kind": "llvm", "mcpu": codegen.llvm_get_system_cpu(), "num-cores": cores})


def machine() -> str:
    """The processor's name and architecture, for beside a measured figure."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name} ({platform.machine()}, {codegen.llvm_get_system_cpu()})"
