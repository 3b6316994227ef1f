"""Where the time of an inference goes, measured in place and kept as plain data."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ago_core.artifacts.edit_times import edit_key, edit_times_from_json
from ago_core.artifacts.profile import Spread, difference, profile_from_json, told_apart
from ago_core.artifacts.profiler import Entrant, Event, kernel_calls, measure_profiles
from ago_core.devices.local import host_target
from ago_core.errors import UserError
from ago_core.graph.model import load_model
from ago_core.lowering.executable import compile_model
from ago_core.partition.edits import merge
from ago_core.tuning import edit_bench
from ago_core.tuning.edit_bench import measure_edit
from tests.networks import METHODS, inverted_residual, partition_by

SIDES = (lambda share: share.before, lambda share: share.after)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_model(inverted_residual(tmp_path_factory.mktemp("models")))


@pytest.fixture(scope="module")
def profiles(model):
    entrants = [Entrant(compile_model(model, partition_by(model, method), host_target(1))) for method in METHODS]
    return measure_profiles(entrants, threads=1, rounds=5)


def test_every_subgraph_of_every_plan_is_timed(model, profiles):
    for profile, method in zip(profiles, METHODS, strict=True):
        assert (profile.method, profile.groups) == (method, partition_by(model, method).subgraphs)
        assert [call.subgraph for call in profile.calls] == list(range(len(profile.groups)))
        assert all(part.q1 <= part.median <= part.q3 and part.median > 0 for part in profile.subgraphs)
        assert profile.whole.median > 0 and profile.clock > 0 and profile.correct


def test_the_calls_of_an_inference_follow_each_other(profiles):
    for profile in profiles:
        ends = [0.0, *(call.start + call.seconds for call in profile.calls)]
        assert all(call.start >= end for call, end in zip(profile.calls, ends))


def test_a_profile_is_plain_data(profiles):
    for profile in profiles:
        assert profile_from_json(json.loads(json.dumps(profile.to_json()))) == profile


@pytest.mark.parametrize("data", [[], {}, {"schema": 0}, {"schema": 1, "groups": [[0]]}])
def test_what_is_no_profile_is_one_sentence(data):
    with pytest.raises(UserError, match="easure again"):
        profile_from_json(data)


def test_plans_have_keys_of_their_own(profiles):
    first, second = profiles
    variants = [first, second, replace(first, fusion=False), replace(first, tuned="a"), replace(first, model_hash="h")]
    assert len({profile.key for profile in variants}) == len(variants)
    assert replace(first, at=0.0, threads=7).key == first.key


def test_calls_are_given_to_subgraphs_in_order():
    events = [Event(name, start, 1.0) for start, name in enumerate(["a", "vm.builtin.kill", "b", "a"])]
    found = kernel_calls(events, ["a", "b", "", "a"])
    assert [(call.subgraph, call.start) for call in found] == [(0, 0), (1, 2), (3, 3)]


def test_what_the_clock_takes_is_taken_off():
    events = [Event("a", 0.0, 1.0), Event("b", 1.0, 0.1)]
    assert [call.seconds for call in kernel_calls(events, ["a", "b"], clock=0.25)] == [0.75, 0.0]


def test_more_runs_tell_closer_medians_apart():
    first, second = Spread(1.0, 0.9, 1.1), Spread(1.1, 1.0, 1.2)
    assert told_apart(first, second, 100) and told_apart(second, first, 100)
    assert not told_apart(first, second, 10)


def test_a_subgraph_that_became_a_view_has_no_call():
    assert [call.subgraph for call in kernel_calls([Event("b", 0.0, 1.0)], ["a", "b"])] == [1]


def test_calls_in_another_order_are_refused():
    with pytest.raises(ValueError, match="another order"):
        kernel_calls([Event("b", 0.0, 1.0), Event("a", 1.0, 1.0)], ["a", "b"])


# What an edit gives


@pytest.fixture(scope="module")
def edit(model):
    before = partition_by(model, "heuristic")
    reads = next((u, v) for u, v in model.graph.edges if before.owner[u] != before.owner[v])
    return before, merge(model.graph, before, {before.owner[op] for op in reads})


def test_only_what_an_edit_changed_is_timed(model, edit):
    before, after = edit
    found = measure_edit(model, before, after, host_target(1), threads=1)
    timed = [part.operators for part in (*found.parts_before, *found.parts_after)]
    assert set(timed) == set(before.subgraphs) ^ set(after.subgraphs) and len(timed) == 3
    assert found.before.median > 0 and found.after.median > 0 and found.key == edit_key(before, after)
    assert edit_times_from_json(json.loads(json.dumps(found.to_json()))) == found


def test_an_edit_is_estimated_without_running_anything(model, edit, monkeypatch):
    monkeypatch.setattr(edit_bench, "Bench", None)
    found = edit_bench.estimate_edit(model, *edit, host_target(1))
    back = edit_bench.estimate_edit(model, *reversed(edit), host_target(1))
    assert found.before > 0 and found.after > 0
    assert (found.before, found.after) == (back.after, back.before)


def test_undoing_an_edit_is_another_one(edit):
    assert edit_key(*edit) != edit_key(*reversed(edit))


@pytest.mark.parametrize("data", [[], {"schema": 0}, {"schema": 1, "before": {}}])
def test_what_are_no_times_is_one_sentence(data):
    with pytest.raises(UserError, match="easure again"):
        edit_times_from_json(data)


def test_parts_and_rest_of_a_difference_sum_to_the_whole(profiles):
    found = difference(*profiles)
    assert sum(share.change for share in found.shares) + found.rest == pytest.approx(found.whole)
    covered = [sorted(index for share in found.shares for index in side(share)) for side in SIDES]
    assert covered == [list(range(len(profile.groups))) for profile in profiles]


def test_profiles_of_two_models_are_not_compared(profiles):
    with pytest.raises(ValueError, match="one model"):
        difference(profiles[0], replace(profiles[1], model_hash="another"))
