"""The linker that makes a shared library of TVM's object files.

TVM generates machine code by itself and runs it in place, so compiling and running need no compiler. Only a library
file on disk needs a linker: a C compiler on this machine, or the pip package ziglang, which holds one (100 MB, not
installed by default) and links for other processors and systems as well.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable

import tvm
from tvm.support import cc

from ago_core.errors import UserError

AARCH64_VARIABLE = "AGO_LINKER_AARCH64"
SHARED = ("-shared", "-fPIC")
ALONE = (*SHARED, "-nostdlib")
"""Without the C library, whose functions every process that loads the result has: no files of the device are needed."""


def linker() -> Callable | None:
    """A function for `export_library(fcompile=…)`; None where this machine has no linker."""
    if cc.get_cc() is not None:
        return cc.create_shared
    return _linker(*_zig(), *SHARED) if _zig() else None


def require_linker() -> Callable:
    """Raises UserError where there is none."""
    found = linker()
    if found is None:
        raise UserError(
            "An export needs a linker, and this machine has none: install a C compiler (gcc or clang), "
            "or run `pip install ziglang`."
        )
    return found


def linker_for(target: tvm.target.Target) -> Callable:
    """A linker of libraries for a target, this machine's or an aarch64 device's, for `export_library(fcompile=…)`.

    For aarch64 Linux and Android elsewhere: what $AGO_LINKER_AARCH64 names (it is called like a C compiler),
    aarch64-linux-gnu-gcc, clang with lld, a bare lld or GNU ld, or ziglang, whichever is found first.

    Raises:
        UserError: none is found; the sentence says what to install.
    """
    triple = str(target.attrs.get("mtriple", ""))
    if _is_native(triple):
        return require_linker()
    found = None
    if triple.startswith("aarch64") and "linux" in triple:
        found = _aarch64_linker()
    elif triple.startswith(("arm64-apple", "aarch64-apple")) and _zig():
        found = _linker(*_zig(), "-target", "aarch64-macos", "-shared", "-undefined", "dynamic_lookup")
    if found is None:
        raise UserError(
            f"A library for {triple} needs a linker for it, and this machine has none: install aarch64-linux-gnu-gcc "
            f"(Debian: gcc-aarch64-linux-gnu), run `pip install ziglang`, or name one in {AARCH64_VARIABLE}."
        )
    return found


def _is_native(triple: str) -> bool:
    """Whether what is linked for it runs here."""
    if not triple:
        return True
    machine = {"arm64": "aarch64", "AMD64": "x86_64"}.get(platform.machine(), platform.machine())
    here = triple.replace("arm64", "aarch64").startswith(machine)
    system = {"linux": "linux", "darwin": "apple", "win32": "windows"}.get(sys.platform, sys.platform)
    return here and system in triple and ("android" in triple) == ("ANDROID_ROOT" in os.environ)


def _aarch64_linker() -> Callable | None:
    if named := os.environ.get(AARCH64_VARIABLE):
        if shutil.which(named) is None:
            raise UserError(f"{AARCH64_VARIABLE} names {named}, which is no program that can be run.")
        return _linker(named, *ALONE)
    if shutil.which("aarch64-linux-gnu-gcc"):
        return _linker("aarch64-linux-gnu-gcc", *ALONE)
    if shutil.which("clang") and shutil.which("ld.lld"):
        return _linker("clang", "--target=aarch64-linux-gnu", "-fuse-ld=lld", *ALONE)
    for bare in ("ld.lld", "aarch64-linux-gnu-ld"):
        if shutil.which(bare):
            return _linker(bare, "-shared")
    return _linker(*_zig(), "-target", "aarch64-linux-gnu", *ALONE) if _zig() else None


def _zig() -> list[str]:
    """The command of the pip package ziglang; empty where it is not installed."""
    return [sys.executable, "-m", "ziglang", "cc"] if importlib.util.find_spec("ziglang") else []


def _linker(*command: str) -> Callable:
    def link(output: str, objects: list[str], options: list[str] | None = None, **_) -> None:
        words = [*command, "-o", output, *objects, *(options or [])]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"linking failed: {done.stderr.strip()[-500:]}")

    link.output_format = "so"
    return link
