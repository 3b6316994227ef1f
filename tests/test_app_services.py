"""The app's services: tasks, uploads, the store of models, and jobs with a stand-in for the command line."""

import gc
import signal
import sys
import textwrap
import threading
import time
import weakref
from pathlib import Path

import pytest

from ago_core.errors import UserError
from ago_core.partition.metrics import complex_per_subgraph, measure, subgraph_weights
from ago_core.partition.partition import Partition, make_partition
from app.services import describe, models
from app.services.jobs import Job, JobQueue, State, Work
from app.services.loaded import View
from app.services.models import Choice, ModelStore
from app.services.uploads import store
from app.services.worker import Task
from benchmarks.synthetic import fused_groups, residual_graph
from sample_models import UnknownSample

SAMPLE = Choice.sample("squeezenet@56")
PARTITION = Partition("hash", "ago", ((0, 1),))
RUN = Work("run", SAMPLE, PARTITION)


def until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


# Tasks


def test_a_task_keeps_its_result_and_its_steps():
    task = Task(lambda progress: progress("Adding") or 2)
    task.run()
    assert (task.done, task.result, task.error, task.progress.current) == (True, 2, "", "Adding")


def fail(error):
    raise error


def test_a_user_s_error_is_shown_as_it_is_and_another_one_is_named():
    for error, expected in ((UserError("No such thing."), "No such thing."), (KeyError("x"), "KeyError: 'x'")):
        task = Task(lambda _, error=error: fail(error))
        task.run()
        assert task.done and expected in task.error


# Uploads


def test_an_upload_goes_when_nothing_refers_to_it():
    upload = store("net.onnx", b"content")
    path = upload.path
    assert path.read_bytes() == b"content"
    del upload
    gc.collect()
    assert not path.exists() and not path.parent.exists()


@pytest.mark.parametrize("name", ["../../net.onnx", "/etc/net.onnx", "C:\\models\\net.onnx", "a/\x00net.onnx"])
def test_an_upload_s_name_cannot_leave_its_folder(name):
    upload = store(name, b"")
    assert upload.path.name == "net.onnx" and upload.path.parent.name.startswith("ago-upload-")


def test_an_upload_without_a_usable_name_gets_one():
    assert store("..", b"").name == "model.onnx"


def test_equal_content_has_an_equal_hash():
    assert store("a.onnx", b"x").sha256 == store("b.onnx", b"x").sha256 != store("a.onnx", b"y").sha256


# The store of models


def test_choices_of_unknown_samples_are_refused():
    for spec in ("nothing", "squeezenet@57", "../squeezenet@56", "/models/net.onnx"):
        with pytest.raises(UnknownSample):
            Choice.sample(spec)
    assert Choice.sample("squeezenet") == Choice.sample("squeezenet@224")


def test_choices_are_equal_by_content_not_by_place():
    here, there = (Choice("a.onnx", (("n", 1),), "hash", Path(folder)) for folder in ("here", "there"))
    assert here == there and hash(here) == hash(there)
    assert here != Choice("a.onnx", (("n", 2),), "hash", Path("here"))


def test_models_are_loaded_once_and_the_oldest_goes():
    loads = []
    models = ModelStore(lambda choice, _: loads.append(choice.name) or choice, kept=2)
    for name in ("a", "b", "a", "c", "a", "b"):
        assert models.request(Choice(name)).wait(5)
    assert loads == ["a", "b", "c", "b"]


def test_a_failed_load_is_tried_again():
    results = iter([UserError("Not now."), "model"])

    def load(choice, progress):
        result = next(results)
        return result if isinstance(result, str) else fail(result)

    models = ModelStore(load)
    first = models.request(SAMPLE)
    assert first.wait(5) and first.error == "Not now."
    second = models.request(SAMPLE)
    assert second.wait(5) and second.result == "model"


def test_an_upload_outlives_the_load_that_waits_for_it():
    gate, seen = threading.Event(), []
    models = ModelStore(lambda choice, _: gate.wait(5) and seen.append(choice.path.exists()))
    models.request(Choice("first", path=Path(__file__)))
    upload = store("net.onnx", b"x")
    path = upload.path
    task = models.request(Choice("net.onnx", sha256=upload.sha256, path=path), keep=upload)
    del upload
    gate.set()
    assert task.wait(5) and seen == [True, True]
    gc.collect()
    assert not path.exists()


# Jobs

FAKE = """
import json, os, pathlib, sys, time
def say(**message): print(json.dumps(message), file=sys.stderr, flush=True)
say(progress="Reading the model", seconds=0.1)
"""


@pytest.fixture
def command(tmp_path):
    """A command line that does what the given Python code does after its first line of progress."""

    def write(code):
        script = tmp_path / "fake.py"
        script.write_text(FAKE + textwrap.dedent(code))
        return [sys.executable, str(script)]

    return write


def finished(command, work=RUN):
    job = Job(work, command)
    job.run()
    return job


def test_a_job_reports_progress_and_its_result(command):
    job = finished(command("say(progress='Running', seconds=1); print(json.dumps({'argv': sys.argv[1:]}))"))
    assert job.state is State.DONE and job.error == ""
    assert [step.text for step in job.progress.steps] == ["Starting the compiler", "Reading the model", "Running"]
    arguments = job.result["argv"]
    assert arguments[:3] == ["run", "squeezenet@56", "--partition"] and arguments[4:] == ["--json", "--progress"]
    assert job.finished_at is not None


def test_a_job_reads_the_very_partition_from_a_file(command):
    code = "print(pathlib.Path(sys.argv[sys.argv.index('--partition') + 1]).read_text())"
    assert finished(command(code)).result == PARTITION.to_json()


def test_dimensions_and_the_file_go_on_the_command_line():
    choice = Choice("net.onnx", (("n", 2), ("seq len", 64)), "hash", Path("/uploads/net.onnx"))
    arguments = Work("export", choice, Partition("hash", "heuristic", ((0,),))).arguments(Path("/job"))
    assert arguments[:6] == ["export", "/uploads/net.onnx", "--dim", "n=2", "--dim", "seq len=64"]
    assert arguments[arguments.index("--output") + 1] == "/job/net-heuristic.zip"


def test_a_wrong_result_is_a_result(command):
    job = finished(command("print(json.dumps({'correct': False})); sys.exit(1)"))
    assert job.state is State.DONE and job.result == {"correct": False}


def test_a_user_s_error_is_the_sentence(command):
    job = finished(command("say(error='There is no such model.'); sys.exit(2)"))
    assert (job.state, job.error) == (State.FAILED, "There is no such model.")


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("print('boom', file=sys.stderr); sys.exit(1)", "exit code 1) while: Reading the model. Its last line: boom"),
        ("os.kill(os.getpid(), 11)", f"signal {signal.Signals(11).name}"),
        ("print('not json')", "exit code 0"),
        ("sys.exit(2)", "exit code 2"),
    ],
)
def test_an_unexpected_end_is_named(command, code, says):
    job = finished(command(code))
    assert job.state is State.FAILED and says in job.error


def test_a_command_that_is_not_there_is_named():
    job = finished(["/nonexistent/python"])
    assert job.state is State.FAILED and "could not be run" in job.error


def test_cancelling_kills_the_process_and_what_it_started(command, tmp_path):
    code = f"""
    import subprocess
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    pathlib.Path({str(tmp_path / "pids")!r}).write_text(f"{{os.getpid()}} {{child.pid}}")
    say(progress="Sleeping", seconds=1)
    time.sleep(60)
    """
    job = JobQueue(command(code)).submit(RUN)
    until(lambda: job.progress.current == "Sleeping")
    folder = job.output.parent
    job.cancel()
    assert job.state is State.CANCELLED and not folder.exists()
    until(lambda: not any(_runs(int(pid)) for pid in (tmp_path / "pids").read_text().split()))


def _runs(pid):
    """Whether a process runs; one that is dead but not yet waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_job_that_waits_is_cancelled_without_being_started(command, tmp_path):
    jobs = JobQueue(command(f"open({str(tmp_path / 'log')!r}, 'a').write('x'); time.sleep(0.5); print('{{}}')"))
    first, second, third = (jobs.submit(RUN) for _ in range(3))
    assert second.state is State.WAITING
    second.cancel()
    until(lambda: not third.active)
    assert [job.state for job in (first, second)] == [State.FAILED, State.CANCELLED]  # {} is no report
    assert (tmp_path / "log").read_text() == "xx"


def test_a_job_keeps_its_upload_until_it_ends(command):
    upload = store("net.onnx", b"x")
    path = upload.path
    jobs = JobQueue(command("time.sleep(0.3); print(json.dumps({'exists': os.path.exists(sys.argv[2])}))"))
    job = jobs.submit(Work("run", Choice("net.onnx", sha256="h", path=path), PARTITION), keep=upload)
    del upload
    until(lambda: not job.active)
    gc.collect()
    assert job.result == {"exists": True} and not path.exists()


def test_an_artifact_goes_with_its_job(command):
    code = "pathlib.Path(sys.argv[sys.argv.index('--output') + 1]).write_bytes(b'zip'); print('{\"path\": \"x\"}')"
    job = finished(command(code), Work("export", SAMPLE, PARTITION))
    path = job.output
    assert path.name == "squeezenet-56-ago.zip" and path.read_bytes() == b"zip"
    del job
    gc.collect()
    assert not path.parent.exists()


# Descriptions


@pytest.fixture
def view():
    graph = residual_graph(24)
    partition = make_partition(graph, fused_groups(graph), "heuristic")
    weights, counts = subgraph_weights(graph, partition), complex_per_subgraph(graph, partition)
    return graph, View(partition, measure(graph, partition), weights, counts)


def test_a_boundary_counts_each_tensor_once():
    graph = residual_graph(11)  # conv add relu | conv add relu | conv add | add (with the first relu) | relu
    tensor = graph.operators[0].bytes_written
    whole = describe.boundary(graph, range(11))
    assert whole.activations == tensor and whole.results == tensor * len(graph.results)
    middle = describe.boundary(graph, (3, 4, 5))
    assert (middle.activations, middle.results) == (tensor, tensor)
    assert middle.weights == sum(t.nbytes for op in graph.operators[3:6] for t in op.weights)


def test_the_comparison_has_a_row_for_each_figure(view):
    _, first = view
    rows = describe.metric_table([first])
    assert {row["Figure"]: row["TVM heuristic"] for row in rows}["Subgraphs"] == str(len(first.partition))
    assert all(row[describe.EXPLANATION] for row in rows)


def test_holders_count_the_selected_operators(view):
    graph, first = view
    assert sum(describe.holders(first, range(7)).values()) == 7
    members = first.partition.subgraphs[1]
    assert describe.holders(first, members) == {1: len(members)}
    rows = describe.operator_table(graph, [first], members)
    assert [row["TVM heuristic"] for row in rows] == ["S1"] * len(members)


def test_what_models_left_behind_is_collected_with_the_next_one():
    class Left:
        pass

    left = Left()
    left.itself, alive = left, weakref.ref(left)
    gc.freeze()
    del left
    gc.collect()
    assert alive() is not None, "loading a model takes what is there out of the collector's rounds"
    models.load(Choice.sample("squeezenet@56"), lambda step: None)
    assert alive() is None and gc.get_freeze_count() > 0
