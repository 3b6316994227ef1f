"""How hard an operator is to tune: the trials that tuning is expected to need until it stops improving.

What a tuner chooses is how to tile the loops of an operator that reduces; TVM's rules give operators without a
reduction one schedule (inline, or fuse, parallelise and vectorise), with nothing to search. The space of a reduction
grows with the ways to write its extents as products: a spatial loop of a complex operator is cut into four levels, a
reduction loop into two, as TVM's multi-level tiling does (SSRSRS, meta_schedule/schedule_rule/multi_level_tiling.cc);
simple ones (pooling, softmax) are cut into two. The logarithm of that number, in bits:

    bits(op) = Σ over loops of log2 F_k(extent),   F_k(n) = Π over primes p^a of n of C(a + k − 1, k − 1)

F_k(n) is the number of ordered factorisations of n into k factors. The weight is linear in the bits,

    weight(op) = TRIALS + TRIALS_PER_BIT · bits(op)

with constants fitted to measured trials to convergence of single operators (benchmarks/weights.py; its results say how
well they fit). A subgraph's weight is its operators' sum.

What the fit explains is mostly that operators with a reduction take trials at all. Among those the size of the space
told nothing of the trials in the 128 that were run (R² 0.01; the two seeds of a task differ as much as two tasks do).
"""

from __future__ import annotations

import math
from functools import cache

from ago_core.graph.opgraph import Loop, Operator, OpGraph

LEVELS = {("spatial", True): 4, ("reduction", True): 2, ("spatial", False): 2, ("reduction", False): 2}
"""Levels of tiling by kind of loop and whether the operator is complex."""

TRIALS = 9.0
TRIALS_PER_BIT = 3.35
"""The fit in benchmarks/results/weights.json, rounded; it explains 44 % of the variance."""


def operator_weight(op: Operator) -> float:
    """In trials."""
    return TRIALS + TRIALS_PER_BIT * schedule_bits(op)


def schedule_bits(op: Operator) -> float:
    """Logarithm to base 2 of the number of ways to tile the main nest; 0 for an operator that does not reduce."""
    return 0.0 if all(loop.kind == "spatial" for loop in op.loops) else tiling_bits(op)


def tiling_bits(op: Operator) -> float:
    """Logarithm to base 2 of the number of ways to tile all loops of the main nest."""
    return sum(_loop_bits(loop, op.is_complex) for loop in op.loops)


def operator_weights(graph: OpGraph) -> tuple[float, ...]:
    """Weights by operator id."""
    return tuple(operator_weight(op) for op in graph.operators)


def _loop_bits(loop: Loop, is_complex: bool) -> float:
    return math.log2(ordered_factorisations(loop.extent, LEVELS[loop.kind, is_complex]))


@cache
def ordered_factorisations(extent: int, parts: int) -> int:
    """Number of ways to write `extent` as an ordered product of `parts` positive integers."""
    count, rest, prime = 1, extent, 2
    while prime * prime <= rest:
        power = 0
        while rest % prime == 0:
            rest //= prime
            power += 1
        count *= math.comb(power + parts - 1, parts - 1)
        prime += 1
    return count * (parts if rest > 1 else 1)
