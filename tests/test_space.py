"""Design spaces: whatever the knobs are turned to, the result stays that of the unscheduled function."""

import sys
import types

import numpy as np
import pytest
import tvm
from tvm import relax
from tvm.s_tir import Schedule
from tvm.s_tir.schedule import Trace

from ago_core.artifacts.reference import relative_error
from ago_core.schedules import analytic
from ago_core.schedules.analytic import Variant, variants
from ago_core.schedules.machine import Machine
from ago_core.schedules.prepare import normalised
from ago_core.schedules.space import MAX_UNROLLED, LimitUnrolling, design_space, unrolled
from tests.schedule_cases import fused, outputs, relu

op = relax.op
MACHINE = Machine(lanes=16, registers=32, loads=True, cores=2)


def pointwise(x, w):
    return relu(op.nn.conv2d(x, w, data_layout="NHWC", kernel_layout="HWIO"))


def depthwise(x, w, channels, stride=1):
    options = {"data_layout": "NHWC", "kernel_layout": "HWIO", "out_layout": "NHWC"}
    return relu(op.nn.conv2d(x, w, stride, 1, groups=channels, **options))


def inverted_residual(_, x, w1, w2, w3):
    y = depthwise(pointwise(x, w1), w2, 48)
    return op.add(x, op.nn.conv2d(y, w3, data_layout="NHWC", kernel_layout="HWIO"))


def scores(q, k):
    return op.nn.softmax(op.matmul(q, op.permute_dims(k, [0, 2, 1])))


def attention(_, q, k, v):
    return op.permute_dims(op.matmul(scores(q, k), v), [1, 0, 2])


CASES = {
    "pointwise": (lambda _, x, w: pointwise(x, w), (1, 6, 7, 24), (1, 1, 24, 40)),
    "depthwise, stride 2": (lambda _, x, w: depthwise(x, w, 32, 2), (1, 7, 9, 32), (3, 3, 1, 32)),
    "matmul": (lambda _, a, b: op.matmul(a, b), (3, 12, 9), (3, 9, 32)),
    "pointwise, depthwise": (
        lambda _, x, w, v: depthwise(pointwise(x, w), v, 64, 2),
        *((1, 9, 8, 16), (1, 1, 16, 64), (3, 3, 1, 64)),
    ),
    "depthwise, pointwise": (
        lambda _, x, w, v: pointwise(depthwise(x, w, 32), v),
        *((1, 8, 7, 32), (3, 3, 1, 32), (1, 1, 32, 24)),
    ),
    "inverted residual": (inverted_residual, (1, 6, 8, 16), (1, 1, 16, 48), (3, 3, 1, 48), (1, 1, 48, 16)),
    "convolution in a concatenation": (
        lambda _, x, w, v: op.concat([pointwise(x, w), v], 3),
        *((1, 6, 7, 16), (1, 1, 16, 40), (1, 6, 7, 24)),
    ),
    "attention": (attention, (2, 20, 12), (2, 21, 12), (2, 21, 24)),
    "scores": (lambda _, q, k: scores(q, k), (2, 20, 12), (2, 21, 12)),
    "layer norm, matmul, matmul": (
        lambda _, x, g, b, v, w: op.matmul(relu(op.matmul(op.nn.layer_norm(x, g, b, axes=[-1]), v)), w),
        *((24, 20), (20,), (20,), (20, 36), (36, 20)),
    ),
    "two matmuls": (lambda _, a, b, c: op.matmul(relu(op.matmul(a, b)), c), (16, 24), (24, 64), (64, 32)),
}


def space_of(variant: Variant) -> Schedule:
    return design_space(Schedule(variant.module), variant, MACHINE)


@pytest.mark.parametrize("name", CASES)
def test_sampled_knobs_keep_the_result(name):
    build, *shapes = CASES[name]
    function = fused(build, *shapes)
    spaces = [(variant.module, space_of(variant)) for variant in variants(function, MACHINE)]
    candidates = []
    for module, space in spaces:
        for seed in (1, 2, 3):
            sampled = Schedule(module, seed=seed)
            Trace(space.trace.insts, {}).apply_to_schedule(sampled, remove_postproc=False)
            if LimitUnrolling().apply(sampled):
                candidates.append(sampled.mod["main"])
    reference, *results = outputs([function, *candidates])
    assert len(results) >= len(spaces) and any(len(space.trace.decisions) for _, space in spaces)
    assert all(relative_error(result, reference) <= 1e-5 for result in results)


def test_the_estimate_is_the_first_point():
    build, *shapes = CASES["pointwise, depthwise"]
    variant = variants(fused(build, *shapes), MACHINE)[0]
    space = space_of(variant)
    replayed = Schedule(variant.module)
    space.trace.apply_to_schedule(replayed, remove_postproc=False)
    tvm.ir.assert_structural_equal(replayed.mod, space.mod)


def test_chains_have_a_fused_and_an_unfused_space(monkeypatch):
    monkeypatch.setattr(analytic, "SERIAL_ITERATIONS", 64)  # so that each small nest has a parallel loop
    build, *shapes = CASES["inverted residual"]
    spaces = [space_of(variant) for variant in variants(fused(build, *shapes), MACHINE)]
    parallel = [space.mod.script().count("T.parallel(") for space in spaces]
    assert min(parallel) == 1 < max(parallel)


def test_too_much_unrolling_is_rejected():
    sch = normalised(fused(lambda _, a, b: op.matmul(a, b), (64, 64), (64, 64)), MACHINE)
    for loop in sch.get_loops(sch.get_sblock("matmul"))[-2:]:
        sch.unroll(loop)
    assert unrolled(sch.mod["main"].body) == 64 * 64 > MAX_UNROLLED
    assert not LimitUnrolling().apply(sch)


def test_metaschedule_searches_the_space(monkeypatch):
    for name in ("cuda", "rocm", "metal", "hexagon", "riscv_cpu"):  # half a minute of parsing that a CPU has no use for
        monkeypatch.setitem(sys.modules, f"tvm.s_tir.tensor_intrin.{name}", types.ModuleType(name))
    from tvm.s_tir import meta_schedule as ms

    from ago_core.devices.local import host_target
    from ago_core.schedules.space import space_generator

    build, *shapes = CASES["depthwise, pointwise"]
    variant = variants(fused(build, *shapes), MACHINE)[0]
    context = ms.TuneContext(
        mod=variant.module,
        target=host_target(),
        space_generator=space_generator(variant, MACHINE),
        search_strategy=ms.search_strategy.EvolutionarySearch(population_size=16, genetic_num_iters=1),
        rand_state=1,
        num_threads=1,
    )
    spaces = context.generate_design_space()
    model = ms.cost_model.RandomModel()
    context.pre_tuning(8, 4, spaces, ms.database.MemoryDatabase(), model)
    traces = []
    while (candidates := context.generate_measure_candidates()) is not None:
        traces += [str(candidate.sch.trace) for candidate in candidates]
        results = [ms.runner.RunnerResult([float(np.mean(len(t)))], None) for t in traces[-len(candidates) :]]
        context.notify_runner_results(candidates, results)
    assert len(traces) == 8
    assert len(set(traces)) > 4
