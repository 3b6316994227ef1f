"""One cell: sessions of the peers that tune, then all peers in turns."""

from __future__ import annotations

import datetime
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import sample_models
from ago_core.artifacts.reference import Arrays, random_inputs
from ago_core.devices.cores import cores_for
from ago_core.devices.local import host_target
from ago_core.errors import UserError
from ago_core.graph.model import load_model
from ago_core.graph.source import open_source
from ago_core.tuning.shipped import SUFFIX, write_shipped
from benchmarks.networks import real_models
from benchmarks.networks.cells import Cell
from benchmarks.networks.limits import better, compulsory, measure_limits
from benchmarks.networks.partitions import statistics_of
from benchmarks.networks.peers import AGO, PEERS, REFERENCE, peers_of
from benchmarks.networks.race import OURS, Entrant, race
from benchmarks.networks.sessions import SEED, OutOfTime, SessionFailed, trials_to_reach, tune
from benchmarks.networks.store import revision
from benchmarks.peers.environments import Unavailable, ensure

Prepare = Callable[[str], tuple[Entrant, dict | None]]
"""A peer's name → how its process starts, and what its session told where it has one."""
RACE_SECONDS = 300.0
"""That a race may need: it does not begin later than that before the deadline."""


@dataclass(frozen=True)
class Bench:
    """How cells are measured.

    Attributes:
        work: folder of environments, models and sessions.
        peers: names of those that run; the reference always does.
        starts: of each process in a race.
        rounds: of turns with each start.
        deadline: by `time.monotonic`.
        say: told what is being done.
    """

    work: Path
    peers: tuple[str, ...]
    starts: int
    rounds: int
    deadline: float
    say: Callable[[str], None]


def measured(bench: Bench, cell: Cell) -> dict:
    """A cell's record: see `raced`, and trials to reach the heuristic.

    Raises:
        OutOfTime: what sessions have measured is kept, and the next call goes on with it.
        Unavailable: the model cannot be had.
    """
    spec, path = where(cell.model, bench.work)
    names = [name for name in peers_of(cell.trials) if name in {REFERENCE, *bench.peers}]
    inputs = random_inputs(open_source(spec).model, SEED)
    record = raced(bench, cell, names, lambda name: prepared(bench, cell, name, spec, path), inputs)
    return record | {"trials_to_reach_heuristic": trials_to_reach(record["sessions"])}


def raced(bench: Bench, cell: Cell, names: Sequence[str], prepare: Prepare, inputs: Arrays) -> dict:
    """The record of a race: date, code, rounds, limits, peers (see `race`) and sessions (see `sessions.told`).

    Limits are measured before and after it, since a shared machine has faster hours and slower ones.

    Args:
        names: of those that take part, in order.
        prepare: tunes one, where it tunes.
        inputs: of the model.

    Raises:
        OutOfTime: as `measured`.
    """
    failures, sessions, entrants = {}, {}, {}
    for name in names:
        try:
            entrants[name], told = prepare(name)
            sessions |= {name: told} if told else {}
        except (SessionFailed, Unavailable, UserError) as failure:
            failures[name] = {"failed": str(failure)}
    if time.monotonic() > bench.deadline - RACE_SECONDS:
        raise OutOfTime
    bench.say(f"{cell.name}: {len(entrants)} peers in turns")
    before = measure_limits(cell.threads)
    with tempfile.TemporaryDirectory(prefix="ago-race-") as folder:
        peers = failures | race(entrants, inputs, Path(folder), bench.rounds, bench.starts)
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes"),
        "code": revision(),
        "rounds": bench.rounds,
        "limits": better(before, measure_limits(cell.threads)),
        "peers": {name: peers[name] for name in names},
        "sessions": sessions,
    }


def ship(work: Path, records: Path, cell: Cell) -> None:
    """Puts what AGO's session of a sample network found into `records`, where `run --tuned shipped` looks for it."""
    name = f"{cell.model}-{cell.threads}-threads-{host_target().attrs['mcpu']}{SUFFIX}"
    write_shipped(session_folder(work, cell, AGO), records / name)


def prepared(bench: Bench, cell: Cell, name: str, spec: str, path: Path) -> tuple[Entrant, dict | None]:
    """How a peer's process starts, after its session where it tunes; and what that told."""
    peer = PEERS[name]
    python = OURS if peer.environment is None else ensure(peer.environment, bench.work / "environments")
    request = {"path": str(path), "spec": spec, "cores": cores_for(cell.threads), "work": str(bench.work)}
    if not peer.tunes:
        return Entrant(python, peer.module, request), None
    told, folder = None, None
    if cell.trials:
        folder = session_folder(bench.work, cell, name)
        told = tune(folder, spec, peer, cell, bench.deadline, lambda text: bench.say(f"{cell.name}: {name} {text}"))
    request |= {"ablation": peer.ablation, "layout": peer.layout, "result": folder and str(folder)}
    return Entrant(python, peer.module, request), told


def default_work() -> Path:
    """Where environments, models and sessions lie unless another folder is named: beside the samples."""
    return sample_models.ensure("bert_tiny@32").parents[1] / "benchmarks"


def session_folder(work: Path, cell: Cell, peer: str) -> Path:
    return work / "sessions" / f"{cell.model}-{cell.threads}-threads-{cell.trials}-trials" / peer


def where(model: str, work: Path) -> tuple[str, Path]:
    """(MODEL for ago_core, file for the others). Raises Unavailable where it cannot be had."""
    if sample_models.is_sample(model):
        return model, sample_models.ensure(model)
    path = real_models.ensure(model, work / "models")
    return str(path), path


def network(spec: str) -> dict:
    """What is known of a network without running it."""
    model = load_model(spec)
    graph = model.graph
    return compulsory(model) | {"operators": len(graph), "hash": graph.model_hash, "partitions": statistics_of(model)}
