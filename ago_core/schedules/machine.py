"""What a schedule needs to know of the processor."""

from __future__ import annotations

from dataclasses import dataclass

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


def machine_of(target: tvm.target.Target) -> Machine:
    """The processor that an LLVM target describes: x86-64 with AVX-512, AVX or SSE only, or Armv8 with NEON."""
    cores = int(target.attrs.get("num-cores", 1))
    if "aarch64" in str(target.attrs.get("mtriple", "")) or target_has_features("neon", target):
        return Machine(lanes=4, registers=32, loads=False, cores=cores)
    if target_has_features("avx512f", target):
        return Machine(lanes=16, registers=32, loads=True, cores=cores)
    return Machine(lanes=8 if target_has_features("avx", target) else 4, registers=16, loads=True, cores=cores)
