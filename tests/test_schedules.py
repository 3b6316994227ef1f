"""Scheduled code against the same code unscheduled: every kind of loop nest, odd sizes, every processor."""

import time
from dataclasses import replace

import numpy as np
import pytest
import tvm
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from tvm import relax
from tvm.s_tir import Schedule

from ago_core.artifacts.reference import relative_error
from ago_core.devices.local import host_target
from ago_core.lowering.build import build_functions
from ago_core.schedules import analytic
from ago_core.schedules.analytic import schedule_function, schedule_groups, schedule_module, variants
from ago_core.schedules.knobs import Estimated
from ago_core.schedules.nest import read_nest
from ago_core.schedules.tile import vector_axis
from tests.schedule_cases import (
    ALL_MACHINES,
    AVX2,
    AVX512,
    KINDS,
    MACHINES,
    NEON,
    SSE,
    check,
    fused,
    op,
    outputs,
    reductions,
    relu,
    scalar_reductions,
)

FEW = settings(max_examples=1, phases=(Phase.explicit, Phase.reuse, Phase.generate))
SIZE = st.sampled_from([1, 2, 3, 5, 7, 8, 12])
CHANNELS = st.sampled_from([1, 2, 3, 4, 7, 8, 13, 16, 17, 24, 58, 116])
TWO_MACHINES = st.lists(st.sampled_from(ALL_MACHINES), min_size=2, max_size=2, unique=True)
NAMES = ["AVX-512", "AVX2", "SSE", "NEON"]


@pytest.fixture(autouse=True, scope="module")
def _parallel_at_any_size():
    """Nests of 64 iterations on several cores already, so that small ones show what large ones do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(analytic, "SERIAL_ITERATIONS", 64)
        patch.setattr(analytic, "SERIAL_ELEMENTS", 64)
        yield


def broken(reasons: dict[str, str]) -> list:
    """All kinds of nests, those known to fail marked so."""
    return [
        pytest.param(kind, marks=pytest.mark.xfail(reason=reasons[kind], strict=True)) if kind in reasons else kind
        for kind in KINDS
    ]


@pytest.mark.parametrize("kind", KINDS)
@FEW
@given(SIZE, SIZE, CHANNELS, CHANNELS, TWO_MACHINES)
@example(7, 5, 24, 58, [AVX512, NEON])
@example(4, 6, 8, 16, [AVX2, SSE])
def test_results(kind, h, w, c, k, machines):
    check(KINDS[kind](h, w, c, k), machines)


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (1, 1, 116, 17), (11, 1, 3, 1), (1, 13, 1, 1), (2, 12, 1, 1)], ids=str)
@pytest.mark.parametrize("kind", ["pointwise", "depthwise 3x3", "product", "max pool"])
def test_extents_of_1(kind, sizes):
    """With one channel, the width may go into vectors."""
    check(KINDS[kind](*sizes), [AVX512, NEON])


SCALAR = {
    "argmax": "it reduces to a pair",
    "max pool, channels first": "neither rows nor columns are walked with stride 1",
}


@pytest.mark.parametrize("machine", MACHINES, ids=NAMES)
@pytest.mark.parametrize("kind", broken(SCALAR))
def test_every_reduction_is_in_vectors(kind, machine):
    """A schedule that TVM refuses leaves correct but slow code: this is where it shows."""
    assert not scalar_reductions(schedule_function(KINDS[kind](8, 8, 32, 64), machine))


@pytest.mark.parametrize("machine", MACHINES, ids=NAMES)
@pytest.mark.parametrize("channels", [5, 7, 13, 17, 24, 58, 116])
def test_odd_channels_are_in_vectors(channels, machine):
    for kind in ("pointwise", "3x3, stride 2", "depthwise 3x3", "grouped", "product", "max pool", "mean of an image"):
        assert not scalar_reductions(schedule_function(KINDS[kind](8, 8, channels, channels), machine)), kind


@pytest.mark.parametrize("kind", ["grouped", "grouped, no bias", "grouped pointwise, shuffled", "grouped unit"])
@pytest.mark.parametrize("channels", [8, 34])
def test_a_group_is_read_without_gathering(kind, channels):
    """Its channels go into vectors that walk every operand with stride 1 or not at all."""
    for block in reductions(schedule_function(KINDS[kind](8, 8, 12, channels), AVX512)):
        assert vector_axis(read_nest(block)) is not None


@pytest.mark.parametrize("kind", ["pointwise", "depthwise 5x5", "product", "softmax", "max pool"])
def test_large_nests_use_the_cores_and_small_ones_do_not(kind, monkeypatch):
    monkeypatch.setattr(analytic, "SERIAL_ITERATIONS", 1000)
    monkeypatch.setattr(analytic, "SERIAL_ELEMENTS", 1000)
    assert "T.parallel" in schedule_function(KINDS[kind](16, 16, 32, 64), AVX2).script()
    assert "T.parallel" not in schedule_function(KINDS[kind](1, 1, 4, 8), AVX2).script()


@pytest.mark.parametrize("cores", [1, 2, 4])
@pytest.mark.parametrize("kind", ["pointwise", "depthwise 3x3", "max pool", "inverted residual"])
def test_loops_for_the_cores_are_not_made_of_several(kind, cores):
    """Divisions in the addresses of a depthwise convolution take three times as long as the convolution."""
    scheduled = schedule_function(KINDS[kind](16, 16, 32, 64), replace(AVX512, cores=cores))
    assert "T.parallel" in scheduled.script()
    assert "//" not in scheduled.script() and "%" not in scheduled.script()


@settings(FEW, max_examples=6)
@given(st.lists(st.sampled_from([1, 2, 3, 5, 16]), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_reshapes_and_transposes(shape, random):
    axes = random.sample(range(len(shape)), len(shape))

    def build(_, x):
        y = op.permute_dims(op.multiply(x, x), axes)
        return op.exp(op.reshape(y, (int(np.prod(shape)),)))

    check(fused(build, tuple(shape)), [AVX512, NEON])


def test_scalars():
    check(fused(lambda _, x: op.exp(op.negative(x)), ()))


def chain(step, length):
    def build(builder, x):
        for _ in range(length):
            x = builder.emit(step(x))
        return x

    return build


CHAINS = {
    "x/2 + tanh x": lambda x: op.add(op.multiply(x, relax.const(0.5, "float32")), op.tanh(x)),
    "halves of a concatenation": lambda x: op.strided_slice(op.concat([x, x], 0), [0], [2], [5]),
    "exp(-x)": lambda x: op.exp(op.negative(x)),
}


@pytest.mark.parametrize("name", CHAINS)
def test_chains_with_two_readers_do_not_double_work(name):
    function = fused(chain(CHAINS[name], 30), (3, 8))
    start = time.process_time()
    (scheduled,) = check(function, [AVX2])
    assert time.process_time() - start < 30
    assert len(scheduled.script()) < 80_000


def test_a_chain_with_one_reader_becomes_one_nest():
    for scheduled in check(fused(chain(lambda x: relu(op.negative(x)), 5), (4, 16))):
        assert scheduled.script().count("T.sblock(") == 2  # the root and one


def test_at_most_two_exponentials_in_one_expression():
    scheduled = schedule_function(fused(chain(CHAINS["exp(-x)"], 6), (4, 16)), AVX2)
    assert scheduled.script().count("T.sblock(") == 4


@pytest.mark.parametrize("refused", [{"_tile", "_vectorise"}, {"_tile", "_vectorise", "_parallelise"}])
def test_moves_that_are_refused_leave_correct_code(refused, monkeypatch):
    """A move that fails half-way must leave no trace."""

    def failing(sch, block, machine, **_):
        sch.parallel(sch.get_loops(block)[0])
        raise tvm.s_tir.ScheduleError("refused")

    for name in refused:
        monkeypatch.setattr(analytic, name, failing)
    (scheduled,) = check(fused(lambda _, a, b: relu(op.matmul(a, b)), (5, 7), (7, 16)), [AVX2])
    assert ("T.parallel" in scheduled.script()) == ("_parallelise" not in refused)
    assert scalar_reductions(scheduled)


def test_equal_functions_are_scheduled_once(monkeypatch):
    function = fused(lambda _, x: op.exp(x), (3, 4))
    seen = []
    monkeypatch.setattr(analytic, "schedule_function", lambda f, machine, fusion: seen.append(f) or f)
    module = tvm.IRModule({name: function.with_attr("global_symbol", name) for name in ("a", "b")})
    result = schedule_module(module, AVX2)
    assert len(seen) == 1
    assert {str(result[name].attrs["global_symbol"]) for name in ("a", "b")} == {"a", "b"}


@pytest.mark.parametrize("machine", MACHINES, ids=NAMES)
@pytest.mark.parametrize("length", [5, 16, 49, 100, 196, 700])
def test_softmax_and_layer_norm_are_one_nest_over_rows(length, machine):
    def norm(_, x, scale, shift):
        y = op.nn.layer_norm(x, scale, shift, axes=[-1])
        return op.permute_dims(op.reshape(y, (3, 7, length)), [1, 0, 2])

    softmax = fused(lambda _, x: op.nn.softmax(x), (3, 7, length))
    for function in (softmax, fused(norm, (21, length), (length,), (length,))):
        (scheduled,) = check(function, [machine])
        assert scheduled.script().count("T.sblock(") == 2  # the root and one
        assert scheduled.script().count("T.parallel(") == 1


def test_a_row_that_others_read_too_is_kept():
    def build(builder, x):
        shifted = builder.emit(op.subtract(x, op.max(x, [1], True)))
        total = builder.emit(op.sum(op.exp(shifted), [1], True))
        return op.concat([builder.emit(op.divide(shifted, total)), op.permute_dims(shifted)], 0)

    check(fused(build, (19, 19)), [AVX512, NEON])


def test_tiles_lie_on_the_stack():
    """A call for each tile that takes memory from a pool costs as much as a short reduction."""
    function = schedule_function(fused(lambda _, a, b: relu(op.matmul(a, b)), (56, 24), (24, 32)), AVX512)
    module = tvm.IRModule({"main": function.with_attr("global_symbol", "main")})
    code = build_functions(module, host_target()).inspect_source("ll")
    assert "load ptr, ptr @__TVMBackendAllocWorkspace" not in code


def in_one_nest(function, machine):
    """The function with all of its stages in one nest, compared with the unscheduled one."""
    (whole,) = [each for each in variants(function, machine) if len(each.groups) == 1]
    nest = schedule_groups(Schedule(whole.module), whole.groups, machine, Estimated()).mod["main"]
    expected, found = outputs([function, nest])
    assert relative_error(found, expected) <= 1e-5
    assert nest.script().count("T.parallel(") == 1
    return nest


def attention(heads, rows, keys, width, mask):
    """softmax(q · kᵀ · s + mask) · v, the heads side by side in the result."""

    def build(_, q, k, v, *masks):
        scores = op.multiply(op.matmul(q, k), relax.const(0.3, "float32"))
        probabilities = op.nn.softmax(op.add(scores, masks[0]) if mask else scores)
        return op.reshape(op.permute_dims(op.matmul(probabilities, v), [0, 2, 1, 3]), (2, rows, heads * width))

    shapes = [(2, heads, rows, width), (2, heads, width, keys), (2, heads, keys, width)]
    return fused(build, *shapes, *([(2, 1, 1, keys)] if mask else []))


@pytest.mark.parametrize("machine", MACHINES, ids=NAMES)
@pytest.mark.parametrize(
    "sizes", [(4, 196, 196, 24), (2, 49, 49, 30), (3, 128, 128, 64), (1, 36, 13, 17), (2, 32, 100, 8)], ids=str
)
def test_attention_is_one_nest_over_rows(sizes, machine):
    machine = replace(machine, cores=1)
    for mask in (False, True):
        function = attention(*sizes, mask)
        check(function, [machine])
        assert not scalar_reductions(in_one_nest(function, machine))


def test_layer_norm_goes_into_the_task_of_the_products_that_read_it():
    def build(_, x, scale, shift, v, w):
        return op.matmul(relu(op.matmul(op.nn.layer_norm(x, scale, shift, axes=[-1]), v)), w)

    function = fused(build, (196, 96), (96,), (96,), (96, 192), (192, 96))
    for machine in (AVX512, replace(NEON, cores=1)):
        in_one_nest(function, machine)


def test_without_fusion_each_stage_has_a_nest_of_its_own():
    function, machine = attention(4, 196, 196, 24, False), replace(AVX512, cores=1)
    fused_nest, apart = (schedule_function(function, machine, fusion) for fusion in (True, False))
    assert loops_outside(fused_nest) < loops_outside(apart)
    expected, found = outputs([function, apart])
    assert relative_error(found, expected) <= 1e-5


def loops_outside(function):
    """Nests that stand beside each other."""
    body = function.body.block.body
    return len(body.seq) if isinstance(body, tvm.tirx.SeqStmt) else 1
