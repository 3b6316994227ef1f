"""Settings, construction and answers of partitions, on the pages and without a browser."""

from __future__ import annotations

import pytest

from ago_core.partition.settings import DEFAULT_THRESHOLD, Rule, Settings
from app import state
from app.components import steps
from app.services.study import EDITED
from tests.app_driver import (
    COMPARE,
    EXPLORE,
    RUN,
    button,
    detoured,
    inspector_tabs,
    marks,
    model_bytes,
    neighbours,
    own,
    select,
    settle,
    study,
    text,
    upload_model,
)

# Settings


def test_the_defaults_are_said_to_be_such(app):
    assert "These are the defaults." in text(app)
    assert app.slider(key="threshold").value == DEFAULT_THRESHOLD and app.button_group(key="rule").value == Rule.STAGES


def test_the_picture_follows_the_settings_and_they_can_be_taken_back(app):
    before = len(study(app).partitions["ago"])
    app.slider(key="threshold").set_value(40).run()
    after = len(study(app).partitions["ago"])
    assert after > before and f"{after} subgraphs" in text(app)
    assert "These are the defaults." not in text(app)
    app.button_group(key="rule").set_value(Rule.EXACT).run()
    app.button_group(key="join").set_value("The paper's rule").run()
    assert study(app).settings == Settings(40.0, Rule.EXACT, aware=False)
    button(app, "Back to the defaults").click().run()
    assert study(app).settings == Settings() and app.slider(key="threshold").value == DEFAULT_THRESHOLD
    assert f"{before} subgraphs" in text(app)


def test_settings_are_kept_for_each_model_and_named_on_other_pages(app):
    app.slider(key="threshold").set_value(40).run()
    app.switch_page(COMPARE).run()
    assert "AGO with limit 40." in text(app)
    app.switch_page(RUN).run()
    assert "With limit 40." in text(app)
    app.switch_page(EXPLORE).run()
    assert app.slider(key="threshold").value == 40
    app.button_group(key="size-squeezenet").set_value(112).run()
    settle(app)
    assert app.slider(key="threshold").value == DEFAULT_THRESHOLD
    app.button_group(key="size-squeezenet").set_value(56).run()
    settle(app)
    assert app.slider(key="threshold").value == 40


@pytest.mark.parametrize(
    ("threshold", "place", "named"),
    [(5.0, 10, "5"), (45.5, 50, "45.5"), (2000.0, 1200, "2000"), (1e9, 1200, "1e+09"), (float("inf"), 1200, "inf")],
)
def test_a_limit_that_the_slider_cannot_show_is_told_and_kept(app, threshold, place, named):
    study(app).set(Settings(threshold))
    app.run()
    assert not app.exception and not app.error
    assert app.slider(key="threshold").value == place and f"The limit is {named} trials" in text(app)
    app.button_group(key="rule").set_value(Rule.EXACT).run()
    assert study(app).settings == Settings(threshold, Rule.EXACT), "another choice leaves the limit as it is"
    app.slider(key="threshold").set_value(80).run()
    assert study(app).settings.threshold == 80 and "The limit is" not in text(app)


# The construction


def test_the_construction_is_shown_when_it_is_wanted(app):
    assert not [one for one in app.slider if one.key == "step-position"]
    app.button(key="icon-steps").click().run()
    steps = study(app).clustering.steps
    assert f"Step 1 of {len(steps)}, round 1: epilogues" in text(app)
    assert app.button(key="icon-previous-step").disabled
    left, right = marks(app)
    assert left is None and right["fade"] and right["elements"]["cluster"]
    app.button(key="icon-steps").click().run()
    assert "Step 1 of" not in text(app) and marks(app) == [None, None]


def test_steps_go_forward_and_back(app):
    app.button(key="icon-steps").click().run()
    app.button(key="icon-next-step").click().run()
    first = marks(app)[1]
    assert "Step 2 of" in text(app) and app.slider(key="step-position").value == 2
    last = len(study(app).clustering.steps)
    app.slider(key="step-position").set_value(last).run()
    assert f"Step {last} of {last}, round" in text(app) and app.button(key="icon-next-step").disabled
    app.slider(key="step-position").set_value(3).run()
    app.button(key="icon-previous-step").click().run()
    assert marks(app)[1] == first


def test_the_steps_are_played_paused_and_played_at_another_pace(app, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(steps, "time", clock)
    app.button(key="icon-steps").click().run()
    app.button(key="icon-play").click().run()
    assert "Step 1 of" in text(app) and app.button(key="icon-play").label == "Pause"
    clock.now += 1
    app.run()
    assert "Step 2 of" in text(app) and app.slider(key="step-position").value == 2
    app.selectbox(key="step-pace").select(4).run()
    clock.now += 1
    app.run()
    clock.now += 0.25
    app.run()
    assert "Step 4 of" in text(app)
    app.button(key="icon-play").click().run()
    clock.now += 9
    app.run()
    assert "Step 4 of" in text(app) and app.button(key="icon-play").label == "Play"


def test_while_playing_an_answer_of_the_slider_to_an_earlier_step_is_left_aside(app, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(steps, "time", clock)
    app.button(key="icon-steps").click().run()
    app.button(key="icon-play").click().run()
    for _ in range(3):
        clock.now += 1
        app.run()
    slider = app.slider(key="step-position")
    assert slider.disabled and slider.value == 4
    slider.proto.disabled = False  # no user can: it is what the browser sends before it has drawn the last steps
    slider.set_value(2).run()
    assert "Step 4 of" in text(app)
    app.button(key="icon-play").click().run()
    assert not app.slider(key="step-position").disabled


def test_playing_stops_when_another_model_comes(app, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(steps, "time", clock)
    app.button(key="icon-steps").click().run()
    app.button(key="icon-play").click().run()
    first = study(app)
    app.button_group(key="size-squeezenet").set_value(112).run()
    settle(app)
    assert study(app) is not first and not first.playing and not app.exception and not app.error
    steps._stepper(first, 1.0, lambda: pytest.fail("a timer that comes late shows nothing"))


class Clock:
    now = 50.0

    def monotonic(self):
        return self.now


def test_refusals_alone(app):
    app.button(key="icon-steps").click().run()
    app.button_group(key="step-filter").set_value("Refused").run()
    refused = len(study(app).steps)
    assert app.slider(key="step-position").proto.max == refused < len(study(app).clustering.steps)
    assert "is too much" in text(app) or "stays out" in text(app)
    app.button_group(key="step-filter").set_value("All").run()
    assert app.slider(key="step-position").proto.max == len(study(app).clustering.steps)


def test_a_model_of_one_operator_has_no_steps(app):
    upload_model(app, "tiny.onnx", model_bytes(2))
    app.button(key="icon-steps").click().run()
    assert "Nothing could be joined." in text(app)
    app.button_group(key="step-filter").set_value("Refused").run()
    assert "No candidate was refused." in text(app) and not app.error


# Why together, or not


def test_two_operators_are_explained_for_both_partitions(app):
    select(app, 3)
    assert len(inspector_tabs(app)) == 3
    u, v = neighbours(app, own(app).loaded.heuristic)
    select(app, u, v)
    assert inspector_tabs(app)[-1] == "Why together, or not?"
    app.button_group(key=state.INSPECTOR_TAB).set_value(state.WHY_TAB).run()
    names = [own(app).loaded.graph.operators[op].name for op in (u, v)]
    assert text(app).count(" and ".join(names)) == 2 and "badge[" in text(app)
    assert f"Fusing {names[0]} into {names[1]}" in text(app)


def test_the_question_stays_for_the_next_pair_and_goes_with_a_single_operator(app):
    select(app, 3, 4)
    app.button_group(key=state.INSPECTOR_TAB).set_value(state.WHY_TAB).run()
    own(app).selected = state.Selected((5, 6))
    app.run()
    assert app.button_group(key=state.INSPECTOR_TAB).value == state.WHY_TAB
    own(app).selected = state.Selected((5,))
    app.run()
    assert app.button_group(key=state.INSPECTOR_TAB).value == state.OPERATORS_TAB


def test_the_path_of_a_cycle_is_drawn_while_it_is_asked(edited):
    u, v = detoured(edited, study(edited).partitions[EDITED])
    select(edited, u, v)
    assert marks(edited) == [None, None]
    edited.button_group(key=state.INSPECTOR_TAB).set_value(state.WHY_TAB).run()
    assert "wait for each other" in text(edited) and "It would be together with" in text(edited)
    assert marks(edited)[0]["elements"]["cycle"]


# The inspector


def test_an_operator_says_how_it_indexes_its_inputs_and_what_fusing_would_give(app):
    graph = own(app).loaded.graph
    op = next(op for op in graph.operators if op.is_complex and op.sources[0] is not None)
    select(app, op.id)
    shown = text(app)
    assert f">{graph.operators[op.sources[0]].name}<" in shown and "yy + ry, " in shown
    assert "Fused into this operator" in shown
