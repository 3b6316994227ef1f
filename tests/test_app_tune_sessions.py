"""The Tune page: details of a session, addresses, the list, replays, and what Run does with a result."""

# ruff: noqa: F811 - fixtures are imported

from __future__ import annotations

import json
import shutil

import pytest

from ago_core.tuning.events import State
from app import state
from app.services import tuning_replay
from app.services.tuning import SessionStore, session_store
from tests.app_driver import RUN, SPEC, button, opened, own, text
from tests.app_tuning import (  # noqa: F401 - sessions and held are fixtures
    FINISHED,
    detail,
    held,
    labels,
    listed,
    sessions,
    watch,
)
from tests.tuning_journals import ended, tuned


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
    assert "apache-tvm 0, code of this tool 0123abcd" in about


def test_the_plot_goes_over_trials_or_time(app, sessions):
    ended(sessions / "s", *FINISHED)
    watch(app, "s")
    figure = json.loads(app.get("plotly_chart")[0].proto.spec)
    assert figure["layout"]["xaxis"]["title"]["text"] == "trials"
    app.button_group(key="tuning-over").set_value("time").run()
    figure = json.loads(app.get("plotly_chart")[0].proto.spec)
    assert figure["layout"]["xaxis"]["title"]["text"] == "time of tuning (s)"


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
