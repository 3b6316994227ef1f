"""The command line: everything the UI does, headless. `python -m ago_core --help`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings

from ago_core.cli.common import METHODS, show
from ago_core.cli.devices import add_devices
from ago_core.cli.inspect import inspect_command
from ago_core.cli.partition import diff_command, edit_command, explain_command, partition_command, tasks_command
from ago_core.cli.profile import edit_times_command, profile_command
from ago_core.cli.run import SHIPPED, export_command, run_command
from ago_core.cli.tune import (
    DEFAULT_TRACKER,
    compare_command,
    pause_command,
    records_command,
    resume_command,
    status_command,
    stop_command,
    tune_command,
)
from ago_core.errors import UserError
from ago_core.partition.settings import DEFAULT_THRESHOLD
from ago_core.tuning.settings import ABLATIONS, BATCH

USER_ERROR = 2
INTERRUPTED = 130
MODEL_HELP = "path of an ONNX file, or a sample such as mobilenet_v2@224 or bert_tiny@64"


def main(argv: list[str] | None = None) -> int:
    """Runs one command. Returns 0, 1 where a result was wrong, or 2 after a sentence about what the user can mend."""
    args = _parser().parse_args(argv)
    warnings.filterwarnings("ignore")
    try:
        code = args.command(args)
        sys.stdout.flush()
        return code
    except UserError as error:
        print(json.dumps({"error": str(error)}) if getattr(args, "progress", False) else str(error), file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def samples_command(args: argparse.Namespace) -> int:
    from sample_models import SAMPLES

    data = [{"name": s.name, "title": s.title, "sizes": list(s.sizes), "unit": s.size_unit} for s in SAMPLES.values()]
    show(args, data, _samples_text)
    return 0


def _samples_text(rows: list[dict]) -> str:
    return "\n".join(f"{row['name']}@{{{','.join(map(str, row['sizes']))}}}  {row['title']}" for row in rows)


def _dimension(text: str) -> tuple[str, int]:
    name, _, value = text.rpartition("=")
    if not name or not value.isdigit() or int(value) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a name and a positive number, such as batch=1")
    return name, int(value)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a positive whole number")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ago_core", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    sub = _command(
        commands, "partition", partition_command, "Group a model's operators into subgraphs and report them."
    )
    _takes_model(sub)
    sub.add_argument("--save", metavar="FILE", help="write the partition as JSON")
    sub = _command(commands, "explain", explain_command, "Say why two operators are, or are not, in one subgraph.")
    _takes_model(sub, choice=False)
    sub.add_argument("u", metavar="U", help="an operator, such as conv2d_1")
    sub.add_argument("v", metavar="V", help="another one")
    sub = _command(commands, "edit", edit_command, "Edit a partition by a script; refused edits say why.")
    _takes_model(sub)
    script = 'JSON list of {"merge": [OPS]}, {"split": [OPS]}, {"move": [OPS], "to": OP}; OPS are operator names'
    sub.add_argument("script", metavar="FILE", help=script)
    sub.add_argument("--save", metavar="OUT", help="write the edited partition as JSON")
    sub = _command(commands, "diff", diff_command, "Compare two partitions of a model.")
    _takes_model(sub, choice=False)
    sub.add_argument("a", metavar="A", help="heuristic, ago, or a saved partition")
    sub.add_argument("b", metavar="B", help="likewise")
    sub = _command(commands, "tasks", tasks_command, "List what tuning would tune: minis after SPLIT, equal ones once.")
    _takes_model(sub)
    sub = _command(commands, "run", run_command, "Compile a model, compare its output with ONNX Runtime, time both.")
    _takes_model(sub)
    _takes_runs(sub)
    sub.add_argument("--seed", type=int, default=0, help="of the random input")
    sub = _command(
        commands, "profile", profile_command, "Time each subgraph of a model in place; several plans in turns."
    )
    _takes_model(sub, choice=False)
    plan = "heuristic, ago or a saved partition, each also with :no-fusion after it; or a tuning session's folder"
    sub.add_argument("plans", metavar="PLAN", nargs="+", help=plan)
    sub.add_argument("--rounds", type=_positive, default=40, help="of measuring each plan (default 40)")
    sub.add_argument("--threads", type=_positive, help="default: this machine's physical cores, or the session's")
    sub.add_argument("--keep", metavar="DIR", help="write each profile into this folder, under its plan's key")
    text = "Estimate and time what an edit gives: only the subgraphs that differ between two partitions."
    sub = _command(commands, "edit-times", edit_times_command, text)
    _takes_model(sub, choice=False)
    sub.add_argument("before", metavar="BEFORE", help="heuristic, ago, or a saved partition")
    sub.add_argument("after", metavar="AFTER", help="likewise")
    sub.add_argument("--threads", type=_positive, help="default: this machine's physical cores")
    sub.add_argument("--keep", metavar="DIR", help="write the times into this folder, under the edit's key")
    sub = _command(commands, "export", export_command, "Compile a model and write it as a folder or a .zip file.")
    _takes_model(sub)
    _takes_runs(sub)
    sub.add_argument("--output", required=True, metavar="DIR", help="a new folder, or a file name ending in .zip")
    sub.add_argument("--preset", metavar="NAME", help="for another device's target, such as raspberry-pi-4")
    sub.add_argument("--include-model", action="store_true", help="put the ONNX model into it")
    sub.add_argument("--device", metavar="KEY", help="with --preset: check and time it on a device with this key")
    _takes_tracker(sub)
    sub = _command(commands, "inspect", inspect_command, "Open an exported artifact: what it is, runs nothing of it.")
    sub.add_argument("artifact", metavar="ARTIFACT", help="a folder or a .zip file that `export` wrote")
    _session_commands(commands)
    add_devices(commands, _command)
    _command(commands, "samples", samples_command, "List the sample models.")
    return parser


def _session_commands(commands) -> None:
    sub = _command(commands, "tune", tune_command, "Tune a model in a session, a process that outlives this one.")
    _takes_model(sub, choice=False)
    sub.add_argument("--ablation", choices=ABLATIONS, default="ago", help="what of AGO is on (default: ago, all of it)")
    sub.add_argument("--partition", metavar="FILE", help="a saved partition instead of the ablation's")
    reuse = "a session: what it found for functions that both tune is taken over, and only the others are searched"
    sub.add_argument("--reuse", metavar="DIR", help=reuse)
    _takes_session(sub)
    sub.add_argument("--detach", action="store_true", help="return at once; see `status`, `stop` and `resume`")
    sub = _command(commands, "compare", compare_command, "Tune a model by each ablation, one after the other.")
    _takes_model(sub, choice=False)
    _takes_session(sub)
    sub = _command(commands, "resume", resume_command, "Go on with a session that is paused or has ended.")
    sub.add_argument("--extend", type=_positive, metavar="N", help="so many trials more")
    sub.add_argument("--repair", action="store_true", help="save what can be read of a damaged journal first")
    sub.add_argument("--detach", action="store_true", help="return at once")
    sub.add_argument("session", metavar="DIR")
    for name, command, text in (
        ("pause", pause_command, "Pause a session after the batch that it measures."),
        ("stop", stop_command, "Stop a session after the batch that it measures; it can be resumed."),
        ("status", status_command, "Say how a session stands."),
    ):
        _command(commands, name, command, text).add_argument("session", metavar="DIR")
    sub = _command(commands, "records", records_command, "Write the trials of a session as CSV.")
    sub.add_argument("session", metavar="DIR")
    sub.add_argument("--csv", required=True, metavar="FILE")


def _takes_session(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--trials", type=_positive, required=True, metavar="N", help="candidates to measure")
    sub.add_argument("--session", required=True, metavar="DIR", help="a new folder")
    sub.add_argument("--device", default="local", metavar="KEY", help="local (default), or the key of remote devices")
    _takes_tracker(sub)
    sub.add_argument("--preset", metavar="NAME", help="their target, such as raspberry-pi-4")
    sub.add_argument("--threads", type=_positive, help="of the local device (default: this machine's physical cores)")
    sub.add_argument("--batch", type=_positive, default=BATCH, help=f"candidates measured together (default {BATCH})")
    sub.add_argument("--seed", type=int, default=0, help="of the search")


def _takes_tracker(sub: argparse.ArgumentParser) -> None:
    text = "of the devices with that key (default {}:{})".format(*DEFAULT_TRACKER)
    sub.add_argument("--tracker", type=_address, default=DEFAULT_TRACKER, metavar="HOST:PORT", help=text)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 1 << 16:
        raise argparse.ArgumentTypeError(f"{text!r} must be a host and a port, such as 127.0.0.1:9190")
    return host, int(port)


def _command(commands, name: str, command, text: str) -> argparse.ArgumentParser:
    sub = commands.add_parser(name, help=text, description=text)
    sub.set_defaults(command=command)
    sub.add_argument("--json", action="store_true", help="report as JSON on standard output")
    sub.add_argument("--progress", action="store_true", help="write progress as JSON lines to standard error")
    return sub


def _takes_model(sub: argparse.ArgumentParser, choice: bool = True) -> None:
    sub.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    text = "a value for a symbolic dimension (repeatable)"
    sub.add_argument("--dim", type=_dimension, action="append", default=[], metavar="NAME=N", help=text)
    if choice:
        chosen = sub.add_mutually_exclusive_group()
        chosen.add_argument("--method", choices=METHODS, default="ago", help="default: ago")
        chosen.add_argument("--partition", metavar="FILE", help="a saved partition instead of a method")
    ago = sub.add_argument_group("settings of the method ago")
    ago.add_argument(
        "--threshold", type=_weight, default=DEFAULT_THRESHOLD, metavar="W", help="weight limit of a subgraph"
    )
    rule = "how a merge is shown to close no cycle (default: stages)"
    ago.add_argument("--rule", choices=("stages", "exact"), default="stages", help=rule)
    ago.add_argument("--plain", action="store_true", help="the paper's rule: join without asking what fusion gives")


def _takes_runs(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--runs", type=_positive, default=30, help="timed runs (default 30)")
    threads = "default: this machine's physical cores, or as many as the session tuned for"
    sub.add_argument("--threads", type=_positive, help=threads)
    tuned = f"compile what this session found, its partition included; run takes {SHIPPED}, the samples' own, too"
    sub.add_argument("--tuned", metavar="DIR", help=tuned)


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = -1.0
    if not 0 <= weight < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} must be a weight, a number from 0 on")
    return weight
