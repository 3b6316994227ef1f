"""The command line as a user calls it: in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ago_core.cli import main
from tests.networks import inverted_residual

ROOT = Path(__file__).parents[1]


def cli(*arguments, cwd=ROOT) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "ago_core", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120, check=False)


def report_of(*arguments) -> dict:
    done = cli(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_help_names_every_command():
    text = cli("--help").stdout
    assert all(command in text for command in ("partition", "run", "export", "samples"))


@pytest.mark.parametrize("method", ["heuristic", "ago"])
def test_partition_reports_every_operator_once(method):
    report = report_of("partition", "bert_tiny@32", "--method", method)
    operators = [op for subgraph in report["subgraphs"] for op in subgraph["operators"]]
    assert report["acyclic"] is True
    assert len(operators) == len(set(operators)) == report["operators"]
    assert sum(s["complex_operators"] for s in report["subgraphs"]) == report["metrics"]["complex_operators"]
    assert report["totals"]["parameters"] == 4_385_920
    assert report["transposes"]["inside"] == 0
    assert report["metrics"]["parallel_regions"] >= 1
    if method == "heuristic":
        assert max(s["complex_operators"] for s in report["subgraphs"]) == 1


def test_run_verifies_and_times_a_saved_partition(tmp_path):
    model, saved = inverted_residual(tmp_path), tmp_path / "partition.json"
    assert cli("partition", model, "--method", "ago", "--save", saved).returncode == 0
    report = report_of("run", model, "--partition", saved, "--runs", 5, "--threads", 1)
    assert report["correct"] and report["max_rel_error"] <= report["tolerance"] == 1e-4
    assert report["method"] == "ago" and report["threads"] == 1
    assert len(report["latency_ms"]["runs"]) == 5
    assert report["latency_ms"]["q1"] <= report["latency_ms"]["median"] <= report["latency_ms"]["q3"]
    assert report["build_seconds"] > 0 and report["reference_ms"]["median"] > 0


def test_progress_is_json_lines_on_standard_error(tmp_path):
    done = cli("run", inverted_residual(tmp_path), "--runs", 3, "--json", "--progress")
    steps = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert len(steps) >= 5 and all(step["seconds"] >= 0 for step in steps)
    assert json.loads(done.stdout)["correct"]


def test_exported_zip_runs_by_itself(tmp_path):
    archive = tmp_path / "block.zip"
    report = report_of("export", inverted_residual(tmp_path), "--method", "heuristic", "--output", archive, "--runs", 3)
    assert report["reloaded"]["correct"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["block.zip", "inverted_residual.onnx"]
    zipfile.ZipFile(archive).extractall(tmp_path)
    folder = tmp_path / "block"
    manifest = json.loads((folder / "manifest.json").read_text())
    spec = {"name": "x", "shape": [1, 8, 9, 9], "dtype": "float32", "file": "check/input-0.npy"}
    assert manifest["inputs"] == [spec]
    assert manifest["latency_ms"]["median"] > 0 and manifest["versions"]["apache-tvm"]
    done = subprocess.run([sys.executable, "run.py"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "matches" in done.stdout, done.stderr


def test_export_refuses_a_folder_with_files(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious.txt").write_text("keep")
    done = cli("export", inverted_residual(tmp_path), "--output", tmp_path / "out")
    assert done.returncode == 2 and "not empty" in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["precious.txt"]


def test_export_without_a_linker_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("ago_core.artifacts.linker.linker", lambda: None)
    code = main(["export", str(inverted_residual(tmp_path)), "--output", str(tmp_path / "out")])
    assert code == 2
    assert "needs a linker" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_symbolic_dimension_wants_a_value(tmp_path):
    model = inverted_residual(tmp_path, batch="batch")
    done = cli("partition", model)
    assert done.returncode == 2 and "batch" in done.stderr and "--dim" in done.stderr
    assert report_of("partition", model, "--dim", "batch=2")["operators"] > 5


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["partition", "no_such_model"], "neither a file nor a sample"),
        (["partition", "mobilenet_v2@57"], "57"),
        (["run", "requirements.txt"], "ONNX"),
        (["run", "bert_tiny@32", "--partition", "requirements.txt"], "cannot be read"),
    ],
)
def test_faults_of_the_user_are_one_sentence_and_exit_code_2(arguments, sentence):
    done = cli(*arguments)
    assert done.returncode == 2
    assert sentence in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_core_does_not_import_a_ui_library():
    code = "import sys, ago_core.cli, ago_core.graph.model, ago_core.artifacts.export; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert not {"streamlit", "plotly", "graphviz", "torch"} & set(done.stdout.split())


def test_explain_answers_for_both_methods():
    report = report_of("explain", "mobilenet_v2@56", "conv2d_1", "depthwise_conv2d_1")
    assert report["operators"] == ["conv2d_1", "depthwise_conv2d_1"]
    assert report["heuristic"]["together"] is False and report["heuristic"]["reasons"]
    assert report["ago"]["together"] is True and "step" in report["ago"]["reasons"][0]


def test_edit_from_a_script_saves_a_partition_that_runs(tmp_path):
    model, script, saved = inverted_residual(tmp_path), tmp_path / "edits.json", tmp_path / "edited.json"
    script.write_text(
        json.dumps([{"merge": ["pointwise_conv2d_1", "depthwise_conv2d_1"]}, {"split": ["sigmoid_1", "multiply_1"]}])
    )
    report = report_of("edit", model, script, "--method", "heuristic", "--save", saved)
    assert report["edits"] == 2 and report["metrics"]["acyclic"]
    assert report_of("run", model, "--partition", saved, "--runs", 3)["method"] == "edited"
    changes = report_of("diff", model, "heuristic", saved)["changes"]
    assert changes["merged"] + changes["re-cut"] + changes["split"] >= 1 and changes["same"] >= 1


def test_a_refused_edit_names_the_cycle_and_what_helps_and_saves_nothing(tmp_path):
    script, saved = tmp_path / "edits.json", tmp_path / "edited.json"
    script.write_text(json.dumps([{"merge": ["pointwise_conv2d_2", "add_10"]}]))
    done = cli("edit", "mobilenet_v2@56", script, "--method", "heuristic", "--save", saved)
    assert done.returncode == 2 and "→" in done.stderr and "legal together with" in done.stderr
    assert not saved.exists()


def test_settings_of_ago_change_the_partition():
    small = report_of("partition", "squeezenet@56", "--threshold", "40")
    large = report_of("partition", "squeezenet@56", "--threshold", "300", "--rule", "exact", "--plain")
    assert small["metrics"]["subgraphs"] > large["metrics"]["subgraphs"]
    assert all(s["weight"] <= 40 or len(s["operators"]) == 1 for s in small["subgraphs"])


def test_tasks_are_minis_counted_once():
    report = report_of("tasks", "mobilenet_v2@56", "--method", "ago")
    assert sum(task["times"] for task in report["tasks"]) == report["minis"] >= report["subgraphs"]
    assert len(report["tasks"]) < report["minis"]


def test_a_reader_that_has_seen_enough_is_no_fault():
    command = f"{sys.executable} -m ago_core samples | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout.startswith("mobilenet_v2") and done.stderr == ""
