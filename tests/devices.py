"""Libraries that behave and misbehave, and waiting, for tests on devices."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

import tvm
from tvm import tirx

from ago_core.artifacts.linker import linker_for
from ago_core.lowering.build import build_functions
from tests.schedule_cases import fused, op


def library(folder: Path, name: str, function: tirx.PrimFunc, target: tvm.target.Target) -> Path:
    """A linked library whose one function is `main`."""
    path = folder / f"{name}.so"
    module = tvm.IRModule({"main": function.with_attr("global_symbol", "main")})
    build_functions(module, target).export_library(str(path), fcompile=linker_for(target))
    return path


def matmul() -> tirx.PrimFunc:
    """(4, 6) × (6, 8)."""
    return fused(lambda _, a, b: op.matmul(a, b), (4, 6), (6, 8))


def calls(function: str, *arguments: int) -> tirx.PrimFunc:
    """Calls a function of the C library, such as abort() or sleep(1000)."""
    values = [tirx.const(argument, "int32") for argument in arguments]
    return tirx.PrimFunc([], tirx.Evaluate(tirx.call_extern("int32", function, *values)))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def until(condition: Callable[[], object], seconds: float = 30.0):
    """What a condition gives once it is true. Fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)
    return value
