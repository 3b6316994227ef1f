"""Where a function keeps an intermediate, as plain data that can be read without TVM."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Place(enum.Enum):
    """REGISTERS: sums of a tile. TILE: inside a nest, a part at a time. MEMORY: whole, between nests."""

    REGISTERS = "registers"
    TILE = "tile"
    MEMORY = "memory"


@dataclass(frozen=True)
class Held:
    """An intermediate of a function.

    Attributes:
        name: of the buffer in TIR.
        shape: of the whole intermediate, in elements.
        whole: its bytes.
        kept: bytes that are allocated for it at a time; in a parallel nest by each task.
        place: where.
    """

    name: str
    shape: tuple[int, ...]
    whole: int
    kept: int
    place: Place
