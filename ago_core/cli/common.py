"""What the commands share: loading, partitions by name or file, progress, output."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ago_core.errors import UserError

START = time.perf_counter()
METHODS = ("heuristic", "ago")


def load(args: argparse.Namespace):
    """The `Model` that the arguments name."""
    progress(args)("Starting the compiler")
    from ago_core.graph.model import load_model

    return load_model(args.model, dict(args.dim), progress(args))


def chosen_partition(model, args: argparse.Namespace):
    """The saved partition, or the method's with its settings."""
    if args.partition is not None:
        return saved_partition(model, args.partition)
    if args.method == "ago":
        return clustering(model, args).partition
    from ago_core.partition.heuristic import heuristic_partition

    return heuristic_partition(model)


def clustering(model, args: argparse.Namespace):
    """AGO's clustering with the settings that the arguments give."""
    from ago_core.partition.ago import cluster
    from ago_core.partition.settings import Rule, Settings

    settings = Settings(args.threshold, Rule(args.rule), not args.plain)
    return cluster(model.graph, settings)


def partition_named(model, name: str, args: argparse.Namespace):
    """A partition by method name or file."""
    by_method = name in METHODS
    return chosen_partition(
        model, argparse.Namespace(**vars(args) | {"method": name, "partition": None if by_method else name})
    )


def saved_partition(model, path: str):
    """Raises UserError where the file is not a partition of the model."""
    from ago_core.partition.partition import partition_from_json

    return partition_from_json(model.graph, read_json(path, "partition file"))


def read_json(path: str, what: str):
    try:
        return json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"The {what} {path} cannot be read: {error}.") from error


def write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from error


def operator_id(model, name: str) -> int:
    """An operator by name or number. Raises UserError where there is none."""
    operators = model.graph.operators
    if str(name).isdigit() and int(name) < len(operators):
        return int(name)
    found = next((op.id for op in operators if op.name == name), None)
    if found is None:
        near = [op.name for op in operators if op.kind == str(name).rsplit("_", 1)[0]][:3] or [operators[0].name]
        raise UserError(f"{model.name} has no operator {name}; there is {', '.join(near)} and so on.")
    return found


def threads(args: argparse.Namespace) -> int:
    from ago_core.devices.cores import physical_cores

    return args.threads or physical_cores()


def progress(args: argparse.Namespace) -> Callable[[str], None]:
    """Says on stderr what is being done: JSON lines for a program, a line for a person at a terminal."""
    if args.progress:
        return lambda text: _progress_line(text)
    if args.json or not sys.stderr.isatty():
        return lambda text: None
    return lambda text: print(f"{text}…", file=sys.stderr, flush=True)


def _progress_line(text: str) -> None:
    line = {"progress": text, "seconds": round(time.perf_counter() - START, 2)}
    print(json.dumps(line), file=sys.stderr, flush=True)


def show(args: argparse.Namespace, data, text: Callable[[dict], str]) -> None:
    """Prints a report, as JSON or as text."""
    print(json.dumps(data) if args.json else text(data))
