"""What is different between two partitions of one model."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from ago_core.graph.opgraph import OpGraph
from ago_core.partition.metrics import crossing_bytes, subgraph_weights
from ago_core.partition.partition import Partition

Groups = Sequence[tuple[int, ...]]
"""Operator ids of each subgraph."""


class Change(enum.Enum):
    """What became of a subgraph of the first partition in the second."""

    SAME = "same"
    SPLIT = "split"
    MERGED = "merged"
    RECUT = "re-cut"


@dataclass(frozen=True)
class Block:
    """Subgraphs of both partitions over the same operators, as few as can be compared by themselves.

    Attributes:
        change: one to one, one to many, many to one, or many to many.
        before: indices of subgraphs in the first partition.
        after: in the second.
        operators: that they hold.
        bytes_saved: that cross subgraphs within the block before and no longer after; negative where more cross.
        weights_before, weights_after: of the subgraphs, in expected trials.
    """

    change: Change
    before: tuple[int, ...]
    after: tuple[int, ...]
    operators: tuple[int, ...]
    bytes_saved: int
    weights_before: tuple[float, ...]
    weights_after: tuple[float, ...]


@dataclass(frozen=True)
class Comparison:
    """All blocks, in the order of the first partition, and the traffic of the whole.

    Attributes:
        bytes_saved: that cross subgraphs before, less those that do after.
    """

    blocks: tuple[Block, ...]
    bytes_saved: int

    def count(self, change: Change) -> int:
        return sum(block.change is change for block in self.blocks)


def compare(graph: OpGraph, before: Partition, after: Partition) -> Comparison:
    """Compares two partitions of `graph`.

    Raises:
        ValueError: one of them belongs to another model.
    """
    if not before.model_hash == after.model_hash == graph.model_hash:
        raise ValueError("only partitions of one model can be compared")
    weights = subgraph_weights(graph, before), subgraph_weights(graph, after)
    blocks = tuple(
        _block(graph, before, after, weights, *indices) for indices in overlaps(before.subgraphs, after.subgraphs)
    )
    return Comparison(blocks, crossing_bytes(graph, before) - crossing_bytes(graph, after))


def overlaps(before: Groups, after: Groups) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Connected components of the relation "shares an operator" between the groups of two partitions.

    Returns:
        For each the indices of its groups before and after, ascending; in the order of the first partition.
    """
    owner = {op: index for index, members in enumerate(after) for op in members}
    back = {op: index for index, members in enumerate(before) for op in members}
    seen: set[int] = set()
    found = []
    for start in range(len(before)):
        if start in seen:
            continue
        left, right, waiting = {start}, set(), [start]
        while waiting:
            for op in before[waiting.pop()]:
                if owner[op] not in right:
                    right.add(owner[op])
                    new = {back[other] for other in after[owner[op]]} - left
                    left |= new
                    waiting.extend(new)
        seen |= left
        found.append((tuple(sorted(left)), tuple(sorted(right))))
    return found


def changed(before: Groups, after: Groups) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Indices of the groups of each partition that the other one has not."""
    kept = set(before) & set(after)
    left, right = ([k for k, group in enumerate(groups) if group not in kept] for groups in (before, after))
    return tuple(left), tuple(right)


def _block(graph, before, after, weights, left: tuple[int, ...], right: tuple[int, ...]) -> Block:
    operators = tuple(sorted(op for index in left for op in before.subgraphs[index]))
    saved = _inner_crossing(graph, before, operators) - _inner_crossing(graph, after, operators)
    change = {
        (True, True): Change.SAME,
        (True, False): Change.SPLIT,
        (False, True): Change.MERGED,
        (False, False): Change.RECUT,
    }[len(left) == 1, len(right) == 1]
    return Block(
        change, left, right, operators, saved, tuple(weights[0][i] for i in left), tuple(weights[1][i] for i in right)
    )


def _inner_crossing(graph: OpGraph, partition: Partition, operators: tuple[int, ...]) -> int:
    """Bytes written by these operators that cross from one subgraph to another among them."""
    inside, owner = set(operators), partition.owner
    crossing = {u for u in operators for v in graph.successors[u] if v in inside and owner[u] != owner[v]}
    return sum(graph.operators[op].bytes_written for op in crossing)
