"""The partition methods by name."""

from __future__ import annotations

from ago_core.errors import UserError
from ago_core.graph.model import Model
from ago_core.partition.ago import ago_partition
from ago_core.partition.heuristic import heuristic_partition
from ago_core.partition.partition import Partition

METHODS = {"heuristic": heuristic_partition, "ago": lambda model: ago_partition(model.graph)}


def partition_by(model: Model, method: str) -> Partition:
    """Raises UserError for a method that does not exist."""
    if method not in METHODS:
        raise UserError(f"There is no partition method {method!r}; choose one of {', '.join(METHODS)}.")
    return METHODS[method](model)
