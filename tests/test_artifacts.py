"""What an artifact holds, that it runs by itself in Python and in C++, and how it is opened again."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from ago_core.artifacts import archive, layout
from ago_core.artifacts.example import quoted
from ago_core.artifacts.inspect import open_artifact
from ago_core.cli import main
from ago_core.errors import UserError
from ago_core.graph.model import load_model
from ago_core.partition.heuristic import heuristic_partition
from ago_core.tuning import control
from ago_core.tuning.backend import make_backend
from ago_core.tuning.best import write_best
from ago_core.tuning.control import Request
from ago_core.tuning.plan import Deployed
from ago_core.tuning.settings import LocalDevice, TuningSettings
from tests.networks import inverted_residual

CLEAN = """
import json, runpy, sys
sys.argv = ["run.py", "--json"]
try:
    runpy.run_path("run.py", run_name="__main__")
except SystemExit as end:
    import tvm.base
    print(json.dumps([end.code, sorted({name.split(".")[0] for name in sys.modules}), [*tvm.base._LOADED_LIBS]]))
"""


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return inverted_residual(tmp_path_factory.mktemp("network"))


@pytest.fixture(scope="module")
def model(network):
    return load_model(network)


@pytest.fixture(scope="module")
def exported(tmp_path_factory, network, model):
    """An artifact of a session whose result is the heuristic's partition, nothing of which has been measured."""
    folder = tmp_path_factory.mktemp("artifact")
    settings = TuningSettings(10, LocalDevice(1))
    control.create(folder / "session", Request(network, {}, settings))
    found = [Deployed(members, None, None) for members in heuristic_partition(model).subgraphs]
    write_best(folder / "session", model, make_backend(settings).target, found, {})
    words = [
        "--tuned",
        str(folder / "session"),
        "--include-model",
        "--runs",
        "3",
        "--output",
        str(folder / "block.zip"),
    ]
    assert main(["export", str(network), *words]) == 0
    return folder / "block.zip"


@pytest.fixture
def unpacked(exported, tmp_path):
    zipfile.ZipFile(exported).extractall(tmp_path)
    return tmp_path / "block"


def rewritten(folder, name, text):
    """The folder with another text in one of its files, and the manifest's checksum of it."""
    (folder / name).write_text(text)
    manifest = json.loads((folder / layout.MANIFEST).read_text())
    manifest["files"][name] = {"bytes": len(text.encode()), "sha256": hashlib.sha256(text.encode()).hexdigest()}
    (folder / layout.MANIFEST).write_text(json.dumps(manifest))
    return folder


def changed(folder, **fields):
    """The folder with other fields in its manifest."""
    manifest = json.loads((folder / layout.MANIFEST).read_text())
    (folder / layout.MANIFEST).write_text(json.dumps(manifest | fields))
    return folder


def test_it_is_opened_as_it_was_exported(exported, model, network):
    opened = open_artifact(exported)
    assert opened.graph == model.graph
    assert opened.partition.subgraphs == heuristic_partition(model).subgraphs
    manifest = opened.manifest
    assert manifest["reloaded"]["correct"] and manifest["reference_ms"]["median"] > 0
    assert (manifest["tuned"], opened.session["settings"]["trials"]) == ("session", 10)
    assert opened.has_model and "model/inverted_residual.onnx" in manifest["files"]
    tune, export = opened.commands
    assert "tune inverted_residual.onnx --trials 10 --threads 1 --ablation ago" in tune
    assert export == "python -m ago_core export model/inverted_residual.onnx --tuned tuned --output again.zip"


def test_every_file_is_listed_and_described(exported):
    opened = open_artifact(exported)
    listed = {name.split("/")[0] for name in opened.manifest["files"]} | {layout.MANIFEST}
    assert listed == set(layout.ABOUT)


def test_the_model_stays_out_unless_it_is_asked_for(tmp_path, network, capsys):
    words = ["--method", "heuristic", "--preset", "host", "--output", str(tmp_path / "out")]
    assert main(["export", str(network), *words]) == 0
    opened = open_artifact(tmp_path / "out")
    assert not opened.has_model and opened.session is None and opened.records == ()
    assert opened.commands == (
        "python -m ago_core export inverted_residual.onnx --partition partition.json "
        f"--threads {opened.manifest['threads']} --output again.zip",
    )
    assert opened.manifest["latency_ms"] is None
    capsys.readouterr()
    assert main(["inspect", str(tmp_path / "out")]) == 0
    assert "nothing was measured" in capsys.readouterr().out


def test_it_runs_with_the_runtime_and_numpy_alone(unpacked):
    environment = os.environ | {"TVM_USE_RUNTIME_LIB": "1"}
    done = subprocess.run(
        [sys.executable, "-c", CLEAN], cwd=unpacked, env=environment, capture_output=True, text=True, check=True
    )
    code, modules, libraries = json.loads(done.stdout.splitlines()[-1])
    assert code == 0 and "tvm_compiler" not in libraries
    assert not {"ago_core", "onnx", "onnxruntime", "networkx", "xgboost"} & set(modules)


def test_what_needs_a_library_of_the_runtime_runs_too(tmp_path, capsys):
    constant = helper.make_tensor("k", TensorProto.INT64, [1], [4])
    shapes = {"x": (TensorProto.FLOAT, 16), "v": (TensorProto.FLOAT, 4), "i": (TensorProto.INT64, 4)}
    x, v, i = (helper.make_tensor_value_info(name, kind, [2, size]) for name, (kind, size) in shapes.items())
    graph = helper.make_graph([helper.make_node("TopK", ["x", "k"], ["v", "i"])], "sorts", [x], [v, i], [constant])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "sorts.onnx"
    )
    assert main(["export", str(tmp_path / "sorts.onnx"), "--runs", "3", "--output", str(tmp_path / "out")]) == 0
    manifest = open_artifact(tmp_path / "out").manifest
    assert manifest["reloaded"]["correct"] and [spec["dtype"] for spec in manifest["outputs"]] == ["float32", "int64"]


@pytest.mark.skipif(shutil.which("c++") is None, reason="there is no C++ compiler")
def test_the_example_in_cpp_compiles_and_agrees(unpacked):
    command = (unpacked / "example" / "README.md").read_text().split("```")[1]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-e", "-c", command],
        cwd=unpacked / "example",
        env=os.environ | {"PATH": path, "CXXFLAGS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "matches the recorded outputs" in done.stdout and "median latency" in done.stdout
    wrong = (unpacked / "check" / "output-0.npy").read_bytes()
    (unpacked / "check" / "output-0.npy").write_bytes(wrong[:-4] + b"\x00\x00\x80\x7f")  # ∞
    done = subprocess.run(["./main"], cwd=unpacked / "example", capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "DOES NOT match" in done.stdout


def test_a_name_cannot_end_a_string_of_the_header():
    assert quoted('a"b\\c?\n') == '"a\\042b\\134c\\077\\012"'


def test_it_is_compiled_again_from_its_own_records(unpacked, capsys):
    model, records = unpacked / "model" / "inverted_residual.onnx", unpacked / "tuned"
    assert main(["run", str(model), "--tuned", str(records), "--runs", "3"]) == 0
    assert "matches ONNX Runtime" in capsys.readouterr().out


def test_records_are_shown_by_subgraph(unpacked, capsys):
    best = json.loads((unpacked / layout.BEST).read_text())
    best["functions"] = [{"subgraph": 1, "task": 0, "seconds": 2e-5, "trial": 7, "like": [0], "trace": "[[], []]"}]
    rewritten(unpacked, layout.BEST, json.dumps(best))
    (record,) = open_artifact(unpacked).records
    assert (record.subgraph, record.trial, record.seconds, record.trace) == (1, 7, 2e-5, "[[], []]")
    assert main(["inspect", str(unpacked)]) == 0
    assert "S1: trial 7, 20 µs" in capsys.readouterr().out
    best["functions"][0]["subgraph"] = 99
    with pytest.raises(UserError, match="of another partition"):
        open_artifact(rewritten(unpacked, layout.BEST, json.dumps(best)))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"schema": 1}, "exported by another version"),
        ({"latency_ms": {"median": "fast"}}, "a latency in its manifest is none"),
        ({"threads": "many"}, "nothing usable about threads"),
        ({"files": {}}, "does not list its files"),
        ({"source": {}}, "does not say how it was made"),
        ({"model_hash": "another"}, "of another model"),
    ],
)
def test_a_manifest_that_says_something_else_is_refused(unpacked, fields, sentence):
    with pytest.raises(UserError, match=sentence):
        open_artifact(changed(unpacked, **fields))


def test_a_changed_file_is_refused(unpacked, capsys):
    library = (unpacked / layout.LIBRARY).read_bytes()
    (unpacked / layout.LIBRARY).write_bytes(library[:-1] + bytes([library[-1] ^ 1]))
    assert main(["inspect", str(unpacked)]) == 2
    assert "model.so is not what was exported" in capsys.readouterr().err
    (unpacked / layout.LIBRARY).unlink()
    with pytest.raises(UserError, match=r"model\.so is missing"):
        open_artifact(unpacked)


def test_a_partition_that_is_not_one_is_refused(unpacked):
    partition = json.loads((unpacked / layout.PARTITION).read_text())
    partition["subgraphs"].pop()
    with pytest.raises(UserError, match="partition"):
        open_artifact(rewritten(unpacked, layout.PARTITION, json.dumps(partition)))
    with pytest.raises(UserError, match="is no JSON"):
        open_artifact(rewritten(unpacked, layout.PARTITION, "[" * 100_000))


def test_what_is_no_artifact_is_refused(tmp_path, exported):
    with pytest.raises(UserError, match="There is no artifact"):
        open_artifact(tmp_path / "none.zip")
    (tmp_path / "text.zip").write_text("text")
    with pytest.raises(UserError, match="is no artifact: it is not a zip file"):
        open_artifact(tmp_path / "text.zip")
    (tmp_path / "half.zip").write_bytes(exported.read_bytes()[:5000])
    with pytest.raises(UserError, match="is no artifact"):
        open_artifact(tmp_path / "half.zip")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as file:
        file.writestr("readme.txt", "x")
    with pytest.raises(UserError, match=r"has no manifest\.json"):
        open_artifact(tmp_path / "other.zip")


def test_a_damaged_zip_is_refused(tmp_path, exported):
    data = bytearray(exported.read_bytes())
    entry = next(one for one in zipfile.ZipFile(exported).infolist() if one.filename.endswith(layout.LIBRARY))
    data[entry.header_offset + 200] ^= 0xFF
    (tmp_path / "damaged.zip").write_bytes(data)
    with pytest.raises(UserError, match="is damaged"):
        open_artifact(tmp_path / "damaged.zip")


@pytest.mark.parametrize("name", ["../evil.py", "/etc/evil", "a/../../evil", "C:\\evil", "a\\..\\evil"])
def test_a_zip_that_leads_out_of_its_folder_is_refused(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as file:
        file.writestr("x/manifest.json", "{}")
        file.writestr(name, "x")
    with pytest.raises(UserError, match="leads out of its folder"):
        open_artifact(tmp_path / "evil.zip")


def test_links_and_bombs_are_refused(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as file:
        entry = zipfile.ZipInfo("x/manifest.json")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(entry, "/etc/passwd")
    with pytest.raises(UserError, match="is a link"):
        open_artifact(tmp_path / "link.zip")
    monkeypatch.setattr(archive, "MAX_TEXT", 1 << 16)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x/manifest.json", b" " * (1 << 20))
    with pytest.raises(UserError, match="is larger than"):
        open_artifact(tmp_path / "bomb.zip")
    monkeypatch.setattr(archive, "MAX_BYTES", 1 << 16)
    with pytest.raises(UserError, match="would unpack to"):
        open_artifact(tmp_path / "bomb.zip")
    monkeypatch.setattr(archive, "MAX_FILES", 0)
    with pytest.raises(UserError, match="holds 1 files"):
        open_artifact(tmp_path / "bomb.zip")


def test_a_report_is_made_of_it(exported, tmp_path, capsys):
    from app.report import main as write_report

    assert write_report([str(exported), "--output", str(tmp_path / "report.html")]) == 0
    page = (tmp_path / "report.html").read_text()
    assert "Tuned by session" in page and "--tuned tuned" in page
    assert write_report([str(exported), str(exported), "--output", str(tmp_path / "two.html")]) == 2
    assert "give each plan once" in capsys.readouterr().err
