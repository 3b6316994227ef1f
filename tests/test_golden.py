"""Both partitions of every sample and every light model, as text: a change of the algorithm shows as a difference."""

import pytest

from ago_core.cli import main
from benchmarks.light_models import LIGHT_MODELS
from benchmarks.models import SAMPLES

MODELS = {spec: spec for spec in SAMPLES} | {path.stem: str(path) for path in LIGHT_MODELS}


@pytest.mark.parametrize("method", ["heuristic", "ago"])
@pytest.mark.parametrize("name", MODELS)
def test_partition_is_as_recorded(name, method, golden, capsys):
    assert main(["partition", MODELS[name], "--method", method]) == 0
    golden(f"partitions/{name}.{method}.txt", capsys.readouterr().out)
