"""Peers in turns: when a turn begins, what has no figure, and TVM as a peer."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ago_core.artifacts.reference import Reference, random_inputs, relative_error
from ago_core.devices import rest
from ago_core.devices.cores import allowed_cores
from ago_core.graph.model import load_model
from benchmarks.networks import measure, race
from benchmarks.networks.cells import Cell
from benchmarks.networks.race import Entrant
from benchmarks.peers import run_tvm, worker
from benchmarks.peers.nchw import load_nchw
from tests.networks import inverted_residual


def test_a_turn_times_several_calls_after_one_that_finds_the_caches_empty(monkeypatch):
    monkeypatch.setattr(worker, "TURN_SECONDS", 0.01)
    calls = []
    assert len(worker.turn(lambda: calls.append(time.sleep(0.02)))) == worker.LEAST_CALLS == len(calls) - 1
    assert len(worker.turn(lambda: None)) == worker.MOST_CALLS


FAKE = """
import threading
import time
from pathlib import Path
import numpy as np
from benchmarks.peers.worker import Loaded, inputs_of


def load(request):
    if "error" in request:
        raise ValueError(request["error"])
    result = inputs_of(request)["x"] * request["factor"]

    def call():
        time.sleep(request["seconds"])
        if "awake" in request:
            threading.Thread(target=stay_awake, daemon=True).start()

    def stay_awake():
        end = time.monotonic() + request["awake"]
        while time.monotonic() < end:
            pass
        Path(request["slept"]).touch()

    return Loaded("7", call, lambda: [result])
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Makes entrants whose module lies in a temporary folder."""
    (tmp_path / "fake_peer.py").write_text(FAKE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(race, "MODULES", "")
    core = min(allowed_cores())

    def make(seconds=0.0, factor=1.0, **more):
        request = {"cores": [core], "seconds": seconds, "factor": factor} | more
        return Entrant(Path(sys.executable), "fake_peer", request)

    return make


def test_peers_take_turns_and_a_wrong_or_broken_one_has_no_figure(fake, tmp_path):
    entrants = {
        "onnxruntime": fake(0.002),
        "openvino": fake(0.0),
        "iree": fake(factor=1.01),
        "ago": fake(error="no such operator"),
    }
    found = race.race(entrants, {"x": np.ones(4, np.float32)}, tmp_path, 3, 2)
    assert 2.0 <= found["onnxruntime"]["ms"][0] < 50 and found["onnxruntime"]["version"] == "7"
    assert found["openvino"]["error"] == 0 and found["openvino"]["ms"][0] < found["onnxruntime"]["ms"][0]
    assert len(found["openvino"]["starts"]) == 2 and min(found["onnxruntime"]["starts"]) >= 2.0
    assert found["iree"] == {"failed": "Its outputs differ from ONNX Runtime's by 1.0e-02."}
    assert found["ago"] == {"failed": "ValueError: no such operator"}


def test_without_the_reference_nothing_is_right(fake, tmp_path):
    entrants = {"onnxruntime": fake(error="gone"), "openvino": fake()}
    found = race.race(entrants, {"x": np.ones(4, np.float32)}, tmp_path, 1, 1)
    assert all("the reference, failed: ValueError: gone" in record["failed"] for record in found.values())


def test_a_peer_that_takes_too_long_is_ended(fake):
    with race.Process(fake()) as process, pytest.raises(race.PeerFailed, match="more than 0 s"):
        process.ask(0.0, {"do": "load"})


@pytest.fixture
def patient(monkeypatch):
    """Looks so far apart that even on a busy machine a thread that is awake runs between them."""
    monkeypatch.setattr(rest, "LOOK_SECONDS", 0.2)


def test_the_next_turn_begins_when_the_threads_of_the_last_one_sleep(fake, tmp_path, patient):
    np.savez(tmp_path / "inputs.npz", x=np.ones(4, np.float32))
    files = {"inputs": str(tmp_path / "inputs.npz"), "outputs": str(tmp_path / "out.npz")}
    entrant = fake(awake=1.0, slept=str(tmp_path / "slept"))
    with race.Process(entrant) as process:
        process.ask(30.0, entrant.request | files | {"do": "load"})
        assert (tmp_path / "slept").exists()


def test_a_peer_whose_threads_never_sleep_has_no_figure(fake, tmp_path, patient, monkeypatch):
    monkeypatch.setattr(race, "RESTLESS_SECONDS", 2.0)
    entrants = {"onnxruntime": fake(), "iree": fake(awake=600.0, slept=str(tmp_path / "slept"))}
    found = race.race(entrants, {"x": np.ones(4, np.float32)}, tmp_path, 1, 1)
    assert found["iree"] == {"failed": "Its threads kept the cores busy for 2 s after its turn."}
    assert "ms" in found["onnxruntime"]


def test_the_limits_of_a_race_are_the_better_of_those_before_and_after_it(monkeypatch, tmp_path):
    roofline = {"threads": 1, "footprints": (1, 2)}
    found = [
        {"roofline": roofline | {"peak": 5e9, "bandwidths": [1e9, 4e9]}, "gemm": 3e9},
        "race",
        {"roofline": roofline | {"peak": 4e9, "bandwidths": [2e9, 3e9]}, "gemm": 4e9},
    ]
    monkeypatch.setattr(measure, "measure_limits", lambda threads: found.pop(0))
    monkeypatch.setattr(measure, "race", lambda *_: {"onnxruntime": {"failed": found.pop(0)}})
    bench = measure.Bench(tmp_path, (), 1, 1, time.monotonic() + 3600, lambda _: None)
    record = measure.raced(bench, Cell("squeezenet@56", 1, 0), ["onnxruntime"], lambda _: (None, None), {})
    assert found == [] and record["peers"] == {"onnxruntime": {"failed": "race"}}
    assert record["limits"] == {"roofline": roofline | {"peak": 5e9, "bandwidths": (2e9, 4e9)}, "gemm": 4e9}


# TVM as a peer


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return inverted_residual(tmp_path_factory.mktemp("network"))


def test_the_importer_of_tvm_gives_images_as_nchw_and_nothing_is_left_of_batch_norms(network):
    ours, model = load_model(network), load_nchw(network)
    first = next(op for op in model.graph.operators if op.is_complex)
    assert first.inputs[0].shape == model.graph.inputs[0][1].shape
    assert sum(op.is_complex for op in model.graph.operators) == sum(op.is_complex for op in ours.graph.operators)
    assert not any(op.kind in ("subtract", "divide", "isnan") for op in model.graph.operators)


@pytest.mark.parametrize("ablation, layout", [("heuristic", "nchw"), ("no-fusion", "nhwc")])
def test_code_without_trials_is_right(network, ablation, layout, tmp_path):
    inputs = random_inputs(load_model(network).onnx)
    np.savez(tmp_path / "inputs.npz", **inputs)
    core = min(allowed_cores())
    request = {"spec": str(network), "cores": [core], "ablation": ablation, "layout": layout, "result": None}
    loaded = run_tvm.load(request | {"inputs": str(tmp_path / "inputs.npz")})
    loaded.run(loaded.call)
    expected = Reference(load_model(network).onnx, 1).outputs(inputs)
    assert max(map(relative_error, loaded.outputs(), expected)) < 1e-5
