"""The command that opens an artifact for inspection."""

from __future__ import annotations

import argparse
from pathlib import Path

from ago_core.artifacts.inspect import Opened, open_artifact, target_text
from ago_core.cli.common import show


def inspect_command(args: argparse.Namespace) -> int:
    opened = open_artifact(Path(args.artifact))
    show(args, _report(opened), _text)
    return 0


def _report(opened: Opened) -> dict:
    subgraphs = [[opened.graph.operators[op].name for op in members] for members in opened.partition.subgraphs]
    records = [vars(record) for record in opened.records]
    return {
        "artifact": opened.name,
        "manifest": opened.manifest,
        "subgraphs": subgraphs,
        "session": opened.session,
        "records": records,
        "has_model": opened.has_model,
        "commands": list(opened.commands),
    }


def _text(data: dict) -> str:
    manifest = data["manifest"]
    made = f"tuned by the session {manifest['tuned']}" if manifest["tuned"] else "not tuned"
    lines = [
        f"{data['artifact']}: {manifest['model']}, {manifest['method']}, {made}",
        f"  exported {manifest['exported_at']} for {manifest['preset']}: {target_text(manifest['target'])}",
        *_measured(manifest),
        f"  {sum(map(len, data['subgraphs']))} operators in {len(data['subgraphs'])} subgraphs:",
        *(f"    S{index}: {' '.join(names)}" for index, names in enumerate(data["subgraphs"])),
    ]
    if data["records"]:
        lines.append(f"  {len(data['records'])} tuned schedules, measured by themselves:")
        lines += [f"    S{row['subgraph']}: trial {row['trial']}, {_microseconds(row)}" for row in data["records"]]
    elif manifest["tuned"]:
        lines.append("  the session kept the default schedules")
    lines += ["  made again, in the unpacked folder, by:", *(f"    {command}" for command in data["commands"])]
    return "\n".join(lines)


def _measured(manifest: dict) -> list[str]:
    if manifest["latency_ms"] is None:
        return ["  nothing was measured: run.py checks and times it"]
    found = [("on export", manifest)] + ([("in a clean process", manifest["reloaded"])] if manifest["reloaded"] else [])
    lines = [f"  {where}: {_latency(data['latency_ms'])}, error {data['max_rel_error']:.1e}" for where, data in found]
    if manifest["reference_ms"]:
        lines.append(f"  ONNX Runtime: {_latency(manifest['reference_ms'])}")
    threads = manifest["threads"]
    return [*lines, f"  on {manifest['machine']}, {threads} thread{'s' if threads != 1 else ''}"]


def _latency(data: dict) -> str:
    return f"median {data['median']:.3g} ms (quartiles {data['q1']:.3g} to {data['q3']:.3g}, {len(data['runs'])} runs)"


def _microseconds(row: dict) -> str:
    return "not measured" if row["seconds"] is None else f"{row['seconds'] * 1e6:.3g} µs"
