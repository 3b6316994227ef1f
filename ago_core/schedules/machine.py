"""What a schedule needs to know of the processor."""

from __future__ import annotations

from dataclasses import dataclass, replace

import tvm
from tvm.target.codegen import target_has_features

FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class Machine:
    """A processor with vector instructions.

    Attributes:
        lanes: float32 values in the widest vector.
        registers: vector registers.
        loads: whether a multiply-add can take one factor from memory, so that it needs no register.
        cores: tasks that run at the same time.
        l1_bytes: data cache of a core.
        l2_bytes: second cache of a core.
    """

    lanes: int
    registers: int
    loads: bool
    cores: int
    l1_bytes: int = 32 * 1024
    l2_bytes: int = 512 * 1024


CACHES = {
    "apple-m1": (128, 3072),
    "cortex-a57": (32, 512),
    "cortex-a72": (32, 256),
    "cortex-a76": (64, 512),
    "cortex-a715": (64, 512),
    "neoverse-n1": (64, 1024),
    "neoverse-v1": (64, 1024),
    "haswell": (32, 256),
    "broadwell": (32, 256),
    "skylake": (32, 256),
    "skylake-avx512": (32, 1024),
    "cascadelake": (32, 1024),
    "icelake-client": (48, 512),
    "icelake-server": (48, 1280),
    "tigerlake": (48, 1280),
    "alderlake": (48, 1280),
    "sapphirerapids": (48, 2048),
    "znver2": (32, 512),
    "znver3": (32, 512),
    "znver4": (32, 1024),
    "znver5": (48, 1024),
}
"""Data caches of a core by LLVM's name for the processor, in KiB; of a shared second cache a core's share. LLVM does
not say them, and of a device that code is compiled for only the name is known."""


def machine_of(target: tvm.target.Target) -> Machine:
    """The processor that an LLVM target describes: x86-64 with AVX-512, AVX or SSE only, or Armv8 with NEON."""
    machine = _instructions(target, int(target.attrs.get("num-cores", 1)))
    caches = CACHES.get(str(target.attrs.get("mcpu", "")))
    return replace(machine, l1_bytes=caches[0] * 1024, l2_bytes=caches[1] * 1024) if caches else machine


def _instructions(target: tvm.target.Target, cores: int) -> Machine:
    if "aarch64" in str(target.attrs.get("mtriple", "")) or target_has_features("neon", target):
        return Machine(lanes=4, registers=32, loads=False, cores=cores)
    if target_has_features("avx512f", target):
        return Machine(lanes=16, registers=32, loads=True, cores=cores)
    return Machine(lanes=8 if target_has_features("avx", target) else 4, registers=16, loads=True, cores=cores)
