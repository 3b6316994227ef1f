"""What a user can choose about AGO's partition."""

from __future__ import annotations

import enum
from dataclasses import dataclass

DEFAULT_THRESHOLD = 300.0
"""A whole inverted residual of MobileNetV2 fits: its three complex operators were measured to gain from one nest."""


class Rule(enum.Enum):
    """How a merge is shown to close no cycle."""

    STAGES = "stages"
    EXACT = "exact"


@dataclass(frozen=True)
class Settings:
    """Of the clustering.

    Attributes:
        threshold: a cluster's weight limit, in expected trials; one operator may exceed it by itself.
        rule: by stages, O(degree) a test, which may refuse needlessly; or exact, by search.
        aware: whether complex operators only join where reuse analysis finds that fusion saves traffic.
    """

    threshold: float = DEFAULT_THRESHOLD
    rule: Rule = Rule.STAGES
    aware: bool = True
