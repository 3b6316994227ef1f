"""Small models from ONNX to machine code, compared with ONNX Runtime: every import rule, and what it leaves to TVM."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import tvm

import sample_models
from ago_core.errors import UserError
from ago_core.graph.model import load_model
from ago_core.graph.transposes import count_transposes
from tests.import_cases import CASES, IMAGE, LINEAR, plain, resize
from tests.onnx_models import TOLERANCE, errors, floats, ints, load, make, node

LIGHT = sorted((Path(onnx.__file__).parent / "backend/test/data/light").glob("*.onnx"))


@pytest.mark.parametrize("model", CASES.values(), ids=CASES)
def test_equals_onnx_runtime(model, tmp_path):
    found = errors(load(model, tmp_path))
    assert max(found.values()) <= TOLERANCE, found


def test_float16(tmp_path):
    nodes = [node("Conv", "x w", "a"), node("BatchNormalization", "a s b m v", "c"), node("Relu", "c", "y")]
    constants = {"w": floats(8, 8, 3, 3), "s": floats(8), "b": floats(8), "m": floats(8), "v": np.ones(8)}
    half = {name: array.astype(np.float16) for name, array in constants.items()}
    model = load(make(nodes, {"x": (IMAGE, np.float16)}, half), tmp_path)
    assert max(errors(model).values()) <= 5e-3


def test_a_standalone_batch_norm_keeps_its_element_type(tmp_path):
    nodes = [node("Relu", "x", "a"), node("BatchNormalization", "a s b m v", "y")]
    constants = {name: np.array([0.5, 1, 2]) for name in "sbmv"}
    model = load(make(nodes, {"x": ((1, 3, 2, 2), np.float64)}, constants), tmp_path)
    assert max(errors(model).values()) <= 1e-12


def test_negative_indices_given_at_run_time(tmp_path):
    model = load(make(node("Gather", "x i", "y", axis=1), {"x": (3, 7), "i": ((2, 2), np.int64)}), tmp_path)
    inputs = {"x": floats(3, 7), "i": np.array([[-7, -1], [0, 6]])}
    assert max(errors(model, inputs).values()) == 0


def test_indices_out_of_range_read_no_foreign_memory(tmp_path):
    model = load(make(node("Gather", "x i", "y"), {"x": (3, 2), "i": ((2,), np.int64)}), tmp_path)
    inputs = {"x": floats(3, 2), "i": ints(2**40, -(2**40))}
    expected = [inputs["x"][[2, 0]]]
    assert max(errors(model, inputs, expected).values()) == 0


def test_infinities_and_their_sign(tmp_path):
    inputs = {"x": np.array([1, np.inf, -np.inf, np.nan], np.float32)}
    for positive, negative in ((1, 1), (1, 0), (0, 1), (0, 0)):
        node_ = node("IsInf", "x", "y", detect_positive=positive, detect_negative=negative)
        model = load(make(node_, {"x": (4,)}), tmp_path)
        assert max(errors(model, inputs).values()) == 0


# Layout.


@pytest.mark.parametrize("spec", [*sample_models.SAMPLES, *LIGHT], ids=lambda spec: getattr(spec, "stem", spec))
def test_no_transposes_between_convolutions(spec):
    count = count_transposes(load_model(spec).graph)
    assert count.inside == 0 and count.at_edges <= 1
    if "shufflenet" in str(spec):
        assert count.of_model == 16  # its 16 channel shuffles
    elif "mobilevit" not in str(spec) and spec != "bert_tiny":
        assert count.of_model <= 1  # one flattens an image that is not 1×1


@pytest.mark.parametrize("name", ["convolution: 3x3 with bias", "resize: linear ×2", "move: channel shuffle"])
def test_results_in_another_layout_cost_a_transpose_at_the_edge_only(name, tmp_path):
    count = count_transposes(load(CASES[name], tmp_path).graph)
    assert (count.of_model, count.at_edges, count.inside) == (name.endswith("shuffle"), 2, 0)


def test_operators_know_their_nodes(tmp_path):
    nodes = [node("Conv", "x w b", "a", name="c1"), node("Flatten", "a", "d", name="f"), node("Gemm", "d g", "y")]
    weights = {"w": floats(4, 8, 1, 1), "b": floats(4), "g": floats(4 * 9 * 7, 5)}
    graph = load(make(nodes, {"x": IMAGE}, weights), tmp_path).graph
    assert [(op.kind, op.origin) for op in graph.operators] == [
        ("transpose", ()),
        ("pointwise_conv2d", ("c1",)),
        ("add", ("c1",)),
        ("reshape", ("f",)),
        ("transpose", ("f",)),
        ("reshape", ("f",)),
        ("matmul", ("Gemm_2",)),
    ]


def test_sorts_and_scatters_are_library_calls(tmp_path):
    nodes = [node("Relu", "x", "a"), node("TopK", "a k", "b c"), node("Neg", "b", "y")]
    graph = load(make(nodes, {"x": (3, 9)}, {"k": ints(2)}), tmp_path).graph
    assert [(op.kind, op.extern) for op in graph.operators] == [("relu", False), ("topk", True), ("negative", False)]


# Refusals.

REFUSED = {
    "its output number 2 is not supported": plain("MaxPool", outputs="y z", kernel_shape=[2, 2]),
    "only fmod=1 is supported": plain("Mod", x={"a": (3,), "b": (3,)}, inputs="a b", fmod=0),
    "training mode": plain("Dropout", inputs="x r t", constants={"r": np.float32(0.5), "t": np.bool_(True)}),
    "antialias": plain("Resize", inputs="x - s", constants={"s": np.float32([1, 1, 0.5, 0.5])}, antialias=1, **LINEAR),
    "no agreed meaning": resize([1, 1, 0.6, 0.6], coordinate_transformation_mode="align_corners", **LINEAR),
    "only the mode avg": plain("RoiAlign", inputs="x r i", mode="max",
                               constants={"r": np.float32([[0, 0, 5, 5]]), "i": ints(0)}),
    "indices go from": plain("Gather", inputs="x i", constants={"i": ints(0, 8)}, axis=1),
    "the diagonal must be constant": plain("Trilu", x={"x": (3, 3), "k": ((), np.int64)}, inputs="x k"),
    "bfloat16": make(node("Cast", "x", "y", to=16), {"x": (3,)}),
    "powers of integers": plain("Pow", x={"x": ((3,), np.int32)}, inputs="x p", constants={"p": np.int32(2)}),
    "larger than the kernel reaches": plain("ConvTranspose", inputs="x w", constants={"w": floats(8, 4, 3, 3)},
                                            output_shape=[40, 40]),
}  # fmt: skip


@pytest.mark.parametrize("reason", REFUSED)
def test_what_would_be_wrong_is_refused_in_one_sentence(reason, tmp_path):
    with pytest.raises(UserError) as caught:
        load(REFUSED[reason], tmp_path)
    sentence = str(caught.value)
    assert reason in sentence and "\n" not in sentence and sentence.endswith(".") and len(sentence) < 500


def test_outputs_that_nobody_reads_are_no_reason_to_refuse(tmp_path):
    nodes = [node("LayerNormalization", "x s", "a mean deviation"), node("Dropout", "a", "y mask")]
    model = load(make(nodes, {"x": (2, 8)}, {"s": floats(8)}), tmp_path)
    assert max(errors(model).values()) <= TOLERANCE


@pytest.mark.parametrize(
    "failure", [tvm.error.InternalError("Check failed: 3 dimensions"), ValueError("no such layout")]
)
def test_what_tvm_cannot_lower_is_said_in_one_sentence(failure, monkeypatch):
    def fails(_):
        raise failure

    monkeypatch.setattr("ago_core.graph.model.legalise", fails)
    with pytest.raises(UserError, match="squeezenet.* cannot be lowered to loops: ") as error:
        load_model("squeezenet@56")
    assert str(failure).splitlines()[-1] in str(error.value)
