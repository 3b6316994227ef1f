"""The Tune page: beginning a session, and watching one in each of its states."""

# ruff: noqa: F811 - fixtures are imported

from __future__ import annotations

import pytest

from ago_core.tuning import control
from ago_core.tuning.events import State
from ago_core.tuning.journal import open_journal
from app.services.study import SPLIT
from app.services.tuning import session_store
from app.services.tuning_feed import feed
from tests import fake_tuner, tuning_journals
from tests.app_driver import ROOT, SPEC, button, opened, own, study, text
from tests.app_tuning import (  # noqa: F401 - sessions and held are fixtures
    FINISHED,
    TUNE,
    alternatives,
    damage,
    detail,
    held,
    labels,
    progress,
    sessions,
    watch,
)
from tests.tuning_journals import create, ended, plan, trial, tuned


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


def test_after_an_edit_schedules_of_an_earlier_session_are_taken_over(app, sessions, monkeypatch):
    """The real tuner, on made-up devices: first AGO's partition, then an edit of it."""
    monkeypatch.setattr(control, "PROGRAM", fake_tuner.PROGRAM)
    monkeypatch.chdir(ROOT)
    app.switch_page(TUNE).run()
    app.number_input(key="tuning-trials").set_value(120).run()
    button(app, "Start tuning").click().run()
    assert control.wait(sessions / "squeezenet-56-ago", (State.FINISHED, State.FAILED), 60) is State.FINISHED
    current = study(app)
    current.edit_copy("ago")
    current.edit(SPLIT, current.partitions["ago"].subgraphs[0][:1])
    app.button_group(key="tuning-page").set_value("new").run()
    app.button_group(key="tuning-what").set_value(["custom"]).run()
    offered = next(one for one in app.selectbox if one.label.startswith("Edited: take over"))
    assert offered.value.key == "squeezenet-56-ago" and offered.value.changed == 2
    assert "8 subgraphs as in squeezenet-56-ago" in text(app).replace("\\", "")
    button(app, "Start tuning").click().run()
    folder = sessions / "squeezenet-56-custom"
    assert control.wait(folder, (State.FINISHED, State.FAILED), 60) is State.FINISHED
    assert feed(folder).meta["reuse"] == str(sessions / "squeezenet-56-ago")
    app.run()
    assert "taken over from" in detail(app, "About")


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


def test_a_damaged_journal_is_repaired_on_request(app, sessions):
    folder = ended(sessions / "s", *FINISHED)
    damage(folder)
    watch(app, "s")
    assert "is damaged" in app.error[0].value and "Pause" not in labels(app)
    button(app, "Repair").click().run()
    assert not app.error and "8 of 8" in text(app) and list(folder.glob("damaged-*.sqlite"))
