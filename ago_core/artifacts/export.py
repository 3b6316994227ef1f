"""Exports a compiled model as a folder or a zip file that runs without this project.

model.so         the library: code, constants and TVM's bytecode
partition.json   the partition it was compiled under
manifest.json    what it is: model hash, target, shapes, versions, measured latency
check.npz        one random input and what ONNX Runtime made of it
run.py           loads, checks, times; needs TVM's runtime and numpy
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ago_core.artifacts.linker import require_linker
from ago_core.artifacts.native_log import without_native_warning
from ago_core.artifacts.reference import Arrays
from ago_core.artifacts.verify import TOLERANCE, Report, verify, versions
from ago_core.errors import UserError
from ago_core.graph.model import Progress
from ago_core.lowering.executable import Compiled

SCHEMA = 1
LIBRARY = "model.so"
RUN_SCRIPT = Path(__file__).with_name("run.py")


@dataclass(frozen=True)
class Artifact:
    """An export on disk: its path (a folder or a zip file), the manifest, and what its own run.py said."""

    path: Path
    manifest: dict
    reloaded: dict


def export_artifact(
    compiled: Compiled, output: Path, threads: int, runs: int, progress: Progress = lambda _: None
) -> Artifact:
    """Writes the artifact, then loads it in a clean process and checks it. Nothing is left behind on failure.

    Args:
        output: a folder that does not exist or is empty, or a file name that ends in .zip.

    Raises:
        UserError: no linker, the output is in the way, cannot be written, or gives wrong results when loaded.
    """
    link = require_linker()
    _refuse_existing(output)
    report, inputs, expected = verify(compiled, threads, runs, progress=progress)
    if not report.correct:
        raise UserError(f"Not exported: the outputs differ from ONNX Runtime's by {report.max_rel_error:.1e}.")
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".export-") as scratch:
        folder = Path(scratch) / output.stem
        folder.mkdir()
        progress("Linking the library")
        with without_native_warning("Scope Saving"):  # one line for each constant; it says nothing
            compiled.executable.export_library(os.fspath(folder / LIBRARY), fcompile=link, workspace_dir=scratch)
        manifest = _manifest(compiled, report)
        _write(folder, compiled, manifest, inputs, expected)
        progress("Loading the artifact in a clean process")
        reloaded = run_script(folder)
        progress("Writing the artifact")
        _publish(folder, output)
    return Artifact(output, manifest, reloaded)


def run_script(folder: Path) -> dict:
    """What the artifact's own run.py reports. Raises UserError where it fails or its outputs are wrong."""
    command = [sys.executable, os.fspath(folder / "run.py"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    if done.returncode:
        reason = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise UserError(f"The exported artifact does not run: {reason}")
    return json.loads(done.stdout)


def _refuse_existing(output: Path) -> None:
    if output.suffix == ".zip":
        if output.exists():
            raise UserError(f"{output} exists already; choose another name or remove it.")
    elif output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"{output} exists already and is not empty; choose another folder or remove it.")


def _manifest(compiled: Compiled, report: Report) -> dict:
    graph = compiled.model.graph
    outputs = compiled.model.source.model.graph.output
    return {
        "schema": SCHEMA,
        "model": graph.name,
        "model_hash": graph.model_hash,
        "method": compiled.partition.method,
        "subgraphs": len(compiled.partition),
        "library": LIBRARY,
        "target": str(compiled.target),
        "inputs": [{"name": name, **asdict(tensor)} for name, tensor in graph.inputs],
        "outputs": [{"name": value.name} for value in outputs],
        "tolerance": TOLERANCE,
        "max_rel_error": report.max_rel_error,
        "latency_ms": report.latency.to_json(),
        "threads": report.threads,
        "machine": report.machine,
        "versions": versions(),
    }


def _write(folder: Path, compiled: Compiled, manifest: dict, inputs: Arrays, expected: Arrays) -> None:
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2))
    (folder / "partition.json").write_text(json.dumps(compiled.partition.to_json()))
    recorded = {f"in:{name}": array for name, array in inputs.items()}
    recorded |= {f"out:{name}": array for name, array in expected.items()}
    np.savez(folder / "check.npz", **recorded)
    shutil.copy(RUN_SCRIPT, folder / "run.py")


def _publish(folder: Path, output: Path) -> None:
    """Puts the finished artifact in its place in one step."""
    for leftover in folder.glob("**/__pycache__"):
        shutil.rmtree(leftover)
    if output.suffix == ".zip":
        archive = shutil.make_archive(os.fspath(folder.parent / "archive"), "zip", folder.parent, folder.name)
        Path(archive).replace(output)
    else:
        if output.exists():
            output.rmdir()
        folder.replace(output)
