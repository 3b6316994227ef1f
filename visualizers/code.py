"""What to mark in code: loops that several complex blocks share, and what the instructions of a loop do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ago_core.lowering.instructions import Kind, kind_of
from visualizers.palette import BLUE, GREEN, ORANGE, PURPLE, VERMILLION

_BLOCK = re.compile(r'^(\s*)with T\.sblock\("([^"]+)"\)')
_LOOP = re.compile(r"^(\s*)for .*:\s*$")
_QUIET = re.compile(r"^\s*T\.(reads|writes)\(")


HUES = {"nest": BLUE, "shared": ORANGE, "fma": BLUE, "load": GREEN, "store": PURPLE, "spill": VERMILLION}
"""Of each kind of mark; a mark has its place and its words too."""


@dataclass(frozen=True)
class Mark:
    """Lines `first` to `last`, from 1. `kind` is how they look: "nest", "shared", "block", "quiet", or a `Kind`."""

    first: int
    last: int
    kind: str
    note: str = ""


@dataclass(frozen=True)
class Place:
    """A line to go to, with its name."""

    name: str
    line: int


@dataclass(frozen=True)
class Nest:
    """A top-level loop nest of a scheduled function that several complex blocks share.

    Attributes:
        first, last: its lines, from 1.
        loops: lines of the loops that hold more than one of the blocks.
        blocks: the complex blocks in it, in order.
    """

    first: int
    last: int
    loops: tuple[int, ...]
    blocks: tuple[str, ...]


def shared_nests(text: str, complex_blocks: Mapping[str, str]) -> list[Nest]:
    """The nests of TVMScript that hold several complex blocks.

    A block whose initialisation stands apart appears twice, as `name_init` and `name_update`.

    Args:
        text: TVMScript; a loop's body is what is indented under it.
        complex_blocks: names of the blocks that multiply and add, and of their operators.
    """
    lines = text.splitlines()
    inside: dict[int, dict[str, None]] = {}
    ends: dict[int, int] = {}
    open_loops: list[tuple[int, int]] = []
    outermost: dict[int, int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        depth = len(line) - len(line.lstrip())
        while open_loops and open_loops[-1][0] >= depth:
            open_loops.pop()
        for _, loop in open_loops:
            ends[loop] = number
        if _LOOP.match(line):
            outermost[number] = open_loops[0][1] if open_loops else number
            open_loops.append((depth, number))
        elif (found := _BLOCK.match(line)) and (name := _plain(found[2], complex_blocks)):
            for _, loop in open_loops:
                inside.setdefault(loop, {})[name] = None
    shared = [loop for loop, blocks in inside.items() if len(blocks) > 1]
    tops = sorted({outermost[loop] for loop in shared})
    return [
        Nest(top, ends[top], tuple(sorted(k for k in shared if outermost[k] == top)), tuple(inside[top]))
        for top in tops
    ]


def _plain(name: str, complex_blocks: Mapping[str, str]) -> str:
    """The complex block that a block is, or a part of; "" for others."""
    return next((each for each in complex_blocks if name in (each, f"{each}_init", f"{each}_update")), "")


def tir_marks(text: str, complex_blocks: Mapping[str, str]) -> tuple[list[Mark], list[Place]]:
    """Of TVMScript: shared loops, their nests and complex blocks stand out, what blocks read and write steps back."""
    marks, places = [], []
    for count, nest in enumerate(shared_nests(text, complex_blocks), 1):
        names = " and ".join(complex_blocks[block] for block in nest.blocks)
        marks.append(Mark(nest.first, nest.last, "nest", f"One nest for {names}"))
        marks += [Mark(loop, loop, "shared", f"Shared by {names}") for loop in nest.loops]
        places.append(Place(f"Fused nest {count}", nest.first))
    seen: set[str] = set()
    for number, line in enumerate(text.splitlines(), 1):
        if (found := _BLOCK.match(line)) and (block := _plain(found[2], complex_blocks)):
            marks.append(Mark(number, number, "block", f"Computes {complex_blocks[block]}"))
            if block not in seen and not found[2].endswith("_init"):
                seen.add(block)
                places.append(Place(complex_blocks[block], number))
        elif _QUIET.match(line):
            marks.append(Mark(number, number, "quiet"))
    return marks, places


KIND_NOTES = {
    Kind.FMA: "Multiply-add",
    Kind.LOAD: "Reads memory",
    Kind.STORE: "Writes memory",
    Kind.SPILL: "Reads or writes the stack: no register was free",
    Kind.LABEL: "",
}


def assembly_marks(text: str) -> list[Mark]:
    """A mark for each instruction that computes, reads or writes."""
    kinds = ((number, kind_of(line)) for number, line in enumerate(text.splitlines(), 1))
    return [Mark(number, number, kind.value, KIND_NOTES[kind]) for number, kind in kinds if kind in KIND_NOTES]
