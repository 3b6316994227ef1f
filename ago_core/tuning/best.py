"""The best functions of a session, as a file that compiling can use without the journal."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tvm import tirx

from ago_core.errors import UserError
from ago_core.graph.model import Model
from ago_core.lowering.regroup import regroup_one
from ago_core.partition.partition import Partition, make_partition, partition_from_json
from ago_core.tuning.files import BEST
from ago_core.tuning.plan import Deployed, deployed_partition

SCHEMA = 1

Rebuild = Callable[[tirx.PrimFunc, str], tirx.PrimFunc]


@dataclass(frozen=True)
class Found:
    """The best schedule of a task.

    Attributes:
        trial: its number in the journal.
        operators: whose function it was found on. Equal functions of other operators may name their blocks otherwise.
        trace: see `Candidate`.
    """

    trial: int
    operators: tuple[int, ...]
    trace: str


@dataclass(frozen=True, eq=False)
class Best:
    """What a session found.

    Attributes:
        partition: each subgraph joined where that was faster, else its minis.
        functions: scheduled, by index of a subgraph of `partition`; the others keep the analytic schedule.
        target: that they were tuned for.
    """

    partition: Partition
    functions: Mapping[int, tirx.PrimFunc]
    target: str


def write_best(
    folder: Path, model: Model, target: str, functions: Sequence[Deployed], found: Mapping[int, Found]
) -> None:
    """Writes the file whole or not at all.

    Args:
        functions: the plan to compile.
        found: by task; of every task of the plan that has a measured schedule.

    Raises:
        UserError: it cannot be written.
    """
    partition, tasks = deployed_partition(model, functions, "tuned")
    seconds = {row.operators: row.seconds for row in functions}
    rows = []
    for index, task in tasks.items():
        row = {"subgraph": index, "task": task, "seconds": seconds[partition.subgraphs[index]]}
        rows.append(row | {"trial": found[task].trial, "like": found[task].operators, "trace": found[task].trace})
    data = {"schema": SCHEMA, "model": model.name, "target": target, "partition": partition.to_json()}
    _write(folder / BEST, json.dumps(data | {"functions": rows}, indent=1))


def _write(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    try:
        new.write_text(text)
        new.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise UserError(
            f"{path} cannot be written: {error.strerror}; make room or make the folder writable."
        ) from error


def read_best(folder: Path, model: Model, rebuild: Rebuild) -> Best:
    """The partition and the scheduled functions of a session.

    Args:
        folder: of the session.
        model: that it tuned.
        rebuild: `Backend.rebuild` of the same target.

    Raises:
        UserError: the session has no result yet, or one of another model or version; a schedule does not apply.
    """
    return best_from(read_data(folder), model, rebuild)


def read_data(folder: Path) -> dict:
    """What `write_best` wrote. Raises UserError where there is nothing, or it is of another version."""
    try:
        data = json.loads((folder / BEST).read_text())
        schema, _, _ = data["schema"], data["target"], data["functions"]
    except FileNotFoundError as error:
        raise UserError(
            f"The session in {folder} has no result yet: let it run, or stop it to use what it has."
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / BEST} cannot be read: {error}. Resume the session to write it anew.") from error
    if schema != SCHEMA:
        raise UserError(f"{folder / BEST} has schema {schema!r}; this version reads {SCHEMA}.")
    return data


def best_from(data: Mapping, model: Model, rebuild: Rebuild) -> Best:
    """The same as `read_best`, of data that has been read. Raises UserError where it does not fit the model."""
    partition = partition_from_json(model.graph, data["partition"])
    rebuilt: dict[int, tirx.PrimFunc] = {}
    functions = {}
    for row in data["functions"]:
        if row["task"] not in rebuilt:
            rebuilt[row["task"]] = _rebuild(model, row, rebuild)
        functions[row["subgraph"]] = rebuilt[row["task"]]
    return Best(partition, functions, data["target"])


def unscheduled(model: Model, row: Mapping) -> tirx.PrimFunc:
    """The function that a row's schedule was found on."""
    like = tuple(row["like"])
    groups = [like, *([op.id] for op in model.graph.operators if op.id not in like)]
    around = make_partition(model.graph, groups, "edited")
    return regroup_one(model, around, around.subgraphs.index(like)).without_attr("global_symbol")


def _rebuild(model: Model, row: Mapping, rebuild: Rebuild) -> tirx.PrimFunc:
    try:
        return rebuild(unscheduled(model, row), row["trace"])
    except ValueError as error:
        raise UserError(
            f"The schedule of subgraph {row['subgraph']} does not apply any more: {error}. Tune it again."
        ) from error
