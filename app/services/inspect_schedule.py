"""What the analytic schedule decided for a subgraph, in words, with the estimate's own figures as reasons."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from visualizers.units import count, quantity

if TYPE_CHECKING:  # it imports TVM, which takes more than a second
    from ago_core.lowering.inspect import Inspection, Processor
    from ago_core.schedules.decisions import Cut, NestChoice, TileChoice

WHY = "Why"
_SAMPLED = re.compile(r"sample_perfect_tile\(.*decision=\[([\d, ]+)\]")
_PRIMITIVE = re.compile(r"sch\.(\w+)\(")
QUESTIONS = ("get_sblock", "get_loops", "get_consumers", "get_producers", "get_child_blocks")
"""Primitives that only ask."""


@dataclass(frozen=True)
class NestText:
    """A loop nest in words.

    Attributes:
        title: what it computes.
        fused: whether it holds several operators that multiply and add (intensive fusion).
        sentence: what was weighed, with cycles.
        rows: decision, choice and reason.
    """

    title: str
    fused: bool
    sentence: str
    rows: list[dict[str, str]]


def nest_texts(found: Inspection) -> list[NestText]:
    """One for each nest of the function's reductions."""
    names = dict(found.complex_blocks)
    return [_nest(nest, number, names, found.processor) for number, nest in enumerate(found.nests, 1)]


def _nest(nest: NestChoice, number: int, names: Mapping[str, str], processor: Processor) -> NestText:
    operators = [names.get(tile.block, tile.block) for tile in nest.tiles]
    title = f"Nest {number}: {' + '.join(operators)}"
    rows = [_task_row(nest, processor)] if nest.task else []
    for name, tile in zip(operators, nest.tiles):
        rows += _tile_rows(name, tile, processor)
    return NestText(title, sum(tile.block in names for tile in nest.tiles) > 1, _weighed(nest), rows)


def _weighed(nest: NestChoice) -> str:
    cycles = quantity(nest.cycles, "cycles")
    if not nest.task:
        return f"Estimated {cycles} on all cores. It has one reduction, so there is nothing to fuse inside it."
    apart, saved = quantity(nest.apart, "cycles"), 1 - nest.cycles / nest.apart
    if not nest.fused:
        return (
            f"Estimated {cycles} with the rows that follow in the same nest, {apart} with them apart: {saved:.0%} less."
        )
    return (
        f"Estimated {cycles} in one nest, {apart} in nests of their own: fusing saves {saved:.0%}, so "
        f"{count(len(nest.tiles), 'reduction')} share this nest."
    )


def _task_row(nest: NestChoice, processor: Processor) -> dict[str, str]:
    whole = [cut for cut in nest.task if cut.taken == cut.extent and cut.extent > 1]
    cut = [cut for cut in nest.task if cut.taken < cut.extent]
    choice = ", ".join(f"{each.taken} of {each.extent} {each.loop}" for each in cut) or "everything"
    why = f"{count(nest.tasks, 'task')} for {count(processor.cores, 'core')}; between them nothing is shared"
    if whole:
        why += f"; {', '.join(each.loop for each in whole)} whole, so that nothing there is computed twice"
    return {"Of": "the nest", "Decision": "Task", "Choice": choice, WHY: why + "."}


def _tile_rows(name: str, tile: TileChoice, processor: Processor) -> list[dict[str, str]]:
    if tile.vector is None:
        why = "no loop is written and read with stride 1, so nothing can lie in a vector."
        return [{"Of": name, "Decision": "Vectors", "Choice": "none", WHY: why.capitalize()}]
    rows = [
        ("Vectors", _vector(tile), _vector_why(tile, processor)),
        ("Tile", _tile_choice(tile), _tile_why(tile, processor)),
        ("Order", _order(tile), _order_why(tile)),
        ("Reduction", *_reduction(tile)),
    ]
    return [
        {"Of": name if number == 0 else "", "Decision": label, "Choice": choice, WHY: why}
        for number, (label, choice, why) in enumerate(rows)
    ]


def _vector(tile: TileChoice) -> str:
    return f"{tile.lanes} {tile.vector} in a vector"


def _vector_why(tile: TileChoice, processor: Processor) -> str:
    if tile.lanes == processor.lanes:
        return f"Neighbours along {tile.vector} lie side by side in memory; the processor's vectors hold {tile.lanes}."
    return f"The processor's vectors hold {processor.lanes}, but that does not divide {tile.vector}."


def _tile_choice(tile: TileChoice) -> str:
    parts = [f"{tile.vectors} vector{'s' if tile.vectors > 1 else ''} of {tile.vector}"]
    return " × ".join(parts + [_cut(cut) for cut in tile.columns])


def _cut(cut: Cut) -> str:
    return f"{cut.taken} {cut.loop}"


def _tile_why(tile: TileChoice, processor: Processor) -> str:
    per_load = tile.sums / tile.loads if tile.loads else 0
    text = f"{count(tile.sums, 'sum')} in {processor.registers} registers"
    if tile.loads:
        text += f"; a step loads {tile.loads} and makes {tile.sums} multiply-adds, {per_load:.2g} for each load"
    return text + "."


def _order(tile: TileChoice) -> str:
    return f"{', '.join(tile.outermost)} outermost" if tile.outermost else "as in the operator"


def _order_why(tile: TileChoice) -> str:
    if tile.outermost:
        return f"What {', '.join(tile.outermost)} walks then stays in cache while the other loops run."
    return "What the other loops walk is read less often so."


def _reduction(tile: TileChoice) -> tuple[str, str]:
    loops = [(name, extent) for name, extent, reduces in tile.loops if reduces and extent > 1]
    text = " × ".join(f"{extent} {name}" for name, extent in loops) or "one step"
    if tile.unrolled and loops:
        return f"{text}, unrolled", "Few steps: written out, their conditions and addresses are decided by compiling."
    return text, "A loop that ends before the sums leave their registers."


def primitives(trace: str) -> list[str]:
    """The primitives of a trace that change something, in order."""
    return [name for name in _PRIMITIVE.findall(trace) if name not in QUESTIONS]


def trace_sentence(trace: str) -> str:
    """A trace in one sentence."""
    steps = primitives(trace)
    kinds = {name: steps.count(name) for name in dict.fromkeys(steps)}
    common = sorted(kinds, key=lambda name: -kinds[name])[:4]
    text = f"{count(len(steps), 'primitive')}: {', '.join(f'{kinds[name]} {name}' for name in common)}"
    sampled = _SAMPLED.findall(trace)
    if not sampled:
        return f"{text}."
    cuts = ", ".join(" × ".join(part.strip() for part in decision.split(",")) for decision in sampled[:8])
    more = f" and {len(sampled) - 8} more" if len(sampled) > 8 else ""
    return f"{text}. The search chose these cuts: {cuts}{more}."
