"""What an artifact holds, by name. Written by `export.py`, read by `inspect.py`; needs no TVM."""

from __future__ import annotations

SCHEMA = 2
"""Raise it when an older version could not read what is written."""

MANIFEST = "manifest.json"
LIBRARY = "model.so"
GRAPH = "graph.json"
PARTITION = "partition.json"
RUN_SCRIPT = "run.py"
MODEL = "model"
"""A folder: the weights may lie in files of their own."""
CHECK = "check"
EXAMPLE = "example"
TUNED = "tuned"
SESSION = f"{TUNED}/session.json"
BEST = f"{TUNED}/best.json"
BEGUN = f"{TUNED}/partition.json"
"""The partition that the session began with."""

ABOUT = {
    LIBRARY: "the library: code, constants and TVM's bytecode",
    GRAPH: "the model's operators",
    PARTITION: "which of them are fused",
    MANIFEST: "model, target, shapes, versions, measured latency",
    RUN_SCRIPT: "loads, checks, times; needs TVM's runtime and numpy",
    CHECK: "one random input and what ONNX Runtime made of it",
    EXAMPLE: "the same in C++, and how to compile it",
    TUNED: "the tuning session's best schedules and its settings",
    MODEL: "the ONNX model",
}
"""Of each file or folder, what it is."""


def check_file(kind: str, index: int) -> str:
    """Of a recorded tensor; `kind` is "input" or "output"."""
    return f"{CHECK}/{kind}-{index}.npy"
