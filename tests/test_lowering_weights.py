"""Weights whose rows lie a power of two apart get longer rows when they are compiled."""

from __future__ import annotations

from pathlib import Path

import pytest

from ago_core.graph.model import Model
from ago_core.lowering.regroup import regroup, regroup_one
from tests.networks import METHODS, partition_by
from tests.onnx_models import TOLERANCE, errors, floats, load, make, node

HALF = 0.02  # of weights from N(0, 1), so that sums stay small


def convolution(folder: Path, channels: int, columns: int, image: int) -> Model:
    weights = {"w": HALF * floats(columns, channels, 1, 1)}
    return load(make(node("Conv", "x w", "y"), {"x": (1, channels, image, image)}, weights), folder)


def widths(model: Model, method: str) -> list[int]:
    """The last extents of all parameters of all functions."""
    module = regroup(model, partition_by(model, method))
    functions = [f for gvar, f in module.functions_items() if gvar.name_hint != "main"]
    return [int(parameter.shape[-1]) for function in functions for parameter in function.params]


@pytest.mark.parametrize("method", METHODS)
def test_rows_of_large_weights_are_spread(tmp_path, method):
    model = convolution(tmp_path, 256, 256, 3)
    assert 272 in widths(model, method)
    partition = partition_by(model, method)
    whole = regroup(model, partition)
    for index in range(len(partition)):  # what is tuned is what is deployed
        one = regroup_one(model, partition, index)
        assert [list(p.shape) for p in one.params] == [list(p.shape) for p in whole[f"subgraph_{index}"].params]


@pytest.mark.parametrize(
    "channels, columns, image",
    [(256, 256, 1), (64, 256, 3), (256, 240, 3)],
    ids=["each read once", "small", "not a power of two apart"],
)
def test_other_weights_stay_as_they_are(tmp_path, channels, columns, image):
    assert columns + 16 not in widths(convolution(tmp_path, channels, columns, image), "ago")


def test_results_stay_the_same(tmp_path):
    weights = {"v": HALF * floats(256, 256, 1, 1), "w": HALF * floats(256, 256, 3, 3), "m": HALF * floats(256, 512)}
    nodes = [
        node("Conv", "x v", "a"),
        node("Relu", "a", "b"),
        node("Conv", "b w", "c", pads=[1, 1, 1, 1]),
        node("Transpose", "c", "d", perm=[0, 2, 3, 1]),
        node("MatMul", "d m", "y"),
    ]
    model = load(make(nodes, {"x": (1, 256, 4, 3)}, weights), tmp_path)
    assert {272, 528} <= set(widths(model, "ago"))
    assert max(errors(model).values()) <= TOLERANCE
