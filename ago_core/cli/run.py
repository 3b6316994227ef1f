"""Commands that compile: run and export."""

from __future__ import annotations

import argparse
from pathlib import Path

from ago_core.cli.common import chosen_partition, load, progress, show, threads
from ago_core.errors import UserError

SHIPPED = "shipped"
"""For --tuned: the records that ship with the sample networks."""


def run_command(args: argparse.Namespace) -> int:
    from ago_core.artifacts.verify import TOLERANCE, verify, versions

    compiled = _compile(args)
    report, _, _ = verify(compiled, _threads(args, compiled), args.runs, args.seed, progress(args))
    data = {
        "model": compiled.model.name,
        "method": compiled.partition.method,
        "tuned": args.tuned,
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
    show(args, data, _run_text)
    return 0 if report.correct else 1


def export_command(args: argparse.Namespace) -> int:
    from ago_core.artifacts.export import export_artifact, export_for_device
    from ago_core.artifacts.linker import linker_for, require_linker

    if args.device and not args.preset:
        raise UserError("--device needs --preset, the device's target: `devices presets` lists them.")
    if args.tuned == SHIPPED:
        raise UserError("An artifact holds its tuning session, and a shipped record has none: give a session's folder.")
    if args.preset:
        from ago_core.devices.presets import preset_named

        linker_for(preset_named(args.preset).target)  # before minutes of work
        where = _device(args)
        artifact = export_for_device(
            _compile(args), Path(args.output), where, args.runs, progress(args), extras=_extras(args)
        )
    else:
        require_linker()
        compiled = _compile(args)
        artifact = export_artifact(
            compiled, Path(args.output), _threads(args, compiled), args.runs, progress(args), extras=_extras(args)
        )
    data = {"path": str(artifact.path), "manifest": artifact.manifest, "reloaded": artifact.reloaded}
    show(args, data, _export_text)
    return 0


def _extras(args: argparse.Namespace):
    """What goes into an artifact beside the code."""
    from ago_core.artifacts.export import HOST, Extras
    from ago_core.artifacts.records import session_record

    tuned = (Path(args.tuned), session_record(Path(args.tuned))) if args.tuned else None
    return Extras(args.preset or HOST, tuned, args.include_model)


def _device(args: argparse.Namespace):
    """What opens a session on the device that was named; None where none was."""
    from ago_core.devices.remote import open_session
    from ago_core.devices.tracker import Address

    if not args.device:
        return None
    host, port = args.tracker
    return lambda: open_session(Address(host, port), args.device)


def _compile(args: argparse.Namespace):
    model = load(args)
    if args.tuned == SHIPPED:
        return _compile_shipped(model, args)
    if args.tuned:
        return compile_tuned(model, Path(args.tuned), args)
    progress(args)("Partitioning")
    partition = chosen_partition(model, args)
    from ago_core.devices.local import host_target
    from ago_core.devices.presets import preset_named
    from ago_core.lowering.executable import compile_model

    preset = _preset(args)
    target = host_target(threads(args)) if preset is None else preset_named(preset).target
    return compile_model(model, partition, target, progress(args))


def _compile_shipped(model, args: argparse.Namespace):
    """With the tuned record of a sample network. Raises UserError where none ships for the model and this machine."""
    from ago_core.devices.local import host_target
    from ago_core.lowering.executable import compile_model
    from ago_core.tuning.shipped import shipped_best

    progress(args)("Reading the tuned record")
    target = host_target(threads(args))
    best = shipped_best(model, target)
    return compile_model(model, best.partition, target, progress(args), best.functions)


def _preset(args: argparse.Namespace) -> str | None:
    """The target that `export` was asked for; `run` has no such choice."""
    return getattr(args, "preset", None)


def compile_tuned(model, folder: Path, args: argparse.Namespace):
    """With what a session has found. Raises UserError where it found nothing, or nothing for this machine."""
    import tvm

    from ago_core.artifacts.records import session_record
    from ago_core.lowering.executable import compile_model
    from ago_core.tuning.backend import make_backend
    from ago_core.tuning.best import read_best
    from ago_core.tuning.settings import LocalDevice, settings_from_json

    progress(args)("Reading what the session found")
    settings = settings_from_json(session_record(folder)["settings"])
    tuned_for = "host" if isinstance(settings.device, LocalDevice) else settings.device.preset
    if tuned_for != (_preset(args) or "host"):
        raise UserError(f"The session in {folder} is for {tuned_for}, not for {_preset(args) or 'this machine'}.")
    backend = make_backend(settings)
    best = read_best(folder, model, backend.rebuild)
    if best.target != backend.target:
        raise UserError(f"The session in {folder} is for {best.target}, and the target now is {backend.target}.")
    return compile_model(model, best.partition, tvm.target.Target(best.target), progress(args), best.functions)


def _threads(args: argparse.Namespace, compiled) -> int:
    """As many as it was compiled for, unless the arguments say otherwise."""
    return args.threads or int(compiled.target.attrs["num-cores"])


def _run_text(data: dict) -> str:
    latency, reference = data["latency_ms"], data["reference_ms"]
    tuned = f"tuned by {data['tuned']}" if data["tuned"] else "not tuned"
    verdict = "matches" if data["correct"] else "DOES NOT match"
    return (
        f"{data['model']}, {data['method']}: {data['subgraphs']} subgraphs, built in {data['build_seconds']:.1f} s\n"
        f"  {verdict} ONNX Runtime: relative error {data['max_rel_error']:.1e} (tolerance {data['tolerance']:.0e})\n"
        f"  median {latency['median']:.2f} ms (quartiles {latency['q1']:.2f} to {latency['q3']:.2f}, "
        f"{len(latency['runs'])} runs, {data['threads']} threads, {tuned})\n"
        f"  ONNX Runtime {reference['median']:.2f} ms (quartiles {reference['q1']:.2f} to {reference['q3']:.2f})\n"
        f"  on {data['machine']}"
    )


def _export_text(data: dict) -> str:
    from ago_core.artifacts.inspect import target_text

    written = "\n".join([data["path"], *files_text(data["manifest"])])
    found = data["reloaded"] or data["manifest"]
    if found["latency_ms"] is None:
        return f"{written}\n  for {target_text(data['manifest']['target'])}; not run: check it there with run.py"
    where = "loaded in a clean process" if data["reloaded"] else f"on the device at {found['machine']}"
    check = f"error {found['max_rel_error']:.1e}, median {found['latency_ms']['median']:.3g} ms"
    return f"{written}\n  {where}: {check}"


def files_text(manifest: dict) -> list[str]:
    """A line for each file of an artifact."""
    return [f"  {about['bytes']:12,d}  {name}" for name, about in manifest["files"].items()]
