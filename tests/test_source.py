"""Opening models: what loads, and one sentence for each thing that can be wrong with a file."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from ago_core.errors import UserError
from ago_core.graph import source
from ago_core.graph.source import open_source, symbolic_dimensions

LIGHT = sorted((Path(onnx.__file__).parent / "backend/test/data/light").glob("*.onnx"))
FLOAT = TensorProto.FLOAT


def tensor(name, shape, kind=FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def weights(name, shape):
    return numpy_helper.from_array(np.arange(np.prod(shape), dtype=np.float32).reshape(shape), name)


def make(nodes, inputs, outputs=("y",), initializers=(), opset=17, ir_version=8, **rest):
    outputs = [tensor(name, None) if isinstance(name, str) else name for name in outputs]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, list(initializers), **rest)
    domains = {node.domain for node in nodes} - {""}
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in sorted(domains))]
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)


def node(operator, inputs, outputs, **attributes):
    return helper.make_node(operator, inputs.split(), outputs.split(), **attributes)


def dense(batch="batch", **rest):
    """A matrix product with a bias and a ReLU on [batch, 3]."""
    nodes = [node("MatMul", "x w", "h"), node("Add", "h b", "s", name="bias"), node("Relu", "s", "y")]
    return make(nodes, [tensor("x", [batch, 3])], initializers=[weights("w", (3, 4)), weights("b", (4,))], **rest)


@pytest.fixture
def saved(tmp_path):
    def save(model):
        path = tmp_path / "tiny.onnx"
        path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
        return path

    return save


@pytest.fixture
def refusal(saved):
    """The sentence with which a model is refused."""

    def refuse(model, dims=None):
        path = saved(model)
        before = sorted(path.parent.rglob("*"))
        sentence = refusal_of(path, dims)
        assert sorted(path.parent.rglob("*")) == before
        return sentence

    return refuse


def refusal_of(spec, dims=None):
    with pytest.raises(UserError) as caught:
        open_source(spec, dims)
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence.endswith(".") and len(sentence) < 700
    return sentence


def shapes_of(model):
    values = (*model.graph.input, *model.graph.value_info, *model.graph.output)
    return {value.name: tuple(d.dim_value for d in value.type.tensor_type.shape.dim) for value in values}


def weight_names(model):
    return {value.name for value in model.graph.initializer}


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


# Operators.


def test_unsupported_operators_are_all_listed_with_counts_and_domains(refusal):
    nodes = [node("LpNormalization", "x", "a"), node("LpNormalization", "a", "b"), node("Foo", "b", "c", domain="acme")]
    nodes += [node("Nonsense", "c", "d", domain="com.microsoft"), node("Relu", "d", "e", domain="acme")]
    sentence = refusal(make([*nodes, node("Relu", "e", "y")], [tensor("x", [2, 2])]))
    for part in ("LpNormalization (2×)", "Foo of domain 'acme' (1×)", "Nonsense of domain 'com.microsoft' (1×)"):
        assert part in sentence
    assert "Relu of domain 'acme' (1×)" in sentence and "Relu (" not in sentence


def test_the_attention_of_onnx_is_not_the_one_that_tvm_knows(refusal):
    assert "Attention (1×)" in refusal(make([node("Attention", "x x x", "y")], [tensor("x", [1, 2, 3, 4])], opset=23))


def test_random_operators_do_not_fold(refusal):
    nodes = [node("RandomNormal", "", "r", shape=[2]), node("Add", "x r", "y")]
    assert "RandomNormal (1×)" in refusal(make(nodes, [tensor("x", [2])]))


def test_operators_that_do_not_exist_do_not_fold(refusal):
    nodes = [node("Nonsense", "w", "r"), node("Add", "x r", "y")]
    assert "Nonsense (1×)" in refusal(make(nodes, [tensor("x", [2])], initializers=[weights("w", (2,))]))


def test_control_flow_is_named(refusal):
    body = helper.make_graph([node("Relu", "x", "z")], "body", [], [tensor("z", [1])])
    branches = node("If", "c", "y", then_branch=body, else_branch=body)
    sentence = refusal(make([branches], [tensor("x", [1]), tensor("c", [], TensorProto.BOOL)]))
    assert "control flow" in sentence and "If (1×)" in sentence


# Inputs and dimensions.


@pytest.mark.parametrize(
    "value, word",
    [
        (helper.make_tensor_sequence_value_info("x", FLOAT, [1]), "sequence"),
        (
            helper.make_value_info("x", helper.make_optional_type_proto(helper.make_tensor_type_proto(FLOAT, [1]))),
            "optional",
        ),
        (tensor("x", [1], TensorProto.STRING), "strings"),
        (tensor("x", [1], 99), "element type 99"),
        (tensor("x", None), "no shape"),
        (onnx.ValueInfoProto(name="x"), "no type"),
    ],
)
def test_inputs_that_are_not_tensors_of_numbers(refusal, value, word):
    sentence = refusal(make([node("Relu", "x", "y")], [value]))
    assert "'x'" in sentence and word in sentence


def open_sizes():
    return make(
        [node("Concat", "x y", "z", axis=1)], [tensor("x", ["batch", None, 4]), tensor("y", ["batch", 0, -1])], ["z"]
    )


def test_symbolic_dimensions_say_where_they_are_used(saved):
    assert symbolic_dimensions(saved(open_sizes())) == {
        "batch": ["input x, axis 0", "input y, axis 0"],
        "x.1": ["input x, axis 1"],
        "y.1": ["input y, axis 1"],
        "y.2": ["input y, axis 2"],
    }


def test_dimensions_without_a_size_are_all_listed(refusal):
    sentence = refusal(open_sizes(), {"x.1": 3})
    assert "'batch' (input x, axis 0, input y, axis 0)" in sentence and "'y.1'" in sentence and "'y.2'" in sentence
    assert "--dim batch=1" in sentence and "field" in sentence and "'x.1'" not in sentence


def test_unnamed_dimensions_are_bound(saved):
    opened = open_source(saved(open_sizes()), {"batch": 2, "x.1": 3, "y.1": 5, "y.2": 4})
    assert shapes_of(opened.model)["z"] == (2, 8, 4)


def test_dimensions_that_do_not_exist(refusal):
    assert "no symbolic dimension 'sequence'" in refusal(dense(), {"sequence": 1})
    assert "'batch'" in refusal(dense(), {"sequence": 1})
    assert "all its sizes are fixed" in refusal(dense(1), {"batch": 1})


@pytest.mark.parametrize("value", [0, -3, 10**30, 1.5])
def test_dimensions_that_are_no_size(refusal, value):
    sentence = refusal(dense(), {"batch": value})
    assert "'batch'" in sentence and str(value) in sentence


def test_shapes_that_do_not_fit_together(refusal):
    sentence = refusal(
        make([node("Add", "x w", "y", name="sum")], [tensor("x", ["n"])], initializers=[weights("w", (3,))]), {"n": 2}
    )
    assert "Add node 'sum'" in sentence and "Incompatible dimensions" in sentence


def test_shape_inference_that_fails(refusal):
    model = make([node("FastGelu", "x", "y", domain="com.microsoft")], [tensor("x", [1])])
    del model.opset_import[1:]
    assert "cannot be inferred" in refusal(model) and "com.microsoft" in refusal(model)


# Structure.


def test_nodes_out_of_order_or_in_a_cycle(refusal):
    unsorted = make([node("Relu", "h", "y", name="second"), node("Relu", "x", "h")], [tensor("x", [1])])
    cycle = make([node("Add", "x b", "a", name="first"), node("Relu", "a", "b")], [tensor("x", [1])], ["b"])
    for model, name in ((unsorted, "'second' reads 'h'"), (cycle, "'first' reads 'b'")):
        assert name in refusal(model) and "cycle" in refusal(model)


def test_undefined_values(refusal):
    assert "Relu node number 0 reads 'ghost', which nothing defines" in refusal(
        make([node("Relu", "ghost", "y")], [tensor("x", [1])])
    )
    assert "Nothing computes the output 'z'" in refusal(make([node("Relu", "x", "y")], [tensor("x", [1])], ["z"]))


def test_values_defined_twice(refusal):
    twice = make([node("Relu", "x", "y"), node("Abs", "x", "y", name="again")], [tensor("x", [1])])
    assert "Abs node 'again' defines 'y' a second time" in refusal(twice)
    assert "input 'x' is defined 2 times" in refusal(make([node("Relu", "x", "y")], [tensor("x", [1])] * 2))
    same = make([node("Add", "x w", "y")], [tensor("x", [2])], initializers=[weights("w", (2,))] * 2)
    assert "initializer 'w' is defined 2 times" in refusal(same)


def test_too_few_inputs_or_outputs(refusal):
    assert "Add node number 0 has 1 inputs" in refusal(make([node("Add", "x", "y")], [tensor("x", [1])]))
    assert "0 outputs" in refusal(make([node("Relu", "x", ""), node("Relu", "x", "y")], [tensor("x", [1])]))


# Hostile models.


def test_declared_sizes_without_data_allocate_nothing(refusal):
    huge = TensorProto(name="w", data_type=FLOAT, dims=[1 << 40, 1 << 20], raw_data=bytes(8))
    sentence = refusal(make([node("Add", "x w", "y")], [tensor("x", [1])], initializers=[huge]))
    assert "'w'" in sentence and str(1 << 40) in sentence
    negative = TensorProto(name="w", data_type=FLOAT, dims=[-1], raw_data=bytes(8))
    assert "negative" in refusal(make([node("Add", "x w", "y")], [tensor("x", [1])], initializers=[negative]))


def test_huge_inputs(refusal):
    assert "'x'" in refusal(make([node("Relu", "x", "y")], [tensor("x", [1 << 40, 4])]))


def test_huge_constants(refusal):
    shape = helper.make_tensor("s", TensorProto.INT64, [2], [1 << 20, 1 << 20])
    nodes = [node("ConstantOfShape", "s", "big"), node("Add", "x big", "y")]
    sentence = refusal(make(nodes, [tensor("x", [1])], initializers=[shape]))
    assert "'big'" in sentence and "1048576×1048576" in sentence and "2 GiB" in sentence


def test_long_vectors_do_not_blow_up_data_propagation(saved):
    """ONNX's propagation takes 140 bytes for each element of a vector: here 28 GB, were it let loose."""
    path = saved(make([node("Add", "x x", "y")], [tensor("x", [200_000_000])]))
    assert shapes_of(open_source(path).model)["y"] == (200_000_000,)


def test_sentences_stay_short(refusal):
    name = "a\n" * 10_000
    assert "…" in refusal(make([node("Relu", "x", "y"), helper.make_node("Relu", [name], ["z"])], [tensor("x", [1])]))


VALID = dense(2, value_info=[tensor("h", [2, 4])]).SerializeToString()
many = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def survives(path, data):
    path.write_bytes(data)
    for attempt in (open_source, symbolic_dimensions):
        try:
            attempt(path)
        except UserError as error:
            assert "\n" not in str(error)


@many
@given(data=st.binary(max_size=300))
def test_random_bytes_give_a_sentence(tmp_path, data):
    survives(tmp_path / "random.onnx", data)


@many
@given(length=st.integers(0, len(VALID) - 1))
def test_any_truncation_gives_a_sentence(tmp_path, length):
    survives(tmp_path / "cut.onnx", VALID[:length])


@many
@given(flips=st.lists(st.integers(0, 8 * len(VALID) - 1), min_size=1, max_size=4))
def test_flipped_bits_give_a_sentence_or_a_model(tmp_path, flips):
    data = bytearray(VALID)
    for bit in flips:
        data[bit // 8] ^= 1 << bit % 8
    survives(tmp_path / "flipped.onnx", bytes(data))
