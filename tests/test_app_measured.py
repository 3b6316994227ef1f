"""Measured plans: found again by their content, whatever became of the page."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from ago_core.artifacts.profile import KernelCall, Profile, Spread
from ago_core.partition.partition import make_partition
from app.services.measured import Measuring, Plan, measured, measured_plan, profiles_folder, profiles_of
from app.services.models import Choice
from benchmarks.synthetic import fused_groups, residual_graph


def profile_of(plan: Plan, milliseconds: float = 1.0) -> Profile:
    """A profile in which every subgraph takes as long as every other, and a tenth of the whole lies between them."""
    count = len(plan.partition)
    each = 0.9e-3 * milliseconds / count
    return Profile(
        model="net",
        model_hash=plan.partition.model_hash,
        method=plan.partition.method,
        groups=plan.partition.subgraphs,
        fusion=plan.fusion,
        tuned=str(plan.tuned.resolve()) if plan.tuned else "",
        max_rel_error=1e-7,
        tolerance=1e-4,
        whole=Spread(1e-3 * milliseconds, 0.95e-3 * milliseconds, 1.1e-3 * milliseconds),
        subgraphs=tuple(Spread(each, 0.9 * each, 1.2 * each) for _ in range(count)),
        calls=tuple(KernelCall(k, k * each, each) for k in range(count)),
        clock=4e-7,
        runs=60,
        threads=1,
        machine="a machine",
        target="llvm",
        build_seconds=2.0,
        at=1e9,
    )


def keep(profile: Profile) -> Path:
    """As the command does."""
    path = profiles_folder() / f"{profile.key}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(profile.to_json()))
    return path


@pytest.fixture
def plan(tmp_path, monkeypatch):
    monkeypatch.setenv("AGO_DATA", str(tmp_path / "data"))
    graph = residual_graph(24)
    return Plan(make_partition(graph, fused_groups(graph), "heuristic"))


def test_a_plan_that_was_never_measured_has_no_times(plan):
    assert measured_plan(plan) is None


def test_the_newest_profile_is_found_again(plan):
    keep(profile_of(plan, 2.0))
    assert measured_plan(plan).total == pytest.approx(2e-3)
    keep(profile_of(plan, 30.0))
    found = measured_plan(plan)
    assert found.total == pytest.approx(30e-3) and len(found.subgraphs) == len(plan.partition)
    assert sum(found.subgraphs) == pytest.approx(0.9 * found.total)


def test_a_subgraph_without_a_kernel_takes_no_time(plan):
    profile = profile_of(plan)
    keep(replace(profile, subgraphs=(None, *profile.subgraphs[1:])))
    assert measured_plan(plan).subgraphs[0] == 0.0


def test_variants_of_a_plan_are_kept_apart(plan, tmp_path):
    keep(profile_of(plan))
    assert measured_plan(replace(plan, fusion=False)) is None
    assert measured_plan(replace(plan, tuned=tmp_path)) is None
    renamed = replace(plan, partition=replace(plan.partition, method="edited"))
    assert measured_plan(renamed) is not None, "the same groups are the same code, whatever made them"


def test_a_method_of_a_study_is_found(plan):
    study = SimpleNamespace(partitions={"heuristic": plan.partition})
    assert measured(study, "heuristic") is None and measured(study, "edited") is None
    keep(profile_of(plan))
    assert measured(study, "heuristic").profile == profile_of(plan)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": 99}', '{"schema": 1}'])
def test_a_file_that_cannot_be_read_counts_as_none(plan, content):
    keep(profile_of(plan)).write_text(content)
    assert measured_plan(plan) is None


def test_a_job_measures_its_plans_in_turns(plan, tmp_path):
    work = Measuring(
        Choice("net", (("n", 2),)), (plan, replace(plan, fusion=False), replace(plan, tuned=tmp_path, threads=2))
    )
    work.prepare(tmp_path)
    command, _, first, second, third, *rest = work.arguments(tmp_path)
    assert command == "profile" and second == f"{tmp_path / 'plan-1.json'}:no-fusion" and third == str(tmp_path)
    assert json.loads(Path(first).read_text()) == plan.partition.to_json()
    assert rest[:4] == ["--dim", "n=2", "--keep", str(profiles_folder())]
    assert rest[4:6] == ["--threads", "2"], "a session's schedules are for its threads, so all plans run on as many"
    assert "--threads" not in Measuring(Choice("net"), (plan,)).arguments(tmp_path)


def test_what_a_job_reports_is_read(plan):
    assert profiles_of({"profiles": [profile_of(plan).to_json()]}) == [profile_of(plan)]
