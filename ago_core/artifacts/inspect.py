"""Opens an artifact for inspection: what it is, its partition, its figures, its records. Needs no TVM, runs nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ago_core.artifacts import layout
from ago_core.artifacts.archive import Archive, check_files, open_archive, read_text
from ago_core.artifacts.reproduce import commands
from ago_core.errors import UserError
from ago_core.graph.opgraph import OpGraph
from ago_core.partition.partition import Partition, partition_from_json

Json = dict[str, Any]
NUMBER = (int, float)
FIELDS: Mapping[str, type | tuple] = {
    "model": str,
    "model_hash": str,
    "source": dict,
    "method": str,
    "preset": str,
    "target": str,
    "threads": int,
    "tolerance": NUMBER,
    "inputs": list,
    "outputs": list,
    "versions": dict,
    "exported_at": str,
    "files": dict,
    "tuned": (str, type(None)),
    "machine": (str, type(None)),
    "max_rel_error": (*NUMBER, type(None)),
    "latency_ms": (dict, type(None)),
    "reference_ms": (dict, type(None)),
    "reloaded": (dict, type(None)),
}
DERIVED = ("kind", "tag", "keys", "feature.")
"""Beginnings of a target's attributes that say nothing of their own."""
LATENCIES = ("latency_ms", "reference_ms")


@dataclass(frozen=True)
class Record:
    """The schedule of one subgraph, as the session found it.

    Attributes:
        subgraph: its index in the partition.
        trial: number in the session's journal.
        seconds: measured of the function by itself; None where it was not.
        trace: the schedule, as JSON of TVM's trace.
    """

    subgraph: int
    trial: int
    seconds: float | None
    trace: str


@dataclass(frozen=True)
class Opened:
    """An artifact, checked.

    Attributes:
        name: of its file or folder.
        manifest: see `export.py`; its fields have the types of `FIELDS`.
        graph: the model's operators.
        partition: of them.
        session: what the tuning session was asked for (`records.session_record`); None where it was not tuned.
        records: by subgraph; empty where it was not tuned.
        commands: that make it again, to be given in the unpacked folder.
        has_model: whether the ONNX model is in it.
    """

    name: str
    manifest: Json
    graph: OpGraph
    partition: Partition
    session: Json | None
    records: tuple[Record, ...]
    commands: tuple[str, ...]
    has_model: bool


def open_artifact(path: Path) -> Opened:
    """Reads and checks an artifact's folder or zip file.

    Raises:
        UserError: it is none, damaged, of another version, or not safe to open; the sentence says which.
    """
    with open_archive(path) as archive:
        manifest = _manifest(archive)
        check_files(archive, manifest["files"])
        graph = _graph(archive, manifest)
        partition = partition_from_json(graph, _json(archive, layout.PARTITION))
        session, records = _tuned(archive, manifest, len(partition))
        has_model = any(name.startswith(f"{layout.MODEL}/") for name in archive.sizes)
        again = _commands(archive, manifest, session)
    return Opened(archive.name, manifest, graph, partition, session, records, again, has_model)


def _manifest(archive: Archive) -> Json:
    manifest = _json(archive, layout.MANIFEST)
    schema = manifest.get("schema")
    if schema != layout.SCHEMA:
        raise UserError(
            f"{archive.name} was exported by another version of this tool (schema {schema!r}, this one reads "
            f"{layout.SCHEMA}); its run.py runs it all the same."
        )
    for name, kind in FIELDS.items():
        if name not in manifest or not isinstance(manifest[name], kind):
            raise _damaged(archive, f"its manifest says nothing usable about {name}")
    measured = [manifest[name] for name in LATENCIES if manifest[name]]
    if manifest["reloaded"]:
        measured.append(manifest["reloaded"].get("latency_ms"))
        if not isinstance(manifest["reloaded"].get("max_rel_error"), NUMBER):
            raise _damaged(archive, "its manifest has no error of the clean process")
    if not all(map(_is_latency, measured)):
        raise _damaged(archive, "a latency in its manifest is none")
    unlisted = {layout.GRAPH, layout.PARTITION} - set(manifest["files"])
    if unlisted or not all(isinstance(about, dict) for about in manifest["files"].values()):
        raise _damaged(archive, "its manifest does not list its files")
    return manifest


def _is_latency(data: object) -> bool:
    if not isinstance(data, dict) or not all(isinstance(data.get(key), NUMBER) for key in ("median", "q1", "q3")):
        return False
    runs = data.get("runs")
    return isinstance(runs, list) and bool(runs) and all(isinstance(run, NUMBER) for run in runs)


def _graph(archive: Archive, manifest: Json) -> OpGraph:
    try:
        graph = OpGraph.from_json(_json(archive, layout.GRAPH))
        size = len(graph)
        numbered = all(op.id == index for index, op in enumerate(graph.operators))
        if not numbered or not all(0 <= u < v < size for u, v in graph.edges):
            raise ValueError("its operators are not in order")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(archive, f"its operators cannot be read ({error})") from error
    if graph.model_hash != manifest["model_hash"]:
        raise _damaged(archive, "its operators are of another model than its manifest")
    return graph


def _tuned(archive: Archive, manifest: Json, subgraphs: int) -> tuple[Json | None, tuple[Record, ...]]:
    """The session and its records; (None, ()) where it was not tuned."""
    if manifest["tuned"] is None:
        return None, ()
    session, best = _json(archive, layout.SESSION), _json(archive, layout.BEST)
    try:
        rows = [
            Record(int(row["subgraph"]), int(row["trial"]), _seconds(row), str(row["trace"]))
            for row in best["functions"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(archive, f"its tuned records cannot be read ({error})") from error
    if any(not 0 <= row.subgraph < subgraphs for row in rows):
        raise _damaged(archive, "its tuned records are of another partition")
    return session, tuple(rows)


def _seconds(row: Json) -> float | None:
    return None if row["seconds"] is None else float(row["seconds"])


def _commands(archive: Archive, manifest: Json, session: Json | None) -> tuple[str, ...]:
    try:
        return tuple(commands(manifest, session))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(archive, f"it does not say how it was made ({error!r})") from error


def _json(archive: Archive, name: str) -> Json:
    try:
        data = json.loads(read_text(archive, name))
    except (ValueError, RecursionError) as error:
        raise _damaged(archive, f"{name} is no JSON ({error})") from error
    if not isinstance(data, dict):
        raise _damaged(archive, f"{name} holds something else")
    return data


def _damaged(archive: Archive, reason: str) -> UserError:
    return UserError(f"{archive.name} is damaged: {reason}.")


def target_text(target: str) -> str:
    """TVM's target as people write it, such as "llvm -mcpu=znver5 -num-cores=2", without what follows from that."""
    try:
        attributes = dict(json.loads(target))
    except (ValueError, TypeError):
        return target
    told = {name: value for name, value in attributes.items() if not name.startswith(DERIVED)}
    return " ".join([str(attributes.get("kind", "")), *(f"-{name}={value}" for name, value in told.items())])
