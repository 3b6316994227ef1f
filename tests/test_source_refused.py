"""Opening models: one sentence for each thing that can be wrong with what a file says."""

import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from ago_core.errors import UserError
from ago_core.graph.source import open_source, symbolic_dimensions
from tests.source_models import FLOAT, dense, make, node, shapes_of, tensor, weights

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
