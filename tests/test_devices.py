"""A real tracker and two servers on this machine, and what happens to a client when they crash, hang or are killed."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from ago_core.artifacts.linker import linker
from ago_core.artifacts.reference import Reference, random_inputs, relative_error
from ago_core.devices.local import host_target
from ago_core.devices.local_group import exposure, running_groups, start_devices, stop_devices
from ago_core.devices.pool import Pool
from ago_core.devices.presets import presets
from ago_core.devices.probe import mismatches, probe
from ago_core.devices.relay import End
from ago_core.devices.remote import CodeFault, DeviceLost, NoDevice, connect, open_session
from ago_core.devices.tracker import Address, Offer, State, TrackerLost, list_devices, parse_address, request
from ago_core.errors import UserError
from ago_core.graph.model import load_model
from ago_core.lowering.executable import compile_model
from tests import devices
from tests.networks import inverted_residual, partition_by

pytestmark = pytest.mark.skipif(linker() is None, reason="libraries for devices need a linker")
ROOT = Path(__file__).parents[1]
KEY = "test"
A, B = np.arange(24, dtype="float32").reshape(4, 6), np.arange(48, dtype="float32").reshape(6, 8)
OUT = np.zeros((4, 8), "float32")


@pytest.fixture(scope="module")
def group(tmp_path_factory):
    previous = os.environ.get("AGO_STATE")
    os.environ["AGO_STATE"] = str(tmp_path_factory.mktemp("state"))
    group = start_devices(2, KEY, threads=1, port=devices.free_port())
    yield group
    stop_devices(group)
    assert running_groups() == ()
    os.environ.pop("AGO_STATE")
    if previous:
        os.environ["AGO_STATE"] = previous


@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    folder, host = tmp_path_factory.mktemp("libraries"), host_target()
    functions = {
        "matmul": devices.matmul(),
        "abort": devices.calls("abort"),
        "sleep": devices.calls("sleep", 1000),
    }
    return {name: devices.library(folder, name, function, host) for name, function in functions.items()}


@pytest.fixture
def tracker(group):
    """With both devices free, whatever the last test did to them."""
    devices.until(lambda: [device.state for device in list_devices(group.tracker)] == [State.FREE] * 2)
    return group.tracker


def server_of(group, address: Address) -> int:
    """The process that listens on an address."""
    state = json.loads((group.folder / "state.json").read_text())["processes"]
    logs = {name: (group.folder / f"{name}.log").read_text() for name in state if name.startswith("server")}
    return next(state[name] for name, text in logs.items() if text.split("serving ")[-1].split()[2] == str(address))


@contextlib.contextmanager
def stopped(pid: int):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def works(session, libraries) -> bool:
    (result,) = session.run(session.load(libraries["matmul"]), "main", [A, B, OUT])
    return bool(np.allclose(result, A @ B))


def test_devices_are_listed_with_key_state_and_what_they_are(tracker):
    first, second = list_devices(tracker)
    assert first.key == second.key == KEY and first.address != second.address
    assert first.about["threads"] == 1 and first.about["memory"] > 0 and first.about["tvm"].startswith("0.27")


def test_a_session_keeps_its_device_busy_and_frees_it_whatever_is_left_of_it(tracker, libraries):
    with open_session(tracker, KEY) as session:
        assert sorted(device.state.value for device in list_devices(tracker)) == ["busy", "free"]
        left = [session.load(libraries["matmul"]), *session.copy_in([A, B])]
    devices.until(lambda: all(device.state is State.FREE for device in list_devices(tracker)), 5)
    assert len(left) == 3
    with pytest.raises(DeviceLost) as lost:
        session.copy_out(left[1:])
    assert lost.value.end is End.CLOSED


def test_a_function_runs_and_is_timed(tracker, libraries):
    with open_session(tracker, KEY) as session:
        library = session.load(libraries["matmul"])
        (result,) = session.run(library, "main", [A, B, OUT])
        np.testing.assert_allclose(result, A @ B)
        arguments = session.copy_in([A, B, OUT])
        for flushed in (0, 1 << 20):
            times = session.time(library, "main", arguments, 4, flushed)
            assert len(times) == 4 and all(second > 0 for second in times)
        np.testing.assert_allclose(session.copy_out(arguments[2:])[0], A @ B)


def test_one_session_loads_several_libraries_of_one_name(tracker, libraries):
    with open_session(tracker, KEY) as session:
        assert works(session, libraries) and works(session, libraries)


def test_a_whole_model_runs_and_is_timed(tracker, tmp_path):
    model = load_model(str(inverted_residual(tmp_path)))
    compiled = compile_model(model, partition_by(model, "ago"), host_target())
    compiled.executable.export_library(str(tmp_path / "model.so"), fcompile=linker())
    inputs = random_inputs(model.onnx)
    with open_session(tracker, KEY) as session:
        remote = session.model(session.load(tmp_path / "model.so"), [inputs[name] for name, _ in model.graph.inputs])
        outputs, latency = remote.outputs(), remote.latency(5)
    for got, expected in zip(outputs, Reference(model.onnx, 1).outputs(inputs), strict=True):
        assert relative_error(got, expected) <= 1e-5
    assert len(latency.runs_ms) == 5 and latency.median_ms > 0


def test_the_device_runs_as_many_threads_as_it_says(tracker):
    with open_session(tracker, KEY) as session:
        assert session.ask("runtime.NumThreads") == list_devices(tracker)[0].about["threads"] == 1
        assert session.ask("no.such.function") is None


def test_an_error_that_the_device_reports_does_not_end_the_session(tracker, libraries, tmp_path):
    (tmp_path / "broken.so").write_bytes(b"this is no library")
    with open_session(tracker, KEY) as session:
        with pytest.raises(CodeFault, match=r"broken|library|invalid"):
            session.load(tmp_path / "broken.so")
        assert works(session, libraries)


def test_a_crashed_session_leaves_the_server_alive(group, tracker, libraries):
    with open_session(tracker, KEY) as session, pytest.raises(DeviceLost) as lost:
        session.call(session.load(libraries["abort"]), "main", [])
    assert lost.value.end is End.BROKEN
    process = server_of(group, session.device)
    devices.until(lambda: {device.state for device in list_devices(tracker)} == {State.FREE})
    assert server_of(group, session.device) == process
    offers = [request(tracker, KEY, 10) for _ in range(2)]
    again = connect(next(offer for offer in offers if offer.address == session.device))
    assert works(again, libraries)
    again.close()


def test_code_that_never_ends_is_cut_off_and_ended_on_the_device(tracker, libraries):
    with open_session(tracker, KEY) as session:
        library = session.load(libraries["sleep"])
        start = time.monotonic()
        with pytest.raises(DeviceLost) as lost:
            session.call(library, "main", [], seconds=1)
    assert lost.value.end is End.TIMED_OUT and time.monotonic() - start < 10
    devices.until(lambda: {device.state for device in list_devices(tracker)} == {State.FREE})


def test_a_device_ends_a_session_that_outlives_its_time(tracker, libraries):
    with open_session(tracker, KEY, lifetime=1) as session, pytest.raises((DeviceLost, CodeFault)):
        session.call(session.load(libraries["sleep"]), "main", [], seconds=20)
    devices.until(lambda: {device.state for device in list_devices(tracker)} == {State.FREE})


def test_a_hung_server_is_given_up_in_time_and_served_again_when_it_goes_on(group, tracker, libraries):
    offer = request(tracker, KEY, 10)
    start = time.monotonic()
    with stopped(server_of(group, offer.address)), pytest.raises(DeviceLost) as lost:
        connect(offer, seconds=1)
    assert lost.value.end is End.TIMED_OUT and time.monotonic() - start < 10
    devices.until(lambda: [device.state for device in list_devices(tracker)] == [State.FREE] * 2)
    with open_session(tracker, KEY) as session:
        assert works(session, libraries)


def test_handles_of_a_hung_session_are_freed_without_waiting(group, tracker, libraries):
    with open_session(tracker, KEY) as session:
        library, tensors = session.load(libraries["sleep"]), session.copy_in([A])
        with pytest.raises(DeviceLost):
            session.call(library, "main", [], seconds=1)
        start = time.monotonic()
        del library, tensors
    assert time.monotonic() - start < 5


def test_a_killed_server_is_started_again(group, tracker):
    first = list_devices(tracker)[0].address
    with open_session(tracker, KEY):
        os.kill(server_of(group, first), signal.SIGKILL)
    listed = devices.until(lambda: [d.address for d in list_devices(tracker) if d.address != first][1:])
    assert len(listed) == 1


def test_a_session_does_not_outlive_its_killed_server(group, tracker, libraries):
    with open_session(tracker, KEY) as session:
        library = session.load(libraries["sleep"])
        os.kill(server_of(group, session.device), signal.SIGKILL)
        with pytest.raises(DeviceLost) as lost:
            session.call(library, "main", [])
    assert lost.value.end is End.BROKEN


def test_a_wrong_key_is_refused_and_the_device_stays(tracker, libraries):
    address = list_devices(tracker)[0].address
    with pytest.raises(DeviceLost, match="opening a session"):
        connect(Offer(address, "test:guessed"), seconds=5)
    with open_session(tracker, KEY) as session:
        assert works(session, libraries)


def test_no_free_device_is_one_sentence(tracker):
    with pytest.raises(NoDevice, match=r"'phone'.*became free"), open_session(tracker, "phone", wait=0.2):
        pass


def test_two_threads_measure_on_two_devices_at_once(tracker, libraries):
    pool, meet, used = Pool(tracker, KEY), threading.Barrier(2, timeout=30), []

    def measure():
        with pool.session() as session:
            meet.wait()  # only both together come past here
            assert works(session, libraries)
            used.append(session.device)

    workers = [threading.Thread(target=measure) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert sorted(used) == [device.address for device in list_devices(tracker)]


def test_the_pool_leaves_a_lost_device_alone_and_takes_it_back(tracker, libraries):
    reports = []
    pool = Pool(tracker, KEY, lambda address, reason: reports.append((address, reason)))
    with pytest.raises(DeviceLost), pool.session() as session:
        session.call(session.load(libraries["abort"]), "main", [])
    (state,) = [device for device in pool.devices() if device.device.address == session.device]
    assert state.failures == 1 and "closed the connection" in state.reason
    assert reports == [(session.device, state.reason)]
    used = set()
    while session.device not in used:  # the tracker lends them in turn
        with pool.session() as other:
            assert works(other, libraries)
            used.add(other.device)
    assert reports[-1] == (session.device, "")
    assert all(device.failures == 0 for device in pool.devices())


def test_the_pool_says_why_there_is_no_device(tracker):
    with pytest.raises(NoDevice, match=r"'phone'.*start its server"), Pool(tracker, "phone").session(wait=0.2):
        pass
    pool = Pool(tracker, KEY)
    with pool.session(), pool.session(), pytest.raises(NoDevice, match="2 of 2 are busy"), pool.session(wait=0.2):
        pass


def test_the_pool_says_that_all_are_lost(group, tracker):
    pool = Pool(tracker, KEY)
    with contextlib.ExitStack() as stack:
        for device in list_devices(tracker):
            stack.enter_context(stopped(server_of(group, device.address)))
        with pytest.raises(NoDevice, match="became free"), pool.session(wait=1):
            pass
        with pytest.raises(NoDevice, match=r"All devices.*are lost.*in time"), pool.session(wait=1):
            pass
    with pool.session(wait=60):
        pass


def test_this_machine_fits_its_own_preset_but_for_the_threads(tracker):
    preset = presets()["host"]
    with open_session(tracker, KEY) as session:
        found = probe(session, preset)
    assert found.threads == 1 and found.cores >= 1 and found.memory > 2**28
    assert found.processor == preset.to_json()["processor"]
    assert all("threads" in sentence for sentence in mismatches(found, preset))


def test_groups_are_found_and_stopped_by_other_processes(tmp_path):
    environment = os.environ | {"AGO_STATE": str(tmp_path), "TVM_NUM_THREADS": "1"}

    def cli(*arguments: str):
        command = [sys.executable, "-m", "ago_core", "devices", *arguments, "--json"]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    started = cli("start", "--servers", "1", "--key", "cli", "--port", str(devices.free_port()))
    listed = cli()
    assert listed["trackers"] == [started["tracker"]]
    assert [(device["key"], device["state"]) for device in listed["devices"]] == [("cli", "free")]
    probed = cli("probe", "--key", "cli")
    assert probed["preset"] == "host" and probed["address"] == listed["devices"][0]["address"]
    assert [group["key"] for group in cli("stop")["stopped"]] == ["cli"]
    assert cli() == {"trackers": [], "devices": []} and cli("stop") == {"stopped": []}
    with pytest.raises(TrackerLost):
        list_devices(parse_address(started["tracker"]))


def test_a_tracker_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("AGO_STATE", str(tmp_path))
    group = start_devices(0, "later", port=devices.free_port())
    try:
        assert list_devices(group.tracker) == () and running_groups() == (group,)
    finally:
        stop_devices(group)


def test_two_groups_on_one_machine_have_ports_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setenv("AGO_STATE", str(tmp_path))
    groups = []
    try:
        for key in ("one", "two"):
            groups.append(start_devices(1, key, threads=1))
        assert [device.key for group in groups for device in list_devices(group.tracker)] == ["one", "two"]
        with pytest.raises(UserError, match=f"cannot listen on {groups[0].tracker}"):
            start_devices(1, "three", port=groups[0].tracker.port)
        stop_devices(groups[0])
        assert [group.key for group in running_groups()] == ["two"]
    finally:
        for group in groups:
            stop_devices(group)


def test_servers_register_with_a_tracker_that_exists_already(group, tracker):
    more = start_devices(1, "more", tracker=tracker, threads=1)
    try:
        assert [device.key for device in list_devices(tracker)] == ["more", KEY, KEY]
    finally:
        stop_devices(more)
    devices.until(lambda: len(list_devices(tracker)) == 2)


def test_a_client_that_never_comes_gives_the_device_back(tracker):
    taken = {request(tracker, KEY, 10).address for _ in range(2)}
    assert len(taken) == 2 and request(tracker, KEY, 0.2) is None
    assert request(tracker, KEY, 25).address in taken


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((-1, "k"), "-1 servers"),
        ((1, "two words"), "must be a word"),
        ((1, "k", "0.0.0.0"), "every address at once"),
        ((1, "k", "192.0.2.1"), "cannot listen on 192.0.2.1"),
    ],
)
def test_what_cannot_be_started_is_one_sentence_and_leaves_nothing(arguments, sentence, tmp_path, monkeypatch):
    monkeypatch.setenv("AGO_STATE", str(tmp_path))
    with pytest.raises(UserError, match=sentence):
        start_devices(*arguments)
    assert running_groups() == () and not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_loopback_needs_no_warning(host):
    assert exposure(host) is None


def test_any_other_address_is_warned_of():
    assert "no authentication" in exposure("192.168.1.5")


@pytest.mark.parametrize("answer", [None, b"", b"\x00" * 8, b"\x71\xf2\x02\x00\x02\x00\x00\x00{}"])
def test_what_is_no_tracker_is_said_in_time(answer):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            with listener.accept()[0] as connection:
                if answer:
                    connection.sendall(answer)
                if answer != b"":
                    connection.recv(1 << 10)
                    time.sleep(1.5)

        threading.Thread(target=serve, daemon=True).start()
        start = time.monotonic()
        with pytest.raises(TrackerLost, match="127.0.0.1"):
            list_devices(Address(*listener.getsockname()), timeout=1)
        assert time.monotonic() - start < 5


@pytest.mark.parametrize("text", ["", "9190", "host", "host:", "host:0", "host:99999", ":9190", "host:port"])
def test_addresses_that_are_none(text):
    with pytest.raises(UserError, match="HOST:PORT"):
        parse_address(text)


def test_addresses():
    assert parse_address("pi.local:9190") == Address("pi.local", 9190)
    assert parse_address("[::1]:9190") == Address("::1", 9190) and str(Address("::1", 9190)) == "[::1]:9190"
