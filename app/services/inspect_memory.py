"""Memory traffic of a subgraph before and after fusion, in bytes; all computed, nothing measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ago_core.graph.opgraph import OpGraph
from ago_core.lowering.held import Held, Place
from app.services.describe import boundary
from visualizers.units import count, nbytes

PLACES = {
    Place.REGISTERS: "in registers",
    Place.TILE: "in a tile, inside a nest",
    Place.MEMORY: "whole, between nests",
}


@dataclass(frozen=True)
class Traffic:
    """Bytes that a subgraph reads and writes.

    Attributes:
        name: of the way to run it.
        inputs: activations from elsewhere.
        weights: read.
        between: written by one of its operators, or nests, and read by another.
        results: for elsewhere.
    """

    name: str
    inputs: int
    weights: int
    between: int
    results: int

    @property
    def total(self) -> int:
        return self.inputs + self.weights + self.between + self.results


def each_by_itself(graph: OpGraph, members: Iterable[int]) -> Traffic:
    """Every operator reads its inputs from memory and writes its result there."""
    members = list(members)
    edge = boundary(graph, members)
    total = sum(graph.operators[op].bytes_read + graph.operators[op].bytes_written for op in members)
    between = max(0, total - edge.activations - edge.weights - edge.results)
    return Traffic("Each operator by itself", edge.activations, edge.weights, between, edge.results)


def fused_ideally(graph: OpGraph, members: Iterable[int]) -> Traffic:
    """Only what crosses the subgraph's border."""
    edge = boundary(graph, members)
    return Traffic("Fused, nothing spilled", edge.activations, edge.weights, 0, edge.results)


def as_scheduled(graph: OpGraph, members: Iterable[int], held: Iterable[Held]) -> Traffic:
    """And what passes whole between its nests: written once, read at least once."""
    edge = boundary(graph, members)
    between = 2 * sum(each.whole for each in held if each.place is Place.MEMORY)
    return Traffic("As it is scheduled", edge.activations, edge.weights, between, edge.results)


def traffic_rows(ways: Sequence[Traffic]) -> list[dict[str, str]]:
    """A row for each way, with the change against the first."""
    first = ways[0].total
    return [
        {
            "Way": way.name,
            "Inputs": nbytes(way.inputs),
            "Weights": nbytes(way.weights),
            "Between": nbytes(way.between),
            "Results": nbytes(way.results),
            "In all": nbytes(way.total),
            "Against the first": "–" if way is ways[0] else f"{way.total / first - 1:+.0%}",
        }
        for way in ways
    ]


def held_rows(held: Iterable[Held]) -> list[dict[str, str]]:
    """A row for each intermediate of the scheduled function, the largest first; those in registers are left out."""
    shown = sorted((each for each in held if each.place is not Place.REGISTERS), key=lambda each: -each.whole)
    return [
        {
            "Intermediate": each.name,
            "Shape": "×".join(map(str, each.shape)),
            "Whole": nbytes(each.whole),
            "Allocated at a time": nbytes(each.kept),
            "Where": PLACES[each.place],
        }
        for each in shown
    ]


def held_sentence(held: Iterable[Held]) -> str:
    """Where the intermediates are, in words."""
    held = list(held)
    tiles = sum(each.place is Place.TILE for each in held)
    whole = [each for each in held if each.place is Place.MEMORY]
    if not whole and not tiles:
        return "Nothing but the sums in registers stands between reading the inputs and writing the results."
    parts = []
    if tiles:
        parts.append(f"{count(tiles, 'intermediate')} {'lives' if tiles == 1 else 'live'} inside a nest")
    if whole:
        size = nbytes(sum(each.whole for each in whole))
        parts.append(f"{len(whole)} {'passes' if len(whole) == 1 else 'pass'} between nests whole, {size}")
    return "; ".join(parts) + ". Whether these reach main memory or stay in a cache depends on their size."
