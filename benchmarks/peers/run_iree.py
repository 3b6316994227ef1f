"""IREE: ONNX → MLIR → code for this processor, compiled once and kept."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
from iree import runtime

from benchmarks.peers.worker import Loaded, inputs_of

OPSET = "17"
"""That the importer's conversions are written for; older models are converted up to it."""
FLAGS = (
    "--iree-hal-target-device=local",
    "--iree-hal-local-target-device-backends=llvm-cpu",
    "--iree-llvmcpu-target-cpu=host",
    "--iree-opt-level=O3",
    "--iree-preprocessing-pass-pipeline=builtin.module(util.func(iree-preprocessing-convert-conv-to-channels-last))",
)
"""Convolutions with their channels last took 0.6 times as long as left alone (MobileNetV2), with nothing else."""


def load(request: dict) -> Loaded:
    """Workers on the cores that the request names; with one thread the caller runs everything itself."""
    cores, number = request["cores"], version("iree-base-compiler")
    compiled = _compiled(Path(request["path"]), Path(request["work"]) / "iree", number)
    if len(cores) > 1:
        runtime.flags.parse_flags(f"--task_topology_cpu_ids={','.join(map(str, cores))}")
    config = runtime.Config("local-task" if len(cores) > 1 else "local-sync")
    module = runtime.VmModule.mmap(config.vm_instance, str(compiled))
    bound = runtime.load_vm_module(module, config)
    (name,) = [name for name in module.function_names if not name.startswith("__") and not name.endswith("$async")]
    arguments = [runtime.asdevicearray(config.device, array) for array in inputs_of(request).values()]
    last: list = []

    def call() -> None:
        last[:] = [bound[name](*arguments)]

    def outputs() -> list[np.ndarray]:
        results = last[0] if isinstance(last[0], (tuple, list)) else last
        return [np.asarray(each.to_host()) for each in results]

    return Loaded(number, call, outputs)


def _compiled(model: Path, folder: Path, number: str) -> Path:
    """The module of a model, compiled unless it is there already. Raises RuntimeError with the tool's reason."""
    folder.mkdir(parents=True, exist_ok=True)
    about = "\n".join((number, OPSET, *FLAGS)).encode() + model.read_bytes()
    module = folder / f"{model.stem}-{hashlib.sha256(about).hexdigest()[:12]}.vmfb"
    if not module.exists():
        tools, text, new = Path(sys.executable).parent, module.with_suffix(".mlir"), module.with_suffix(".new")
        _tool([tools / "iree-import-onnx", model, "--opset-version", OPSET, "-o", text])
        _tool([tools / "iree-compile", *FLAGS, text, "-o", new])
        text.unlink()
        new.rename(module)
    return module


def _tool(command: list) -> None:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.splitlines() or ["no reason given"]
        reason = next((line for line in lines if "error:" in line), lines[-1])
        raise RuntimeError(f"{Path(command[0]).name}: {reason[-250:]}")
