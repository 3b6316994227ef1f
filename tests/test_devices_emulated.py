"""Code for a Cortex-A76 on an emulated one: behaviour and numbers, never speed. Run by `make test-emulated`."""

import numpy as np
import pytest

from ago_core.artifacts.linker import linker_for
from ago_core.artifacts.reference import Reference, random_inputs, relative_error
from ago_core.devices.presets import presets
from ago_core.devices.probe import mismatches, probe
from ago_core.devices.relay import End
from ago_core.devices.remote import DeviceLost, open_session
from ago_core.devices.tracker import State, list_devices
from ago_core.graph.model import load_model
from ago_core.lowering.executable import compile_model
from ago_core.partition.ago import ago_partition
from ago_core.schedules.analytic import schedule_function
from ago_core.schedules.machine import machine_of
from tests import devices
from tests.emulated import emulated, phone  # noqa: F401 - fixtures
from tests.schedule_cases import depthwise, fused, op, outputs

pytestmark = pytest.mark.emulated
A76 = presets()["raspberry-pi-5"]
WAIT = 60.0


def test_it_is_listed_as_what_it_is(emulated, phone):  # noqa: F811
    (device,) = [device for device in list_devices(emulated.tracker) if device.key == phone]
    assert device.state is State.FREE and device.about["architecture"] == "aarch64"


def test_it_has_the_features_of_its_preset(emulated, phone):  # noqa: F811
    """Only the number of cores, which is the host's, differs."""
    with open_session(emulated.tracker, phone, WAIT) as session:
        found = probe(session, A76)
    assert {"neon", "fullfp16", "dotprod", "lse"} <= found.features and not {"sve", "i8mm"} & found.features
    assert found.memory > 2**28
    assert all("cores" in sentence for sentence in mismatches(found, A76))


def test_a_preset_that_asks_too_much_is_told_of(emulated, phone):  # noqa: F811
    with open_session(emulated.tracker, phone, WAIT) as session:
        sentences = mismatches(probe(session, presets()["graviton-3"]), presets()["graviton-3"])
    assert any("has sve, the device has not" in sentence for sentence in sentences)


@pytest.mark.parametrize("preset", ["raspberry-pi-5", "kirin-990"])
def test_a_scheduled_depthwise_block(emulated, phone, preset, tmp_path):  # noqa: F811
    target, function = presets()[preset].target, depthwise(3)(14, 14, 24, 0)
    path = devices.library(tmp_path, "block", schedule_function(function, machine_of(target)), target)
    (expected,) = outputs([function])
    *shapes, out = [tuple(int(extent) for extent in parameter.shape) for parameter in function.params]
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape).astype("float32") for shape in shapes]
    with open_session(emulated.tracker, phone, WAIT) as session:
        library = session.load(path)
        (result,) = session.run(library, "main", [*arrays, np.full(out, np.nan, "float32")])
        times = session.time(library, "main", session.copy_in([*arrays, result]), repeat=2)
    assert relative_error(result.ravel(), expected) <= 1e-5
    assert len(times) == 2


def test_squeezenet_in_subgraphs_of_ago(emulated, phone, tmp_path):  # noqa: F811
    model = load_model("squeezenet@56")
    compiled = compile_model(model, ago_partition(model.graph), A76.target)
    compiled.executable.export_library(str(tmp_path / "model.so"), fcompile=linker_for(A76.target))
    inputs = random_inputs(model.onnx)
    with open_session(emulated.tracker, phone, WAIT) as session:
        remote = session.model(session.load(tmp_path / "model.so"), [inputs[name] for name, _ in model.graph.inputs])
        got, latency = remote.outputs(seconds=300), remote.latency(3, seconds=300)
    for output, expected in zip(got, Reference(model.onnx, 1).outputs(inputs), strict=True):
        assert relative_error(output, expected) <= 1e-4
    assert len(latency.runs_ms) == 3


def test_code_for_another_processor_ends_its_session_but_not_the_device(emulated, tmp_path):  # noqa: F811
    """A Cortex-A53 has no arithmetic on fp16: the instruction is illegal."""

    def halves(_, a, b):
        return op.add(op.multiply(op.astype(a, "float16"), op.astype(b, "float16")), op.astype(b, "float16"))

    arrays = [np.ones((4, 32), "float32"), np.ones((4, 32), "float32"), np.zeros((4, 32), "float16")]
    path = devices.library(tmp_path, "halves", fused(halves, (4, 32), (4, 32)), A76.target)
    right = devices.library(tmp_path, "matmul", devices.matmul(), presets()["snapdragon-810"].target)
    with emulated.device("small", "cortex-a53") as key:
        with open_session(emulated.tracker, key, WAIT) as session:
            found = probe(session, presets()["snapdragon-810"])
            assert any("fullfp16" in sentence for sentence in mismatches(found, A76))
            with pytest.raises(DeviceLost) as lost:
                session.run(session.load(path), "main", arrays)
        assert lost.value.end is End.BROKEN
        a, b = np.ones((4, 6), "float32"), np.ones((6, 8), "float32")
        with open_session(emulated.tracker, key, WAIT) as session:
            (result,) = session.run(session.load(right), "main", [a, b, np.zeros((4, 8), "float32")])
        np.testing.assert_allclose(result, a @ b)
