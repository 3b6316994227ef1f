"""Exports a compiled model as a folder or a zip file that runs without this project. `layout.py` lists what it holds.

Before it is put in its place it is loaded in a clean process, without the compiler, run on a recorded random input,
compared with what ONNX Runtime made of that, and timed; or all that on the device that it is for.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx.external_data_helper import ExternalDataInfo, uses_external_data

from ago_core.artifacts import layout
from ago_core.artifacts.example import write_example
from ago_core.artifacts.linker import linker_for, require_linker
from ago_core.artifacts.native_log import without_native_warning
from ago_core.artifacts.records import tuned_files
from ago_core.artifacts.reference import Arrays, Reference, random_inputs, relative_error
from ago_core.artifacts.verify import TOLERANCE, verify, versions
from ago_core.devices.remote import CodeFault, DeviceLost, Session
from ago_core.errors import UserError
from ago_core.graph.model import Progress
from ago_core.graph.model_weights import all_tensors
from ago_core.graph.source import Source
from ago_core.lowering.executable import Compiled
from sample_models import is_sample

HOST = "host"
NOT_MEASURED = {"max_rel_error": None, "latency_ms": None, "reference_ms": None, "reloaded": None, "machine": None}
RUN_SCRIPT = Path(__file__).with_name(layout.RUN_SCRIPT)


@dataclass(frozen=True)
class Extras:
    """What goes into an artifact beside the compiled model.

    Attributes:
        preset: name of the target; it is written into the manifest.
        tuned: folder of the session whose schedules were compiled, and its record (`records.session_record`).
        model: whether the ONNX model goes with it, which may be large.
    """

    preset: str = HOST
    tuned: tuple[Path, Mapping[str, Any]] | None = None
    model: bool = False


@dataclass(frozen=True)
class Artifact:
    """An export on disk.

    Attributes:
        path: a folder or a zip file.
        manifest: as it is in the artifact.
    """

    path: Path
    manifest: dict

    @property
    def reloaded(self) -> dict | None:
        """What its own run.py said in a clean process; None of one for another device."""
        return self.manifest["reloaded"]


Device = Callable[[], AbstractContextManager[Session]]
"""Opens a session on the device that an artifact is for."""
DEVICE_SECONDS = 600.0
"""For one step on a device, which may be slow."""


def export_artifact(
    compiled: Compiled,
    output: Path,
    threads: int,
    runs: int,
    progress: Progress = lambda _: None,
    extras: Extras = Extras(),
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
        "reference_ms": report.reference_latency.to_json(),
        "threads": report.threads,
        "machine": report.machine,
    }
    with _scratch(output) as folder:
        _link(compiled, folder, link, progress)
        manifest = _write(folder, compiled, measured, inputs, expected, extras)
        progress("Loading the artifact in a clean process")
        manifest["reloaded"] = run_script(folder)
        _finish(folder, manifest, output)
    return Artifact(output, manifest)


def export_for_device(
    compiled: Compiled,
    output: Path,
    device: Device | None,
    runs: int,
    progress: Progress = lambda _: None,
    extras: Extras = Extras(),
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
    names = [value.name for value in compiled.model.onnx.graph.output]
    expected = dict(zip(names, Reference(compiled.model.onnx, 1).outputs(inputs), strict=True))
    measured = NOT_MEASURED | {"threads": int(compiled.target.attrs["num-cores"])}
    with _scratch(output) as folder:
        _link(compiled, folder, link, progress)
        if device is not None:
            progress("Running on the device")
            measured |= _examined(device, folder / layout.LIBRARY, compiled, inputs, list(expected.values()), runs)
        manifest = _write(folder, compiled, measured, inputs, expected, extras)
        _finish(folder, manifest, output)
    return Artifact(output, manifest)


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
            os.fspath(folder / layout.LIBRARY), fcompile=link, workspace_dir=os.fspath(folder.parent)
        )


def run_script(folder: Path) -> dict:
    """What the artifact's own run.py reports, which is loaded with TVM's runtime alone, without its compiler.

    Raises:
        UserError: it fails, or its outputs are wrong.
    """
    command = [sys.executable, os.fspath(folder / layout.RUN_SCRIPT), "--json"]
    environment = os.environ | {"TVM_USE_RUNTIME_LIB": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, check=False)
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


def _write(
    folder: Path, compiled: Compiled, measured: Mapping[str, Any], inputs: Arrays, expected: Arrays, extras: Extras
) -> dict:
    """Everything but the library. Returns the manifest as far as it is known before the artifact is loaded."""
    manifest = _manifest(compiled, extras) | measured
    manifest["inputs"] = _recorded(folder, "input", inputs)
    manifest["outputs"] = _recorded(folder, "output", expected)
    texts = {
        layout.GRAPH: json.dumps(compiled.model.graph.to_json()),
        layout.PARTITION: json.dumps(compiled.partition.to_json()),
        layout.MANIFEST: json.dumps(manifest, indent=2),
    }
    if extras.tuned:
        (folder / layout.TUNED).mkdir()
        texts |= tuned_files(*extras.tuned)
    for name, text in texts.items():
        (folder / name).write_text(text)
    shutil.copy(RUN_SCRIPT, folder / layout.RUN_SCRIPT)
    write_example(folder, manifest)
    if extras.model:
        _write_model(compiled.model.source, folder)
    return manifest


def _manifest(compiled: Compiled, extras: Extras) -> dict:
    """What is known without a measurement."""
    graph, source = compiled.model.graph, compiled.model.source
    sample = "@" in source.name and is_sample(source.name)
    file = f"{layout.MODEL}/{source.path.name}" if extras.model else source.path.name
    return {
        "schema": layout.SCHEMA,
        "model": graph.name,
        "model_hash": graph.model_hash,
        "source": {"spec": source.name if sample else file, "dims": dict(source.dims)},
        "method": compiled.partition.method,
        "operators": len(graph),
        "subgraphs": len(compiled.partition),
        "library": layout.LIBRARY,
        "preset": extras.preset,
        "target": str(compiled.target),
        "tuned": extras.tuned[1]["session"] if extras.tuned else None,
        "tolerance": TOLERANCE,
        "versions": versions(),
        "exported_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _recorded(folder: Path, kind: str, arrays: Arrays) -> list[dict]:
    """Writes arrays where run.py and main.cc find them. Returns what the manifest says of them."""
    (folder / layout.CHECK).mkdir(exist_ok=True)
    rows = []
    for index, (name, array) in enumerate(arrays.items()):
        file = layout.check_file(kind, index)
        np.save(folder / file, array.copy(order="C"), allow_pickle=False)
        rows.append({"name": name, "shape": list(array.shape), "dtype": str(array.dtype), "file": file})
    return rows


def _write_model(source: Source, folder: Path) -> None:
    """Copies the model's file and those that its weights lie in, which opening it found to be beside it."""
    stored = onnx.load(source.path, load_external_data=False)
    weights = {ExternalDataInfo(tensor).location for tensor in all_tensors(stored) if uses_external_data(tensor)}
    for name in (source.path.name, *weights):
        copy = folder / layout.MODEL / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source.path.parent / name, copy)


def _finish(folder: Path, manifest: dict, output: Path) -> None:
    """Lists the files in the manifest and puts the artifact in its place in one step."""
    for leftover in folder.glob("**/__pycache__"):
        shutil.rmtree(leftover)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != layout.MANIFEST)
    manifest["files"] = {path.relative_to(folder).as_posix(): _described(path) for path in files}
    (folder / layout.MANIFEST).write_text(json.dumps(manifest, indent=2))
    if output.suffix == ".zip":
        archive = shutil.make_archive(os.fspath(folder.parent / "archive"), "zip", folder.parent, folder.name)
        Path(archive).replace(output)
    else:
        if output.exists():
            output.rmdir()
        folder.replace(output)


def _described(path: Path) -> dict:
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
