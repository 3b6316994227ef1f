"""Measuring on devices over RPC: real trackers and servers on this machine."""

import json
import math
import os
import signal
import threading
import zipfile

import pytest
from tvm import tirx

from ago_core.artifacts.export import run_script
from ago_core.cli import main, tune
from ago_core.devices.local_group import start_devices, stop_devices
from ago_core.devices.presets import preset_named
from ago_core.devices.tracker import list_devices
from ago_core.graph.model import load_model
from ago_core.partition.heuristic import heuristic_partition
from ago_core.schedules.analytic import schedule_function
from ago_core.schedules.machine import machine_of
from ago_core.tuning import control, measure_rpc
from ago_core.tuning.backend import make_backend
from ago_core.tuning.interfaces import Candidate, Contestant, DevicesLost
from ago_core.tuning.settings import ABLATIONS, RemoteDevice, TuningSettings
from tests.devices import free_port, until
from tests.networks import inverted_residual
from tests.schedule_cases import KINDS
from tests.test_devices import server_of
from tests.tuning_sessions import state_of

FUNCTION = KINDS["pointwise"](8, 8, 16, 16)
KEY = "board"


@pytest.fixture(scope="module")
def group(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGO_STATE", str(tmp_path_factory.mktemp("state")))
        started = start_devices(2, KEY, threads=1, port=free_port())
        yield started
        stop_devices(started)


@pytest.fixture(scope="module")
def states():
    return []


@pytest.fixture(scope="module")
def measurer(group, states):
    tracker = group.tracker
    settings = TuningSettings(10, RemoteDevice(tracker.host, tracker.port, KEY, "host"))
    with make_backend(settings).measurer(states.append) as started:
        yield started


def good() -> Candidate:
    return Candidate(schedule_function(FUNCTION, machine_of(preset_named("host").target)), "good")


def calling(*call) -> Candidate:
    """The function with a call of the C library before it."""
    function = good().function
    first = tirx.Evaluate(tirx.call_extern("int32", *call))
    return Candidate(function.with_body(tirx.SeqStmt([first, function.body])), call[0])


def measured(measurer, candidates, below=math.inf):
    found = dict(measurer.measure(FUNCTION, candidates, below))
    assert sorted(found) == list(range(len(candidates)))
    return [found[index] for index in range(len(candidates))]


def test_all_devices_of_the_key_measure(measurer, group):
    found = measured(measurer, [good() for _ in range(8)])
    assert all(each.latency > 0 and each.error is None for each in found)
    assert any(each.correct for each in found)
    assert {each.device for each in found} <= {str(device.address) for device in list_devices(group.tracker)}


def test_a_wrong_result_is_never_a_latency(measurer):
    wrong = Candidate(FUNCTION.with_body(tirx.Evaluate(0)), "zeros")
    found = measured(measurer, [wrong])[0]
    assert found.correct is False and found.latency is None and "differs" in found.error


def test_what_ends_its_sessions_is_to_blame_and_the_others_are_measured(measurer, states):
    found = measured(measurer, [good(), calling("abort"), good(), good()])
    assert [each.latency is not None for each in found] == [True, False, True, True]
    assert "ended 2 sessions" in found[1].error
    assert any(state.state == "quarantined" and state.reason for state in states)


def test_what_hangs_is_given_up(measurer, monkeypatch):
    monkeypatch.setattr(measure_rpc, "UNKNOWN_SECONDS", 2.0)
    found = measured(measurer, [calling("sleep", 60), good()])
    assert found[0].latency is None and found[1].latency > 0


def test_the_whole_model(measurer):
    model = load_model("squeezenet@56")
    partition = heuristic_partition(model)
    (run,) = measurer.end_to_end(model, [(partition, {})])
    assert run.correct and run.latency > 0 and len(run.seconds) > 1
    several = measurer.end_to_end(model, [(partition, {})] * 2)
    assert all(each.correct and len(each.seconds) > len(run.seconds) for each in several)


def test_a_contest(measurer):
    right, crashing = (Contestant(FUNCTION, each.function) for each in (good(), calling("abort")))
    rows = list(measurer.in_turns([[right, right], [right, crashing], [right]]))
    assert [[each.latency is None for each in row] for row in rows] == [[False] * 2, [True] * 2, [False]]


def test_an_export_for_a_device_is_checked_on_it(group, tmp_path, capsys):
    network = inverted_residual(tmp_path)
    place = ["--preset", "host", "--device", KEY, "--tracker", str(group.tracker), "--runs", "3"]
    assert main(["export", str(network), *place, "--output", str(tmp_path / "out")]) == 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["max_rel_error"] <= 1e-4 and len(manifest["latency_ms"]["runs"]) == 3
    assert f"on the device at {manifest['machine']}" in capsys.readouterr().out
    assert run_script(tmp_path / "out")["correct"], "its own run.py agrees"


def test_an_export_without_a_device_says_that_nothing_was_measured(tmp_path, capsys):
    network = inverted_residual(tmp_path)
    assert main(["export", str(network), "--preset", "host", "--output", str(tmp_path / "out.zip")]) == 0
    assert "not run: check it there with run.py" in capsys.readouterr().out
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert json.loads(archive.read("out/manifest.json"))["latency_ms"] is None
    assert main(["export", str(network), "--device", "pi", "--output", str(tmp_path / "no")]) == 2
    assert "--device needs --preset" in capsys.readouterr().err


def test_with_no_device_left_the_session_is_told(group, monkeypatch):
    monkeypatch.setattr(measure_rpc, "WAIT_SECONDS", 1.0)
    settings = TuningSettings(10, RemoteDevice(group.tracker.host, group.tracker.port, "nobody", "host"))
    with make_backend(settings).measurer(lambda _: None) as measurer, pytest.raises(DevicesLost, match="nobody"):
        list(measurer.measure(FUNCTION, [good()], math.inf))


def test_compare_goes_on_when_a_device_is_killed(group, tmp_path, monkeypatch, capsys):
    network, folder = inverted_residual(tmp_path), tmp_path / "all"
    monkeypatch.setenv("AGO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tune, "ABLATIONS", {name: ABLATIONS[name] for name in ("ago", "heuristic")})

    def kill():
        """One of the servers, once something has been measured."""
        until(lambda: state_of(folder / "ago") and control.status(folder / "ago").trials, 120.0)
        os.kill(server_of(group, list_devices(group.tracker)[0].address), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    place = ["--device", KEY, "--tracker", str(group.tracker), "--preset", "host", "--batch", "4"]
    code = main(["compare", str(network), "--trials", "12", *place, "--session", str(folder), "--json"])
    killer.join()
    captured = capsys.readouterr()
    assert code == 0, captured.err
    rows = json.loads(captured.out)
    assert [row["state"] for row in rows.values()] == ["finished"] * 2
    assert all(row["trials"] == 12 and row["end_to_end"] > 0 for row in rows.values())


def test_no_file_is_left_behind(group):
    settings = TuningSettings(10, RemoteDevice(group.tracker.host, group.tracker.port, KEY, "host"))
    with make_backend(settings).measurer(lambda _: None) as measurer:
        for _ in range(2):
            measured(measurer, [good(), good()])
        folder = measurer.folder
        assert len(list(folder.rglob("*.so"))) == 3
    assert not folder.exists()
