"""Searches: what they propose is new, right, found again by its trace, and better than the start."""

import json
import math
import random
from dataclasses import replace

import pytest
import tvm_ffi

from ago_core.artifacts.reference import relative_error
from ago_core.schedules.analytic import schedule_function
from ago_core.schedules.machine import machine_of
from ago_core.tuning.backend import make_backend
from ago_core.tuning.interfaces import Measurement, SearchTask
from ago_core.tuning.settings import ABLATIONS, LocalDevice, TuningSettings
from ago_core.tuning.space import hash_of, space_of
from tests.schedule_cases import KINDS, outputs

CONVOLUTION = KINDS["3x3"](8, 8, 16, 16)
RESIDUAL = KINDS["inverted residual"](8, 8, 16, 16)


def backend(ablation="ago"):
    return make_backend(TuningSettings(100, LocalDevice(1), ABLATIONS[ablation], seed=1))


def told(search, candidates, seconds):
    search.tell(candidates, [Measurement((s,), None, True, "local") for s in seconds])


def code(function):
    return tvm_ffi.structural_hash(function)


def all_of(search, limit=600):
    """Everything that it proposes, told random times."""
    times, found = random.Random(1), []
    while len(found) < limit and (batch := search.propose(16)):
        found += batch
        told(search, batch, [times.uniform(1, 2) for _ in batch])
    return found


@pytest.mark.parametrize(
    "ablation, function",
    [("ago", RESIDUAL), ("no-fusion", CONVOLUTION), ("stock", CONVOLUTION)],
    ids=["fused", "ours", "stock"],
)
def test_candidates_are_right_and_found_again(ablation, function):
    made = backend(ablation)
    search = made.search(SearchTask(function, (), 1))
    found = search.propose(5)
    told(search, found, range(1, 1 + len(found)))
    found += search.propose(5)
    assert len(found) == 10
    reference, *results = outputs([function, *(each.function for each in found[::2])])
    assert all(relative_error(result, reference) <= 1e-5 for result in results)
    for each in found:
        assert code(made.rebuild(function, each.trace)) == code(each.function)


@pytest.mark.parametrize("name", ["3x3", "depthwise 3x3", "softmax", "elementwise", "max pool"])
def test_nothing_is_proposed_twice_and_the_end_is_noticed(name):
    found = all_of(backend().search(SearchTask(KINDS[name](4, 4, 16, 16), (), 1)))
    assert 1 <= len(found) < 600
    assert len({code(each.function) for each in found}) == len({each.trace for each in found}) == len(found)


def test_a_small_space_is_searched_whole():
    """A pointwise convolution of 2 rows, 4 columns and one vector: its knobs can be counted."""
    function = KINDS["pointwise"](2, 4, 16, 16)
    found = all_of(backend().search(SearchTask(function, (), 1)))
    knobs = json.loads(found[0].trace)["trace"][1]
    assert knobs and len(found) >= 3


@pytest.mark.parametrize("ablation", ["ago", "no-fusion"])
def test_the_analytic_schedule_comes_first(ablation):
    made = backend(ablation)
    machine = machine_of(made._target)
    first = made.search(SearchTask(CONVOLUTION, (), 1)).propose(1)[0]
    assert code(first.function) == code(schedule_function(CONVOLUTION, machine))


def test_only_with_fusion_several_reductions_share_a_nest():
    spaces = {}
    for ablation in ("ago", "no-fusion"):
        found = backend(ablation).search(SearchTask(RESIDUAL, (), 1)).propose(4)
        spaces[ablation] = {space_of(each.trace) for each in found}
    assert len(spaces["no-fusion"]) == 1 and spaces["no-fusion"] < spaces["ago"]


def test_what_was_replayed_is_not_proposed_again():
    made = backend()
    first = made.search(SearchTask(RESIDUAL, (), 1))
    found = first.propose(8)
    measurements = [Measurement((1.0 + k,), None, True, "local") for k in range(len(found))]
    again = made.search(SearchTask(RESIDUAL, (), 1))
    again.replay([each.trace for each in found], measurements)
    new = again.propose(8)
    assert new and not {hash_of(each.trace) for each in new} & {hash_of(each.trace) for each in found}


def test_failures_are_no_parents_and_no_latencies():
    search = backend().search(SearchTask(KINDS["pointwise"](28, 24, 32, 128), (), 1))
    found = search.propose(16)
    search.tell(found, [Measurement((), "It crashed.", None, "local") for _ in found])
    wrong = search.propose(4)
    search.tell(wrong, [Measurement((1e-9,), "Wrong.", False, "local") for _ in wrong])
    assert search.propose(4) and all(math.isinf(best) for best in search._best.values())


def test_the_cost_model_learns_which_cuts_are_fast():
    """The further the inner parts of the cuts are from two, the longer it takes, so it is told."""
    search = backend("no-fusion").search(SearchTask(KINDS["pointwise"](28, 24, 32, 128), (), 1))

    def seconds(candidate):
        cuts = json.loads(candidate.trace)["trace"][1]
        return 1.0 + sum(abs(math.log2(inner) - 1) for _, (_, inner) in cuts)

    chance = search.propose(16)
    told(search, chance, map(seconds, chance))
    chosen = search.propose(8)
    assert sum(map(seconds, chosen)) / 8 < 0.8 * sum(map(seconds, chance)) / 16


def test_a_trace_of_another_function_is_refused():
    made = backend()
    trace = made.search(SearchTask(CONVOLUTION, (), 1)).propose(1)[0].trace
    with pytest.raises(ValueError):
        made.rebuild(KINDS["3x3"](8, 8, 16, 32), trace)
    other = json.dumps(json.loads(trace) | {"space": "ours 9"})
    with pytest.raises(ValueError):
        made.rebuild(CONVOLUTION, other)


def test_the_target_has_the_threads_asked_for():
    settings = TuningSettings(1, LocalDevice(1))
    assert machine_of(make_backend(settings)._target).cores == 1
    assert "llvm" in make_backend(replace(settings, seed=3)).target
