"""ONNX's own node tests through the whole pipeline: every case is right, or refused in one sentence; none is wrong.

The cases come with recorded inputs and outputs (onnx.backend.test.case.node). As in real models, all inputs but the
first are made constants, which also sends shapes and axes through constant folding.
"""

import fnmatch
import warnings

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from ago_core.errors import UserError
from ago_core.graph.model import Model
from tests.onnx_models import load, outputs

OPERATORS_TEXT = """
    Abs Add And ArgMax ArgMin AveragePool BatchNormalization Cast Ceil Clip Concat Conv ConvTranspose CumSum
    DepthToSpace DequantizeLinear Div Dropout Einsum Elu Equal Erf Exp Expand Flatten Floor Gather GatherElements
    GatherND Gelu Gemm GlobalAveragePool GlobalMaxPool Greater GridSample GroupNormalization HardSigmoid HardSwish
    Identity InstanceNormalization IsInf IsNaN LRN LayerNormalization LeakyRelu Less Log LogSoftmax MatMul Max
    MaxPool Mean Min Mod Mul Neg Not PRelu Pad Pow QuantizeLinear RMSNormalization Reciprocal ReduceL2
    ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceSum ReduceSumSquare Relu Reshape Resize RoiAlign Round
    ScatterND Selu Sigmoid Sign Slice Softmax Softplus SpaceToDepth Split Sqrt Squeeze Sub Sum Tanh Tile TopK
    Transpose Trilu Unsqueeze Upsample Where
"""

REFUSED_TEXT = """
    *bfloat16* *bf16* *BFLOAT16* *FLOAT8* *FLOAT4* *INT4* *UINT4* *INT2* *e4m3* *e5m2* *float4* *int4 *int2 *e8m0*
    *_string* *STRING* *empty_set* *zero_size* *_zero *_bool_inputs *training* dropout_default_mask*
    maxpool_with_argmax* batchnorm_*_training_mode identity_opt identity_sequence *blocked* mod_*fmod_0*
    mod_float*mixed_sign* pow_types_int* resize_*antialias* resize_tf_crop*
    resize_downsample_scales_*_align_corners rms_normalization_*_axis0* rms_normalization_2d_axis_negative_2
    rms_normalization_3d_axis_negative_3* rms_normalization_4d_axis_negative_4 roialign_mode_max
    slice_start_out_of_bounds reshape_allowzero* top_k_uint64 convtranspose_output_shape
"""

OPERATORS, REFUSED = OPERATORS_TEXT.split(), REFUSED_TEXT.split()
FEW = 3  # cases of each operator that run by default


@pytest.fixture(scope="session")
def cases():
    """Operator → its single-node cases by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        found = collect_testcases(None)
    by_operator = {}
    for case in sorted(found, key=lambda case: case.name):
        node, *more = case.model.graph.node
        values = (*case.model.graph.input, *case.model.graph.output)
        if not more and not node.domain and all(value.type.HasField("tensor_type") for value in values):
            by_operator.setdefault(node.op_type, {})[case.name.removeprefix("test_")] = case
    return by_operator


def may_be_refused(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in REFUSED)


def loaded(case, folder) -> tuple[Model, dict, list]:
    """The model with its parameters made constants, its inputs and the outputs it must give."""
    given, wanted = ([_array(value) for value in values] for values in case.data_sets[0])
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    inputs = {value.name: array for value, array in zip(model.graph.input, given)}
    first, *parameters = inputs
    model.graph.initializer.extend(numpy_helper.from_array(inputs[name], name) for name in parameters)
    del model.graph.input[1:]
    if model.graph.node[0].op_type == "LayerNormalization":  # the others are for training
        del model.graph.output[1:], wanted[1:]
    return load(model, folder), {first: inputs[first]}, wanted


def _array(value) -> np.ndarray:
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)


def faults(chosen: dict, folder) -> dict[str, str]:
    """The cases that are wrong, or refused against expectation."""
    found = {}
    for name, case in chosen.items():
        try:
            model, inputs, wanted = loaded(case, folder)
            for results in outputs(model, inputs).values():
                for got, want in zip(results, wanted, strict=True):
                    _assert_equal(got, want)
        except UserError as refusal:
            if not may_be_refused(name):
                found[name] = str(refusal)
        except AssertionError as difference:
            found[name] = str(difference)
    return found


def _assert_equal(got: np.ndarray, want: np.ndarray) -> None:
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    if not np.issubdtype(want.dtype, np.floating):
        return np.testing.assert_array_equal(got, want)
    tolerance = 5e-3 if want.dtype == np.float16 else 1e-4
    scale = np.abs(want[np.isfinite(want)].astype(np.float64)).max(initial=0)
    return np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_few_cases_of_each_operator(operator, cases, tmp_path):
    all_right = [name for name in cases[operator] if not may_be_refused(name)]
    chosen = {name: cases[operator][name] for name in (all_right or cases[operator])}
    few = list(chosen)[:: max(1, len(chosen) // FEW)][:FEW]
    assert faults({name: chosen[name] for name in few}, tmp_path) == {}


@pytest.mark.slow
@pytest.mark.parametrize("operator", OPERATORS)
def test_all_cases_of_each_operator(operator, cases, tmp_path):
    assert faults(cases[operator], tmp_path) == {}
