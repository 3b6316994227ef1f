"""The Tune page in each of a session's states, and the services behind it, without a browser."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time

import pytest

from ago_core.errors import UserError
from ago_core.tuning import control, lock, session
from ago_core.tuning.events import Kind, State
from ago_core.tuning.journal import open_journal
from ago_core.tuning.settings import LocalDevice
from app import state
from app.services import tuning, tuning_replay
from app.services.models import Choice
from app.services.tuning import SessionStore, Wish, session_store
from app.services.tuning_feed import Feed, feed
from app.services.tuning_report import report
from app.services.tuning_text import plan_text, standing
from app.services.uploads import store as store_upload
from tests import fake_tuner, tuning_journals
from tests.app_driver import ROOT, RUN, SPEC, button, opened, own, text
from tests.networks import inverted_residual
from tests.tuning_journals import create, ended, plan, trial, tuned
from visualizers import tuning_history

TUNE = "screens/tune.py"
FINISHED = (State.FINISHED, "All 8 trials are spent.")


@pytest.fixture(autouse=True)
def sessions(tmp_path, monkeypatch):
    """The folder of all sessions, empty."""
    monkeypatch.setenv("AGO_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("AGO_CACHE", str(tmp_path / "cache"))
    session_store.cache_clear()
    yield tmp_path / "data" / "sessions"
    session_store.cache_clear()


@pytest.fixture
def held():
    """Makes sessions look as if a process had them."""
    locks = []
    yield lambda folder: locks.append(lock.take_lock(folder))
    for descriptor in locks:
        os.close(descriptor)


def watch(app, *keys):
    """The page as a link with these sessions opens it."""
    app.query_params["session"] = list(keys)
    app.switch_page(TUNE).run()
    assert not app.exception
    return app


def labels(app):
    return [one.label for one in app.button]


def alternatives(app):
    return [element.proto.alt for element in app.get("plotly_chart")]


# beginning a session


def test_without_a_session_the_page_says_what_will_happen(app):
    app.switch_page(TUNE).run()
    shown = text(app)
    assert "AGO, 9 subgraphs" in shown.replace("*", "") and "200 schedules are built" in shown
    assert "trials/s" not in shown, "no rate is known"
    assert not button(app, "Start tuning").disabled


def test_without_a_setting_nothing_can_be_started(app):
    app.switch_page(TUNE).run()
    app.button_group(key="tuning-what").set_value([]).run()
    assert button(app, "Start tuning").disabled and "Choose at least one setting" in text(app)


def test_sessions_are_started_for_each_setting_and_watched(app, sessions, monkeypatch):
    started = []
    monkeypatch.setattr(control, "start", lambda folder, program=None: started.append(folder))
    app.switch_page(TUNE).run()
    app.button_group(key="tuning-what").set_value(["ago", "heuristic"]).run()
    app.number_input(key="tuning-trials").set_value(77).run()
    button(app, "Start tuning").click().run()
    assert [folder.relative_to(sessions).as_posix() for folder in started] == [
        "squeezenet-56-compare/ago",
        "squeezenet-56-compare/heuristic",
    ]
    statuses = [control.status(folder) for folder in started]
    assert [status.total for status in statuses] == [77, 77]
    assert [status.ablation for status in statuses] == ["ago", "heuristic"]
    assert app.query_params["session"] == ["squeezenet-56-compare/ago", "squeezenet-56-compare/heuristic"]
    assert not app.exception


def test_a_name_that_is_taken_is_one_sentence(app, sessions):
    create(sessions / "mine")
    app.switch_page(TUNE).run()
    next(one for one in app.text_input if one.label == "Name").set_value("mine").run()
    button(app, "Start tuning").click().run()
    assert "There is a session in" in app.error[0].value and len(app.error) == 1
    assert len(session_store().folders()) == 1


def test_a_started_session_is_seen_to_its_end(app, sessions, monkeypatch):
    monkeypatch.setattr(control, "PROGRAM", fake_tuner.PROGRAM)
    monkeypatch.chdir(ROOT)
    app.switch_page(TUNE).run()
    app.number_input(key="tuning-trials").set_value(120).run()
    button(app, "Start tuning").click().run()
    folder = sessions / "squeezenet-56-ago"
    assert control.wait(folder, (State.FINISHED, State.FAILED), 60) is State.FINISHED
    app.run()
    assert "120 of 120" in text(app) and "All 120 trials are spent." in progress(app)
    assert "median of 3 runs on this machine" in text(app)


def progress(app):
    return "\n".join(element.proto.text for element in app.get("progress")).replace("\\", "")


def test_a_choice_of_devices_behind_no_tracker_is_one_sentence(app):
    app.switch_page(TUNE).run()
    app.button_group(key="tuning-where").set_value("Behind a tracker").run()
    app.text_input(key="tuning-tracker").set_value("127.0.0.1:1").run()
    assert "No tracker answers at 127.0.0.1:1" in app.error[0].value.replace("\\", "")
    assert button(app, "Start tuning").disabled
    app.text_input(key="tuning-tracker").set_value("nonsense").run()
    assert "is not the address of a tracker" in app.error[0].value and not app.exception


def test_the_edited_partition_can_be_tuned(app, sessions, monkeypatch):
    monkeypatch.setattr(control, "start", lambda folder, program=None: None)
    app.button(key="icon-edit-left").click().run()
    app.switch_page(TUNE).run()
    app.button_group(key="tuning-what").set_value(["custom"]).run()
    button(app, "Start tuning").click().run()
    meta = feed(sessions / "squeezenet-56-custom").meta
    edited = own(app).studies[own(app).choice].partitions["edited"]
    assert meta["partition"]["subgraphs"] == [list(members) for members in edited.subgraphs]
    assert feed(sessions / "squeezenet-56-custom").ablation == "Edited"


# watching one


def test_while_it_starts_it_says_what_it_is_doing(app, sessions, held):
    held(create(sessions / "s"))
    watch(app, "s")
    assert "Starting: the compiler" in progress(app) and "will be drawn here" in text(app)
    assert {"Pause", "Stop"} <= set(labels(app)) and "Resume" not in labels(app)


def test_before_the_first_trial_it_says_what_is_built(app, sessions, held):
    folder = create(sessions / "s")
    held(folder)
    with open_journal(folder) as journal:
        plan(journal)
        tuning_journals.state(journal, State.RUNNING)
    watch(app, "s")
    assert "Building the first candidates of 4 tasks" in progress(app)
    with open_journal(folder) as journal:
        trial(journal, 0, 1e-4, 2.0)
    app.run()
    assert "Measuring a first schedule of each task; 2 to go" in progress(app)


def test_while_it_runs_every_figure_comes_with_its_method(app, sessions, held):
    held(tuned(sessions / "s", trials=16))
    watch(app, "s")
    shown = text(app)
    assert "End to end, best 550 µs" in shown and "Sum of subgraphs 700 µs" in shown and "Trials 8 of 16" in shown
    assert "Rate 1.0/s" in shown
    method = "median of 3 runs on this machine, 1 thread, quartiles 525 µs to 575 µs, after 8 trials"
    assert method in shown and method in alternatives(app)[0]
    assert "Tuning joins: 1 of 1 begun, 1 judged." in progress(app)
    assert all(alternatives(app))


def test_a_trial_that_is_measured_appears_at_the_next_look(app, sessions, held):
    folder = tuned(sessions / "s", trials=16)
    held(folder)
    watch(app, "s")
    assert "Trials 8 of 16" in text(app)
    with open_journal(folder) as journal:
        trial(journal, 0, 340e-6, 11.0, before=350e-6)
    app.run()
    assert "Trials 9 of 16" in text(app)


@pytest.mark.parametrize(("label", "command", "word"), [("Pause", "pause", "Pausing"), ("Stop", "stop", "Stopping")])
def test_a_command_is_sent_once_and_its_wait_is_shown(app, sessions, held, label, command, word):
    folder = tuned(sessions / "s")
    held(folder)
    watch(app, "s")
    button(app, label).click().run()
    assert word in progress(app) and button(app, label).disabled
    with open_journal(folder) as journal:
        assert [name.value for name, _ in journal.take_commands()] == [command]


def test_two_pages_see_the_same(app, sessions, held):
    folder = tuned(sessions / "s")
    held(folder)
    watch(app, "s")
    other = watch(opened(SPEC), "s")
    with open_journal(folder) as journal:
        tuning_journals.state(journal, State.PAUSED, "Paused by the user.", 10.0)
    for page in (app, other):
        page.run()
        assert "Resume" in labels(page) and "Paused by the user." in progress(page)


def test_a_session_without_devices_says_so_and_can_go_on(app, sessions, held):
    folder = ended(sessions / "s", State.PAUSED, "All devices are gone.")
    held(folder)
    watch(app, "s")
    assert "All devices are gone." in app.warning[0].value.replace("\\", "")
    button(app, "Resume").click().run()
    with open_journal(folder) as journal:
        assert [name.value for name, _ in journal.take_commands()] == ["resume"]


def test_a_device_that_is_left_alone_is_told(app, sessions, held):
    held(tuning_journals.quarantined(sessions / "s"))
    watch(app, "s")
    assert "1 of 3 devices left alone after failures, see Devices." in progress(app)
    shown = detail(app, "Devices")
    assert "left alone for 1 s" in shown and "2 ×" in shown and tuning_journals.CLOSED in shown
    assert "11 trials, 3 failed" in detail(app, "Trials")


def test_when_all_devices_are_gone_the_page_says_so(app, sessions, held):
    held(tuning_journals.without_devices(sessions / "s"))
    watch(app, "s")
    warning = app.warning[0].value.replace("\\", "")
    assert tuning_journals.GONE in warning and "then resume" in warning and "Resume" in labels(app)


def test_the_last_check_has_a_progress_of_its_own(app, sessions, held):
    held(tuning_journals.in_last_check(sessions / "s", 1))
    watch(app, "s")
    assert "finalists in turns, 1 of 3 groups" in progress(app)
    assert app.get("progress")[0].proto.value == 25


@pytest.mark.parametrize(("chosen", "bars"), [("apart", "by its parts"), ("untuned", "no tuned function")])
def test_the_plan_that_was_kept_is_named(app, sessions, chosen, bars):
    tuning_journals.checked(sessions / "s", chosen)
    watch(app, "s")
    assert bars in detail(app, "Subgraphs") and f"fastest “{chosen}”" in detail(app, "Joins")


def test_a_finished_session_can_only_be_extended(app, sessions):
    ended(sessions / "s", *FINISHED)
    watch(app, "s")
    assert "All 8 trials are spent." in progress(app)
    assert not {"Pause", "Resume", "Stop"} & set(labels(app)) and "Add 100 and go on" in labels(app)


def test_a_failed_session_says_why(app, sessions):
    folder = create(sessions / "s")
    with open_journal(folder) as journal:
        tuning_journals.state(journal, State.FAILED, "There is no file 'x.onnx'; check the path.")
    watch(app, "s")
    assert "There is no file 'x.onnx'" in app.error[0].value.replace("\\", "") and "Resume" in labels(app)
    assert "will be drawn here" not in text(app)


def test_a_killed_session_is_resumed(app, sessions, monkeypatch):
    folder, started = tuned(sessions / "s"), []
    monkeypatch.setattr(control, "start", lambda folder, program=None: started.append(folder))
    watch(app, "s")
    assert "ended without a word" in app.error[0].value and "8 of 8" in text(app)
    button(app, "Resume").click().run()
    assert started == [folder]


def damage(folder):
    """Overwrites a page of the events."""
    journal = folder / "journal.sqlite"
    with open_journal(folder) as opened_journal:
        for number in range(2000):
            opened_journal.add_event(Kind.COMMAND, {"name": "pause", "value": number}, 10.0)
    content = bytearray(journal.read_bytes())
    middle = 4096 * (len(content) // 8192)
    content[middle : middle + 4096] = b"\xff" * 4096
    journal.write_bytes(content)


def test_a_damaged_journal_is_repaired_on_request(app, sessions):
    folder = ended(sessions / "s", *FINISHED)
    damage(folder)
    watch(app, "s")
    assert "is damaged" in app.error[0].value and "Pause" not in labels(app)
    button(app, "Repair").click().run()
    assert not app.error and "8 of 8" in text(app) and list(folder.glob("damaged-*.sqlite"))


# details


def detail(app, name):
    app.button_group(key="tuning-detail").set_value(name).run()
    assert not app.exception and not app.error
    return text(app)


def test_details_of_a_session(app, sessions):
    ended(sessions / "s", *FINISHED)
    watch(app, "s")
    assert "Most of the time goes into S0 conv2d_1 + conv2d_2: 500 µs each" in detail(app, "Subgraphs")
    joins = detail(app, "Joins")
    assert (
        "1 join: 1 kept, 0 dropped (by their trials; the last check decides)." in joins
        and "1.30×" in joins
        and "One function is 1.30 times as fast" in joins
    )
    assert "8 trials over 4 tasks" in detail(app, "Budget")
    assert "8 trials, 1 failed" in detail(app, "Trials")
    app.selectbox(key="tuning-task").select(3).run()
    assert "2 trials, 0 failed" in text(app) and "The best takes 500 µs" in text(app)
    assert "90%" in detail(app, "Devices")
    about = detail(app, "About")
    assert "ago_core tune squeezenet@56 --trials 8 --threads 1 --ablation ago" in about and "seed 0" in about


def test_the_plot_goes_over_trials_or_time(app, sessions):
    ended(sessions / "s", *FINISHED)
    watch(app, "s")
    figure = json.loads(app.get("plotly_chart")[0].proto.spec)
    assert figure["layout"]["xaxis"]["title"]["text"] == "trials"
    app.button_group(key="tuning-over").set_value("time").run()
    figure = json.loads(app.get("plotly_chart")[0].proto.spec)
    assert figure["layout"]["xaxis"]["title"]["text"] == "time of tuning (s)"


# addresses


def test_a_reload_finds_the_session_again(app, sessions):
    ended(sessions / "s", *FINISHED)
    watch(app, "s")
    reloaded = opened(SPEC, settled=False)
    reloaded.query_params["session"] = app.query_params["session"]
    assert "finished" in text(watch(reloaded, "s")) and "550 µs" in text(reloaded)


@pytest.mark.parametrize("key", ["gone", "../../etc", "/etc"])
def test_an_address_opens_nothing_but_known_sessions(app, sessions, key):
    ended(sessions / "s", *FINISHED)
    watch(app, key)
    assert "not there any more" in app.error[0].value and "Delete" not in labels(app)
    assert any(one.label == "s" for one in app.checkbox), "the list is shown instead"


# the list


def listed(app):
    app.switch_page(TUNE).run()
    app.button_group(key="tuning-page").set_value("sessions").run()
    assert not app.exception
    return app


def test_without_sessions_the_list_says_how_to_begin(app, sessions):
    assert "There is no session yet" in listed(app).info[0].value and str(sessions) in text(app)


def test_sessions_are_listed_compared_and_deleted(app, sessions):
    ended(sessions / "one", *FINISHED)
    ended(sessions / "two", State.STOPPED, "Stopped by the user.", ablation="heuristic")
    listed(app)
    shown = text(app)
    assert (
        "squeezenet@56 · TVM heuristic · this machine, 1 thread" in shown
        and "8 of 8 trials, best 550 µs end to end (first 1.10 ms)" in shown
    )
    for key in ("one", "two"):
        app.checkbox(key=f"pick-{key}").check().run()
    button(app, "Compare (2)").click().run()
    assert len(app.query_params["session"]) == 2 and "stopped" in text(app)
    figure = json.loads(app.get("plotly_chart")[0].proto.spec)
    assert {trace["name"] for trace in figure["data"]} >= {"one", "two"}
    listed(app)
    app.checkbox(key="pick-two").check().run()
    app.button(key="delete-sessions").click().run()
    assert not (sessions / "two").exists() and (sessions / "one").exists()


def test_a_running_session_is_not_deleted(app, sessions, held):
    held(tuned(sessions / "s"))
    listed(app)
    app.checkbox(key="pick-s").check().run()
    app.button(key="delete-sessions").click().run()
    assert (
        "is running: stop it first" in app.error[0].value.replace("\\", "")
        and (sessions / "s" / "journal.sqlite").exists()
    )


def test_deleting_leaves_what_is_not_of_the_session(sessions):
    folder = ended(sessions / "s", *FINISHED)
    (folder / "notes.txt").write_text("mine")
    session_store().delete("s")
    assert [file.name for file in folder.iterdir()] == ["notes.txt"]


def test_an_unreadable_session_is_listed_as_such(app, sessions):
    (sessions / "s").mkdir(parents=True)
    (sessions / "s" / "journal.sqlite").write_bytes(b"not a database" * 100)
    assert "unreadable" in text(listed(app))


def test_a_session_elsewhere_is_added_and_stays(app, sessions, tmp_path):
    folder = ended(tmp_path / "elsewhere" / "mine", *FINISHED)
    listed(app)
    app.text_input(key="session-folder").set_value(str(folder)).run()
    button(app, "Open it").click().run()
    (key,) = session_store().folders()
    assert app.query_params["session"] == key and key.startswith("mine~")
    assert SessionStore(sessions).folder(key) == folder
    session_store().delete(key)
    assert not session_store().folders()


# replay


def test_a_replay_shows_what_was_known_then(app, sessions):
    ended(sessions / "s", *FINISHED)
    watch(app, "s")
    button(app, "Replay").click().run()
    assert "Trials 0 of 8" in text(app) and "Replay: what was known after 0 s of 10 s" in text(app)
    app.slider(key="replay-position").set_value(4.5).run()
    shown = text(app)
    assert "Trials 3 of 8" in shown and "End to end, best 1.10 ms" in shown
    button(app, "Back to now").click().run()
    assert "Trials 8 of 8" in text(app)


def test_playing_keeps_the_pace_and_ends():
    replay = tuning_replay.begin(3000.0)
    assert replay.speed == 100
    replay.play(10.0, 3000.0)
    replay.tick(12.0, 3000.0)
    assert replay.position == 200.0 and replay.playing
    replay.tick(1000.0, 3000.0)
    assert replay.position == 3000.0 and not replay.playing
    replay.play(2000.0, 3000.0)
    assert replay.position == 0.0, "from the start again"


# the Run page


def test_what_a_session_found_can_be_compiled(app, sessions, monkeypatch):
    graph = own(app).loaded.graph
    folder = ended(sessions / "s", *FINISHED, model_hash=graph.model_hash)
    partition = own(app).loaded.heuristic
    best = {"partition": partition.to_json() | {"method": "tuned"}}
    (folder / "best.json").write_text(json.dumps(best))
    app.switch_page(RUN).run()
    app.selectbox(key="run-tuned").select("s").run()
    assert "Tuned" in text(app) and "By session s." in text(app)
    queued = []

    class Queue:
        def submit(self, work, keep=None):
            queued.append(work)
            return next_job(work)

    monkeypatch.setattr(state, "job_queue", Queue)
    next(group for group in app.button_group if group.label == "Partition").set_value("tuned").run()
    button(app, "Compile and run").click().run()
    arguments = queued[0].arguments(folder)
    assert arguments[arguments.index("--tuned") + 1] == str(folder) and "--partition" not in arguments
    shutil.rmtree(folder)
    app.run()
    assert "By session s." not in text(app) and not app.exception


def next_job(work):
    from app.services.jobs import Job

    return Job(work)


def test_sessions_of_other_models_are_not_offered(app, sessions):
    folder = ended(sessions / "s", *FINISHED, model_hash="another")
    (folder / "best.json").write_text("{}")
    app.switch_page(RUN).run()
    assert "run-tuned" not in [box.key for box in app.selectbox]


# services


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
