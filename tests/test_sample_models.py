"""The sample networks: structure against the published figures, behaviour in ONNX Runtime, specs and the cache."""

import math
import os
from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest

import sample_models
from sample_models import SAMPLES, UnknownSample, mobilevit_xs, shufflenet_v2
from sample_models._onnx_builder import GraphBuilder

NAMES = list(SAMPLES)
SMALLEST = [f"{sample.name}@{sample.sizes[0]}" for sample in SAMPLES.values()]
EVERY = [f"{sample.name}@{size}" for sample in SAMPLES.values() for size in sample.sizes]
CONVOLUTIONAL = [name for name in NAMES if name != "bert_tiny"]


def shapes_of(model):
    """Static shape of every value; a dimension that is not static shows as 0."""
    graph = model.graph
    values = [*graph.input, *graph.value_info, *graph.output]
    shapes = {value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim) for value in values}
    return shapes | {weight.name: tuple(weight.dims) for weight in graph.initializer}


def count_parameters(model):
    """Float arrays, without batch normalisation's running statistics and without scalars (constants of formulas)."""
    statistics = {name for node in model.graph.node if node.op_type == "BatchNormalization" for name in node.input[3:]}
    weights = [w for w in model.graph.initializer if w.data_type == onnx.TensorProto.FLOAT and w.dims]
    return sum(math.prod(weight.dims) for weight in weights if weight.name not in statistics)


def multiply_adds_of(node, shapes):
    """Multiply-adds of one Conv, Gemm or MatMul: outputs times the length of the sum behind each; else 0."""
    if node.op_type == "Conv":
        return math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[1]][1:])
    if node.op_type in ("Gemm", "MatMul"):
        return math.prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]
    return 0


def count_multiply_adds(model):
    shapes = shapes_of(model)
    return sum(multiply_adds_of(node, shapes) for node in model.graph.node)


def count_read_elements(model, op):
    shapes = shapes_of(model)
    return sum(math.prod(shapes[node.input[0]]) for node in model.graph.node if node.op_type == op)


def inputs_for(model, seed):
    """Random inputs: normal images, or any tokens, all of them seen."""
    rng = np.random.default_rng(seed)
    feeds = {}
    for value in model.graph.input:
        shape = tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        if value.name == "attention_mask":
            feeds[value.name] = np.ones(shape, dtype=np.int64)
        elif value.name == "token_type_ids":
            feeds[value.name] = np.zeros(shape, dtype=np.int64)
        elif value.name == "input_ids":
            feeds[value.name] = rng.integers(0, 30522, shape)
        else:
            feeds[value.name] = rng.standard_normal(shape, dtype=np.float32)
    return feeds


def session_of(model):
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def run(model, feeds):
    return session_of(model).run(None, feeds)


# Structure


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_the_published_number(name):
    assert count_parameters(sample_models.build(name)) == SAMPLES[name].parameters


@pytest.mark.parametrize("name", ["mobilenet_v2", "mnasnet", "squeezenet", "shufflenet_v2"])
def test_multiply_adds_are_the_published_number(name):
    sample = SAMPLES[name]
    counted = count_multiply_adds(sample.builder(sample.multiply_adds_size))
    assert counted == pytest.approx(sample.multiply_adds, abs=500_000)  # published to the million


def test_mobilevit_multiply_adds_in_both_published_conventions():
    model = SAMPLES["mobilevit_xs"].builder(256)
    counted = count_multiply_adds(model)
    assert counted == 1_025_911_808

    norms = 2 * count_read_elements(model, "BatchNormalization") + 5 * count_read_elements(model, "LayerNormalization")
    assert counted + norms == 1_052_168_192
    assert SAMPLES["mobilevit_xs"].multiply_adds == pytest.approx(counted + norms, abs=5_000_000)

    shapes = shapes_of(model)
    attention = [node for node in model.graph.node if node.op_type == "MatMul" and len(shapes[node.output[0]]) == 4]
    cvnets = counted - sum(multiply_adds_of(node, shapes) for node in attention)
    for node in attention:
        query_or_context = node.input[0] if node.name.endswith("scores") else node.output[0]
        positions, heads, patches, width = shapes[query_or_context]
        cvnets += positions * patches * (heads * width) ** 2
    biases = {weight.name for weight in model.graph.initializer if weight.name.endswith(".bias")}
    adds = [node for node in model.graph.node if node.op_type == "Add" and node.input[0] in biases]
    cvnets += sum(math.prod(shapes[node.output[0]]) for node in adds) + 1000  # the classifier's are in its Gemm
    assert cvnets == 986_268_648


def test_bert_multiply_adds_follow_the_closed_form():
    tokens, features, hidden = 64, 128, 512
    layer = 4 * tokens * features**2 + 2 * tokens**2 * features + 2 * tokens * features * hidden
    assert count_multiply_adds(sample_models.build("bert_tiny@64")) == 2 * layer + features**2


@pytest.mark.parametrize("spec", EVERY)
def test_model_is_valid_static_and_named(spec):
    model = sample_models.build(spec)
    onnx.checker.check_model(model, full_check=True)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]
    assert all(0 not in shape for shape in shapes_of(model).values())

    nodes = model.graph.node
    assert set(shapes_of(model)) >= {name for node in nodes for name in node.output}
    assert max(Counter(node.name for node in nodes).values()) == 1
    assert not {node.op_type for node in nodes} & {"Shape", "Size", "ConstantOfShape", "Range", "Constant"}
    read = {name for node in nodes for name in node.input}
    assert {weight.name for weight in model.graph.initializer} <= read


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_batch_normalisation_follows_every_bias_free_convolution(name):
    model = sample_models.build(name)
    readers = {name: node for node in model.graph.node for name in node.input}
    bias_free = [node for node in model.graph.node if node.op_type == "Conv" and len(node.input) == 2]
    unnormalised = [node.name for node in bias_free if readers[node.output[0]].op_type != "BatchNormalization"]
    if name == "mobilevit_xs":  # upstream has none between the local convolutions and the transformers
        assert unnormalised == [f"layer{layer}.1.local.conv_1x1" for layer in (3, 4, 5)]
    else:
        assert unnormalised == []


@pytest.mark.parametrize("name", [name for name in CONVOLUTIONAL if name != "squeezenet"])
def test_running_statistics_are_worth_folding(name):
    weights = {weight.name: weight for weight in sample_models.build(name).graph.initializer}
    means = [onnx.numpy_helper.to_array(weight) for key, weight in weights.items() if key.endswith(".running_mean")]
    variances = [onnx.numpy_helper.to_array(weight) for key, weight in weights.items() if key.endswith(".running_var")]
    assert min(variance.min() for variance in variances) > 0.2
    assert all(mean.std() > 0.01 for mean in means)
    assert all(variance.std() > 0.01 for variance in variances)


@pytest.mark.parametrize(("size", "resizes"), [(56, 2), (112, 2), (224, 2), (256, 0)])
def test_mobilevit_interpolates_only_where_patches_do_not_fit(size, resizes):
    model = SAMPLES["mobilevit_xs"].builder(size)
    assert sum(node.op_type == "Resize" for node in model.graph.node) == resizes


def test_unfold_puts_each_patch_position_in_its_own_sequence():
    graph = GraphBuilder("unfold", 4)
    x = graph.input("x", (1, 3, 4, 6))
    sequences = mobilevit_xs._unfold(graph, "unfold", x)
    folded = mobilevit_xs._fold(graph, "fold", sequences, 4, 6)
    image = np.arange(72, dtype=np.float32).reshape(1, 3, 4, 6)
    unfolded, restored = run(graph.finish({"sequences": sequences, "image": folded}), {"x": image})

    assert unfolded.shape == (4, 6, 3)
    for row, column in np.ndindex(4, 6):
        position, patch = 2 * (row % 2) + column % 2, 3 * (row // 2) + column // 2
        np.testing.assert_array_equal(unfolded[position, patch], image[0, :, row, column])
    np.testing.assert_array_equal(restored, image)


def test_shuffle_interleaves_the_two_halves_of_the_channels():
    graph = GraphBuilder("shuffle", 1)
    y = shufflenet_v2._shuffle(graph, "unit", graph.input("x", (1, 6, 1, 1)))
    channels = np.arange(6, dtype=np.float32).reshape(1, 6, 1, 1)
    (shuffled,) = run(graph.finish({"y": y}), {"x": channels})
    assert shuffled.ravel().tolist() == [0, 3, 1, 4, 2, 5]


# Behaviour


@pytest.mark.parametrize("spec", SMALLEST)
def test_every_value_is_finite_and_of_order_one(spec):
    model = sample_models.build(spec)
    outputs = {value.name for value in model.graph.output}
    floats = [v for v in model.graph.value_info if v.type.tensor_type.elem_type == onnx.TensorProto.FLOAT]
    model.graph.output.extend(value for value in floats if value.name not in outputs)
    names = [value.name for value in model.graph.output]
    values = dict(zip(names, run(model, inputs_for(model, seed=0))))
    assert all(np.isfinite(value).all() for value in values.values())
    assert all(np.sqrt(np.mean(value**2)) < 30 for value in values.values())
    assert all(values[name].std() > 1e-3 for name in outputs)


@pytest.mark.parametrize("spec", SMALLEST)
def test_the_output_depends_on_the_input(spec):
    model = sample_models.build(spec)
    session = session_of(model)
    first, second = (session.run(None, inputs_for(model, seed))[0] for seed in (1, 2))
    assert (first - second).std() > 0.01 * first.std()


def test_bert_ignores_masked_tokens():
    model = sample_models.build("bert_tiny@32")
    feeds = inputs_for(model, seed=0)
    feeds["attention_mask"][:, 20:] = 0
    other = feeds | {"input_ids": feeds["input_ids"].copy()}
    other["input_ids"][:, 20:] = 7
    session = session_of(model)
    (hidden, pooled), (other_hidden, other_pooled) = (session.run(None, each) for each in (feeds, other))
    assert hidden.shape == (1, 32, 128)
    assert pooled.shape == (1, 128)
    np.testing.assert_allclose(hidden[:, :20], other_hidden[:, :20], atol=1e-6)
    np.testing.assert_allclose(pooled, other_pooled, atol=1e-6)
    assert np.abs(hidden[:, 20:] - other_hidden[:, 20:]).max() > 0.1


@pytest.mark.parametrize("spec", SMALLEST)
def test_the_same_spec_gives_the_same_bytes(spec):
    first, second = (sample_models.build(spec).SerializeToString(deterministic=True) for _ in range(2))
    assert first == second


def test_weights_do_not_depend_on_the_size():
    small, large = (sample_models.build(f"mobilenet_v2@{size}") for size in (56, 112))
    assert list(small.graph.initializer) == list(large.graph.initializer)


def test_metadata_names_the_model_its_size_and_its_seed():
    metadata = {entry.key: entry.value for entry in sample_models.build("squeezenet@112").metadata_props}
    assert metadata["name"] == "squeezenet"
    assert metadata["size"] == "112"
    assert int(metadata["seed"]) >= 0


def test_node_names_follow_the_modules():
    names = {node.name: node.op_type for node in sample_models.build("mobilenet_v2@56").graph.node}
    assert names["features.3.depthwise"] == "Conv"
    assert names["features.3.depthwise.bn"] == "BatchNormalization"
    assert names["features.3.depthwise.relu6"] == "Clip"
    assert names["features.3.add"] == "Add"


# Specs


@pytest.mark.parametrize("name", NAMES)
def test_parse_takes_every_size_and_defaults_to_one_of_them(name):
    sample = SAMPLES[name]
    assert sample_models.parse(name) == (sample, sample.default_size)
    assert [sample_models.parse(f"{name}@{size}")[1] for size in sample.sizes] == list(sample.sizes)
    assert sample.default_size in sample.sizes


def test_an_unknown_name_is_answered_with_all_samples():
    with pytest.raises(UnknownSample, match="resnet50") as error:
        sample_models.parse("resnet50")
    assert all(name in str(error.value) for name in NAMES)


@pytest.mark.parametrize("size", ["300", "", "x", "-56", "056", "56@56", " 56"])
def test_an_unknown_size_is_answered_with_the_sizes(size):
    with pytest.raises(UnknownSample, match=r"mnasnet@56\|112\|224"):
        sample_models.parse(f"mnasnet@{size}")


@pytest.mark.parametrize(
    ("spec", "answer"),
    [("squeezenet", True), ("squeezenet@56", True), ("squeezenet@57", True), ("squeezenet.onnx", False), ("", False)],
)
def test_is_sample_looks_at_the_name(spec, answer):
    assert sample_models.is_sample(spec) is answer


# The cache


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AGO_CACHE", str(tmp_path))
    return tmp_path / "models"


def test_ensure_writes_the_model_once(cache, monkeypatch):
    path = sample_models.ensure("squeezenet@56")
    assert path.parent == cache
    assert path.read_bytes() == sample_models.build("squeezenet@56").SerializeToString(deterministic=True)
    assert list(cache.iterdir()) == [path]

    monkeypatch.setattr(os, "replace", None)  # a second write would fail
    assert sample_models.ensure("squeezenet@56") == path


def test_a_new_builder_version_does_not_reuse_the_old_file(cache, monkeypatch):
    old = sample_models.ensure("squeezenet@56")
    monkeypatch.setattr(sample_models, "_VERSION", sample_models._VERSION + 1)
    assert sample_models.ensure("squeezenet@56") != old


def test_a_failed_write_leaves_nothing_behind(cache, monkeypatch):
    def fail(source, target):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        sample_models.ensure("squeezenet@56")
    assert list(cache.iterdir()) == []


def test_ensure_refuses_what_parse_refuses(cache):
    with pytest.raises(UnknownSample):
        sample_models.ensure("squeezenet@57")
    assert not cache.exists()


def test_the_cache_is_in_the_home_folder_unless_told_otherwise(tmp_path, monkeypatch):
    monkeypatch.delenv("AGO_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert sample_models.ensure("squeezenet@56").parent == tmp_path / "xdg" / "ago-explorer" / "models"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert sample_models.ensure("squeezenet@56").parent == tmp_path / "home" / ".cache" / "ago-explorer" / "models"
