"""Opening models: what loads, and one sentence for each thing that can be wrong with a file."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ago_core.graph import source
from ago_core.graph.source import open_source, symbolic_dimensions
from tests.source_models import (
    LIGHT,
    dense,
    make,
    node,
    refusal_of,
    shapes_of,
    tensor,
    weight_names,
    weights,
)

# What opens.


@pytest.mark.parametrize("path", LIGHT, ids=lambda path: path.stem)
def test_light_models_open_with_every_shape_known(path):
    opened = open_source(path)
    shapes = shapes_of(opened.model)
    assert opened.name == path.stem
    read = {name for n in opened.model.graph.node for name in n.input} - weight_names(opened.model)
    assert all(min(shapes[name], default=1) > 0 for name in read)


def test_dimensions_are_bound_and_shapes_inferred(saved):
    opened = open_source(saved(dense()), {"batch": 5})
    assert shapes_of(opened.model) == {"x": (5, 3), "h": (5, 4), "s": (5, 4), "y": (5, 4)}
    assert (opened.name, opened.dims) == ("tiny", (("batch", 5),))


def test_a_name_can_be_given(saved):
    assert open_source(saved(dense(1)), name="upload").name == "upload"


def test_shape_arithmetic_is_followed(saved):
    nodes = [node("Shape", "x", "s"), node("Gather", "s i", "n"), node("Concat", "n m", "t", axis=0)]
    nodes.append(node("Reshape", "x t", "y"))
    constants = [
        helper.make_tensor("i", TensorProto.INT64, [1], [0]),
        helper.make_tensor("m", TensorProto.INT64, [1], [-1]),
    ]
    opened = open_source(saved(make(nodes, [tensor("x", ["n", 2, 3])], initializers=constants)), {"n": 4})
    assert shapes_of(opened.model)["y"] == (4, 6)


def test_stale_declared_shapes_are_replaced(saved):
    model = dense(outputs=[tensor("y", [1, 4])], value_info=[tensor("h", [1, 4])])
    assert shapes_of(open_source(saved(model), {"batch": 2}).model)["h"] == (2, 4)
    assert shapes_of(open_source(saved(model), {"batch": 2}).model)["y"] == (2, 4)


def test_initializers_that_are_inputs_are_not_asked_for(saved):
    model = dense(ir_version=3)
    model.graph.input.extend([tensor("w", [3, 4]), tensor("b", ["unused"])])
    path = saved(model)
    assert list(symbolic_dimensions(path)) == ["batch"]
    assert shapes_of(open_source(path, {"batch": 2}).model)["y"] == (2, 4)


def test_large_weights_survive(saved):
    model = make([node("MatMul", "x w", "y")], [tensor("x", [1, 40])], initializers=[weights("w", (40, 50))])
    opened = open_source(saved(model)).model
    assert np.array_equal(numpy_helper.to_array(opened.graph.initializer[0]), np.arange(2000).reshape(40, 50))
    assert shapes_of(opened)["y"] == (1, 50)


def test_external_data_in_the_folder_loads(tmp_path):
    path = save_external(tmp_path, "parts/w.bin")
    opened = open_source(path)
    assert np.array_equal(numpy_helper.to_array(opened.model.graph.initializer[0]), np.arange(12).reshape(3, 4))
    assert [value.data_location for value in opened.model.graph.initializer] == [TensorProto.DEFAULT] * 2


def test_microsoft_operators_that_tvm_knows_are_accepted(saved):
    model = make(
        [node("FastGelu", "x", "h", domain="com.microsoft"), node("Relu", "h", "y")],
        [tensor("x", ["n", 3])],
        value_info=[tensor("h", ["n", 3])],
    )
    assert shapes_of(open_source(saved(model), {"n": 2}).model)["y"] == (2, 3)


def test_operators_that_fold_away_need_no_converter(saved):
    nodes = [node("Det", "m", "d"), node("Mul", "x d", "y")]
    open_source(saved(make(nodes, [tensor("x", [2])], initializers=[weights("m", (2, 2))])))


def test_the_hash_covers_file_external_data_dimensions_and_version(saved, tmp_path, monkeypatch):
    path = saved(dense())
    seen = {open_source(path, {"batch": 1}).sha256, open_source(path, {"batch": 2}).sha256}
    assert open_source(path, {"batch": 1}).sha256 in seen
    seen.add(open_source(saved(dense(doc_string="other")), {"batch": 1}).sha256)
    external = save_external(tmp_path, "w.bin")
    seen.add(open_source(external).sha256)
    (tmp_path / "w.bin").write_bytes(bytes(48))
    seen.add(open_source(external).sha256)
    monkeypatch.setattr(source, "IMPORTER_VERSION", source.IMPORTER_VERSION + 1)
    seen.add(open_source(external).sha256)
    assert len(seen) == 6


def test_importing_the_module_imports_neither_tvm_nor_streamlit():
    code = "import sys, ago_core.graph.source; sys.exit(bool({'tvm', 'streamlit'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1]).returncode == 0


# Samples.


def test_a_sample_opens_under_its_full_name(tmp_path, monkeypatch):
    monkeypatch.setenv("AGO_CACHE", str(tmp_path))
    opened = open_source("squeezenet")
    assert opened.name.startswith("squeezenet@") and opened.path.is_relative_to(tmp_path)
    assert symbolic_dimensions("squeezenet") == {}


def test_a_spec_that_is_nothing_lists_the_samples():
    sentence = refusal_of("mobilenet_v9")
    assert "'mobilenet_v9'" in sentence and "mobilenet_v2" in sentence and "bert_tiny" in sentence


def test_a_sample_in_a_size_it_lacks():
    assert "'7'" in refusal_of("mobilenet_v2@7")


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("AGO_CACHE", str(tmp_path / "file"))
    sentence = refusal_of("squeezenet")
    assert "squeezenet" in sentence and "AGO_CACHE" in sentence


# Files.


@pytest.mark.parametrize("spec", ["no/such/model.onnx", "missing.onnx", Path("missing")])
def test_missing_file(spec):
    assert refusal_of(spec) == f"There is no file {str(spec)!r}; check the path."


def test_folder(tmp_path):
    assert "is a folder" in refusal_of(tmp_path)


def test_fifo_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.onnx")
    assert "not a regular file" in refusal_of(tmp_path / "pipe.onnx")


def test_unreadable_file(saved, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    sentence = refusal_of(saved(dense()))
    assert "tiny.onnx" in sentence and "Permission denied" in sentence


@pytest.mark.parametrize("spec", ["a\0b.onnx", "x" * 5000 + ".onnx"], ids=["nul", "long"])
def test_impossible_path(spec):
    assert "path" in refusal_of(spec) or "cannot be read" in refusal_of(spec)


def test_file_over_the_limit_is_not_read(tmp_path, monkeypatch):
    path = tmp_path / "huge.onnx"
    with path.open("wb") as file:
        file.truncate(3 << 30)
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail("read"))
    sentence = refusal_of(path)
    assert "huge.onnx" in sentence and "3.0 GiB" in sentence and "2 GiB" in sentence


NOT_ONNX = {
    "noise": bytes(range(255, 0, -1)),
    "text": b"# A model card\nThis is text.\n",
    "png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "other protobuf": weights("", (3, 4)).SerializeToString(),
}


@pytest.mark.parametrize("content", NOT_ONNX.values(), ids=NOT_ONNX)
def test_not_onnx(refusal, content):
    sentence = refusal(content)
    assert "'tiny.onnx'" in sentence and "not an ONNX model" in sentence


def test_a_tensor_file(refusal):
    assert "of another kind" in refusal(weights("w", (3, 4)).SerializeToString())


def test_empty_file(refusal):
    assert "tiny.onnx' is empty" in refusal(b"")


def test_truncated_file(refusal):
    sentence = refusal(dense(1).SerializeToString()[:-40])
    assert "'tiny.onnx'" in sentence and "cut short" in sentence


def test_file_cut_between_fields(refusal):
    model = dense(1)
    del model.opset_import[:]
    assert "cut short" in refusal(model)


def test_names_that_are_not_text(refusal):
    data = make([node("Relu", "x", "yy")], [tensor("x", [1])], ["yy"]).SerializeToString()
    assert "UTF-8" in refusal(data.replace(b"yy", b"\xff\xfe"))


# External data.


def save_external(folder, location, content=None, length=None):
    """A model whose weights `w` lie at `location`; `content` is written there when the place is inside the folder."""
    model = dense(1)
    stored = model.graph.initializer[0]
    content = stored.raw_data if content is None else content
    onnx.external_data_helper.set_external_data(stored, location, length=length)
    stored.ClearField("raw_data")
    target = (folder / location).resolve()
    if target.is_relative_to(folder.resolve()) and content:
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(content)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_missing_external_data_names_the_files(tmp_path):
    sentence = refusal_of(save_external(tmp_path, "weights/w.bin", content=b""))
    assert "missing" in sentence and "'weights/w.bin'" in sentence


@pytest.mark.parametrize("location", ["/etc/hostname", "../secret.bin", "parts/../../secret.bin", "link.bin", ""])
def test_external_data_outside_the_folder_is_not_read(tmp_path, monkeypatch, location):
    folder = tmp_path / "models"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(48))
    path = save_external(folder, location, content=b"")
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    reader = "ago_core.graph.model_weights.load_external_data_for_tensor"
    monkeypatch.setattr(reader, lambda *_: pytest.fail("read"))
    sentence = refusal_of(path)
    assert "outside its folder" in sentence and repr(location) in sentence


def test_external_data_through_a_linked_folder(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    path = save_external(folder, "out/w.bin", content=b"")
    (folder / "out").symlink_to(tmp_path)
    (tmp_path / "w.bin").write_bytes(bytes(48))
    assert "outside its folder" in refusal_of(path)


def test_external_data_too_short(tmp_path):
    sentence = refusal_of(save_external(tmp_path, "w.bin", content=bytes(20), length=48))
    assert "'w.bin' is too short" in sentence and "'w'" in sentence and "48" in sentence


def test_external_data_of_another_size_than_declared(tmp_path):
    sentence = refusal_of(save_external(tmp_path, "w.bin", content=bytes(20)))
    assert "'w'" in sentence and "3×4" in sentence


def test_external_data_over_the_limit_is_not_read(tmp_path, monkeypatch):
    path = save_external(tmp_path, "w.bin")
    with (tmp_path / "w.bin").open("wb") as file:
        file.truncate(3 << 30)
    reader = "ago_core.graph.model_weights.load_external_data_for_tensor"
    monkeypatch.setattr(reader, lambda *_: pytest.fail("read"))
    sentence = refusal_of(path)
    assert "3.0 GiB" in sentence and "2 GiB" in sentence


@pytest.mark.parametrize("key, value", [("offset", "-4"), ("length", "many")])
def test_external_data_at_an_invalid_place(tmp_path, key, value):
    path = save_external(tmp_path, "w.bin")
    model = onnx.load(path, load_external_data=False)
    model.graph.initializer[0].external_data.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
    assert "'w'" in refusal_of(path)


# Versions and the graph as a whole.


def test_old_ir_version(refusal):
    sentence = refusal(dense(1, ir_version=2))
    assert "IR version is 2" in sentence and "3" in sentence


def test_opset_newer_than_supported(refusal):
    newest = onnx.defs.onnx_opset_version()
    sentence = refusal(dense(1, opset=newest + 1))
    assert f"opset {newest + 1}," in sentence and f"1 to {newest}" in sentence


def test_no_nodes(refusal):
    assert "no nodes" in refusal(make([], [tensor("x", [1])], ["x"]))


def test_no_inputs(refusal):
    assert "no inputs" in refusal(make([node("Relu", "w", "y")], [], initializers=[weights("w", (2,))]))


def test_no_outputs(refusal):
    assert "no outputs" in refusal(make([node("Relu", "x", "y")], [tensor("x", [1])], []))


def test_sparse_initializers(refusal):
    model = dense(1)
    model.graph.sparse_initializer.add()
    assert "sparse initializers" in refusal(model)
