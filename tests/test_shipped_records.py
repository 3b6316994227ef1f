"""Tuned records that ship with the samples: found by model and target, compiled, refused in a sentence elsewhere."""

from __future__ import annotations

import pytest

from ago_core.cli import main
from ago_core.devices.local import host_target
from ago_core.errors import UserError
from ago_core.graph.model import load_model
from ago_core.lowering.regroup import regroup_one
from ago_core.partition.heuristic import heuristic_partition
from ago_core.tuning import shipped
from ago_core.tuning.backend import make_backend
from ago_core.tuning.best import Found, write_best
from ago_core.tuning.interfaces import SearchTask
from ago_core.tuning.plan import Deployed
from ago_core.tuning.settings import LocalDevice, TuningSettings
from tests.networks import inverted_residual


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return inverted_residual(tmp_path_factory.mktemp("network"))


@pytest.fixture(scope="module")
def session(network, tmp_path_factory):
    """A folder with a result for one thread: one subgraph by a trace, the others not tuned."""
    folder, model = tmp_path_factory.mktemp("session"), load_model(network)
    backend, partition = make_backend(TuningSettings(1, LocalDevice(1))), heuristic_partition(model)
    function = regroup_one(model, partition, 1).without_attr("global_symbol")
    trace = backend.search(SearchTask(function, (), 0)).propose(2)[-1].trace
    members = partition.subgraphs
    rows = [Deployed(each, 0, 1e-6) if index == 1 else Deployed(each, None, None) for index, each in enumerate(members)]
    write_best(folder, model, backend.target, rows, {0: Found(1, members[1], trace)})
    return folder


@pytest.fixture
def records(session, tmp_path, monkeypatch):
    shipped.write_shipped(session, tmp_path / "tuned" / "network.json.gz")
    monkeypatch.setattr(shipped.shipped_best, "__defaults__", (tmp_path / "tuned",))
    return tmp_path / "tuned"


def test_a_record_is_found_compiled_and_verified(records, network, capsys):
    assert main(["run", str(network), "--tuned", "shipped", "--threads", "1", "--runs", "3"]) == 0
    printed = capsys.readouterr().out
    assert "tuned by shipped" in printed and "matches ONNX Runtime" in printed


def test_it_holds_the_schedule_that_was_found(records, network):
    best = shipped.shipped_best(load_model(network), host_target(1), records)
    assert list(best.functions) == [1] and best.target == str(host_target(1))


def test_the_same_result_gives_the_same_bytes(session, records, tmp_path):
    shipped.write_shipped(session, tmp_path / "again.json.gz")
    assert (tmp_path / "again.json.gz").read_bytes() == (records / "network.json.gz").read_bytes()


def test_another_target_and_another_model_are_refused_in_a_sentence(records, network):
    with pytest.raises(UserError, match=r"records that ship for .* are for .* and the target now is .*num-cores.*3"):
        shipped.shipped_best(load_model(network), host_target(3), records)
    with pytest.raises(UserError, match="No tuned records ship for bert_tiny@32: tune it"):
        shipped.shipped_best(load_model("bert_tiny@32"), host_target(1), records)


def test_a_damaged_record_is_one_sentence(records, network):
    (records / "network.json.gz").write_bytes(b"not compressed")
    with pytest.raises(UserError, match="network.json.gz cannot be read"):
        shipped.shipped_best(load_model(network), host_target(1), records)


def test_export_wants_a_session(network, tmp_path, capsys):
    assert main(["export", str(network), "--tuned", "shipped", "--output", str(tmp_path / "out")]) == 2
    assert "give a session's folder" in capsys.readouterr().err
