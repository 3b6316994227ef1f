"""The C++ example of an artifact: `example/main.cc`, the same for every model, and a header written for this one."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ago_core.artifacts.layout import EXAMPLE

TEMPLATES = Path(__file__).with_name("example")
HEADER = """\
// What main.cc needs to know of this model. Written on export.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

struct TensorSpec {{
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
  std::string file;
}};

static const char* const kModel = {model};
static const char* const kLibrary = {library};
static const int kThreads = {threads};
static const double kTolerance = {tolerance};
static const std::vector<TensorSpec> kInputs = {{{inputs}}};
static const std::vector<TensorSpec> kOutputs = {{{outputs}}};
"""


def write_example(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Writes `example` into an artifact's folder."""
    shutil.copytree(TEMPLATES, folder / EXAMPLE)
    (folder / EXAMPLE / "model.h").write_text(header(manifest))


def header(manifest: Mapping[str, Any]) -> str:
    """model.h, ASCII."""
    return HEADER.format(
        model=quoted(manifest["model"]),
        library=quoted(manifest["library"]),
        threads=int(manifest["threads"]),
        tolerance=float(manifest["tolerance"]),
        inputs=_specs(manifest["inputs"]),
        outputs=_specs(manifest["outputs"]),
    )


def _specs(tensors: Iterable[Mapping[str, Any]]) -> str:
    lines = []
    for tensor in tensors:
        extents = ", ".join(map(str, tensor["shape"]))
        lines.append(
            f"{{{quoted(tensor['name'])}, {quoted(tensor['dtype'])}, {{{extents}}}, {quoted(tensor['file'])}}}"
        )
    return "".join(f"\n    {line}," for line in lines) + "\n"


def quoted(text: str) -> str:
    """A C++ string of the text's UTF-8, in ASCII: a model's name cannot end it. `?` would begin a trigraph."""
    safe = set(range(32, 127)) - set(b'"\\?')
    return '"' + "".join(chr(byte) if byte in safe else f"\\{byte:03o}" for byte in text.encode()) + '"'
