"""The process of a session: `python -m ago_core.tuning.session FOLDER`, started by `control.start`."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ago_core.errors import UserError
from ago_core.graph.model import Model, load_model
from ago_core.partition.ago import cluster
from ago_core.partition.heuristic import heuristic_partition
from ago_core.partition.partition import Partition, partition_from_json
from ago_core.tuning.code_version import code_version
from ago_core.tuning.events import STARTING, Command, Kind, State
from ago_core.tuning.interfaces import Backend, DeviceState
from ago_core.tuning.journal import Journal, check_journal, open_journal
from ago_core.tuning.known import known_traces
from ago_core.tuning.lock import take_lock
from ago_core.tuning.plan import Plan, PlannedTask, make_plan
from ago_core.tuning.settings import TuningSettings, settings_from_json
from ago_core.tuning.stopwatch import Stopwatch
from ago_core.tuning.study import Study
from ago_core.tuning.tuner import Tuner
from ago_core.tuning.turns import turns_folder

PACKAGES = ("apache-tvm", "apache-tvm-ffi")
"""Whose versions decide what a trace means and how fast its code is."""
USER_ERROR, BUG = 2, 1

MakeBackend = Callable[[TuningSettings], Backend]


def main(arguments: list[str], make_backend: MakeBackend) -> int:
    """Runs a session to its end, a stop, or a failure, all of which its journal tells.

    Args:
        arguments: the folder, and the descriptor of its lock where whoever started this has taken it.
        make_backend: the compiler and the devices.
    """
    folder, held = Path(arguments[0]), [int(descriptor) for descriptor in arguments[1:]]
    with contextlib.ExitStack() as stack:
        try:
            lock = held[0] if held else take_lock(folder)
            stack.callback(os.close, lock)
            os.set_inheritable(lock, False)  # workers must not hold it when this process is gone
            check_journal(folder)
            return _run(stack.enter_context(open_journal(folder)), make_backend)
        except UserError as error:
            print(error, file=sys.stderr)
            return USER_ERROR


def _run(journal: Journal, make_backend: MakeBackend) -> int:
    watch = Stopwatch(time.monotonic, journal.elapsed())
    signal.signal(signal.SIGTERM, lambda *_: journal.send(Command.STOP))
    try:
        journal.add_event(Kind.SESSION, {"state": State.QUEUED.value, "reason": STARTING}, watch.seconds)
        _tune(journal, make_backend, watch)
        return 0
    except UserError as error:
        reason, code = str(error), USER_ERROR
    except Exception as error:
        traceback.print_exc()
        first = (str(error).strip() or "no message").splitlines()[0]
        reason, code = f"The tuner failed inside ({type(error).__name__}: {first}); its log has more.", BUG
    print(reason, file=sys.stderr)
    with contextlib.suppress(UserError):  # the disk may be full
        journal.add_event(Kind.SESSION, {"state": State.FAILED.value, "reason": reason}, watch.seconds)
    return code


def _tune(journal: Journal, make_backend: MakeBackend, watch: Stopwatch) -> None:
    meta = journal.meta()
    settings = settings_from_json(meta["settings"])
    backend = make_backend(settings)

    def report(device: DeviceState) -> None:
        with contextlib.suppress(UserError):  # the next trial says so
            journal.add_event(Kind.DEVICE, asdict(device), watch.seconds)

    with backend.measurer(report) as measurer:
        model = load_model(_spec(meta["model"]), dict(meta["dims"]))
        partition, plan = _plan(journal, meta, model, settings, backend)
        name = f"the session in {journal.folder.absolute()}"
        known = {task["id"]: task["known"] for task in journal.tasks() if "known" in task}
        study = Study(journal.folder, name, model, plan, partition.method, backend, turns_folder(), known)
        Tuner(study, journal, settings, watch).run(measurer)


def _spec(model: dict[str, str]) -> str | Path:
    return Path(model["path"]) if "path" in model else model["sample"]


def _plan(
    journal: Journal, meta: dict[str, Any], model: Model, settings: TuningSettings, backend: Backend
) -> tuple[Partition, Plan]:
    """What the journal says is tuned; the first process of a session writes it there.

    Raises:
        UserError: this is not the model, target, version or code that the session began with.
    """
    identity = {
        "model_hash": model.graph.model_hash,
        "target": backend.target,
        "versions": {package: version(package) for package in PACKAGES},
        "code": code_version(),
    }
    begun = "target" in meta
    if begun:
        _refuse_mismatch(journal.folder, meta, identity)
    partition = _partition(meta, model, settings)
    plan = make_plan(model, partition, settings.ablation.reformer)
    if not begun:
        names = [op.name for op in model.graph.operators]
        described = {"name": model.name, "method": partition.method, "partition": partition.to_json()}
        known = known_traces(Path(meta["reuse"]), identity, settings, plan.tasks) if meta.get("reuse") else {}
        described |= {"taken_over": len(known)}
        journal.write_plan(identity | described, [_described(task, names, known) for task in plan.tasks])
    return partition, plan


def _described(task: PlannedTask, names: list[str], known: Mapping[int, str]) -> dict[str, Any]:
    """A task's row; `known` is the trace that is taken over from another session, where there is one."""
    return ({"known": known[task.id]} if task.id in known else {}) | {
        "kind": task.kind.value,
        "operators": [names[op] for op in task.places[0]],
        "places": task.places,
        "weight": task.weight,
        "parts": task.parts,
    }


def _partition(meta: dict[str, Any], model: Model, settings: TuningSettings) -> Partition:
    if meta.get("partition") is not None:
        return partition_from_json(model.graph, meta["partition"])
    if settings.ablation.partition == "heuristic":
        return heuristic_partition(model)
    return cluster(model.graph, settings.clustering).partition


def _refuse_mismatch(folder: Path, meta: dict[str, Any], identity: dict[str, Any]) -> None:
    reasons = {
        "model_hash": "the model's file has changed since; put the old one back or begin a new session",
        "target": f"it was for {meta['target']}, and the device now is {identity['target']}; begin a new session",
        "versions": f"it ran with {_listed(meta['versions'])}, and installed now is {_listed(identity['versions'])}",
        "code": f"it was tuned by other code of this tool ({meta.get('code', 'of unknown version')}, now "
        f"{identity['code']}), of which its schedules may mean something else; put that code back or begin a new "
        "session. What it found can still be read, exported and replayed",
    }
    for key, reason in reasons.items():
        if meta.get(key) != identity[key]:
            raise UserError(f"The session in {folder} cannot go on: {reason}.")


def _listed(versions: dict[str, str]) -> str:
    return ", ".join(f"{package} {number}" for package, number in versions.items())


if __name__ == "__main__":
    from ago_core.tuning.backend import make_backend

    sys.exit(main(sys.argv[1:], make_backend))
