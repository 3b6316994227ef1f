"""Sessions whose schedules an edited partition can take over."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ago_core.errors import UserError
from ago_core.partition.partition import Partition
from ago_core.tuning.code_version import code_version
from ago_core.tuning.journal import read_journal
from ago_core.tuning.known import why_not
from ago_core.tuning.settings import Device, TuningSettings
from app.services.tuning import EDITED_ABLATION, Row, results
from visualizers.units import count


@dataclass(frozen=True)
class Earlier:
    """A session of the same model, by the same code, on the same device.

    Attributes:
        key: of the session.
        folder: where it lies.
        unchanged: subgraphs of the edited partition that it has tuned.
        changed: the others.
    """

    key: str
    folder: Path
    unchanged: int
    changed: int

    @property
    def title(self) -> str:
        return f"{self.key} · {self.unchanged} of {count(self.unchanged + self.changed, 'subgraph')} unchanged"


def earlier_sessions(rows: Iterable[Row], model_hash: str, partition: Partition, device: Device) -> list[Earlier]:
    """Those with a result that fits and at least one subgraph of the partition, the most alike first.

    Args:
        rows: of all sessions, the one that changed last first.
        model_hash: of the model.
        partition: the edited one.
        device: that the new session will measure on.
    """
    identity = {"model_hash": model_hash, "code": code_version()}
    settings = TuningSettings(1, device, EDITED_ABLATION)
    found = []
    for row in results(rows, model_hash):
        with contextlib.suppress(UserError), read_journal(row.folder) as journal:
            meta = journal.meta()
            if why_not(meta, identity, settings) is None:
                tuned = set(map(tuple, meta["partition"]["subgraphs"]))
                unchanged = sum(subgraph in tuned for subgraph in partition.subgraphs)
                found.append(Earlier(row.key, row.folder, unchanged, len(partition) - unchanged))
    return sorted((each for each in found if each.unchanged), key=lambda each: each.changed)


def reuse_text(earlier: Earlier) -> str:
    """What will happen."""
    if not earlier.changed:
        return f"Nothing has changed since {earlier.key}: each of its schedules is measured once more."
    return (
        f"{count(earlier.unchanged, 'subgraph')} as in {earlier.key}: its schedules are taken over and measured once. "
        f"All other trials go to the {count(earlier.changed, 'subgraph')} that changed."
    )
