"""The linker that makes a shared library of TVM's object files.

TVM generates machine code by itself and runs it in place, so compiling and running need no compiler. Only a library
file on disk needs a linker: a C compiler on this machine, or the pip package ziglang, which holds one (100 MB, not
installed by default).
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable

from tvm.support import cc

from ago_core.errors import UserError


def linker() -> Callable | None:
    """A function for `export_library(fcompile=…)`; None where this machine has no linker."""
    if cc.get_cc() is not None:
        return cc.create_shared
    return _zig if importlib.util.find_spec("ziglang") else None


def require_linker() -> Callable:
    """Raises UserError where there is none."""
    found = linker()
    if found is None:
        raise UserError(
            "An export needs a linker, and this machine has none: install a C compiler (gcc or clang), "
            "or run `pip install ziglang`."
        )
    return found


def _zig(output: str, objects: list[str], options: list[str] | None = None, **_) -> None:
    command = [sys.executable, "-m", "ziglang", "cc", "-shared", "-fPIC", "-o", output, *objects, *(options or [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"linking failed: {done.stderr.strip()[-500:]}")


_zig.output_format = "so"
