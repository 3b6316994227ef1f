"""The command line: everything the UI does, headless. `python -m ago_core --help`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import warnings
from dataclasses import asdict
from pathlib import Path

from ago_core.errors import UserError

USER_ERROR = 2
MODEL_HELP = "path of an ONNX file, or a sample such as mobilenet_v2@224 or bert_tiny@64"


def main(argv: list[str] | None = None) -> int:
    """Runs one command. Returns 0, 1 where a result was wrong, or 2 after a sentence about what the user can mend."""
    args = _parser().parse_args(argv)
    warnings.filterwarnings("ignore")
    if getattr(args, "threads", None):
        os.environ["TVM_NUM_THREADS"] = str(args.threads)  # read when TVM starts its pool
    try:
        return args.command(args)
    except UserError as error:
        print(json.dumps({"error": str(error)}) if getattr(args, "progress", False) else str(error), file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        return 130


def partition_command(args: argparse.Namespace) -> int:
    from ago_core.graph.transposes import count_transposes
    from ago_core.partition.metrics import complex_per_subgraph, measure, subgraph_weights

    model = _load(args)
    partition = _partition(model, args)
    graph = model.graph
    metrics = measure(graph, partition)
    rows = zip(partition.subgraphs, complex_per_subgraph(graph, partition), subgraph_weights(graph, partition))
    report = {
        "model": graph.name,
        "model_hash": graph.model_hash,
        "method": partition.method,
        "operators": len(graph),
        "totals": asdict(graph.totals),
        "transposes": asdict(count_transposes(graph)),
        "subgraphs": [
            {"operators": [graph.operators[op].name for op in members], "complex_operators": count, "weight": weight}
            for members, count, weight in rows
        ],
        "acyclic": metrics.acyclic,
        "metrics": asdict(metrics),
    }
    if args.save:
        _write(Path(args.save), json.dumps(partition.to_json()))
    _print(args, report, _partition_text)
    return 0


def run_command(args: argparse.Namespace) -> int:
    from ago_core.artifacts.verify import TOLERANCE, verify, versions

    compiled = _compile(args)
    report, _, _ = verify(compiled, _threads(args), args.runs, args.seed, _progress(args))
    data = {
        "model": compiled.model.name,
        "method": compiled.partition.method,
        "operators": len(compiled.model.graph),
        "subgraphs": len(compiled.partition),
        "max_rel_error": report.max_rel_error,
        "tolerance": TOLERANCE,
        "correct": report.correct,
        "latency_ms": report.latency.to_json(),
        "reference_ms": report.reference_latency.to_json(),
        "threads": report.threads,
        "machine": report.machine,
        "target": str(compiled.target),
        "build_seconds": compiled.build_seconds,
        "versions": versions(),
    }
    _print(args, data, _run_text)
    return 0 if report.correct else 1


def export_command(args: argparse.Namespace) -> int:
    from ago_core.artifacts.export import export_artifact
    from ago_core.artifacts.linker import require_linker

    require_linker()  # before minutes of work
    artifact = export_artifact(_compile(args), Path(args.output), _threads(args), args.runs, _progress(args))
    path = artifact.path
    files = [path] if path.is_file() else sorted(path.iterdir())
    listing = [{"name": file.name, "bytes": file.stat().st_size} for file in files]
    data = {"path": str(path), "files": listing, "manifest": artifact.manifest, "reloaded": artifact.reloaded}
    _print(args, data, _export_text)
    return 0


def samples_command(args: argparse.Namespace) -> int:
    from sample_models import SAMPLES

    data = [{"name": s.name, "title": s.title, "sizes": list(s.sizes), "unit": s.size_unit} for s in SAMPLES.values()]
    _print(
        args,
        data,
        lambda rows: "\n".join(f"{r['name']}@{{{','.join(map(str, r['sizes']))}}}  {r['title']}" for r in rows),
    )
    return 0


def _load(args: argparse.Namespace):
    _progress(args)("Starting the compiler")
    from ago_core.graph.model import load_model

    return load_model(args.model, dict(args.dim), _progress(args))


def _partition(model, args: argparse.Namespace):
    from ago_core.partition.methods import partition_by
    from ago_core.partition.partition import partition_from_json

    if getattr(args, "partition", None) is None:
        return partition_by(model, args.method)
    try:
        data = json.loads(Path(args.partition).read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"The partition file {args.partition} cannot be read: {error}.") from error
    return partition_from_json(model.graph, data)


def _compile(args: argparse.Namespace):
    model = _load(args)
    _progress(args)("Partitioning")
    partition = _partition(model, args)
    from ago_core.devices.local import host_target
    from ago_core.lowering.executable import compile_model

    return compile_model(model, partition, host_target(), _progress(args))


def _threads(args: argparse.Namespace) -> int:
    from ago_core.devices.local import physical_cores

    return args.threads or physical_cores()


def _progress(args: argparse.Namespace):
    """Says on stderr what is being done: JSON lines for a program, a line for a person at a terminal."""
    if args.progress:
        return lambda text: print(
            json.dumps({"progress": text, "seconds": round(time.perf_counter() - START, 2)}),
            file=sys.stderr,
            flush=True,
        )
    if args.json or not sys.stderr.isatty():
        return lambda text: None
    return lambda text: print(f"{text}…", file=sys.stderr, flush=True)


START = time.perf_counter()


def _print(args: argparse.Namespace, data, text) -> None:
    print(json.dumps(data) if args.json else text(data))


def _partition_text(data: dict) -> str:
    metrics = data["metrics"]
    lines = [
        f"{data['model']}: {data['operators']} operators in {metrics['subgraphs']} subgraphs ({data['method']})",
        f"  trivial {metrics['trivial']}, largest {metrics['largest']} operators, fairness {metrics['fairness']:.2f}, "
        f"{metrics['crossing_bytes'] / 1e6:.1f} MB cross subgraphs, {'acyclic' if data['acyclic'] else 'CYCLIC'}",
    ]
    for index, row in enumerate(data["subgraphs"]):
        complexity = f"{row['complex_operators']} complex, weight {row['weight']:.0f}"
        lines.append(f"  {index:4d}  {complexity:24s}  {' '.join(row['operators'])}")
    return "\n".join(lines)


def _run_text(data: dict) -> str:
    latency, reference = data["latency_ms"], data["reference_ms"]
    verdict = "matches" if data["correct"] else "DOES NOT match"
    return (
        f"{data['model']}, {data['method']}: {data['subgraphs']} subgraphs, built in {data['build_seconds']:.1f} s\n"
        f"  {verdict} ONNX Runtime: relative error {data['max_rel_error']:.1e} (tolerance {data['tolerance']:.0e})\n"
        f"  median {latency['median']:.2f} ms (quartiles {latency['q1']:.2f} to {latency['q3']:.2f}, "
        f"{len(latency['runs'])} runs, {data['threads']} threads, not tuned)\n"
        f"  ONNX Runtime {reference['median']:.2f} ms (quartiles {reference['q1']:.2f} to {reference['q3']:.2f})\n"
        f"  on {data['machine']}"
    )


def _export_text(data: dict) -> str:
    files = "\n".join(f"  {file['bytes']:12,d}  {file['name']}" for file in data["files"])
    reloaded = data["reloaded"]
    check = f"error {reloaded['max_rel_error']:.1e}, median {reloaded['latency_ms']['median']:.2f} ms"
    return f"{data['path']}\n{files}\n  loaded in a clean process: {check}"


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from error


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

    def add(name: str, command, text: str, reads_model: bool = True) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        sub.add_argument("--json", action="store_true", help="report as JSON on standard output")
        sub.add_argument("--progress", action="store_true", help="write progress as JSON lines to standard error")
        if reads_model:
            sub.add_argument("model", metavar="MODEL", help=MODEL_HELP)
            text = "a value for a symbolic dimension (repeatable)"
            sub.add_argument("--dim", type=_dimension, action="append", default=[], metavar="NAME=N", help=text)
            choice = sub.add_mutually_exclusive_group()
            choice.add_argument("--method", choices=("heuristic", "ago"), default="ago", help="default: ago")
            choice.add_argument("--partition", metavar="FILE", help="a saved partition instead of a method")
        return sub

    partition = add("partition", partition_command, "Group a model's operators into subgraphs and report them.")
    partition.add_argument("--save", metavar="FILE", help="write the partition as JSON")
    run = add("run", run_command, "Compile a model, compare its output with ONNX Runtime, time both.")
    run.add_argument("--seed", type=int, default=0, help="of the random input")
    export = add("export", export_command, "Compile a model and write it as a folder or a .zip file.")
    export.add_argument("--output", required=True, metavar="DIR", help="a new folder, or a file name ending in .zip")
    for sub in (run, export):
        sub.add_argument("--runs", type=_positive, default=30, help="timed runs (default 30)")
        sub.add_argument("--threads", type=_positive, help="default: this machine's physical cores")
    add("samples", samples_command, "List the sample models.", reads_model=False)
    return parser
