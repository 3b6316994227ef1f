"""Joins: the first schedules of a subgraph are those that its minis were best with."""

from dataclasses import replace

import pytest

from ago_core.artifacts.reference import relative_error
from ago_core.schedules.machine import machine_of
from ago_core.tuning.backend import make_backend
from ago_core.tuning.interfaces import Measurement, Part, SearchTask
from ago_core.tuning.join import Cut, compose, cuts_in, known_reductions
from ago_core.tuning.settings import LocalDevice, TuningSettings
from ago_core.tuning.space import hash_of, our_variants, replayed, space_of
from tests.schedule_cases import conv, fused, outputs, relu

BACKEND = make_backend(TuningSettings(100, LocalDevice(1), seed=1))
MACHINE = machine_of(BACKEND._target)
IMAGE, EXPAND, DEPTH, PROJECT = (1, 8, 8, 16), (1, 1, 16, 48), (3, 3, 1, 48), (1, 1, 48, 16)


def first(_, x, w):
    return relu(conv(x, w))


def second(_, x, w):
    return relu(conv(x, w, groups=48))


WHOLE = fused(lambda b, x, v, w, u: conv(second(b, first(b, x, v), w), u), IMAGE, EXPAND, DEPTH, PROJECT)
MINIS = (
    fused(first, IMAGE, EXPAND),
    fused(second, (1, 8, 8, 48), DEPTH),
    fused(lambda _, x, w: conv(x, w), (1, 8, 8, 48), PROJECT),
)


def some_trace(function, number):
    """Of a schedule that is not the estimate."""
    search = BACKEND.search(SearchTask(function, (), 7))
    found = search.propose(number + 1)
    search.tell(found, [Measurement((1.0,), None, True, "local") for _ in found])
    return found[number].trace


@pytest.fixture(scope="module")
def parts():
    return tuple(Part(mini, some_trace(mini, 3 + k), (k,)) for k, mini in enumerate(MINIS))


def cuts_of(function, trace):
    module = our_variants(function, MACHINE, fusion=True)[space_of(trace)].module
    return cuts_in(replayed(module, trace).trace)


def apart(candidates):
    """Of these the one with a nest for each stage."""
    variants = our_variants(WHOLE, MACHINE, fusion=True)
    labels = [label for label, variant in variants.items() if all(group.task is None for group in variant.groups)]
    return next(each for each in candidates if space_of(each.trace) in labels)


def test_apart_the_minis_cuts_are_kept(parts):
    candidates = BACKEND.search(SearchTask(WHOLE, parts, 1)).propose(4)
    composed = cuts_of(WHOLE, apart(candidates).trace)
    expected = [reduction.cuts for part in parts for reduction in known_reductions(part, MACHINE) if reduction.cuts]
    assert expected and [tuple(cuts) for cuts in composed.values() if cuts] == expected


def test_composed_schedules_come_first_and_are_right(parts):
    estimates = {hash_of(each.trace) for each in BACKEND.search(SearchTask(WHOLE, (), 1)).propose(2)}
    candidates = BACKEND.search(SearchTask(WHOLE, parts, 1)).propose(3)
    assert hash_of(candidates[0].trace) not in estimates
    reference, *results = outputs([WHOLE, *(each.function for each in candidates)])
    assert all(relative_error(result, reference) <= 1e-5 for result in results)


def test_in_one_nest_cuts_are_repaired(parts):
    """A fused nest cuts its rows before the tiles: what no longer divides becomes the largest that does."""
    candidates = BACKEND.search(SearchTask(WHOLE, parts, 1)).propose(3)
    variants = our_variants(WHOLE, MACHINE, fusion=True)
    nested = [each for each in candidates if any(group.task for group in variants[space_of(each.trace)].groups)]
    assert nested
    for each in nested:
        for cuts in cuts_of(WHOLE, each.trace).values():
            assert all(isinstance(cut, Cut) and cut.extent % cut.inner == 0 for cut in cuts)


def test_parts_without_a_schedule_leave_the_estimate():
    nothing = tuple(Part(mini, None, (k,)) for k, mini in enumerate(MINIS))
    plain = BACKEND.search(SearchTask(WHOLE, (), 1)).propose(1)
    composed = BACKEND.search(SearchTask(WHOLE, nothing, 1)).propose(1)
    assert hash_of(plain[0].trace) == hash_of(composed[0].trace)


def test_joins_for_several_cores_are_composed_too():
    machine = replace(MACHINE, cores=2)
    whole = fused(lambda b, x, v, w: second(b, first(b, x, v), w), (1, 28, 28, 16), EXPAND, DEPTH)
    minis = fused(first, (1, 28, 28, 16), EXPAND), fused(second, (1, 28, 28, 48), DEPTH)
    parts = tuple(Part(mini, None, (k,)) for k, mini in enumerate(minis))
    functions = [
        compose(variant, machine, parts).mod["main"] for variant in our_variants(whole, machine, fusion=True).values()
    ]
    reference, *results = outputs([whole, *functions])
    assert all("T.parallel(" in function.script() for function in functions)
    assert all(relative_error(result, reference) <= 1e-5 for result in results)
