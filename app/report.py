"""The report of artifacts and tuning sessions, from the command line: `python -m app.report --help`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ago_core.artifacts.inspect import open_artifact
from ago_core.errors import UserError
from app.services.report import plan_of, report
from app.services.tuning_feed import Feed, feed

USER_ERROR = 2


def main(argv: list[str] | None = None) -> int:
    """Writes one HTML file. Returns 0, or 2 after a sentence about what the user can mend."""
    args = _parser().parse_args(argv)
    try:
        data = _report([Path(path) for path in args.artifact], [Path(folder) for folder in args.session])
        _write(Path(args.output), data)
    except UserError as error:
        print(error, file=sys.stderr)
        return USER_ERROR
    print(f"{args.output}: {len(data) / 1e6:.1f} MB")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app.report", description="Write a report as one HTML file.")
    parser.add_argument("artifact", nargs="+", help="what `python -m ago_core export` wrote, all of one model")
    parser.add_argument("--session", action="append", default=[], metavar="DIR", help="a tuning session of the model")
    parser.add_argument("--output", required=True, metavar="FILE", help="the HTML file")
    return parser


def _report(paths: list[Path], folders: list[Path]) -> bytes:
    opened = [open_artifact(path) for path in paths]
    graph = opened[0].graph
    if other := next((one for one in opened if one.graph.model_hash != graph.model_hash), None):
        raise UserError(f"{other.name} is of another model than {opened[0].name}: a report is about one model.")
    plans = [plan_of(one) for one in opened]
    named = {plan.name: plan for plan in plans}
    if len(named) < len(plans):
        raise UserError("Two of the artifacts are of the same plan: give each plan once.")
    return report(graph, plans, {folder.name: _session(folder, graph.model_hash) for folder in folders})


def _session(folder: Path, model_hash: str) -> Feed:
    """Raises UserError where it cannot be read, has not begun, or is of another model."""
    found = feed(folder)
    if found.error:
        raise UserError(found.error)
    if not found.planned or found.meta["model_hash"] != model_hash:
        raise UserError(f"The session in {folder} has not begun, or is of another model.")
    return found


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from error


if __name__ == "__main__":
    sys.exit(main())
