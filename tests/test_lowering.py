"""Any valid partition lowers to code that computes what the model computes."""

from __future__ import annotations

import onnx
import pytest
import tvm
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tvm.relax import op

from ago_core.artifacts import verify as verification
from ago_core.artifacts.reference import Reference, random_inputs, relative_error
from ago_core.artifacts.verify import TOLERANCE, verify
from ago_core.devices.cores import physical_cores
from ago_core.devices.local import host_target
from ago_core.graph.model import load_model
from ago_core.lowering import regroup as regrouping
from ago_core.lowering.buffers import held_buffers
from ago_core.lowering.executable import compile_model
from ago_core.lowering.held import Place
from ago_core.lowering.inspect import inspect_subgraph
from ago_core.lowering.regroup import regroup, regroup_each, regroup_one
from ago_core.lowering.run import Runner
from ago_core.partition.ago import ago_partition
from ago_core.partition.clusters import Clusters
from ago_core.partition.heuristic import heuristic_partition
from ago_core.partition.metrics import complex_per_subgraph
from ago_core.partition.partition import make_partition
from ago_core.partition.weights import operator_weights
from ago_core.schedules.analytic import schedule_function
from ago_core.schedules.machine import machine_of
from benchmarks.light_models import LIGHT_MODELS, with_seeded_weights
from tests import schedule_cases
from tests.networks import METHODS, inverted_residual, partition_by


@pytest.fixture(scope="module")
def block(tmp_path_factory):
    return load_model(inverted_residual(tmp_path_factory.mktemp("models")))


@pytest.fixture(scope="module")
def block_expected(block):
    inputs = random_inputs(block.onnx)
    return inputs, Reference(block.onnx, 1).outputs(inputs)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(random=st.randoms(use_true_random=False))
def test_any_acyclic_partition_computes_the_model(block, block_expected, random):
    graph = block.graph
    clusters = Clusters(graph, operator_weights(graph))
    for _ in range(random.randrange(len(graph))):
        pairs = [(a, b) for a in clusters.members for b in clusters.neighbours(a) if clusters.stages_allow(a, b)]
        if pairs:
            clusters.merge(*random.choice(pairs))
    partition = make_partition(graph, clusters.members.values(), "edited")
    inputs, expected = block_expected
    outputs = Runner(compile_model(block, partition, host_target()), inputs, physical_cores()).outputs()
    assert len(outputs) == len(expected) == 2
    assert max(map(relative_error, outputs, expected)) <= TOLERANCE


def test_lowering_makes_one_prim_func_for_each_subgraph(block):
    partition = ago_partition(block.graph)
    names = {gvar.name_hint for gvar in regroup(block, partition).get_global_vars()}
    assert names == {"main"} | {f"subgraph_{index}" for index in range(len(partition))}


def test_a_partition_of_another_model_is_refused(block):
    foreign = ago_partition(load_model("squeezenet@56").graph)
    with pytest.raises(ValueError, match="another model"):
        regroup(block, foreign)


def test_the_heuristic_is_tvms_own(block):
    partition = heuristic_partition(block)
    names = [{block.graph.operators[op].kind for op in members} for members in partition.subgraphs]
    assert {"depthwise_conv2d", "relu"} in names
    assert max(complex_per_subgraph(block.graph, partition)) == 1


def test_functions_of_many_subgraphs_are_those_of_each_and_the_model_is_read_once(block, monkeypatch):
    partition = heuristic_partition(block)
    one_by_one = [regroup_one(block, partition, index) for index in range(len(partition))]
    reads = []
    read = regrouping.main_bindings
    monkeypatch.setattr(regrouping, "main_bindings", lambda module: reads.append(module) or read(module))
    found = list(regroup_each(block, partition, range(len(partition))))
    assert len(reads) == 1 < len(partition)
    for one, other in zip(one_by_one, found, strict=True):
        tvm.ir.assert_structural_equal(one, other)


def test_a_subgraph_is_inspected_before_and_after_scheduling(block):
    partition = ago_partition(block.graph)
    index = max(range(len(partition)), key=lambda k: len(partition.subgraphs[k]))
    found = inspect_subgraph(block, partition, index, host_target(1))
    assert "T.vectorized" not in found.before and "T.vectorized" in found.after
    heavy = [
        block.graph.operators[op].name for op in partition.subgraphs[index] if block.graph.operators[op].is_complex
    ]
    assert [name for _, name in found.complex_blocks] == heavy
    assert all(f'T.sblock("{name}")' in found.before for name, _ in found.complex_blocks)
    tiles = [tile for nest in found.nests for tile in nest.tiles]
    assert [tile.block for tile in tiles] == [name for name, _ in found.complex_blocks]
    assert all(tile.sums <= found.processor.registers and tile.loads > 0 for tile in tiles)
    assert all(nest.fused == (len(nest.tiles) > 1) for nest in found.nests) and found.cycles > 0
    assert all(nest.cycles <= nest.apart for nest in found.nests), "the estimate fuses only what it finds faster"
    assert "sch.vectorize" in found.trace


def test_intermediates_of_a_fused_nest_need_not_be_whole():
    """Two pointwise convolutions on 56x56 pixels: fused, only rows of what passes between them are allocated."""

    def pair(_, x, first, second):
        return schedule_cases.conv(schedule_cases.relu(schedule_cases.conv(x, first)), second)

    function = schedule_cases.fused(pair, (1, 56, 56, 32), (1, 1, 32, 64), (1, 1, 64, 32))
    held = {each.place: each for each in held_buffers(schedule_function(function, machine_of(host_target(1))))}
    tile = held[Place.TILE]
    assert tile.shape == (1, 56, 56, 64) and tile.whole == 56 * 56 * 64 * 4
    assert 0 < tile.kept < tile.whole and Place.MEMORY not in held
    apart = held_buffers(schedule_function(function, machine_of(host_target(1)), fusion=False))
    assert [each.whole for each in apart if each.place is Place.MEMORY] == [tile.whole]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("spec", ["mobilenet_v2@56", "shufflenet_v2@56", "mobilevit_xs@56", "bert_tiny@32"])
def test_samples_match_onnx_runtime(spec, method):
    model = load_model(spec)
    compiled = compile_model(model, partition_by(model, method), host_target())
    report, _, _ = verify(compiled, threads=1, runs=1)
    assert report.correct, report.max_rel_error
    assert len(report.latency.runs_ms) >= 3


def test_onnx_runtime_is_timed_once_the_threads_of_tvm_sleep(block, monkeypatch):
    seen = []

    class Watched(Reference):
        def latency(self, inputs, runs):
            seen.append("timed")
            return super().latency(inputs, runs)

    monkeypatch.setattr(verification, "Reference", Watched)
    monkeypatch.setattr(verification, "comes_to_rest", lambda process, seconds: seen.append("slept"))
    verify(compile_model(block, partition_by(block, "ago"), host_target()), threads=1, runs=1)
    assert seen == ["slept", "timed"]


@pytest.mark.parametrize("name", ["light_squeezenet", "light_shufflenet"])
def test_light_models_match_onnx_runtime(name, tmp_path):
    assert _verified(next(path for path in LIGHT_MODELS if path.stem == name), "ago", tmp_path).correct


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", LIGHT_MODELS, ids=lambda path: path.stem)
def test_every_light_model_matches_onnx_runtime(path, method, tmp_path):
    assert _verified(path, method, tmp_path).correct


def _verified(path, method, folder):
    seeded = folder / path.name
    onnx.save(with_seeded_weights(path), seeded)
    model = load_model(seeded)
    compiled = compile_model(model, partition_by(model, method), host_target())
    return verify(compiled, threads=physical_cores(), runs=1)[0]


def test_overlapping_vectors_are_not_computed_in_place():
    """58 columns are four vectors of 16, the last over the one before: a result in its input would be read again."""

    def chain(builder, value):
        for step in (op.exp, op.tanh, op.exp, op.tanh, op.exp):
            value = builder.emit(step(value))
        return value

    schedule_cases.check(schedule_cases.fused(chain, (3, 58)))
