"""The inspector of a subgraph in each state: what every part shows, what is on its way, what failed."""

import functools
import json
from dataclasses import replace
from pathlib import Path

import pytest

from ago_core.errors import UserError
from app import state
from app.components import inspect_code
from app.components import inspect_memory as memory_part
from app.components import inspect_speed as speed_part
from app.services import inspection
from app.services.inspect_tuned import Tuned
from app.services.inspection import HotLoop, Limits
from app.services.worker import Task
from tests.app_driver import own, select, study, text

LOOP = "\tvfmadd231ps\t%zmm1, %zmm2, %zmm3\n\tjne\t.L1"
LIMITS = Limits(2, 100e9, (1 << 14, 1 << 28), (200e9, 10e9))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """What takes seconds is there at once; scheduling is real."""
    loop = HotLoop(LOOP, inspection.count_instructions(LOOP), 1234)
    monkeypatch.setattr(inspect_code, "hot_loop", lambda *_: done(loop))
    monkeypatch.setattr(speed_part, "limits", lambda: done(LIMITS))


def done(result=None, error=""):
    """A task that has ended."""

    def work(progress):
        if error:
            raise UserError(error)
        return result

    task = Task(work)
    task.run()
    return task


def opened_at(app, part, index=None):
    """The part of a subgraph of AGO's, its schedule known."""
    view = own(app).loaded.views["ago"]
    if index is None:
        index = max(range(len(view.partition)), key=lambda k: view.complex_counts[k])
    inspection.inspection(own(app).loaded, view.partition, index).wait(60)
    select(app, *view.partition.subgraphs[index], method="ago", subgraph=index)
    app.button_group(key="part").set_value(part).run()
    assert not app.exception and not app.error
    return view, index


def code_views(app):
    told = [element.proto.mixed.json or element.proto.json for element in app.get("bidi_component")]
    return [data for one in told if one and "places" in (data := json.loads(one))]


def test_every_part_has_a_place(app):
    opened_at(app, "Inside")
    parts = [option.content for option in app.button_group(key="part").proto.options]
    assert parts == ["Inside", "Reuse", "Memory", "Code", "Schedule", "Assembly", "Speed", "Reasons"]


def test_reuse_shows_which_loop_rereads_what(app):
    view, index = opened_at(app, "Reuse")
    heavy = [op for op in view.partition.subgraphs[index] if study(app).graph.operators[op].is_complex]
    shown = text(app)
    assert "reads again, " in shown and "Each is used" in shown and "Computed from" in shown
    box = next(box for box in app.selectbox if box.label == "Operator")
    assert box.options == [study(app).graph.operators[op].name for op in heavy]
    box.set_value(box.options[-1]).run()
    assert f"{box.options[-1]} reads each element" in text(app)


def test_memory_is_counted_before_and_after_fusion(app):
    opened_at(app, "Memory")
    shown = text(app)
    assert "Each operator by itself" in shown and "As it is scheduled" in shown and "not measured" in shown
    assert len(app.get("plotly_chart")) == 1


def test_memory_shows_what_it_knows_while_the_schedule_is_on_its_way(app, monkeypatch):
    monkeypatch.setattr(memory_part, "inspection", lambda *_: Task(lambda progress: None))
    opened_at(app, "Memory")
    shown = text(app)
    assert "Fused, nothing spilled" in shown and "As it is scheduled" not in shown and "Waiting … 0 s" in shown


def test_code_has_both_stages_with_the_shared_loops_marked(app):
    opened_at(app, "Code")
    (after,) = code_views(app)
    assert "T.parallel" in after["text"] and after["places"]
    app.button_group(key="stage").set_value("Before scheduling").run()
    (before,) = code_views(app)
    assert "T.sblock" in before["text"] and "T.parallel" not in before["text"]
    assert not [mark for mark in before["marks"] if mark[2] == "shared"]


def test_the_schedule_is_explained_and_has_its_trace(app):
    opened_at(app, "Schedule")
    shown = text(app)
    assert "Estimated " in shown and "registers" in shown and "Vectors" in shown and "primitives" in shown
    assert "sch.vectorize" in code_views(app)[0]["text"]


def test_assembly_counts_its_instructions(app):
    opened_at(app, "Assembly")
    assert "1 (16 values)" in text(app) and "1,234 lines of assembly" in text(app)
    assert code_views(app)[0]["text"] == LOOP
    assert [mark[2] for mark in code_views(app)[0]["marks"]] == ["fma"]


def test_a_schedule_that_a_session_found_can_be_chosen(app, monkeypatch):
    graph, view = own(app).loaded.graph, own(app).loaded.views["ago"]
    index = max(range(len(view.partition)), key=lambda k: view.complex_counts[k])
    known = inspection.inspection(own(app).loaded, view.partition, index)
    known.wait(60)
    sampled = "sch.sample_perfect_tile(loop=l1, n=2, max_innermost_factor=16, decision=[7, 8])"
    tuned = Tuned("night", Path("night"), 1, 0, view.partition.subgraphs[index], True, 2e-4, 7)
    monkeypatch.setattr(inspect_code, "tuned_parts", lambda *_: [tuned])
    monkeypatch.setattr(inspect_code, "tuned_inspection", lambda *_: done(replace(known.result, trace=sampled)))
    opened_at(app, "Schedule", index)
    box = next(box for box in app.selectbox if box.label == "Schedule")
    assert box.options == ["Analytic schedule, no trial", tuned.title(graph)] and "Estimated " in text(app)
    box.select(box.options[1]).run()
    assert "The search chose these cuts: 7 × 8." in text(app) and code_views(app)[0]["text"] == sampled


def test_a_function_that_only_moves_data_has_no_hot_loop(app, monkeypatch):
    empty = HotLoop("", inspection.count_instructions(""), 99)
    monkeypatch.setattr(inspect_code, "hot_loop", lambda *_: done(empty))
    opened_at(app, "Assembly")
    assert "only moves data" in text(app) and not code_views(app)


def test_speed_is_an_estimate_and_says_so_where_nothing_was_measured(app):
    opened_at(app, "Speed")
    shown = text(app)
    assert "not measured" in shown and "FLOP for each byte" in shown and "No tuning session" in shown
    assert len(app.get("plotly_chart")) == 1


def test_measured_seconds_come_before_the_estimate(app, monkeypatch):
    view = own(app).loaded.views["ago"]

    class Known:
        subgraphs = (1e-3,) * len(view.partition)

    monkeypatch.setattr("app.services.inspect_speed.measured", lambda *_: Known)
    opened_at(app, "Speed")
    assert "1.00 ms (median, measured in place" in text(app)


def test_limits_that_could_not_be_measured_can_be_measured_again(app, monkeypatch):
    tasks = iter([done(error="Too busy."), done(LIMITS)])

    @functools.cache
    def limits():
        return next(tasks)

    monkeypatch.setattr(speed_part, "limits", limits)
    view = own(app).loaded.views["ago"]
    inspection.inspection(own(app).loaded, view.partition, 0).wait(60)
    select(app, *view.partition.subgraphs[0], method="ago", subgraph=0)
    app.button_group(key="part").set_value("Speed").run()
    assert "Too busy" in app.error[0].value
    next(one for one in app.button if one.label == "Measure again").click().run()
    assert not app.error and "FLOP for each byte" in text(app)


def test_reasons_name_the_neighbours(app):
    view, index = opened_at(app, "Reasons")
    shown = text(app)
    assert f"Why S{index} is one subgraph" in shown and "Joined in step" in shown and f"S{index} feeds S" in shown
    both = next(one for one in app.button if one.label == "Show both")
    both.click().run()
    assert len(own(app).selected.operators) == 2


def test_what_fails_is_a_sentence(app, monkeypatch):
    monkeypatch.setattr(inspect_code, "inspection", lambda *_: done(error="LLVM is out of breath."))
    view = own(app).loaded.views["ago"]
    select(app, *view.partition.subgraphs[0], method="ago", subgraph=0)
    app.button_group(key="part").set_value("Code").run()
    assert "out of breath" in app.error[0].value.replace("\\", "") and not app.exception


def test_a_subgraph_without_complex_operators_is_told_so(app):
    view = own(app).loaded.views["heuristic"]
    index = view.complex_counts.index(0)
    select(app, *view.partition.subgraphs[index], method="heuristic", subgraph=index)
    app.button_group(key="part").set_value("Reuse").run()
    assert "every loop passes its data once" in text(app)
    inspection.inspection(own(app).loaded, view.partition, index).wait(60)
    for part in ("Memory", "Code", "Schedule", "Speed", "Reasons"):
        app.button_group(key="part").set_value(part).run()
        assert not app.exception and not app.error, part


def test_nothing_selected_says_what_to_click(app):
    assert own(app).selected == state.Selected() and "Click an operator" in text(app)
