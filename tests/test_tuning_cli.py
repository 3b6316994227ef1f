"""The commands about sessions, on made-up devices."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import threading

import pytest

from ago_core.cli import main, tune
from ago_core.tuning import control, session
from ago_core.tuning.events import State
from ago_core.tuning.settings import ABLATIONS, RemoteDevice, settings_from_json
from tests.devices import until
from tests.fake_tuner import PROGRAM, Fake, FakeBackend
from tests.networks import inverted_residual
from tests.test_cli import ROOT, cli
from tests.tuning_sessions import WAIT, data_of, own_queue, rows_of, state_of  # noqa: F401  the fixture


@pytest.fixture
def network(tmp_path):
    return str(inverted_residual(tmp_path))


@pytest.fixture
def here(monkeypatch):
    """Sessions run to their end inside `start`, without a process of their own."""

    def start(folder, program=None):
        session.main([str(folder)], lambda settings: FakeBackend(Fake(join_factor=0.5)))

    monkeypatch.setattr(control, "start", start)


def call(capsys, *arguments: object) -> tuple[int, str, str]:
    """Exit code, output, errors."""
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_tune_reports_progress_and_the_result(tmp_path, network, here, capsys):
    folder = tmp_path / "s"
    code, out, err = call(capsys, "tune", network, "--trials", 50, "--session", folder, "--json", "--progress")
    report = json.loads(out)
    assert code == 0 and report["state"] == "finished" and report["trials"] == 50
    assert report["session"] == str(folder) and report["end_to_end"] > 0 and len(report["runs"]) == 3
    lines = [json.loads(line)["progress"] for line in err.splitlines()]
    assert any("50/50 trials" in line and "ms end to end" in line for line in lines)
    code, out, _ = call(capsys, "status", folder)
    assert code == 0 and "finished" in out and "50 of 50 trials" in out and "quartiles" in out
    code, out, _ = call(capsys, "status", folder, "--json")
    assert json.loads(out)["trials"] == 50


def test_resume_extends_and_records_are_csv(tmp_path, network, here, capsys):
    folder = tmp_path / "s"
    assert call(capsys, "tune", network, "--trials", 20, "--session", folder)[0] == 0
    assert call(capsys, "resume", folder, "--extend", 12)[0] == 0
    code, out, _ = call(capsys, "records", folder, "--csv", tmp_path / "out.csv")
    assert code == 0 and "32 trials" in out
    rows = list(csv.DictReader((tmp_path / "out.csv").open()))
    used = {row["trial"] for row in json.loads((folder / "best.json").read_text())["functions"]}
    assert len(rows) == 32 and used == {int(row["trial"]) for row in rows if int(row["used"])}


def test_compare_runs_every_ablation_and_does_not_repeat_what_is_done(tmp_path, network, here, capsys):
    arguments = ("compare", network, "--trials", 60, "--session", tmp_path / "all")
    code, out, _ = call(capsys, *arguments, "--json")
    report = json.loads(out)
    assert code == 0 and list(report) == list(ABLATIONS)
    assert all(row["ablation"] == name and row["trials"] == 60 for name, row in report.items())
    assert report["ago"]["joins_kept"] == len(report["ago"]["verdicts"]) > 0
    assert report["heuristic"]["method"] == report["stock"]["method"] == "heuristic"
    events = control.status(tmp_path / "all" / "ago").last_event
    code, out, _ = call(capsys, *arguments)
    assert code == 0 and all(name in out for name in ABLATIONS) and "quartiles" in out
    assert control.status(tmp_path / "all" / "ago").last_event == events
    code, _, err = call(capsys, *arguments[:3], 80, *arguments[4:])
    assert code == 2 and "60 trials" in err


@pytest.fixture
def slow(monkeypatch):
    """Sessions have a process of their own, in which a trial takes 20 ms."""
    create = control.create

    def create_slow(folder, request):
        create(folder, request)
        Fake(delay=0.02).write(folder)

    monkeypatch.setattr(control, "PROGRAM", PROGRAM)
    monkeypatch.setattr(control, "create", create_slow)


def test_compare_says_that_devices_are_lost_and_goes_on_when_they_are_back(tmp_path, network, monkeypatch, capsys):
    create = control.create

    def create_losing(folder, request):
        create(folder, request)
        Fake(lost_after=10 if folder.name == "ago" else -1).write(folder)

    monkeypatch.setattr(control, "PROGRAM", PROGRAM)
    monkeypatch.setattr(control, "create", create_losing)
    monkeypatch.setattr(tune, "ABLATIONS", {name: ABLATIONS[name] for name in ("ago", "heuristic")})
    lost = tmp_path / "all" / "ago"
    said, show_loss = threading.Event(), tune._ProgressLine.show_loss

    def show_and_tell(self, folder, status):
        show_loss(self, folder, status)
        if status.state is State.PAUSED:
            said.set()

    monkeypatch.setattr(tune._ProgressLine, "show_loss", show_and_tell)

    def bring_back():
        try:
            until(lambda: state_of(lost) is State.PAUSED, WAIT)
            assert said.wait(WAIT)
            control.resume(lost)
        except BaseException:
            control.stop(lost)
            raise

    somebody = threading.Thread(target=bring_back)
    somebody.start()
    code, out, err = call(capsys, "compare", network, "--trials", 40, "--session", tmp_path / "all")
    somebody.join()
    assert code == 0 and f"ago_core resume {lost}" in err and err.count("All devices are gone.") == 1
    assert "ago: devices lost 0 ×, session resumed 1 ×" in out and "heuristic: " not in out
    assert len(set(rows_of(lost))) == 40


def test_detached_stop_pause_resume(tmp_path, network, slow, capsys):
    folder = tmp_path / "s"
    code, out, _ = call(capsys, "tune", network, "--trials", 5000, "--session", folder, "--detach", "--json")
    assert code == 0 and json.loads(out)["state"] in ("queued", "running")
    assert control.wait(folder, (State.RUNNING,), WAIT) is State.RUNNING
    assert "paused" in call(capsys, "pause", folder)[1]
    call(capsys, "resume", folder, "--detach")
    assert control.wait(folder, (State.RUNNING,), WAIT) is State.RUNNING
    stopping = threading.Timer(0.5, lambda: control.stop(folder))
    stopping.start()
    code, out, _ = call(capsys, "resume", folder)  # follows what runs already
    assert code == 0 and "stopped" in out
    code, _, err = call(capsys, "stop", folder)
    assert code == 2 and "does not run" in err


def test_an_interrupt_stops_the_session(tmp_path, network, slow, monkeypatch, capsys):
    monkeypatch.setattr("ago_core.cli.tune._ProgressLine.show", interrupting(after_trials=5))
    code, out, err = call(capsys, "tune", network, "--trials", 5000, "--session", tmp_path / "s", "--json")
    assert code == 0, err
    assert json.loads(out)["state"] == "stopped" and json.loads(out)["trials"] < 5000


def test_an_interrupt_of_a_session_that_has_ended_changes_nothing(tmp_path, network, here, monkeypatch, capsys):
    monkeypatch.setattr("ago_core.cli.tune._ProgressLine.show", interrupting(after_trials=5))
    code, out, err = call(capsys, "tune", network, "--trials", 50, "--session", tmp_path / "s", "--json")
    assert code == 0, err
    assert json.loads(out)["state"] == "finished"


def interrupting(after_trials: int):
    """A progress line at which somebody presses the interrupt key, once."""
    pressed = []

    def show(self, status):
        if status.trials > after_trials and not pressed:
            pressed.append(True)
            raise KeyboardInterrupt

    return show


def test_a_model_that_cannot_be_loaded_is_a_sentence_and_leaves_no_folder(tmp_path, here, capsys):
    code, _, err = call(capsys, "tune", tmp_path / "none.onnx", "--trials", 5, "--session", tmp_path / "s")
    assert code == 2 and "no file" in err and not (tmp_path / "s").exists()


def test_what_a_user_can_get_wrong(tmp_path, network, here, capsys):
    folder = tmp_path / "s"
    assert call(capsys, "tune", network, "--trials", 10, "--session", folder)[0] == 0
    code, _, err = call(capsys, "tune", network, "--trials", 10, "--session", folder)
    assert code == 2 and "holds a session already" in err and control.status(folder).trials == 10
    code, _, err = call(capsys, "tune", network, "--trials", 10, "--session", tmp_path / "t", "--device", "pi")
    assert code == 2 and "--preset" in err and not (tmp_path / "t").exists()
    for command in ("status", "stop", "pause", "resume"):
        code, _, err = call(capsys, command, tmp_path / "nowhere")
        assert code == 2 and "no session" in err


def test_remote_devices_and_a_partition_reach_the_session(tmp_path, network, here, capsys):
    partition = tmp_path / "p.json"
    assert call(capsys, "partition", network, "--method", "heuristic", "--save", partition)[0] == 0
    device = ("--device", "pi", "--tracker", "127.0.0.1:9999", "--preset", "raspberry-pi-4")
    folder, options = tmp_path / "s", ("--partition", partition, "--ablation", "no-fusion")
    assert call(capsys, "tune", network, "--trials", 10, "--session", folder, *device, *options)[0] == 0
    with control.read_journal(folder) as journal:
        settings = settings_from_json(journal.meta()["settings"])
    assert settings.device == RemoteDevice("127.0.0.1", 9999, "pi", "raspberry-pi-4")
    assert settings.ablation.partition == "edited" and not settings.ablation.fusion
    assert data_of(folder, session.Kind.TRIAL)


def test_status_needs_no_compiler(tmp_path, network, here, capsys):
    assert call(capsys, "tune", network, "--trials", 10, "--session", tmp_path / "s")[0] == 0
    done = cli("status", tmp_path / "s")
    assert done.returncode == 0 and "10 of 10" in done.stdout
    code = "import sys, ago_core.cli, ago_core.tuning.control; print('tvm' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "False\n"
