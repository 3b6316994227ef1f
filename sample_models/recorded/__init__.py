"""Tuning sessions that were recorded once, so that lessons can show tuning without waiting for it.

Each file is what a session's journal said, as gzipped JSON, with the machine and the date that it comes from;
`python -m benchmarks.record_lessons` writes them anew. What was tuned is one inverted residual of MobileNetV2, built
here: small enough that two minutes of trials show something.
"""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import onnx

from sample_models._onnx_builder import GraphBuilder

FOLDER = Path(__file__).parent
SIDE, CHANNELS, EXPANSION = 28, 32, 6
"""Of features.5 of MobileNetV2 at 224 pixels."""
NAME = "inverted_residual"


@cache
def read(name: str) -> dict[str, Any]:
    """A recorded session by name, such as "ago": see `benchmarks.record_lessons` for its fields.

    Raises:
        FileNotFoundError: there is none of that name.
    """
    return json.loads(gzip.decompress((FOLDER / f"{name}.json.gz").read_bytes()))


def build() -> onnx.ModelProto:
    """The network of the sessions: from ``input``, float32 (1, 32, 28, 28), to ``output`` of the same shape.

    As a block of `sample_models.mobilenet_v2` (arXiv 1801.04381, figure 3b): a pointwise convolution to six times as
    many channels, a depthwise one, a pointwise one back, and the input added.
    """
    graph = GraphBuilder(NAME, SIDE)
    x = graph.input("input", (1, CHANNELS, SIDE, SIDE))
    hidden = CHANNELS * EXPANSION
    y = graph.conv_bn("expand", x, hidden, 1, activation="relu6")
    y = graph.conv_bn("depthwise", y, hidden, 3, groups=hidden, activation="relu6")
    y = graph.conv_bn("project", y, CHANNELS, 1, activation=None, scale=0.5)
    return graph.finish({"output": graph.binary("Add", "add", x, y)})
