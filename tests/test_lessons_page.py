"""The page of the lessons, without a browser: from the list through every lesson to its end."""

from __future__ import annotations

import threading
import time

import pytest
from streamlit.testing.v1 import AppTest

from ago_core.errors import UserError
from app import state
from app.lessons import LESSONS
from app.lessons import page as lessons_page
from app.services.models import ModelStore
from tests.app_driver import ROOT, own, settle, text
from tests.lesson_answers import answers, lesson_models

LIST = "screens/lessons.py"


def page():
    """The lessons without the sidebar and the line above, which have tests of their own."""
    from app.lessons.page import lessons

    lessons()


@pytest.fixture
def store(monkeypatch):
    """Gives the lessons their models at once."""
    found = ModelStore(lambda choice, progress: lesson_models()[choice.name])
    monkeypatch.setattr(lessons_page, "model_store", lambda: found)
    return found


@pytest.fixture
def bare(store):
    return AppTest.from_function(page, default_timeout=20).run()


def begin(app, lesson):
    app.button(key=f"open-{lesson.key}").click().run()
    end = time.monotonic() + 60
    while not any(button.key.endswith("-check") for button in app.button):
        assert time.monotonic() < end and not app.exception
        app.run()
    return app


def answered(app, lesson, step, value):
    """Gives an answer by whichever widget the exercise has, and checks it."""
    key = f"{lesson.key}-{step}"
    kinds = ("radio", "button_group", "number_input", "select_slider")
    widget = next(one for kind in kinds for one in app.get(kind) if one.key == f"{key}-answer")
    widget.set_value(list(value) if isinstance(value, tuple) else value).run()
    app.button(key=f"{key}-check").click().run()
    assert not app.exception and not app.error
    return app


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.key)
def test_a_lesson_from_its_beginning_to_its_end(lesson, bare):
    loaded = lesson_models()[lesson.model] if lesson.loads else None
    app = begin(bare, lesson)
    for step, content in enumerate(lesson.steps):
        assert f"Step {step + 1} of {len(lesson.steps)}" in text(app)
        assert f"**{content.title}**" in text(app)
        tried = answers()[lesson.key, step]
        right = next(one for one in tried if content.exercise.check(loaded, one).right)
        wrong = next(one for one in tried if not content.exercise.check(loaded, one).right)
        answered(app, lesson, step, wrong)
        assert "Not yet." in app.warning[0].value
        answered(app, lesson, step, right)
        assert "Right." in app.success[0].value and not app.warning
        if step < len(lesson.steps) - 1:
            app.button(key="step-next").click().run()
    assert app.success[-1].value == "Lesson finished."
    app.button(key="all-lessons").click().run()
    assert app.button(key=f"open-{lesson.key}").label == "Look again"
    assert f"1 of {len(LESSONS)} finished" in text(app)


def test_there_are_eight_lessons_and_none_is_begun(bare):
    assert len(LESSONS) == 8
    assert [button.label for button in bare.button] == ["Begin"] * 8
    assert len({lesson.key for lesson in LESSONS}) == 8


def test_nothing_is_checked_before_there_is_an_answer(bare):
    app = begin(bare, LESSONS[0])
    assert app.button(key="partition-0-check").disabled
    assert not app.warning and not app.success


def test_an_answer_is_still_there_after_going_on_and_back(bare):
    app = answered(begin(bare, LESSONS[0]), LESSONS[0], 0, 2)
    app.button(key="step-next").click().run()
    app.button(key="step-back").click().run()
    assert app.number_input(key="partition-0-answer").value == 2
    assert "Right." in app.success[0].value
    app.number_input(key="partition-0-answer").set_value(3).run()
    assert not app.success, "what was said of another answer is gone"


def test_a_link_opens_its_lesson(store):
    app = AppTest.from_function(page, default_timeout=20)
    app.query_params["lesson"] = "cycles"
    app.run()
    assert "How a cycle arises" in text(app)
    app.button(key="all-lessons").click().run()
    assert "lesson" not in app.query_params


def test_a_link_to_a_lesson_shows_its_text_at_once_and_loads_its_model_first(monkeypatch):
    begun, go = [], threading.Event()

    def load(choice, progress):
        begun.append(choice.name)
        assert go.wait(20)
        return lesson_models()[choice.name]

    held = ModelStore(load)
    for module in (lessons_page, state):
        monkeypatch.setattr(module, "model_store", lambda: held)
    app = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=20)
    app.query_params |= {"lesson": "partition", "model": "mobilenet_v2@56"}
    app.switch_page(LIST).run()
    assert "To a compiler a model is a graph" in text(app) and "How many operators read" in text(app)
    assert not app.number_input, "no exercise without its model"
    assert "mobilenet_v2@56" in app.query_params["model"], "what the address names stays in it"
    go.set()
    settle(app.run())
    assert begun == ["squeezenet@56", "mobilenet_v2@56"]
    assert own(app).choice.name == "mobilenet_v2@56" and app.number_input(key="partition-0-answer")


def test_a_lesson_on_recorded_figures_waits_for_no_model(monkeypatch):
    go = threading.Event()
    held = ModelStore(lambda choice, progress: go.wait(20))
    monkeypatch.setattr(lessons_page, "model_store", lambda: pytest.fail("it needs none"))
    monkeypatch.setattr(state, "model_store", lambda: held)
    app = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=20)
    app.query_params["lesson"] = "dividing"
    app.switch_page(LIST).run()
    assert "How many minis" in text(app) and app.button(key="dividing-0-check")
    go.set()


def test_what_is_solved_stands_in_the_address_and_is_read_from_it(bare, store):
    answered(begin(bare, LESSONS[0]), LESSONS[0], 0, 2)
    assert bare.query_params["solved"] == "partition1"
    again = AppTest.from_function(page, default_timeout=20)
    again.query_params["solved"] = "partition1.partition9.nothing3"
    again.run()
    assert again.session_state[lessons_page.KEY].solved == {("partition", 0)}
    assert again.button(key="open-partition").label == "Go on"
    assert "Step 2 of" in text(begin(again, LESSONS[0]))


def test_a_model_that_cannot_be_loaded_is_told_and_tried_again(monkeypatch):
    tries = []

    def fail(choice, progress):
        tries.append(choice.name)
        raise UserError("The cache cannot be written.")

    failing = ModelStore(fail)
    monkeypatch.setattr(lessons_page, "model_store", lambda: failing)
    app = AppTest.from_function(page, default_timeout=20).run()
    app.button(key="open-partition").click().run()
    end = time.monotonic() + 20
    while not app.error:
        assert time.monotonic() < end
        app.run()
    assert "The cache cannot be written" in text(app)
    before = len(tries)
    app.button(key="load-again").click().run()
    while len(tries) == before:
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_lessons_model_is_seen_in_the_explorer(app, store, monkeypatch):
    monkeypatch.setattr(state, "model_store", lambda: store)
    lesson = next(one for one in LESSONS if one.key == "cycles")
    begin(app.switch_page(LIST).run(), lesson)
    app.button(key="to-explorer").click().run()
    settle(app)
    assert own(app).choice.name == lesson.model
    assert own(app).page == "", "the model's page"


def test_the_app_opens_the_list(app):
    app.switch_page(LIST).run()
    assert "Lessons" in text(settle(app))
