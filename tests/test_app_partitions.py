"""Settings, construction, answers, edits and differences of partitions, on the pages and without a browser."""

from __future__ import annotations

import json
import re
import threading

import pytest

from ago_core.errors import UserError
from ago_core.lowering import regions
from ago_core.lowering.regions import parallel_regions
from ago_core.partition.partition import Partition
from ago_core.partition.settings import DEFAULT_THRESHOLD, Rule, Settings
from app import state
from app.components import steps
from app.services import models
from app.services.study import EDITED
from sample_models import SAMPLES
from tests.test_app_pages import (
    COMPARE,
    EXPLORE,
    RUN,
    button,
    inspector_tabs,
    model_bytes,
    opened,
    own,
    select,
    settle,
    text,
)
from tests.test_app_pages import upload as upload_model

SPEC = "squeezenet@56"
FUSED = 1  # an operator that the heuristic fuses with others


@pytest.fixture(scope="module")
def shared_store():
    return models.ModelStore(models.load)


@pytest.fixture
def app(monkeypatch, shared_store):
    monkeypatch.setattr(state, "model_store", lambda: shared_store)
    return opened(SPEC)


@pytest.fixture
def edited(app):
    """The heuristic's partition, to be edited in the left panel."""
    app.button(key="icon-edit-left").click().run()
    return app


def study(app):
    return own(app).studies[own(app).choice]


def ids(app, *names):
    by_name = {op.name: op.id for op in own(app).loaded.graph.operators}
    return tuple(by_name[name] for name in names)


def marks(app):
    """What each panel was told to emphasise, left and right."""
    told = [json.loads(element.proto.mixed.json or element.proto.json) for element in app.get("bidi_component")]
    return [one["marks"] for one in told if "sequence" in one]


def detoured(app, partition):
    """Two operators that a path through a third subgraph joins, so that merging theirs would close a cycle."""
    graph, owner = own(app).loaded.graph, partition.owner
    paths = ((u, v, w) for u, v in graph.edges for w in graph.successors[v])
    return next((u, w) for u, v, w in paths if len({owner[u], owner[v], owner[w]}) == 3)


def neighbours(app, partition):
    """Two operators of different subgraphs that an edge joins."""
    owner = partition.owner
    return next((u, v) for u, v in own(app).loaded.graph.edges if owner[u] != owner[v])


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


# Edits


def test_editing_starts_with_a_copy_in_the_same_panel(app):
    assert app.selectbox(key="method-left").options == ["TVM heuristic", "AGO"]
    app.button(key="icon-edit-left").click().run()
    assert app.selectbox(key="method-left").value == EDITED
    assert study(app).partitions[EDITED].subgraphs == own(app).loaded.heuristic.subgraphs
    assert all(app.button(key=f"icon-{what}").disabled for what in ("undo", "redo"))
    assert app.button(key="edit-merge").disabled and app.button(key="edit-split").disabled
    assert "Select operators" in text(app)


def test_merge_undo_redo_and_split(edited):
    partition = study(edited).partitions[EDITED]
    u, v = neighbours(edited, partition)
    select(edited, u, v)
    count = len(partition)
    edited.button(key="edit-merge").click().run()
    assert f"{count - 1} subgraphs" in text(edited) and study(edited).refused is None
    edited.button(key="icon-undo").click().run()
    assert study(edited).partitions[EDITED] == partition
    edited.button(key="icon-redo").click().run()
    assert len(study(edited).partitions[EDITED]) == count - 1
    edited.button(key="edit-split").click().run()
    assert (u, v) in study(edited).partitions[EDITED].subgraphs
    assert edited.button(key="edit-split").disabled and edited.button(key="edit-merge").disabled


def test_a_refused_edit_is_explained_drawn_and_can_take_others_along(edited):
    partition = study(edited).partitions[EDITED]
    select(edited, *detoured(edited, partition))
    edited.button(key="edit-merge").click().run()
    refused = study(edited).refused
    assert "Not possible:" in text(edited) and "wait for each other" in text(edited)
    told = marks(edited)[0]["elements"]
    assert told["cycle"] == [f"{u}-{v}" for u, v in refused.refusal.cycle]
    assert told["along"] == [str(op) for op in refused.refusal.take_along]
    edited.button(key="take-along").click().run()
    group = {*refused.group, *refused.refusal.take_along}
    assert any(group == set(members) for members in study(edited).partitions[EDITED].subgraphs)
    assert "Not possible" not in text(edited) and marks(edited)[0] is None
    edited.button(key="icon-undo").click().run()
    assert study(edited).partitions[EDITED] == partition


def test_a_refusal_can_be_left(edited):
    select(edited, *detoured(edited, study(edited).partitions[EDITED]))
    edited.button(key="edit-merge").click().run()
    edited.button(key="leave-it").click().run()
    assert "Not possible" not in text(edited)


def test_operators_are_moved_to_a_subgraph_beside_them(edited):
    partition = study(edited).partitions[EDITED]
    graph = own(edited).loaded.graph
    u, v = neighbours(edited, partition)
    select(edited, u)
    target = edited.button(key=f"move-to-{partition.owner[v]}")
    assert graph.operators[partition.subgraphs[partition.owner[v]][0]].name in target.label.replace("\\", "")
    target.click().run()
    moved = study(edited).partitions[EDITED]
    assert moved.owner[u] == moved.owner[v] and len(moved) <= len(partition)


def test_operators_are_moved_to_any_other_subgraph(edited):
    graph, partition = own(edited).loaded.graph, study(edited).partitions[EDITED]
    select(edited, FUSED)
    others = edited.selectbox(key="move-to-another")
    buttons = [one.key for one in edited.button if one.key.startswith("move-to-")]
    assert len(others.options) + len(buttons) == len(partition) - 1
    last = partition.subgraphs[-1]
    option = f"S{len(partition) - 1}: " + ", ".join(graph.operators[op].name for op in last)
    assert option in others.options
    others.select(len(partition) - 1).run()
    assert study(edited).refused.group == (FUSED, *last) and "Not possible:" in text(edited)
    assert edited.selectbox(key="move-to-another").value is None


def test_many_subgraphs_beside_are_all_offered(edited):
    partition = study(edited).partitions[EDITED]
    select(edited, *range(0, len(own(edited).loaded.graph), 2))
    buttons = [one.key for one in edited.button if one.key.startswith("move-to-")]
    assert len(buttons) == 8 and len(edited.selectbox(key="move-to-another").options) == len(partition) - 8


def test_both_panels_can_show_the_edited_partition(edited):
    edited.selectbox(key="method-right").select(EDITED).run()
    assert not edited.exception and not edited.error
    assert [one.key for one in edited.button].count("edit-merge") == 1


def test_another_model_has_no_edits_and_they_are_there_when_one_comes_back(edited):
    select(edited, FUSED)
    edited.button(key="edit-split").click().run()
    edits = study(edited).history
    edited.selectbox(key="sample").select("bert_tiny").run()
    settle(edited)
    assert own(edited).choice.name == f"bert_tiny@{SAMPLES['bert_tiny'].default_size}"
    assert edited.selectbox(key="method-left").value == "heuristic"
    edited.selectbox(key="sample").select("squeezenet").run()
    settle(edited)
    edited.button_group(key="size-squeezenet").set_value(56).run()
    settle(edited)
    assert study(edited).history == edits and edited.selectbox(key="method-left").value == EDITED


def upload(app, data):
    content = data if isinstance(data, bytes) else json.dumps(data).encode()
    app.file_uploader(key="partition-file").set_value(("partition.json", content, "application/json")).run()
    return app


def test_a_saved_partition_is_loaded_and_can_be_undone(edited):
    before = study(edited).partitions[EDITED]
    upload(edited, own(edited).loaded.views["ago"].partition.to_json())
    assert study(edited).partitions[EDITED].subgraphs == own(edited).loaded.views["ago"].partition.subgraphs
    edited.button(key="icon-undo").click().run()
    assert study(edited).partitions[EDITED] == before


def test_a_file_that_cannot_be_taken_says_why(edited):
    upload(edited, b"hello")
    assert "not JSON" in edited.error[0].value
    upload(edited, Partition("other", "ago", ((0,),)).to_json())
    assert "made for another model" in edited.error[0].value and len(edited.error) == 1
    edited.file_uploader(key="partition-file").set_value([]).run()
    assert not edited.error, "the file was taken away again"


# Differences


def test_panels_are_coloured_by_what_differs(app):
    app.toggle(key="differences").set_value(True).run()
    left, right = marks(app)
    assert left["elements"]["merged"] and right["legend"] == left["legend"]
    assert "Left to right:" in text(app) and "less crosses subgraphs" in text(app)
    app.switch_page(COMPARE).run()
    app.switch_page(EXPLORE).run()
    assert app.toggle(key="differences").value
    app.selectbox(key="method-left").select("ago").run()
    assert "Left to right:" not in text(app) and marks(app) == [None, None]


# Compare and run


def test_the_edited_partition_is_compared(edited):
    select(edited, FUSED)
    edited.button(key="edit-split").click().run()
    edited.switch_page(COMPARE).run()
    assert ">Edited<" in text(edited)
    for row in ("TVM heuristic → AGO", "TVM heuristic → Edited", "AGO → Edited"):
        assert row in text(edited)


def test_parallel_regions_are_counted_beside_the_page(app, monkeypatch):
    gate, model = threading.Event(), own(app).loaded.model
    app.slider(key="threshold").set_value(50).run()  # a grouping that is not counted yet

    def slow(model, partition):
        gate.wait(20)
        return parallel_regions(model, partition)

    monkeypatch.setattr(regions, "parallel_regions", slow)
    app.switch_page(COMPARE).run()
    assert "counting …" in text(app) or "waiting …" in text(app)
    assert "Kept out of memory" in text(app) and "Fewer is better." in text(app)
    gate.set()
    tasks = [own(app).loaded.regions(partition) for partition in study(app).partitions.values()]
    assert all(task.wait(20) for task in tasks)
    app.run()
    expected = [parallel_regions(model, partition) for partition in study(app).partitions.values()]
    row = re.search(r"<tr><td[^>]*>Parallel regions</td>(.*?)</tr>", text(app))[1]
    assert re.findall(r"<td[^>]*>([^<]*)</td>", row)[:2] == [str(count) for count in expected]
    assert "…" not in row and expected[1] <= len(own(app).loaded.graph)


def test_regions_that_cannot_be_counted_say_why(app, monkeypatch):
    def fails(model, partition):
        raise UserError("The operator x_1 cannot be lowered.")

    monkeypatch.setattr(regions, "parallel_regions", fails)
    app.slider(key="threshold").set_value(30).run()  # a grouping that is not counted yet
    app.switch_page(COMPARE).run()
    assert own(app).loaded.regions(study(app).partitions["ago"]).wait(20)
    app.run()
    assert "parallel regions of AGO are not known: The operator x_1" in text(app) and not app.exception


def test_the_same_groups_are_counted_once(edited):
    partitions = study(edited).partitions
    counted = own(edited).loaded.regions
    assert counted(partitions["heuristic"]) is counted(partitions[EDITED])
    assert counted(partitions["heuristic"]) is not counted(partitions["ago"])


def test_a_run_has_the_partition_as_it_is_now(edited, monkeypatch):
    submitted = []

    class Queue:
        def submit(self, work, keep=None):
            submitted.append(work)
            return state.Job(work)

    monkeypatch.setattr(state, "job_queue", Queue)
    edited.slider(key="threshold").set_value(40).run()
    select(edited, FUSED)
    edited.button(key="edit-split").click().run()
    edited.switch_page(RUN).run()
    assert text(edited).count("Not run yet.") == 3
    button(edited, "Compile and run").click().run()
    assert [work.partition for work in submitted] == list(study(edited).partitions.values())
    edited.switch_page(EXPLORE).run()
    edited.button(key="icon-undo").click().run()
    edited.switch_page(RUN).run()
    assert text(edited).count("Not run yet.") == 1, "the run was of another partition"
    assert f"{SPEC}, Edited, " in text(edited)
    for job in [jobs[-1] for jobs in own(edited).jobs.values()]:
        job.cancel()


# The inspector


def test_an_operator_says_how_it_indexes_its_inputs_and_what_fusing_would_give(app):
    graph = own(app).loaded.graph
    op = next(op for op in graph.operators if op.is_complex and op.sources[0] is not None)
    select(app, op.id)
    shown = text(app)
    assert f">{graph.operators[op.sources[0]].name}<" in shown and "yy + ry, " in shown
    assert "Fused into this operator" in shown
