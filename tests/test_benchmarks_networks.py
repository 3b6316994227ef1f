"""The comparison of networks: which cells, who takes part, what counts as a result, and what is made of the results."""

from __future__ import annotations

import json
import sys
import time
import types
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from ago_core.tuning.events import State
from benchmarks.networks import __main__ as command
from benchmarks.networks import plots, report, sessions, store
from benchmarks.networks.cells import SPECS, Cell, cells, quick
from benchmarks.networks.peers import PEERS, peers_of
from benchmarks.networks.real_models import REAL_MODELS, fix_shapes
from benchmarks.networks.summary import behind, group, mean, ratio, summary
from benchmarks.peers import environments
from benchmarks.peers.environments import Environment, Unavailable

ROOFLINE = {"threads": 2, "peak": 1e9, "footprints": [1024, 4096], "bandwidths": [1e9, 1e9]}


def test_there_are_eighteen_networks_and_five_real_models_in_every_size_of_the_comparison():
    every = cells()
    assert len(SPECS) == 18 and len(REAL_MODELS) == 5
    assert len(every) == len({cell.name for cell in every}) == 23 * 2 * 3


def test_the_most_useful_cells_come_first():
    every = cells()
    assert every[0] == Cell("mobilenet_v2@224", 2, 0)
    assert [cell.trials for cell in every[:36]] == [0] * 18 + [1000] * 18
    assert all(cell.threads == 2 for cell in every[: len(every) // 2])
    assert [cell.trials for cell in every if cell.threads == 2][-1] == 200


def test_cells_are_chosen_by_the_beginning_of_a_name():
    assert [cell.model for cell in cells(["bert"], [1], [8])] == ["bert_tiny@128", "bert_tiny@64", "bert_tiny@32"]
    assert cells(["squeezenet@56", "real"], [1], [8])[0] == Cell("squeezenet@56", 1, 8)
    assert len(cells(["real"], [1], [8])) == 5
    with pytest.raises(ValueError, match="No model is called 'resnet'"):
        cells(["resnet"])


def test_the_quick_ones_are_untuned_networks_and_one_that_is_tuned_with_more_trials_than_it_has_functions():
    found = quick([1])
    assert [cell.trials for cell in found] == [0, 0, 0, 64] and found[-1].model == found[-2].model
    assert set(found[:3]) <= set(cells(threads=[1], trials=[0]))
    assert [cell.threads for cell in quick()] == [2] * 4


def test_without_trials_there_is_nothing_to_reform_and_metaschedule_has_no_schedule():
    assert set(PEERS) - set(peers_of(0)) == {"no-reformer", "stock-nhwc", "stock-nchw"}
    assert peers_of(200) == list(PEERS)


def test_loops_as_they_are_are_no_comparison():
    without = record(trials=0, onnxruntime=4.0, stock_nhwc=100.0, stock_nchw=None, ago=2.0)
    found = summary(results_of(without))
    assert found["vs_stock"] is None and found["vs_fastest_peer"]["mean"] == 2.0
    text = report.text(results_of(without))
    assert "100.00" not in text and "It crashed." not in text and "no schedule, only the loops" in text
    (picture, _) = plots.pictures(results_of(without)).values()
    assert "stock" not in picture


def test_open_sizes_of_an_input_are_fixed_and_shapes_follow():
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", values[:1], values[1:])
    model = helper.make_model(graph)
    fix_shapes(model, {"x": (4, 3)})
    inferred = onnx.shape_inference.infer_shapes(model).graph.output[0].type.tensor_type.shape
    assert [dim.dim_value for dim in inferred.dim] == [4, 3]


# environments


def test_an_environment_is_made_once_and_anew_for_other_pins(tmp_path, monkeypatch):
    ran = []

    def run(line, what):
        ran.append(line)
        Path(line[-1] if "venv" in line else tmp_path / "peer").mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(environments, "run", run)
    for pins in (("peer==1",), ("peer==1",), ("peer==2",)):
        python = environments.ensure(Environment("peer", pins), tmp_path)
    assert python == tmp_path / "peer" / "bin" / "python"
    assert [line[-1] for line in ran if "pip" in line] == ["peer==1", "peer==2"]


def test_a_package_that_cannot_be_installed_is_one_sentence():
    complaint = "import sys; sys.stderr.write('ERROR: No matching distribution\\n'); sys.exit(1)"
    with pytest.raises(Unavailable, match="peer cannot be installed: ERROR: No matching distribution"):
        environments.run([sys.executable, "-c", complaint], "peer cannot be installed")


# sessions


def told(*runs):
    return {"ms_by_trials": [list(run) for run in runs]}


def test_trials_to_reach_the_heuristic_are_those_of_the_first_run_as_fast():
    found = {
        "heuristic": told((10, 3.0), (100, 2.0)),
        "ago": told((12, 2.5), (40, 1.9), (100, 1.0)),
        "stock-nhwc": told((100, 9.0)),
    }
    assert sessions.trials_to_reach(found) == {"heuristic": 100, "ago": 40, "stock-nhwc": None}
    assert sessions.trials_to_reach({"ago": told((1, 1.0))}) == {}


def test_a_session_that_cannot_end_in_time_is_not_begun_and_one_that_runs_is_stopped(tmp_path, monkeypatch):
    states = [State.QUEUED]
    asked = []

    class Status:
        trials, total, reason, end_to_end = 3, 8, "", None

        @property
        def state(self):
            return states[0]

    def create(folder, request):
        asked.append("create")
        (folder / sessions.control.JOURNAL).touch()

    monkeypatch.setattr(sessions.control, "create", create)
    monkeypatch.setattr(sessions.control, "status", lambda folder: Status())
    monkeypatch.setattr(sessions.control, "resume", lambda folder, program: asked.append(program))
    monkeypatch.setattr(sessions.control, "stop", lambda folder: asked.append("stop"))
    monkeypatch.setattr(sessions.lock, "is_held", lambda folder: not states[0].ended and asked[-1] != "stop")
    cell, peer = Cell("squeezenet@56", 1, 8), PEERS["stock-nchw"]
    with pytest.raises(sessions.OutOfTime):
        sessions.tune(tmp_path, "squeezenet@56", peer, cell, time.monotonic(), print)
    assert asked == ["create"]
    monkeypatch.setattr(sessions, "STOP_SECONDS", 0.0)
    monkeypatch.setattr(sessions, "POLL_SECONDS", 0.02)
    with pytest.raises(sessions.OutOfTime):
        sessions.tune(tmp_path, "squeezenet@56", peer, cell, time.monotonic() + 0.1, lambda _: None)
    assert asked[1][1:] == ("-m", "benchmarks.peers.nchw") and asked[-1] == "stop"
    states[0] = State.FAILED
    with pytest.raises(sessions.SessionFailed, match="Its session is failed"):
        sessions.tune(tmp_path, "squeezenet@56", peer, cell, time.monotonic() + 60, print)


def test_a_session_that_was_stopped_is_followed_until_its_new_process_has_gone(tmp_path, monkeypatch):
    """Until that process has written its first line, the journal says that the session is stopped."""
    told_by_journal = iter([State.STOPPED] * 3 + [State.RUNNING, State.FINISHED, State.FINISHED])
    held = iter([True] * 4 + [False])

    def status(folder):
        return types.SimpleNamespace(state=next(told_by_journal), trials=1, total=8, reason="", end_to_end=1.0)

    (tmp_path / sessions.control.JOURNAL).touch()
    monkeypatch.setattr(sessions.control, "status", status)
    monkeypatch.setattr(sessions.control, "resume", lambda folder, program: None)
    monkeypatch.setattr(sessions.lock, "is_held", lambda folder: next(held))
    monkeypatch.setattr(sessions, "told", lambda folder: {"missing": 0})
    monkeypatch.setattr(sessions, "POLL_SECONDS", 0.0)
    cell, said = Cell("squeezenet@56", 1, 8), []
    assert sessions.tune(tmp_path, "squeezenet@56", PEERS["ago"], cell, time.monotonic() + 999, said.append)
    assert said == ["1/8 trials"] * 4


@pytest.mark.parametrize("name, refused", [("stock-nhwc", True), ("heuristic", False)])
def test_metaschedule_with_too_few_trials_does_not_count_with_our_schedules(name, refused, tmp_path, monkeypatch):
    """In a session with fewer trials than functions the others keep this project's schedules."""
    done = types.SimpleNamespace(state=State.FINISHED, end_to_end=1.0, reason="")
    (tmp_path / sessions.control.JOURNAL).touch()
    monkeypatch.setattr(sessions.control, "status", lambda folder: done)
    monkeypatch.setattr(sessions, "told", lambda folder: {"trials": 16, "missing": 3})
    arguments = (tmp_path, "squeezenet@56", PEERS[name], Cell("squeezenet@56", 1, 16), time.monotonic() + 60, print)
    if refused:
        with pytest.raises(sessions.SessionFailed, match="After 16 trials 3 functions have no right schedule"):
            sessions.tune(*arguments)
    else:
        assert sessions.tune(*arguments)["missing"] == 3


# results


def record(model="squeezenet@56", threads=2, trials=1000, **ms):
    """A cell's; a figure as milliseconds, or as [median, first and third quartile]; None for one that failed."""
    peers = {
        name.replace("_", "-"): {"failed": "It crashed."} if value is None else {"ms": figure(value), "version": "1"}
        for name, value in ms.items()
    }
    about = {"model": model, "threads": threads, "trials": trials, "date": "2026-11-23T04:00+00:00", "code": "abc"}
    return about | {
        "rounds": 3,
        "limits": {"roofline": ROOFLINE, "gemm": 9e8},
        "peers": peers,
        "sessions": {},
        "trials_to_reach_heuristic": {"ago": 40, "heuristic": None},
    }


def figure(value):
    return [value, value * 0.99, value * 1.01] if isinstance(value, float) else value


def results_of(*records):
    partitions = {
        method: {
            **{"operators": 92, "subgraphs": 40, "trivial": 3, "largest": 5, "mean_weight": 80.0},
            **{"largest_weight": 97.0, "fairness": 0.9, "crossing_bytes": 1e6, "weights": [1.0, 80.0, 97.0]},
        }
        for method in ("heuristic", "ago")
    }
    environment = {"machine": "a machine", "cores": 2, "versions": {"apache-tvm": "0.27"}, "date": "2026-11-23"}
    network = {"flops": 1e6, "bytes": 1024, "partitions": partitions}
    return {
        "environment": environment,
        "seed": 1,
        "networks": {each["model"]: network for each in records} | {"nudenet": {"failed": "It cannot be had."}},
        "cells": {Cell(each["model"], each["threads"], each["trials"]).name: each for each in records},
    }


CELL = record(onnxruntime=4.0, openvino=3.0, stock_nhwc=8.0, stock_nchw=6.0, heuristic=2.2, no_fusion=2.1, ago=2.0)
LOST = record("bert_tiny@32", onnxruntime=2.0, openvino=None, stock_nhwc=2.0, heuristic=[0.9, 0.8, 1.1], ago=1.0)
RESULTS = results_of(CELL, LOST)


def test_the_faster_peer_and_the_better_layout_count():
    assert ratio(CELL, ("onnxruntime", "openvino")) == 1.5
    assert ratio(CELL, ("stock-nhwc", "stock-nchw")) == 3.0
    assert ratio(LOST, ("onnxruntime", "openvino")) == 2.0
    assert ratio(CELL, ("iree",)) is None


def test_means_are_geometric_and_say_how_many_cells_they_are_of():
    assert mean([2.0, 8.0, None]) == {"mean": pytest.approx(4.0), "least": 2.0, "cells": 2}
    assert mean([None]) is None


def test_a_cell_behind_is_told_with_whether_chance_explains_it():
    (lost,) = behind([CELL, LOST])
    assert lost["model"] == "bert_tiny@32" and lost["ratio"] == 0.9 and not lost["beyond_spread"]
    (clear,) = behind([record(heuristic=0.9, ago=1.0)])
    assert clear["beyond_spread"]


def test_the_summary_is_of_the_papers_networks_with_all_threads_after_most_trials():
    others = [record(threads=1, ago=1.0, stock_nhwc=9.0), record(trials=0, ago=1.0, stock_nhwc=9.0)]
    found = summary(results_of(CELL, LOST, record("magika", ago=1.0, stock_nhwc=99.0), *others))
    assert (found["threads"], found["trials"], found["models"]) == (2, 1000, "networks")
    assert found["vs_stock"] == {"mean": pytest.approx(6**0.5), "least": 2.0, "cells": 2}
    assert found["vs_fastest_peer"]["cells"] == 2 and found["vs_unfused"]["cells"] == 1
    assert [(each["cells"], each["asked"]) for each in found["groups"]] == [(2, 18), (1, 5), (1, 18), (1, 18)]
    assert [each["models"] for each in found["groups"]] == ["networks", "real models", "networks", "networks"]


def test_the_share_of_the_limit_is_the_rooflines_time_over_the_peers():
    """1e6 operations at 1e9 a second take 1 ms; AGO takes 2 ms."""
    assert group(results_of(CELL), lambda _: True)["share_of_limit"]["mean"] == pytest.approx(0.5)


def test_the_ceiling_is_the_peers_time_over_the_limit():
    """What AGO would have if it took the 1 ms of the limit."""
    found = group(results_of(CELL), lambda _: True)
    assert found["ceilings"]["vs_stock"]["mean"] == pytest.approx(2 * found["vs_stock"]["mean"])
    goal = next(goal for goal in summary(results_of(CELL))["goals"] if goal["figure"] == "vs_stock")
    assert goal["ceiling"] == found["ceilings"]["vs_stock"]["mean"]
    assert f"Code at the machine's limit would have {goal['ceiling']:.2f}." in report.goals(results_of(CELL))


def test_the_report_shows_figures_failures_and_where_they_are_from():
    text = report.text(RESULTS)
    assert "| networks | 2 | 1,000 | 2 of 18 | 2.45 (2.00) |" in text and "| 1, 0 beyond the spread |" in text
    assert "1.05 (1.05, 1 cells)" in text
    assert "| squeezenet@56 | 4.00 ± 1% | 3.00 ± 1% | 8.00 ± 1% |" in text and "| 1.000 | 50% |" in text
    assert "- OpenVINO: It crashed. (bert_tiny@32, 2 threads, 1000 trials)" in text
    assert "- nudenet: It cannot be had." in text
    assert "| never |" in text and "a machine, 2 cores" in text


def test_limits_are_told_for_each_number_of_threads_from_the_least_to_the_most():
    fast = LOST | {"limits": {"roofline": ROOFLINE | {"peak": 3e9}, "gemm": 2e9}}
    text = report.footer(results_of(CELL, fast, record(threads=1, ago=1.0)))
    beside = "as measured beside the cells: "
    assert f"2 threads, {beside}1 to 3 GFLOP/s in registers, 1 to 2 GFLOP/s in a GEMM, 1 GB/s from memory." in text
    assert f"1 thread, {beside}1 GFLOP/s in registers, " in text


def test_how_often_processes_were_started_is_told():
    thrice = {"ago": {"ms": [1.0, 1.0, 1.0], "starts": [1.0, 1.0, 1.0], "version": "1"}}
    assert "process was started 1 times in a cell." in report.footer(results_of(CELL))
    assert "process was started 1 or 3 times in a cell." in report.footer(results_of(CELL, LOST | {"peers": thrice}))


def test_pictures_are_well_formed_and_hold_a_dot_for_each_figure():
    found = plots.pictures(RESULTS)
    assert set(found) == {"networks-2-threads-1000-trials.svg", "networks-2-threads-1000-trials-limit.svg"}
    root = ElementTree.fromstring(found["networks-2-threads-1000-trials.svg"])
    tips = [title.text for title in root.iter("{http://www.w3.org/2000/svg}title")]
    assert len(tips) == 7 + 4 and "ONNX Runtime: 0.50" in tips


# the command


@pytest.fixture
def folder(tmp_path):
    store.write(tmp_path, RESULTS)
    return tmp_path


def test_report_prints_json_with_the_summary_and_draws(folder, capsys):
    assert command.main(["--report", "--json", "--results", str(folder)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["summary"]["vs_stock"]["cells"] == 2 and printed["summary"]["cells_behind_heuristic"]
    assert (folder / "networks-2-threads-1000-trials.svg").exists()


def test_nothing_measured_is_one_sentence(tmp_path):
    with pytest.raises(SystemExit, match="Nothing has been measured in"):
        command.main(["--report", "--results", str(tmp_path)])


def test_results_of_another_machine_are_not_mixed_with(folder, tmp_path):
    with pytest.raises(SystemExit, match="was measured with machine a machine, and here it is"):
        command.main(["--cells", "bert_tiny@32", "--results", str(folder), "--work", str(tmp_path / "work")])


def test_a_cell_is_done_when_all_that_are_asked_for_took_part():
    cell = Cell("squeezenet@56", 2, 1000)
    assert command.is_done(CELL, cell, ("ago", "heuristic"))
    assert not command.is_done(CELL, cell, ("ago", "iree")) and not command.is_done(None, cell, ())
    assert command.is_done(CELL, Cell("squeezenet@56", 2, 0), ("no-reformer",))


def test_cells_are_saved_one_by_one_and_the_rest_is_left_when_the_time_is_up(tmp_path, monkeypatch, capsys):
    left = [record("bert_tiny@32", 1, 8, onnxruntime=1.0, ago=1.0)]

    def measured(bench, cell):
        if not left:
            raise sessions.OutOfTime
        return {key: value for key, value in left.pop().items() if key not in vars(cell)}

    here = {"environment": store.environment(), **{key: RESULTS[key] for key in ("seed", "networks")}}
    store.write(tmp_path, here | {"cells": {}})
    monkeypatch.setattr(command, "measured", measured)
    choice = [
        "--cells",
        "bert_tiny@32",
        "--threads",
        "1",
        "--trials",
        "8",
        "9",
        "--peers",
        "ago",
        "--results",
        str(tmp_path),
    ]
    assert command.main(choice) == 0
    assert "1 of 2 cells are measured. The time is up: run the same command to go on." in capsys.readouterr().err
    assert set(store.read(tmp_path)["cells"]) == {"bert_tiny@32, 1 threads, 8 trials"}
    left.append(record("bert_tiny@32", 1, 9, onnxruntime=1.0, ago=1.0))
    assert command.main(choice) == 0 and "2 of 2 cells are measured.\n" in capsys.readouterr().err


def test_what_shall_be_measured_again_is_left_to_a_later_run_where_the_time_is_up(tmp_path, monkeypatch):
    def out_of_time(bench, cell):
        raise sessions.OutOfTime

    cell = Cell("bert_tiny@32", 1, 8)
    old = record(*vars(cell).values(), onnxruntime=1.0, ago=1.0)
    here = {"environment": store.environment(), **{key: RESULTS[key] for key in ("seed", "networks")}}
    store.write(tmp_path, here | {"cells": {cell.name: old}})
    tuned = command.session_folder(tmp_path, cell, "ago")
    tuned.mkdir(parents=True)
    monkeypatch.setattr(command, "measured", out_of_time)
    choice = ["--cells", "bert_tiny@32", "--threads", "1", "--trials", "8", "--peers", "ago", "--work", str(tmp_path)]
    command.main([*choice, "--results", str(tmp_path), "--again"])
    assert tuned.exists() and not command.is_done(store.read(tmp_path)["cells"][cell.name], cell, ("ago",))
    command.main([*choice, "--results", str(tmp_path), "--anew"])
    assert not tuned.exists() and store.read(tmp_path)["cells"][cell.name]["peers"] == old["peers"]


def test_peers_that_took_part_before_take_part_again(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(command, "measured", lambda bench, cell: seen.append(bench.peers) or dict(CELL))
    results = RESULTS | {"cells": dict(RESULTS["cells"])}
    args = command._parser().parse_args(["--peers", "iree", "--results", str(tmp_path), "--work", str(tmp_path)])
    command._measure(command._bench(args), [Cell("squeezenet@56", 2, 1000)], results, args)
    assert seen == [] if len(command.allowed_cores()) < 2 else set(seen[0]) == {*CELL["peers"], "iree"}
