"""Compiling what a session found, from the command line."""

from __future__ import annotations

import pytest

from ago_core.cli import main
from ago_core.graph.model import load_model
from ago_core.partition.heuristic import heuristic_partition
from ago_core.tuning import control
from ago_core.tuning.backend import make_backend
from ago_core.tuning.best import write_best
from ago_core.tuning.control import Request
from ago_core.tuning.plan import Deployed
from ago_core.tuning.settings import LocalDevice, RemoteDevice, TuningSettings
from tests.networks import inverted_residual

HERE = LocalDevice(1)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return inverted_residual(tmp_path_factory.mktemp("network"))


def session(folder, network, device=HERE, target=None):
    """Whose result is the heuristic's partition, nothing of which has been measured."""
    settings = TuningSettings(10, device)
    control.create(folder, Request(network, {}, settings))
    model = load_model(network)
    found = [Deployed(members, None, None) for members in heuristic_partition(model).subgraphs]
    write_best(folder, model, target or make_backend(settings).target, found, {})
    return folder


def test_what_a_session_found_is_compiled_and_verified(tmp_path, network, capsys):
    folder = session(tmp_path / "s", network)
    assert main(["run", str(network), "--tuned", str(folder), "--runs", "3"]) == 0
    printed = capsys.readouterr().out
    subgraphs = len(heuristic_partition(load_model(network)))
    assert f"tuned: {subgraphs} subgraphs" in printed and "matches ONNX Runtime" in printed
    assert f"1 threads, tuned by {folder}" in printed


@pytest.mark.parametrize("device", [HERE, RemoteDevice("127.0.0.1", 9190, "pi", "raspberry-pi-4")])
def test_a_result_for_another_machine_is_refused(tmp_path, network, device, capsys):
    folder = session(tmp_path / "s", network, device, target="another target")
    assert main(["run", str(network), "--tuned", str(folder)]) == 2
    said = capsys.readouterr().err
    assert (
        "is for raspberry-pi-4, not for this machine" in said or "is for another target, and the target now is" in said
    )


def test_a_session_without_a_result_is_one_sentence(tmp_path, network, capsys):
    control.create(tmp_path / "s", Request(network, {}, TuningSettings(10, HERE)))
    assert main(["export", str(network), "--tuned", str(tmp_path / "s"), "--output", str(tmp_path / "out")]) == 2
    assert "has no result yet" in capsys.readouterr().err and not (tmp_path / "out").exists()
