"""What tuning sessions found for a subgraph's operators: as one function, or as the parts that they kept apart."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ago_core.errors import UserError
from ago_core.graph.opgraph import OpGraph
from ago_core.partition.partition import partition_from_json
from app.services.tuning import BEST, SessionStore, results
from visualizers.units import milliseconds

KEPT_READ = 32


@dataclass(frozen=True)
class Tuned:
    """The best schedule that a session found for some operators.

    Attributes:
        session: its name.
        folder: where it lies.
        version: changes with its result.
        subgraph: the operators, as a subgraph of the session's own partition.
        operators: ids, ascending.
        whole: whether these are all operators of the subgraph that was asked for.
        seconds: of one call, measured.
        trial: its number in the journal.
    """

    session: str
    folder: Path
    version: int
    subgraph: int
    operators: tuple[int, ...]
    whole: bool
    seconds: float
    trial: int

    def title(self, graph: OpGraph) -> str:
        """For a choice among several."""
        first = next((op for op in self.operators if graph.operators[op].is_complex), self.operators[0])
        part = "" if self.whole else f", its part of {graph.operators[first].name}"
        return f"Tuned in {self.session}{part}: {milliseconds(self.seconds)}, trial {self.trial}"


def tuned_parts(store: SessionStore, graph: OpGraph, members: tuple[int, ...]) -> list[Tuned]:
    """Of every session of the model, the newest first, the tuned functions that lie inside a subgraph."""
    inside = set(members)
    found = []
    for row in results(store.rows(), graph.model_hash):
        file = row.folder / BEST
        try:
            version = file.stat().st_mtime_ns
            data = _read(file, version)
            partition = partition_from_json(graph, data["partition"])
        except (OSError, ValueError, KeyError, TypeError, UserError):
            continue  # the Tune page says what is wrong with it
        for function in data["functions"]:
            operators = partition.subgraphs[function["subgraph"]]
            if inside.issuperset(operators):
                facts = (operators, operators == members, function["seconds"], function["trial"])
                found.append(Tuned(row.key, row.folder, version, function["subgraph"], *facts))
    return found


@lru_cache(KEPT_READ)
def _read(file: Path, _version: int) -> dict:
    return json.loads(file.read_text())
