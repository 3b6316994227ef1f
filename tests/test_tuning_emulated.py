"""Sessions on an emulated Cortex-A76: what they find is right there, and they survive a device that crashes."""

import json

import numpy as np
import onnx
import pytest

from ago_core.cli import main
from ago_core.tuning import control
from ago_core.tuning.control import Request
from ago_core.tuning.events import Kind, State
from ago_core.tuning.journal import read_journal
from ago_core.tuning.settings import RemoteDevice, TuningSettings
from tests.emulated import emulated, phone  # noqa: F401 - fixtures
from tests.networks import inverted_residual
from tests.onnx_models import floats, make, node

pytestmark = pytest.mark.emulated
PRESET = "raspberry-pi-5"
SECONDS = 420.0
ENDS = tuple(state for state in State if state.ended)


def tuned(folder, model, trials, tracker, key, batch=4):
    """A session that has ended; its status."""
    device = RemoteDevice(tracker.host, tracker.port, key, PRESET)
    control.create(folder, Request(model, {}, TuningSettings(trials, device, batch=batch)))
    control.start(folder)
    control.wait(folder, ENDS, SECONDS)
    return control.status(folder)


def events(folder, kind):
    with read_journal(folder) as journal:
        return [event.data for event in journal.events(kinds=[kind])]


def exported(folder, spec, tracker, key, output):
    """The manifest of what the session found, exported and run on the device."""
    place = ["--preset", PRESET, "--device", key, "--tracker", str(tracker), "--runs", "3"]
    assert main(["export", str(spec), "--tuned", str(folder), *place, "--output", str(output)]) == 0
    return json.loads((output / "manifest.json").read_text())


def test_a_depthwise_block_is_tuned_joined_verified_and_runs(emulated, phone, tmp_path):  # noqa: F811
    network = inverted_residual(tmp_path)
    folder = tmp_path / "session"
    status = tuned(folder, network, 40, emulated.tracker, phone)
    assert (status.state, status.trials, status.method) == (State.FINISHED, 40, "ago"), status.reason
    trials = events(folder, Kind.TRIAL)
    assert sum(trial["latency"] is not None for trial in trials) > 30
    assert not any(trial["correct"] is False for trial in trials)
    (join,) = {verdict["task"] for verdict in events(folder, Kind.JOIN)}
    assert any(trial["task"] == join for trial in trials), "the join was tried"
    assert status.end_to_end > 0 and status.chosen in status.plans
    manifest = exported(folder, network, emulated.tracker, phone, tmp_path / "out")
    assert manifest["max_rel_error"] <= 1e-4 and len(manifest["latency_ms"]["runs"]) == 3
    assert "cortex-a76" in manifest["target"]


def test_squeezenet_is_tuned_a_little_and_runs(emulated, phone, tmp_path):  # noqa: F811
    folder = tmp_path / "session"
    status = tuned(folder, "squeezenet@56", 48, emulated.tracker, phone)
    assert (status.state, status.trials) == (State.FINISHED, 48), status.reason
    assert json.loads((folder / "best.json").read_text())["model"]
    manifest = exported(folder, "squeezenet@56", emulated.tracker, phone, tmp_path / "out")
    assert manifest["max_rel_error"] <= 1e-4


def halves() -> onnx.ModelProto:
    """A convolution, then arithmetic on fp16, which a Cortex-A53 does not have."""
    return make(
        [
            node("Conv", "x w", "a", pads=[1, 1, 1, 1]),
            node("Cast", "a", "b", to=onnx.TensorProto.FLOAT16),
            node("Mul", "b b", "c"),
            node("Cast", "c", "y", to=onnx.TensorProto.FLOAT),
        ],
        {"x": (1, 8, 12, 12)},
        {"w": floats(16, 8, 3, 3)},
    )


def test_a_session_goes_on_when_its_code_crashes_the_device(emulated, tmp_path):  # noqa: F811
    path = tmp_path / "halves.onnx"
    onnx.save(halves(), path)
    folder = tmp_path / "session"
    with emulated.device("small", "cortex-a53") as key:
        status = tuned(folder, path, 6, emulated.tracker, key, batch=2)
        assert (status.state, status.trials) == (State.FINISHED, 6), status.reason
        trials = events(folder, Kind.TRIAL)
        assert all("sessions" in trial["error"] for trial in trials if trial["latency"] is None)
        assert any(trial["error"] for trial in trials), "fp16 ends sessions"
        states = [each["state"] for each in events(folder, Kind.DEVICE)]
        assert "quarantined" in states
        simple = inverted_residual(tmp_path)
        after = tuned(tmp_path / "after", simple, 4, emulated.tracker, key, batch=2)
    assert after.state is State.FINISHED and after.end_to_end, "the device still works"
    assert np.isfinite(after.end_to_end)
