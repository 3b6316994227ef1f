"""The benchmark of the tuner's memory: its made-up devices and its figure."""

import math

import pytest

from ago_core.tuning.interfaces import Candidate
from benchmarks.tuning_memory import SimulatedMeasurer, growth, table
from tests.schedule_cases import KINDS


def test_growth_is_of_the_last_half():
    looks = [{"trials": trials, "mb": mb} for trials, mb in ((0, 100), (500, 200), (1000, 220))]
    assert growth(looks) == pytest.approx(0.1)
    where = {"machine": "m", "date": "d"}
    results = {"memory": looks, "model": "net", "ablation": "ago", "tasks": 3, "seconds": 9.0, "journal_mb": 1.0}
    assert "grew by 10.0%" in table(results | {"environment": where, "growth_of_last_half": growth(looks)})


def test_the_same_code_takes_the_same_made_up_time():
    functions = [KINDS["pointwise"](8, 8, 16, 8 * k) for k in (1, 2, 3)]
    reference, looks = functions[0], []
    measurer = SimulatedMeasurer(looks)
    first, second = (
        [row for _, row in measurer.measure(reference, [Candidate(f, "") for f in functions], math.inf)]
        for _ in range(2)
    )
    assert first == second and len({row.latency for row in first}) > 1
    assert [look["trials"] for look in looks] == [0]
