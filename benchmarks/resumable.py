"""Benchmarks that take many minutes: every record is saved when it is there, and a later run measures what is missing.

Results are one JSON file, for each number of threads a run: environment, seed, and records by name.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks.environment import environment


def command(
    doc: str, path: Path, measure: Callable[[dict, argparse.Namespace], None], table: Callable[[dict], str]
) -> int:
    """The command line of such a benchmark.

    Args:
        doc: its help.
        path: of its results.
        measure: adds to the results what the options ask for and saves them.
        table: of a run, as text.

    Returns:
        The exit status; raises SystemExit, with a sentence, where there is nothing to report.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--threads", type=int, default=1, choices=range(1, 65), metavar="N", help="of all that is timed"
    )
    parser.add_argument("--quick", action="store_true", help="only one shape of each kind")
    parser.add_argument("--again", action="store_true", help="measure everything anew")
    parser.add_argument("--report", action="store_true", help="print the table of the last run")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    args = parser.parse_args()
    results = json.loads(path.read_text()) if path.exists() else {}
    if not args.report:
        measure(results, args)
    run = results.get(str(args.threads))
    if run is None:
        sys.exit(f"Nothing has been measured with {args.threads} thread(s): run without --report first.")
    print(json.dumps(run) if args.json else table(run))
    return 0


def started(old: dict | None, threads: int) -> dict:
    """A run with the records of an old one; with none that another machine or version wrote."""
    where = environment() | {"threads": threads}
    same = old is not None and all(old["environment"][key] == where[key] for key in ("machine", "versions"))
    return (old if same else {}) | {"environment": where}


def kept(records: dict, items: Iterable) -> dict:
    """The records of items that there still are, in the items' order."""
    return {item.name: records[item.name] for item in items if item.name in records}


def one_of_each_kind(items: Iterable) -> list:
    """Of each kind the one in the middle."""
    kinds: dict[str, list] = {}
    for item in items:
        kinds.setdefault(item.kind, []).append(item)
    return [group[len(group) // 2] for group in kinds.values()]


def save(path: Path, results: dict) -> None:
    """Replaces the file as a whole, so that a run that is stopped meanwhile leaves the last one."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    new.replace(path)
