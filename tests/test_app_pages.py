"""Every page in every state, without a browser: what is on the page, and what the widgets do."""

import gc
import json
import sys
import threading
import time
from pathlib import Path

import onnx
import pytest

from app import state
from app.services import loaded, models
from app.services.jobs import JobQueue
from app.services.jobs import State as JobState
from sample_models import SAMPLES
from tests.app_driver import (
    COMPARE,
    EXPLORE,
    ROOT,
    RUN,
    SPEC,
    button,
    inspector_tabs,
    model_bytes,
    opened,
    own,
    select,
    settle,
    text,
    upload_model,
)

REPORT = {
    "max_rel_error": 3.2e-7,
    "tolerance": 1e-4,
    "correct": True,
    "latency_ms": {"median": 1.25, "q1": 1.2, "q3": 1.4, "runs": [1.2, 1.25, 1.4]},
    "reference_ms": {"median": 0.5, "q1": 0.4, "q3": 0.6, "runs": [0.4, 0.5, 0.6]},
    "threads": 2,
    "machine": "a machine",
    "target": "llvm",
    "build_seconds": 3.5,
    "versions": {"numpy": "2"},
}


# Loading


def test_the_page_opens_while_the_model_is_still_loading(monkeypatch, shared_store):
    gate = threading.Event()

    def slow(choice, progress):
        progress("Importing operators")
        gate.wait(20)
        return models.load(choice, progress)

    slow_store = models.ModelStore(slow)
    monkeypatch.setattr(state, "model_store", lambda: slow_store)
    app = opened(None, settled=False)
    time.sleep(0.1)
    app.run()
    assert "Loading mobilenet_v2@224" in text(app).replace("*", "")
    assert "Importing operators" in text(app) and "will be drawn here" in text(app)
    gate.set()
    settle(app)
    assert "will be drawn here" not in text(app) and own(app).choice.name == "mobilenet_v2@224"


def test_a_link_opens_its_sample(app):
    assert own(app).choice.name == SPEC
    assert app.selectbox(key="sample").value == "squeezenet" and app.query_params["model"] == SPEC
    assert "1.24 M" in text(app) and "92, 26 complex" in text(app)


@pytest.mark.parametrize("spec", ["no_such_model", "../../etc/passwd", str(ROOT / "model.onnx")])
def test_a_link_opens_nothing_but_samples(app, spec):
    other = opened(spec)
    assert own(other).choice.name == models.DEFAULT_SAMPLE
    assert "names no sample model" in other.error[0].value


def test_another_sample_replaces_the_model_and_the_link(app):
    select(app, 3)
    app.button_group(key="size-squeezenet").set_value(112).run()
    assert own(app).choice.name == SPEC, "the former model stays until the next one is there"
    settle(app)
    assert own(app).choice.name == "squeezenet@112" and own(app).selected.operators == ()
    app.selectbox(key="sample").select("bert_tiny").run()
    settle(app)
    assert own(app).choice.name == f"bert_tiny@{SAMPLES['bert_tiny'].default_size}"
    assert app.query_params["model"] == own(app).choice.name


# Uploads


def test_an_uploaded_model_is_loaded(app):
    upload_model(app, "tiny.onnx", model_bytes(2))
    assert own(app).choice.name == "tiny.onnx" and len(own(app).loaded.graph) == 1
    assert "model" not in app.query_params


def test_a_broken_file_is_one_sentence_and_the_former_model_stays(app):
    upload_model(app, "broken.onnx", b"hello")
    assert "'broken.onnx' is not an ONNX model" in app.error[0].value.replace("\\", "")
    assert own(app).choice.name == SPEC
    assert len(app.error) == 1 and not app.exception
    app.run()
    assert len(app.error) == 1, "the sentence stays and the file is not tried again"


def test_symbolic_dimensions_are_asked_for(app):
    upload_model(app, "tiny.onnx", model_bytes("batch"))
    assert own(app).choice.name == SPEC
    app.number_input(key="size-of-batch").set_value(3)
    app.button(key="FormSubmitter:sizes-Load").click().run()
    settle(app)
    assert own(app).choice.dims == (("batch", 3),)
    assert own(app).loaded.graph.inputs[0][1].shape == (3, 4)
    assert "Size of batch" in text(app)


def test_the_uploaded_file_goes_when_it_is_no_recent_model_any_more(app, monkeypatch):
    upload_model(app, "tiny.onnx", model_bytes(2))
    path = own(app).choice.path
    app.button_group(key="source").set_value("Sample").run()
    settle(app)
    assert own(app).choice.name == SPEC, "back at the samples, the one that is shown there is loaded"
    gc.collect()
    assert path.exists(), "one can go back to it"
    monkeypatch.setattr(state, "RECENT", 1)
    app.button_group(key="size-squeezenet").set_value(112).run()
    settle(app)
    gc.collect()
    assert not path.exists()


def test_the_same_file_from_another_session_is_compiled_from_this_session_s_copy(app, command):
    content = model_bytes(5)
    upload_model(app, "tiny.onnx", content)
    first = own(app).choice.path
    other = upload_model(opened(SPEC), "tiny.onnx", content)
    assert own(other).loaded is own(app).loaded and own(other).choice.path != first
    command("print(json.dumps(report | {'machine': str(os.path.exists(sys.argv[2]))}))")
    own(app).upload = own(app).draft = None
    own(app).recent.clear()
    gc.collect()
    assert not first.exists()
    until_idle(compile_and_run(other))
    assert ">True<" in text(other)


# Explore


def test_nothing_selected_says_what_to_click(app):
    assert "Click an operator" in app.info[0].value
    for method in ("heuristic", "ago"):
        assert summary(app, method) in text(app)


def summary(app, method):
    """The line beside a panel's method."""
    metrics = own(app).loaded.views[method].metrics
    return f"{metrics.subgraphs} subgraphs, {metrics.trivial} trivial"


def test_each_panel_shows_any_partition(app):
    left = app.selectbox(key="method-left")
    assert left.value == "heuristic"
    left.select("ago").run()
    assert text(app).count(summary(app, "ago")) == 2
    app.switch_page(COMPARE).run()
    app.switch_page(EXPLORE).run()
    assert text(app).count(summary(app, "ago")) == 2, "it is remembered"


def test_an_operator_is_described(app):
    graph = own(app).loaded.graph
    op = next(op for op in graph.operators if op.is_complex)
    select(app, op.id)
    shown = text(app)
    assert op.origin[0] in shown and op.pattern.value in shown and "reduction" in shown
    assert f">{op.loops[-1].name}<" in shown


def test_several_operators_are_summed_and_listed(app):
    select(app, 1, 2, 3, 4)
    assert "4 operators" in inspector_tabs(app)[0]
    assert len(app.dataframe[0].value) == 4


def test_a_subgraph_is_drawn_and_listed(app):
    view = own(app).loaded.views["ago"]
    members = view.partition.subgraphs[3]
    select(app, *members, method="ago", subgraph=3)
    assert "AGO: S3" in inspector_tabs(app)
    assert own(app).loaded.graph.operators[members[0]].name in app.get("graphviz_chart")[0].proto.spec
    assert f"<b>{view.weights[3]:.1f} trials</b>" in text(app)
    assert len(app.dataframe[0].value) == len(members)


def test_the_subgraph_of_an_operator_can_be_selected(app):
    select(app, 7)
    app.button_group(key=state.INSPECTOR_TAB).set_value("ago").run()
    view = own(app).loaded.views["ago"]
    index = view.partition.owner[7]
    button(app, f"Select all of S{index}").click().run()
    assert own(app).selected == state.Selected(view.partition.subgraphs[index], "ago", index)
    assert not [one for one in app.button if one.label.startswith("Select all")]


def test_a_selection_across_subgraphs_lets_one_be_chosen(app):
    view = own(app).loaded.views["heuristic"]
    members = own(app).loaded.views["ago"].partition.subgraphs[3]
    select(app, *members)
    app.button_group(key=state.INSPECTOR_TAB).set_value("heuristic").run()
    holders = [box for box in app.selectbox if box.label == "Subgraph"][0]
    assert len(holders.options) == len({view.partition.owner[op] for op in members})
    last = max(view.partition.owner[op] for op in members)
    holders.set_value(last).run()
    assert f"<b>{view.weights[last]:.1f} trials</b>" in text(app)


def test_a_fault_of_the_app_is_a_sentence_beside_what_still_works(app, monkeypatch):
    monkeypatch.setattr(loaded.View, "title", property(lambda _: 1 / 0))
    app.switch_page(COMPARE).run()
    assert "could not be shown (ZeroDivisionError)" in app.error[0].value and not app.exception
    assert SPEC in text(app)


# Compare


def test_the_comparison_explains_every_figure(app):
    app.switch_page(COMPARE).run()
    for word in ("Jain", "trials", "Acyclic", "Crossing", "TVM heuristic", "AGO"):
        assert word in text(app)
    assert len(app.get("plotly_chart")) == 4


# Run


@pytest.fixture
def command(monkeypatch, tmp_path):
    """Replaces the command line by Python code, which finds `report` and `say` defined."""
    queues = []

    def write(code):
        script = tmp_path / f"fake-{len(queues)}.py"
        script.write_text(
            "import json, os, pathlib, sys, time\n"
            f"report = json.loads({json.dumps(json.dumps(REPORT))})\n"
            "def say(**message): print(json.dumps(message), file=sys.stderr, flush=True)\n"
            f"{code}\n"
        )
        queue = JobQueue([sys.executable, str(script)])
        queues.append(queue)
        monkeypatch.setattr(state, "job_queue", lambda: queue)

    yield write
    for queue in queues:
        queue.cancel_all()


def compile_and_run(app, chosen="ago"):
    app.switch_page(RUN).run()
    next(group for group in app.button_group if group.label == "Partition").set_value(chosen).run()
    button(app, "Compile and run").click().run()
    assert not app.exception
    return app


def until_idle(app, seconds=10):
    end = time.monotonic() + seconds
    while any(jobs[-1].active for jobs in own(app).jobs.values()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return app.run()


def test_nothing_has_been_run(app):
    app.switch_page(RUN).run()
    assert text(app).count("Not run yet.") == 2


def test_a_running_job_shows_what_it_does_and_blocks_the_button(app, command):
    command("say(progress='Generating code for 10 subgraphs', seconds=1); time.sleep(30)")
    compile_and_run(app, "all")
    time.sleep(0.5)
    app.run()
    assert "Generating code for 10 subgraphs" in text(app) and "Waiting for the other job" in text(app)
    assert button(app, "Compile and run").disabled
    assert [one.label for one in app.button].count("Cancel") == 2


def test_a_result_shows_how_it_was_measured(app, command):
    command("print(json.dumps(report))")
    until_idle(compile_and_run(app))
    shown = text(app)
    assert "Output matches ONNX Runtime: relative error 3.2e-07, tolerance 1e-04" in shown
    for part in ("1.25 ms", "0.5 ms", "quartiles 1.2 to 1.4 ms, 3 runs", "3.5 s", "a machine", "not tuned"):
        assert part in shown
    assert len(app.get("plotly_chart")) == 1 and "Not run yet." in shown


def test_both_results_stand_side_by_side_and_stay(app, command):
    command("print(json.dumps(report))")
    until_idle(compile_and_run(app, "all"))
    assert len(app.success) == 2
    app.switch_page(EXPLORE).run()
    app.switch_page(RUN).run()
    assert len(app.success) == 2


def test_a_wrong_result_is_said_plainly(app, command):
    command("report['correct'] = False; report['max_rel_error'] = 0.5; print(json.dumps(report)); sys.exit(1)")
    until_idle(compile_and_run(app))
    assert "does not match ONNX Runtime: relative error 5.0e-01" in app.error[0].value and not app.success


def test_a_failed_job_says_why(app, command):
    command("say(error='There is no compiler_here.'); sys.exit(2)")
    until_idle(compile_and_run(app))
    assert app.error[0].value.replace("\\", "") == "There is no compiler_here."
    assert not button(app, "Compile and run").disabled


def test_a_crash_is_a_sentence_and_the_server_lives(app, command):
    command("os.kill(os.getpid(), 11)")
    until_idle(compile_and_run(app))
    assert "stopped unexpectedly" in app.error[0].value


def test_a_job_can_be_cancelled_and_the_last_result_stays(app, command):
    command("print(json.dumps(report))")
    until_idle(compile_and_run(app))
    command("time.sleep(30)")
    compile_and_run(app)
    button(app, "Cancel").click().run()
    until_idle(app)
    assert "Cancelled after" in text(app) and len(app.success) == 1
    assert not button(app, "Compile and run").disabled


def test_a_job_of_another_model_is_shown_with_its_name(app, command):
    command("time.sleep(30)")
    compile_and_run(app)
    app.button_group(key="size-squeezenet").set_value(112).run()
    settle(app)
    assert f"{SPEC}, AGO" in text(app) and text(app).count("Not run yet.") == 2
    assert [one.label for one in app.button].count("Cancel") == 1


def test_states_of_jobs_are_those_that_the_page_knows():
    assert {one.value for one in JobState} == {"waiting", "running", "done", "failed", "cancelled"}


def test_the_light_models_of_onnx_can_be_uploaded(app):
    path = Path(onnx.__file__).parent / "backend/test/data/light/light_squeezenet.onnx"
    upload_model(app, path.name, path.read_bytes())
    assert own(app).choice.name == path.name
