"""What the instructions of a loop do: multiply-adds, loads, stores, and what goes to the stack.

Read from text, x86-64 in AT&T syntax or AArch64, as LLVM prints it. One instruction can count twice: a multiply-add
of x86-64 may take a factor from memory. What is kept on the stack counts as a spill: sums that found no register, and
addresses. Small arrays that live on the stack look the same.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

_FMA = re.compile(r"^\s+(vfn?m(?:add|sub)\d+(p|s)s|fml[as]|fn?m(?:add|sub))\s+(.*)")
_X86_MEMORY = re.compile(r"-?[\w.]*\((?:%\w+)?(?:,\s*%\w+)?(?:,\s*\d)?\)")
_X86_STORE = re.compile(r"^\s+v?(?:mov|extract|scatter)\w*\s.*,\s*-?[\w.]*\([^)]*\)(?:\s*\{%k\d\})?\s*(?:#.*)?$")
_ARM_LOAD = re.compile(r"^\s+(?:ld[rpu]\w*|ld[1-4]\w*)\s")
_ARM_STORE = re.compile(r"^\s+(?:st[rpu]\w*|st[1-4]\w*)\s")
_STACK = re.compile(r"\((%rsp)\b|\[sp\b")
_ADDRESS = re.compile(r"^\s+(?:lea|nop)\w*\s")
_LANES = (("%zmm", 16), ("%ymm", 8), ("%xmm", 4), (".4s", 4), (".2s", 2))


class Kind(enum.Enum):
    """What a line of assembly is, the most telling first; LABEL and OTHER are none of the others."""

    SPILL = "spill"
    FMA = "fma"
    STORE = "store"
    LOAD = "load"
    LABEL = "label"
    OTHER = "other"


@dataclass(frozen=True)
class Counts:
    """Of the lines of a loop.

    Attributes:
        instructions: all of them.
        vector_fmas: multiply-adds on vectors.
        scalar_fmas: multiply-adds on one value.
        lanes: float32 multiply-adds that the vector ones make together.
        loads: that read memory, as a factor of a multiply-add too; the stack not counted.
        stores: that write memory, the stack not counted.
        spills: that read or write the stack.
    """

    instructions: int
    vector_fmas: int
    scalar_fmas: int
    lanes: int
    loads: int
    stores: int
    spills: int


def kind_of(line: str) -> Kind:
    """What a line mainly does."""
    if not line.startswith(("\t", " ")):
        return Kind.LABEL
    if _is_spill(line):
        return Kind.SPILL
    if _FMA.match(line):
        return Kind.FMA
    if _is_store(line):
        return Kind.STORE
    return Kind.LOAD if _is_load(line) else Kind.OTHER


def count_instructions(loop: str) -> Counts:
    """Counts over the lines of a loop; labels and directives are no instructions."""
    lines = [line for line in loop.splitlines() if line[:1] in ("\t", " ") and not line.strip().startswith((".", "#"))]
    fmas = [(line, _vector_lanes(line)) for line in lines if _FMA.match(line)]
    spills = sum(map(_is_spill, lines))
    return Counts(
        instructions=len(lines),
        vector_fmas=sum(lanes > 1 for _, lanes in fmas),
        scalar_fmas=sum(lanes == 1 for _, lanes in fmas),
        lanes=sum(lanes for _, lanes in fmas if lanes > 1),
        loads=sum(_is_load(line) and not _is_spill(line) for line in lines),
        stores=sum(_is_store(line) and not _is_spill(line) for line in lines),
        spills=spills,
    )


def _vector_lanes(line: str) -> int:
    """float32 values that a multiply-add works on."""
    found = _FMA.match(line)
    if found[2] == "s" or not any(name in found[3] for name, _ in _LANES):
        return 1
    return next(lanes for name, lanes in _LANES if name in found[3])


def _is_spill(line: str) -> bool:
    return bool(_STACK.search(line)) and not _ADDRESS.match(line)


def _is_store(line: str) -> bool:
    return bool(_X86_STORE.match(line) or _ARM_STORE.match(line))


def _is_load(line: str) -> bool:
    """x86-64: whatever has an operand in memory and is no store; an address that is only computed is none."""
    if _ARM_LOAD.match(line):
        return True
    return bool(_X86_MEMORY.search(line)) and not _is_store(line) and not _ADDRESS.match(line)
