"""How hard an operator is to tune.

The weight is the logarithm of the number of ways to tile its main nest, the part of a schedule space that grows with
the operator: a spatial loop of a complex operator is split into four levels, a reduction loop into two, as TVM's
multi-level tiling does (SSRSRS, meta_schedule/schedule_rule/multi_level_tiling.cc); operators without a reduction over
products only choose where to cut for vectors and threads, two levels a loop. Cutting a loop of extent n into k levels
means to write n as an ordered product of k factors:

    weight(op) = 1 + Σ over loops of log2 F_k(extent),   F_k(n) = Π over primes p^a of n of C(a + k − 1, k − 1)

The one keeps operators without loops to tile from being free. A subgraph's weight is its operators' sum.
"""

from __future__ import annotations

import math
from functools import cache

from ago_core.graph.opgraph import Loop, Operator, OpGraph

LEVELS = {("spatial", True): 4, ("reduction", True): 2, ("spatial", False): 2, ("reduction", False): 2}


def operator_weight(op: Operator) -> float:
    """In bits of schedule space; at least 1."""
    return 1.0 + schedule_bits(op)


def schedule_bits(op: Operator) -> float:
    """Logarithm to base 2 of the number of ways to tile the operator's main nest."""
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
