"""Exports a compiled model as a folder or a zip file that runs without this project.

model.so         the library: code, constants and TVM's bytecode
partition.json   the partition it was compiled under
manifest.json    what it is: model hash, target, shapes, versions, measured latency, null where it was not measured
check.npz        one random input and what ONNX Runtime made of it
run.py           loads, checks, times; needs TVM's runtime and numpy
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ago_core.artifacts.linker import linker_for, require_linker
from ago_core.artifacts.native_log import without_native_warning
from ago_core.artifacts.reference import Arrays, Reference, random_inputs, relative_error
from ago_core.artifacts.verify import TOLERANCE, verify, versions
from ago_core.devices.remote import CodeFault, DeviceLost, Session
from ago_core.errors import UserError
from ago_core.graph.model import Progress
from ago_core.lowering.executable import Compiled

SCHEMA = 1
NOT_MEASURED = {"max_rel_error": None, "latency_ms": None, "machine": None}
LIBRARY = "model.so"
RUN_SCRIPT = Path(__file__).with_name("run.py")


@dataclass(frozen=True)
class Artifact:
    """An export on disk.

    Attributes:
        path: a folder or a zip file.
        manifest: as it is in the artifact.
        reloaded: what its own run.py said in a clean process; None of one for another device.
    """

    path: Path
    manifest: dict
    reloaded: dict | None


Device = Callable[[], AbstractContextManager[Session]]
"""Opens a session on the device that an artifact is for."""
DEVICE_SECONDS = 600.0
"""For one step on a device, which may be slow."""


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
    _refuse_wrong(report.max_rel_error)
    measured = {
        "max_rel_error": report.max_rel_error,
        "latency_ms": report.latency.to_json(),
        "threads": report.threads,
        "machine": report.machine,
    }
    manifest = _manifest(compiled) | measured
    with _scratch(output) as folder:
        _link(compiled, folder, link, progress)
        _write(folder, compiled, manifest, inputs, expected)
        progress("Loading the artifact in a clean process")
        reloaded = run_script(folder)
        _publish(folder, output)
    return Artifact(output, manifest, reloaded)


def export_for_device(
    compiled: Compiled, output: Path, device: Device | None, runs: int, progress: Progress = lambda _: None
) -> Artifact:
    """Writes an artifact for another device, and checks and times it there. Nothing is left behind on failure.

    Args:
        output: as above.
        device: None where there is none at hand: the manifest then says that nothing was measured, and run.py checks
            the artifact where it is unpacked.

    Raises:
        UserError: no linker for the target, the output is in the way, or it does not run on the device, or wrongly.
    """
    link = linker_for(compiled.target)
    _refuse_existing(output)
    inputs = random_inputs(compiled.model.onnx)
    progress("Running ONNX Runtime for comparison")
    expected = Reference(compiled.model.onnx, 1).outputs(inputs)
    manifest = _manifest(compiled) | NOT_MEASURED | {"threads": int(compiled.target.attrs["num-cores"])}
    with _scratch(output) as folder:
        _link(compiled, folder, link, progress)
        if device is not None:
            progress("Running on the device")
            manifest |= _examined(device, folder / LIBRARY, compiled, inputs, expected, runs)
        names = [value.name for value in compiled.model.source.model.graph.output]
        _write(folder, compiled, manifest, inputs, dict(zip(names, expected, strict=True)))
        _publish(folder, output)
    return Artifact(output, manifest, None)


def _examined(device: Device, library: Path, compiled: Compiled, inputs: Arrays, expected: list, runs: int) -> dict:
    """What the manifest says of an artifact that has run on its device."""
    arrays = [inputs[name] for name, _ in compiled.model.graph.inputs]
    try:
        with device() as session:
            remote = session.model(session.load(library, DEVICE_SECONDS), arrays, DEVICE_SECONDS)
            error = max(map(relative_error, remote.outputs(DEVICE_SECONDS), expected))
            latency = remote.latency(runs, DEVICE_SECONDS)
            machine = str(session.device)
    except (DeviceLost, CodeFault) as failure:
        raise UserError(f"Not exported: {failure}") from failure
    _refuse_wrong(error)
    return {"max_rel_error": error, "latency_ms": latency.to_json(), "machine": machine}


def _refuse_wrong(error: float) -> None:
    if not error <= TOLERANCE:
        raise UserError(f"Not exported: the outputs differ from ONNX Runtime's by {error:.1e}.")


@contextlib.contextmanager
def _scratch(output: Path) -> Iterator[Path]:
    """An empty folder of the artifact's name, on the same file system."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".export-") as scratch:
        folder = Path(scratch) / output.stem
        folder.mkdir()
        yield folder


def _link(compiled: Compiled, folder: Path, link: Callable, progress: Progress) -> None:
    progress("Linking the library")
    with without_native_warning("Scope Saving"):  # one line for each constant; it says nothing
        compiled.executable.export_library(
            os.fspath(folder / LIBRARY), fcompile=link, workspace_dir=os.fspath(folder.parent)
        )


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


def _manifest(compiled: Compiled) -> dict:
    """What is known without a measurement."""
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
