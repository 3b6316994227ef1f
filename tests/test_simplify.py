"""Graph rewrites: what is folded, what must stay, and always the same outputs as the model's own."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from ago_core.artifacts.reference import Reference, random_inputs, relative_error
from ago_core.errors import UserError
from ago_core.graph import simplify as module
from ago_core.graph.onnx_graph import OnnxGraph
from ago_core.graph.simplify import count_parameters, simplify
from tests.onnx_models import floats, ints, make, node

IMAGE = (1, 4, 6, 5)
CONV = node("Conv", "x w", "a", name="conv")


def weights(w=(6, 4, 3, 3), **more):
    return {"w": floats(*w)} | {name: np.asarray(array, np.float32) for name, array in more.items()}


def norm(channels=6):
    """Scale, shift, mean and variance of a batch norm."""
    rng = np.random.default_rng(2)
    drawn = {name: rng.normal(size=channels) for name in "stm"} | {"v": rng.uniform(0.1, 2, channels)}
    return {name: array.astype(np.float32) for name, array in drawn.items()}


def batch_norm(source, target, **attributes):
    return node("BatchNormalization", f"{source} s t m v", target, name="bn", **attributes)


def rewritten(model: onnx.ModelProto) -> OnnxGraph:
    """The simplified graph, after checking that it computes what the model computes."""
    graph = OnnxGraph.of(onnx.shape_inference.infer_shapes(model, data_prop=True))
    simplify(graph)
    again = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "again",
            [value for value in model.graph.input if value.name in graph.inputs],
            model.graph.output,
            [numpy_helper.from_array(array, name) for name, array in graph.constants.items()],
        ),
        opset_imports=model.opset_import,
        ir_version=model.ir_version,
    )
    inputs = random_inputs(model)
    expected, got = Reference(model, 1).outputs(inputs), Reference(again, 1).outputs(inputs)
    assert len(got) == len(expected)
    assert max(map(relative_error, got, expected)) <= 1e-5
    return graph


def kinds(graph: OnnxGraph) -> list[str]:
    return [n.op_type for n in graph.nodes]


# Folded into the convolution.


CONVOLUTIONS = {
    "no bias": (CONV, weights()),
    "bias": (node("Conv", "x w b", "a"), weights(b=floats(6))),
    "grouped": (node("Conv", "x w", "a", group=2), weights((6, 2, 3, 3))),
    "depthwise": (node("Conv", "x w", "a", group=4), weights((4, 1, 3, 3))),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_batch_norm_goes_into_the_convolution(name):
    conv, constants = CONVOLUTIONS[name]
    channels = constants["w"].shape[0]
    graph = rewritten(make([conv, batch_norm("a", "y")], {"x": IMAGE}, constants | norm(channels)))
    assert kinds(graph) == ["Conv"] and len(graph.nodes[0].input) == 3


@pytest.mark.parametrize("shape, w", [((2, 3, 9), (6, 3, 3)), ((1, 2, 4, 4, 4), (6, 2, 2, 2, 2))])
def test_in_one_and_three_dimensions(shape, w):
    model = make([CONV, batch_norm("a", "y")], {"x": shape}, {"w": floats(*w)} | norm())
    assert kinds(rewritten(model)) == ["Conv"]


def test_epsilon_counts():
    constants = norm() | {"v": np.full(6, 1e-3, np.float32)}
    graphs = [
        rewritten(make([CONV, batch_norm("a", "y", epsilon=e)], {"x": IMAGE}, weights() | constants))
        for e in (1e-5, 1.0)
    ]
    assert not np.allclose(*(graph.constants["conv/folded_weight"] for graph in graphs))


def test_a_chain_of_batch_norm_mul_and_add_becomes_one_convolution_that_knows_them_all():
    nodes = [CONV, batch_norm("a", "b"), node("Mul", "b p", "c", name="mul"), node("Add", "q c", "y", name="add")]
    constants = weights(**norm(), p=floats(6, 1, 1), q=floats(1, 6, 1, 1))
    graph = rewritten(make(nodes, {"x": IMAGE}, constants))
    assert kinds(graph) == ["Conv"]
    assert graph.origin["conv"] == ("conv", "bn", "mul", "add")
    assert set(graph.constants) == set(graph.nodes[0].input[1:])


def test_nodes_without_a_name_are_called_after_their_place():
    nodes = [node("Relu", "x", "a"), node("Relu", "a", "y")]
    assert list(rewritten(make(nodes, {"x": (3,)})).origin) == ["Relu_0", "Relu_1"]


def test_a_standalone_batch_norm_becomes_mul_and_add():
    nodes = [node("Relu", "x", "r"), batch_norm("r", "y")]
    graph = rewritten(make(nodes, {"x": (2, 6, 3, 3)}, weights(**norm())))
    assert kinds(graph) == ["Relu", "Mul", "Add"]
    assert graph.origin["bn/scale"] == graph.origin["bn/shift"] == ("bn",)


def test_a_batch_norm_of_a_matrix():
    nodes = [node("Relu", "x", "r"), batch_norm("r", "y")]
    assert kinds(rewritten(make(nodes, {"x": (5, 6)}, weights(**norm())))) == ["Relu", "Mul", "Add"]


# Not folded.


def test_a_convolution_that_is_read_twice_stays():
    nodes = [CONV, batch_norm("a", "b"), node("Sub", "a b", "y")]
    graph = rewritten(make(nodes, {"x": IMAGE}, weights(**norm())))
    assert kinds(graph) == ["Conv", "Mul", "Add", "Sub"]


def test_a_convolution_that_is_an_output_stays():
    model = make([CONV, batch_norm("a", "y")], {"x": IMAGE}, weights(**norm()), outputs="a y")
    assert kinds(rewritten(model)) == ["Conv", "Mul", "Add"]


def test_a_run_ends_where_its_result_is_read_twice():
    nodes = [CONV, batch_norm("a", "b"), node("Mul", "b p", "c"), node("Sub", "b c", "y")]
    graph = rewritten(make(nodes, {"x": IMAGE}, weights(**norm(), p=floats(6, 1, 1))))
    assert kinds(graph) == ["Conv", "Mul", "Sub"]


@pytest.mark.parametrize("constant", [(5,), (4, 5), (1, 1, 4, 1), (2, 6, 1, 1), (1, 1, 6, 4, 5)], ids=str)
@pytest.mark.parametrize("operator", ["Mul", "Add"])
def test_constants_that_are_not_per_channel_stay(operator, constant):
    nodes = [node("Conv", "x w", "a", pads=[1, 1, 0, 1]), node(operator, "a c", "y")]
    graph = rewritten(make(nodes, {"x": (1, 4, 5, 5)}, weights(c=floats(*constant))))
    assert kinds(graph) == ["Conv", operator]


def test_a_convolution_with_weights_from_an_input_stays():
    model = make([CONV, batch_norm("a", "y")], {"x": IMAGE, "w": (6, 4, 3, 3)}, weights(**norm()) | {"w2": ints(0)})
    del model.graph.initializer[0]
    assert kinds(rewritten(model)) == ["Conv", "Mul", "Add"]


def test_two_constants_are_no_affine_step():
    nodes = [node("Mul", "p q", "c"), node("Add", "x c", "y")]
    graph = rewritten(make(nodes, {"x": IMAGE}, {"p": floats(4, 1, 1), "q": floats(4, 1, 1)}))
    assert kinds(graph) == ["Add"]


def test_operators_of_other_domains_are_left_alone():
    foreign = helper.make_node("Mul", ["p", "q"], ["y"], domain="acme")
    graph = OnnxGraph.of(
        helper.make_model(
            helper.make_graph(
                [foreign],
                "g",
                [],
                [helper.make_tensor_value_info("y", 1, [2])],
                [numpy_helper.from_array(floats(2), name) for name in "pq"],
            )  # fmt: skip
        )
    )
    simplify(graph)
    assert kinds(graph) == ["Mul"]


# Dropped.


def test_identities_go():
    nodes = [node("Identity", "x", "a"), node("Dropout", "a", "b mask"), node("Identity", "b", "c")]
    assert kinds(rewritten(make([*nodes, node("Relu", "c", "y")], {"x": (3,)}))) == ["Relu"]


def test_identities_that_are_outputs_stay():
    nodes = [node("Relu", "x", "a"), node("Identity", "a", "y"), node("Identity", "x", "z")]
    assert kinds(rewritten(make(nodes, {"x": (3,)}, outputs="y z"))) == ["Relu", "Identity", "Identity"]


def test_a_dropout_in_training_mode_stays():
    nodes = [node("Dropout", "x r flag", "a"), node("Relu", "a", "y")]
    model = make(nodes, {"x": (3,)}, {"r": np.float32(0), "flag": np.bool_(True)})
    assert kinds(rewritten(model)) == ["Dropout", "Relu"]


def test_dead_code_goes():
    nodes = [node("Relu", "x", "y"), node("Mul", "x p", "z"), node("Neg", "z", "dead")]
    graph = rewritten(make(nodes, {"x": (3,)}, {"p": floats(3), "unused": floats(9)}))
    assert kinds(graph) == ["Relu"] and not graph.constants


# Evaluated.


def test_shape_arithmetic_is_evaluated():
    nodes = [
        node("Shape", "x", "s"),
        node("Shape", "x", "last", start=-1),
        node("Gather", "s i", "n"),
        node("Concat", "n last", "t", axis=0),
        node("Reshape", "x t", "y"),
    ]
    graph = rewritten(make(nodes, {"x": (2, 1, 3)}, {"i": ints(0)}))
    assert kinds(graph) == ["Reshape"] and graph.constants["t"].tolist() == [2, 3]


def test_outputs_left_out_do_not_shift_the_others():
    nodes = [node("Unique", "c", "u - i"), node("Gather", "x i", "y")]
    assert kinds(rewritten(make(nodes, {"x": (5,)}, {"c": ints(7, 3, 7)}))) == ["Gather"]


MALFORMED = {
    "negative size": (node("ConstantOfShape", "s", "c", name="bad"), {"s": ints(-3)}),
    "index out of range": (node("Gather", "p i", "c", name="bad"), {"p": floats(3), "i": ints(7)}),
    "shapes that do not fit": (node("Add", "p q", "c", name="bad"), {"p": floats(3), "q": floats(4)}),
    "unknown axis": (node("Squeeze", "p i", "c", name="bad"), {"p": floats(1, 3), "i": ints(9)}),
    "missing attribute": (node("Concat", "p p", "c", name="bad"), {"p": floats(3)}),
    "cropped below nothing": (node("Pad", "p i", "c", name="bad"), {"p": floats(3), "i": ints(-9, 0)}),
    "wrong type": (node("Reshape", "p q", "c", name="bad"), {"p": floats(3), "q": floats(1)}),
    "deprecated": (node("Scatter", "p i q", "c", name="bad"), {"p": floats(3), "i": ints(0), "q": floats(1)}),
}


def unchecked(bad, constants) -> OnnxGraph:
    """As after reading, without the checks that would catch it before."""
    graph = helper.make_graph(
        [bad, node("Mul", "x c", "y")],
        "bad",
        [helper.make_tensor_value_info("x", 1, [3])],
        [helper.make_tensor_value_info("y", 1, None)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return OnnxGraph.of(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]))


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_constants_get_one_sentence(name):
    with pytest.raises(UserError) as caught:
        simplify(unchecked(*MALFORMED[name]))
    sentence = str(caught.value)
    assert "'bad'" in sentence and "\n" not in sentence and sentence.endswith(".") and len(sentence) < 400


HUGE = {
    "ConstantOfShape": {"s": ints(2**40)},
    "Expand": {"p": floats(1), "s": ints(2**40)},
    "Tile": {"p": floats(3), "s": ints(2**40)},
    "Range": {"p": np.int64(0), "q": np.int64(2**40), "r": np.int64(1)},
    "Pad": {"p": floats(3), "s": ints(2**40, 0)},
    "OneHot": {"p": ints(1), "q": np.int64(2**40), "r": ints(0, 1)},
    "MaxUnpool": {"p": floats(1, 1, 1, 1), "q": ints(0).reshape(1, 1, 1, 1), "s": ints(1, 1, 2**20, 2**20)},
}


@pytest.mark.parametrize("operator", HUGE)
def test_huge_results_are_left_alone(operator, monkeypatch):
    monkeypatch.setattr(module, "_run", lambda *_: pytest.fail("evaluated"))
    attributes = {"kernel_shape": [1, 1]} if operator == "MaxUnpool" else {}
    graph = unchecked(node(operator, " ".join(HUGE[operator]), "c", **attributes), HUGE[operator])
    simplify(graph)
    assert kinds(graph) == [operator, "Mul"]


def test_sequences_are_left_alone():
    nodes = [node("SequenceConstruct", "p q", "s"), node("ConcatFromSequence", "s", "c", axis=0)]
    graph = unchecked(nodes[0], {"p": floats(3), "q": floats(3)})
    graph.nodes.insert(1, nodes[1])
    graph.nodes[1].name = "join"
    simplify(graph)
    assert kinds(graph) == ["SequenceConstruct", "ConcatFromSequence", "Mul"]


# Counted.


def test_parameters_are_counted_without_statistics_and_single_values():
    nodes = [
        CONV,
        batch_norm("a", "b"),
        node("Constant", "", "k", value=numpy_helper.from_array(floats(6, 1, 1))),
        node("Mul", "b k", "c"),
        node("Mul", "c half", "d"),
        node("Reshape", "d shape", "y"),
    ]
    constants = weights(**norm()) | {"half": np.float32(0.5), "shape": ints(-1)}
    model = make(nodes, {"x": IMAGE}, constants)
    assert count_parameters(OnnxGraph.of(model)) == 6 * 4 * 3 * 3 + 6 + 6 + 6


def test_shared_parameters_count_once():
    nodes = [node("MatMul", "x w", "a"), node("MatMul", "a w", "y")]
    assert count_parameters(OnnxGraph.of(make(nodes, {"x": (2, 3)}, {"w": floats(3, 3)}))) == 9
