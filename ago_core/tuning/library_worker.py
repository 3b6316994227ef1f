"""Writes libraries for devices; lives in a worker (build_worker.py)."""

from __future__ import annotations

import numpy as np
import tvm
from tvm import tirx

from ago_core.artifacts.linker import linker_for
from ago_core.artifacts.native_log import without_native_warning
from ago_core.graph.model import Model
from ago_core.lowering.executable import Functions, compile_model
from ago_core.partition.partition import Partition
from ago_core.tuning.bench import ModelData, generate_code


class Compiler:
    """What a worker does here: writes libraries for the devices' target."""

    def __init__(self, target: tvm.target.Target):
        self._target = target
        self._link = linker_for(target)
        self._model: ModelData | None = None

    def warm_up(self) -> None:
        """Compiles something, so that LLVM is ready."""
        generate_code(tirx.PrimFunc([], tirx.Evaluate(0)), self._target)

    def write(self, function: tirx.PrimFunc, path: str, level: int | None) -> None:
        """A library with one function; `level` is LLVM's, None its default."""
        options = {} if level is None else {"opt-level": level}
        library = generate_code(function, tvm.target.Target(dict(self._target.export()) | options))
        library.export_library(path, fcompile=self._link)

    def start_model(self, model: Model) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """One random input of a model, in order, and ONNX Runtime's outputs."""
        self._model = ModelData(model)
        return [self._model.inputs[name] for name, _ in model.graph.inputs], self._model.expected

    def write_model(self, partition: Partition, functions: Functions, path: str) -> None:
        """A library of the whole model as it would be deployed."""
        compiled = compile_model(self._model.model, partition, self._target, functions=functions)
        with without_native_warning("Scope Saving"):
            compiled.executable.export_library(path, fcompile=self._link)
