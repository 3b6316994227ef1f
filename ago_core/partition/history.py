"""Undo and redo of any depth, as a value."""

from __future__ import annotations

from dataclasses import dataclass

from ago_core.partition.partition import Partition


@dataclass(frozen=True)
class History:
    """The partition now, those before it, and those that were undone.

    Attributes:
        past: older partitions, the newest last.
        present: the partition now.
        future: undone partitions, the next to redo last.
    """

    present: Partition
    past: tuple[Partition, ...] = ()
    future: tuple[Partition, ...] = ()

    def edited(self, partition: Partition) -> History:
        """After an edit; what was undone is forgotten. An edit that changes nothing leaves no trace."""
        if partition.subgraphs == self.present.subgraphs:
            return self
        return History(partition, (*self.past, self.present))

    def undo(self) -> History:
        if not self.past:
            return self
        return History(self.past[-1], self.past[:-1], (*self.future, self.present))

    def redo(self) -> History:
        if not self.future:
            return self
        return History(self.future[-1], (*self.past, self.present), self.future[:-1])
