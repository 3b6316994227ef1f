"""The services behind the Tune page: feeds, reports, exports, the store of sessions."""

# ruff: noqa: F811 - fixtures are imported

from __future__ import annotations

import signal
import time

import pytest

from ago_core.errors import UserError
from ago_core.tuning import control, session
from ago_core.tuning.events import Kind
from ago_core.tuning.journal import open_journal
from ago_core.tuning.settings import LocalDevice
from app.services import tuning
from app.services.models import Choice
from app.services.tuning import Wish, session_store
from app.services.tuning_feed import Feed, feed
from app.services.tuning_report import report
from app.services.tuning_text import plan_text, standing
from app.services.uploads import store as store_upload
from tests import fake_tuner
from tests.app_driver import ROOT, SPEC
from tests.app_tuning import (  # noqa: F401 - sessions and held are fixtures
    FINISHED,
    sessions,
)
from tests.networks import inverted_residual
from tests.tuning_journals import checked, create, ended, plan, trial, tuned
from visualizers import tuning_history


@pytest.fixture
def real(tmp_path):
    """A session that the real loop ran on made-up devices."""
    handler = signal.getsignal(signal.SIGTERM)
    folder = create(tmp_path / "real", trials=300, model=inverted_residual(tmp_path))
    assert session.main([str(folder)], lambda _: fake_tuner.FakeBackend(fake_tuner.Fake())) == 0
    signal.signal(signal.SIGTERM, handler)
    return folder


def test_a_feed_agrees_with_the_session(real):
    found, status = Feed(real).update(), control.status(real)
    stand = standing(found, found.history)
    assert (stand.trials, stand.total, found.state) == (status.trials, status.total, status.state)
    assert stand.summed[-1].seconds == pytest.approx(status.summed)
    assert (stand.measured[0].median, stand.best.median) == (status.first, status.end_to_end)
    for run in stand.runs:
        if run.trials >= stand.summed[0].trials:
            known = [point for point in stand.summed if point.trials <= run.trials]
            assert known[-1].seconds == pytest.approx(run.summed), "at every measurement"


@pytest.mark.parametrize("chosen", ["tuned", "untuned", ""])
def test_what_tuning_gave_is_said_beside_no_tuning_once_both_ran_in_turns(tmp_path, chosen):
    folder = checked(tmp_path / "s", chosen) if chosen else tuned(tmp_path / "s")
    found = Feed(folder).update()
    stand = standing(found, found.history)
    gain = {"tuned": "as fast as untuned", "untuned": "not faster than untuned", "": "since the first"}[chosen]
    assert gain in stand.gain
    if chosen == "tuned":
        assert stand.gain.startswith(f"{stand.best.plans['untuned'] / stand.best.plans['tuned']:.2f}×")


def test_a_feed_reads_only_what_is_new(sessions, monkeypatch):
    folder = tuned(sessions / "s")
    found = Feed(folder).update()
    version, last = found.version, found.history.last
    asked = []
    monkeypatch.setattr("app.services.tuning_feed.read_journal", lambda folder: asked.append(folder))
    assert found.update().version == version and asked == [], "nothing is opened where nothing has changed"
    monkeypatch.undo()
    with open_journal(folder) as journal:
        trial(journal, 0, None, 11.0)
    assert len(found.update().history.of(Kind.TRIAL)) == 9 and found.history.last == last + 1


def test_reading_a_journal_needs_no_compiler():
    import subprocess
    import sys

    code = "import sys, app.services.tuning_report; sys.exit('tvm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_a_report_stands_alone(sessions):
    feeds = {key: feed(ended(sessions / key, *FINISHED)) for key in ("one", "<two>")}
    page = report(feeds).decode()
    body = page[page.index("<body>") :]
    assert "src=" not in body and "http" not in body.replace("http://www.w3.org", "")
    assert "Plotly.newPlot" in body and "&lt;two&gt;" in body and "<two>" not in page.replace('"<two>', "")
    for part in ("550 µs", "median of 3 runs", "1 join: 1 kept", "ago_core tune squeezenet@56"):
        assert part in body


def test_a_csv_has_every_trial(sessions):
    lines = tuning.csv_of(ended(sessions / "s", *FINISHED)).decode().splitlines()
    assert len(lines) == 9 and lines[0].startswith("trial,task")


def test_the_rate_of_earlier_sessions_is_of_the_same_device(sessions):
    for name, trials in (("a", 20), ("b", 40)):
        folder = create(sessions / name, trials)
        with open_journal(folder) as journal:
            plan(journal)
            for number in range(trials):
                trial(journal, 0, 1e-4, (number + 1) / 2)
    rows = session_store().rows()
    assert tuning.typical_rate(rows, "local", 1, "squeezenet@56") == pytest.approx(2.0)
    assert tuning.typical_rate(rows, "local", 1, "another model") == pytest.approx(2.0)
    assert tuning.typical_rate(rows, "local", 2, "squeezenet@56") is None
    assert "About 5 min 00 s" in plan_text(3, 200, 2.0) and "take turns" in plan_text(3, 200, 2.0)


def test_an_uploaded_model_is_kept_with_its_session(sessions, tmp_path, monkeypatch):
    monkeypatch.setattr(control, "start", lambda folder, program=None: None)
    upload = store_upload("net.onnx", b"content")
    choice = Choice(upload.name, (), upload.sha256, upload.path)
    wish = Wish(choice, ("ago",), LocalDevice(1), 10, "mine")
    assert session_store().launch(wish, upload.path) == ["mine"]
    assert (sessions / "mine" / "net.onnx").read_bytes() == b"content"
    assert feed(sessions / "mine").meta["model"] == {"path": str(sessions / "mine" / "net.onnx")}


@pytest.mark.parametrize("name", ["", "..", "a/b", "../x", "x\n", "x" * 200])
def test_a_session_s_name_cannot_leave_the_folder(name, sessions):
    wish = Wish(Choice.sample(SPEC), ("ago",), LocalDevice(1), 10, name)
    with pytest.raises(UserError, match="cannot name a session"):
        session_store().launch(wish)
    assert not session_store().folders()


def test_names_of_sessions_are_not_used_twice(sessions):
    create(sessions / "squeezenet-56-ago")
    taken = session_store().folders()
    assert tuning.default_name(Choice.sample(SPEC), ["ago"], taken) == "squeezenet-56-ago-2"
    assert tuning.default_name(Choice.sample(SPEC), ["ago", "stock"], taken) == "squeezenet-56-compare"


def test_the_list_reads_only_what_has_changed(sessions, monkeypatch):
    folders = [ended(sessions / name, *FINISHED) for name in ("one", "two")]
    session_store().rows()
    asked = []
    real_status = control.status
    monkeypatch.setattr(control, "status", lambda folder: asked.append(folder) or real_status(folder))
    session_store().rows()
    assert asked == []
    time.sleep(0.01)
    with open_journal(folders[0]) as journal:
        trial(journal, 0, None, 11.0)
    session_store().rows()
    assert asked == [folders[0]]


def test_the_phases_that_the_page_knows_are_those_of_the_plan():
    from ago_core.tuning.plan import TaskKind
    from visualizers.tuning import KIND_STYLES

    assert set(KIND_STYLES) == {kind.value for kind in TaskKind} and TaskKind.JOIN.value == tuning_history.JOIN
