"""The table of MetaSchedule's search efforts."""

import onnx
import pytest

from benchmarks.stock_effort import AFTER, LAYERS, _model, table

FIRST, SECOND, _ = LAYERS
ENVIRONMENT = {"machine": "A machine", "date": "2026-01-01"}


def run(layer, effort, seed, best, seconds):
    return {"layer": layer, "effort": effort, "seed": seed, "best": [best] * len(AFTER), "seconds": seconds}


def test_only_seeds_that_both_have_are_compared():
    runs = [run(FIRST, "sessions'", 1, 1e-4, 10.0), run(FIRST, "defaults", 1, 2e-4, 30.0)]
    runs += [run(FIRST, "sessions'", 2, 1e-9, 10.0), run(SECOND, "defaults", 1, 1e-9, 10.0)]
    text = table({"environment": ENVIRONMENT, "runs": runs})
    assert f"| {FIRST}, 1 seed | 2.00 | 2.00 | 2.00 | 2.00 | 3.0 |" in text
    assert SECOND not in text and "| geometric mean | 2.00 |" in text and "A machine, one thread" in text


def test_without_runs_there_is_an_empty_table():
    assert table({"environment": ENVIRONMENT, "runs": []}).count("|") < 20


@pytest.mark.parametrize("layer", LAYERS)
def test_layers_are_models(layer):
    onnx.checker.check_model(_model(*LAYERS[layer]), full_check=True)
