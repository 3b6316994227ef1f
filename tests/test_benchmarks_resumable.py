"""What lets a long benchmark be stopped and go on."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import resumable


@pytest.fixture
def here(monkeypatch):
    monkeypatch.setattr(
        resumable, "environment", lambda: {"machine": "m", "versions": {"apache-tvm": "1"}, "date": "new"}
    )


def run_of(machine: str, version: str) -> dict:
    where = {"machine": machine, "versions": {"apache-tvm": version}, "date": "old"}
    return {"environment": where, "chains": {"a": {}}}


def test_a_run_goes_on_from_the_same_machine_and_versions(here):
    run = resumable.started(run_of("m", "1"), 2)
    assert run["chains"] == {"a": {}}
    assert run["environment"]["date"] == "new" and run["environment"]["threads"] == 2


@pytest.mark.parametrize("old", [None, run_of("n", "1"), run_of("m", "2")])
def test_a_run_starts_anew_elsewhere(here, old):
    assert resumable.started(old, 1).keys() == {"environment"}


def test_records_of_what_is_gone_are_dropped():
    items = [SimpleNamespace(name=name) for name in "cab"]
    assert list(resumable.kept({"a": 1, "b": 2, "gone": 3}, items).items()) == [("a", 1), ("b", 2)]


def test_the_middle_one_of_each_kind():
    items = [SimpleNamespace(kind=kind, name=name) for kind, name in ("x1", "y2", "x3", "x4", "x5")]
    assert [item.name for item in resumable.one_of_each_kind(items)] == ["4", "2"]


def test_results_are_replaced_whole(tmp_path):
    path = tmp_path / "fusion.json"
    for results in ({"1": "µ"}, {"2": "→"}):
        resumable.save(path, results)
    assert [each.name for each in tmp_path.iterdir()] == ["fusion.json"]
    assert json.loads(path.read_text()) == {"2": "→"}


def test_a_run_that_is_stopped_while_it_saves_leaves_the_last_results(tmp_path, monkeypatch):
    path = tmp_path / "kernels.json"
    resumable.save(path, {"1": "a"})

    def stopped(target: Path, content: str) -> None:
        target.write_bytes(content[:5].encode())
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_text", stopped)
    with pytest.raises(KeyboardInterrupt):
        resumable.save(path, {"2": "b"})
    assert json.loads(path.read_text()) == {"1": "a"}
