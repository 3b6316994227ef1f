"""What the inspector says and marks, apart from pages: loops, traffic, instructions, roofs, decisions in words."""

import json
import subprocess
from dataclasses import replace
from types import SimpleNamespace

import pytest
import tvm

from ago_core.devices.local import host_target
from ago_core.errors import UserError
from ago_core.graph.model import load_model
from ago_core.lowering import machine_code
from ago_core.lowering.assembly import hot_loop
from ago_core.lowering.held import Held, Place
from ago_core.lowering.inspect import inspect_subgraph, subgraph_function
from ago_core.lowering.instructions import Kind, count_instructions, kind_of
from ago_core.partition.ago import ago_partition
from ago_core.schedules.analytic import schedule_function
from ago_core.schedules.decisions import Cut, NestChoice
from ago_core.schedules.machine import machine_of
from ago_core.schedules.space import design_space
from ago_core.tuning.inspect import inspect_tuned
from ago_core.tuning.space import our_variants, proposal_of
from app.services import inspect_memory, inspect_reuse, inspection
from app.services.inspect_schedule import nest_texts, primitives, trace_sentence
from app.services.inspect_speed import estimated_seconds, point, position_sentence
from app.services.inspect_tuned import tuned_parts
from app.services.inspection import Limits
from tests import schedule_cases
from visualizers.code import Mark, assembly_marks, shared_nests, tir_marks
from visualizers.roofline import Point, roof, roofline
from visualizers.traffic import traffic

NEST = """\
@T.prim_func
def main():
    for t in T.parallel(4):
        for i in range(2):
            with T.sblock("conv_init"):
                T.reads()
            for k in range(8):
                with T.sblock("conv_update"):
                    y = 1
        for j in range(2):
            with T.sblock("conv1"):
                y = 2
    for i in range(3):
        with T.sblock("conv2"):
            T.writes(z)
    for i in range(3):
        with T.sblock("add"):
            y = 3
"""
BLOCKS = {"conv": "pointwise", "conv1": "depthwise", "conv2": "last"}

X86 = """\
.LBB0_1:
\tvmovups\t(%rdi,%rax), %zmm1
\tvfmadd231ps\t64(%rdi,%rax), %zmm1, %zmm2
\tvfmadd231ps\t%ymm1, %ymm0, %ymm2
\tvfmadd231ss\t%xmm1, %xmm0, %xmm2
\tleaq\t(%rdi,%rax), %rcx
\tmovq\t%rcx, 56(%rsp)
\tvmulps\t32(%rsp), %zmm3, %zmm3
\tvmovups\t%zmm2, (%rsi)
\tjne\t.LBB0_1
"""
ARM = """\
.LBB0_1:
\tldp\tq0, q1, [x8]
\tfmla\tv2.4s, v0.4s, v1.s[0]
\tfmadd\ts1, s2, s3, s1
\tldr\tq3, [sp, #16]
\tst1\t{ v2.4s }, [x9]
\tb.ne\t.LBB0_1
"""


@pytest.fixture(scope="module")
def model():
    return load_model("mobilenet_v2@56")


@pytest.fixture(scope="module")
def partition(model):
    return ago_partition(model.graph)


@pytest.fixture(scope="module")
def several(model, partition):
    """The index of the first subgraph of three complex operators."""
    graph = model.graph
    return next(
        i for i, ops in enumerate(partition.subgraphs) if sum(graph.operators[op].is_complex for op in ops) == 3
    )


@pytest.fixture(scope="module")
def found(model, partition, several):
    return inspect_subgraph(model, partition, several, host_target(1))


# TIR


def test_loops_that_several_complex_blocks_share_are_found():
    (nest,) = shared_nests(NEST, BLOCKS)
    assert (nest.first, nest.last, nest.loops, nest.blocks) == (3, 12, (3,), ("conv", "conv1"))


def test_marks_name_the_operators_of_shared_loops_and_go_to_each():
    marks, places = tir_marks(NEST, BLOCKS)
    assert Mark(3, 3, "shared", "Shared by pointwise and depthwise") in marks
    assert [mark.first for mark in marks if mark.kind == "quiet"] == [6, 15]
    assert [(place.name, place.line) for place in places] == [
        ("Fused nest 1", 3),
        ("pointwise", 8),
        ("depthwise", 11),
        ("last", 14),
    ]


def test_one_complex_block_shares_with_none():
    assert shared_nests(NEST, {"conv": "pointwise"}) == [] and shared_nests("", BLOCKS) == []


def test_shared_nests_are_those_that_the_estimate_fused(found):
    after = shared_nests(found.after, dict(found.complex_blocks))
    assert len(after) == sum(nest.fused for nest in found.nests)
    assert shared_nests(found.before, dict(found.complex_blocks)) == []


# Assembly


def test_instructions_of_x86_are_counted():
    counts = count_instructions(X86)
    assert (counts.vector_fmas, counts.scalar_fmas, counts.lanes) == (2, 1, 24)
    assert (counts.loads, counts.stores, counts.spills, counts.instructions) == (2, 1, 2, 9)


def test_instructions_of_aarch64_are_counted():
    counts = count_instructions(ARM)
    assert (counts.vector_fmas, counts.scalar_fmas, counts.lanes) == (1, 1, 4)
    assert (counts.loads, counts.stores, counts.spills, counts.instructions) == (1, 1, 1, 6)


def test_lines_of_assembly_are_marked_by_what_they_do():
    kinds = [kind_of(line) for line in X86.splitlines()]
    assert kinds[:4] == [Kind.LABEL, Kind.LOAD, Kind.FMA, Kind.FMA]
    assert [kinds[k] for k in (5, 6, 7, 8, 9)] == [Kind.OTHER, Kind.SPILL, Kind.SPILL, Kind.STORE, Kind.OTHER]
    assert [(mark.first, mark.kind) for mark in assembly_marks(ARM)][:2] == [(1, "label"), (2, "load")]


def test_assembly_comes_from_a_process_of_its_own():
    """An outer product of registers: multiply-adds of whole vectors, none of them on the stack."""
    function = schedule_cases.fused(lambda _, x, w: schedule_cases.conv(x, w), (1, 14, 14, 64), (1, 1, 64, 64))
    target = tvm.target.Target({"kind": "llvm", "mtriple": "aarch64-linux-gnu", "mcpu": "cortex-a76", "num-cores": 1})
    counts = count_instructions(
        hot_loop(machine_code.assembly_of(schedule_function(function, machine_of(target)), target))
    )
    assert counts.vector_fmas >= 16 and counts.lanes == 4 * counts.vector_fmas
    assert counts.spills == 0 and counts.scalar_fmas == 0


def test_a_compiler_that_takes_too_long_is_a_sentence():
    function = schedule_cases.fused(lambda _, x: schedule_cases.relu(x), (4, 4))
    with pytest.raises(UserError, match="more than 0 s"):
        machine_code.assembly_of(function, host_target(1), seconds=0.01)


# Reuse and memory


def test_a_pointwise_convolution_rereads_along_its_output_channels(model):
    graph = model.graph
    op = next(op for op in graph.operators if op.kind == "pointwise_conv2d" and op.sources[0] is not None)
    found = inspect_reuse.loop_table(graph, op)
    by_loop = {loop.name: row[0] for loop, row in zip(found.loops, found.cells)}
    extents = {loop.name: loop.extent for loop in op.loops}
    assert by_loop["ff"].kind == "rereads" and {by_loop[k].kind for k in by_loop if k != "ff"} == {"moves"}
    assert found.reads[0] == extents["ff"] and found.reads[-1] == extents["rc"]
    assert f"{extents['ff']}× because ff does not index it" in inspect_reuse.reuse_sentence_of(found)


def test_a_depthwise_convolution_slides_windows(model):
    op = next(op for op in model.graph.operators if op.kind == "depthwise_conv2d")
    found = inspect_reuse.loop_table(model.graph, op)
    kinds = {loop.name: row[0].kind for loop, row in zip(found.loops, found.cells)}
    assert kinds["yy"] == kinds["ry"] == "window" and "rereads" not in kinds.values()
    assert "overlap" in inspect_reuse.reuse_sentence_of(found)


def test_intermediates_lead_to_complex_operators(model, partition, several):
    found = inspect_reuse.intermediates(model.graph, partition.subgraphs[several])
    assert found and all(kept.reuse.reason for kept in found)
    facts = dict(inspect_reuse.intermediate_facts(found[0]))
    assert facts["Re-read by"] and facts["Computed"].endswith("×")


def test_fusing_moves_less_and_whole_intermediates_count_twice(model, partition, several):
    members = partition.subgraphs[several]
    apart = inspect_memory.each_by_itself(model.graph, members)
    fused = inspect_memory.fused_ideally(model.graph, members)
    assert apart.total > fused.total and fused.between == 0
    assert (apart.inputs, apart.weights, apart.results) == (fused.inputs, fused.weights, fused.results)
    held = [Held("a", (10,), 40, 40, Place.MEMORY), Held("b", (10,), 40, 8, Place.TILE)]
    assert inspect_memory.as_scheduled(model.graph, members, held).between == 80
    assert [row["Intermediate"] for row in inspect_memory.held_rows(held)] == ["a", "b"]
    assert "1 intermediate lives inside a nest; 1 passes between nests whole, 40 B" in inspect_memory.held_sentence(
        held
    )


def test_traffic_bars_add_up():
    figure = traffic([("apart", (1, 2, 3, 4)), ("fused", (1, 2, 0, 4))])
    assert [sum(bar.x[k] for bar in figure.data) for k in (0, 1)] == [10, 7]
    assert len({bar.marker.pattern.shape for bar in figure.data}) == 4


# Schedule


def test_decisions_in_words_hold_the_estimates_figures(found):
    texts = nest_texts(found)
    assert len(texts) == len(found.nests)
    for text, nest in zip(texts, found.nests):
        rows = [row for row in text.rows if row["Decision"] == "Tile"]
        assert [f"{tile.sums} sum" in row["Why"] for tile, row in zip(nest.tiles, rows)] == [True] * len(nest.tiles)
        assert bool(nest.task) == any(row["Decision"] == "Task" for row in text.rows)
        assert ("nests of their own" in text.sentence) == text.fused


def test_intensive_fusion_needs_two_operators_that_multiply_and_add(found):
    tile = found.nests[0].tiles[0]
    pair = NestChoice((tile, replace(tile, block="pool")), (Cut("yy", 56, 7),), 8, 900.0, 1000.0)
    (text,) = nest_texts(replace(found, nests=(pair,)))
    assert pair.fused and not text.fused and "fusing saves 10%" in text.sentence
    (alone,) = nest_texts(replace(found, nests=(replace(pair, tiles=(tile,)),)))
    assert "rows that follow in the same nest" in alone.sentence and not alone.fused


def test_a_trace_is_summed_up(found):
    assert "split" in trace_sentence(found.trace) and "get_loops" not in primitives(found.trace)
    sampled = "v1, v2 = sch.sample_perfect_tile(loop=l1, n=2, max_innermost_factor=16, decision=[7, 8])"
    assert trace_sentence(sampled) == "1 primitive: 1 sample_perfect_tile. The search chose these cuts: 7 × 8."


# What a session found


@pytest.fixture(scope="module")
def session(model, partition, several, tmp_path_factory):
    """A session's folder with a result: the estimate, as a search would have written it, for one subgraph."""
    folder = tmp_path_factory.mktemp("session")
    machine = machine_of(host_target(1))
    function = subgraph_function(model, partition, several)
    label, variant = next(iter(our_variants(function, machine, fusion=True).items()))
    trace = proposal_of(label, design_space(tvm.s_tir.Schedule(variant.module), variant, machine)).trace
    row = {"subgraph": several, "task": 0, "seconds": 2e-4, "trial": 7, "like": partition.subgraphs[several]}
    data = {"schema": 1, "model": model.graph.name, "target": str(host_target(1)), "partition": partition.to_json()}
    (folder / "best.json").write_text(json.dumps(data | {"functions": [row | {"trace": trace}]}))
    return folder


def test_a_schedule_that_was_found_is_replayed(model, session, several, found):
    tuned = inspect_tuned(model, session, several)
    assert tuned.before == found.before and tuned.complex_blocks == found.complex_blocks
    assert "sample_perfect_tile" in tuned.trace and tuned.nests == () and tuned.cycles is None
    assert "The search chose these cuts" in trace_sentence(tuned.trace)
    with pytest.raises(UserError, match="kept the analytic schedule"):
        inspect_tuned(model, session, several + 1)


def test_tuned_functions_inside_a_subgraph_are_listed(model, partition, several, session):
    row = SimpleNamespace(key="night", folder=session, status=True, model_hash=model.graph.model_hash)
    store = SimpleNamespace(rows=lambda: [row])
    members = partition.subgraphs[several]
    (tuned,) = tuned_parts(store, model.graph, members)
    assert tuned.whole and tuned.trial == 7 and tuned.title(model.graph) == "Tuned in night: 200 µs, trial 7"
    (part,) = tuned_parts(store, model.graph, (*members, max(members) + 1))
    assert not part.whole and "its part of" in part.title(model.graph)
    assert tuned_parts(store, model.graph, members[1:]) == []
    (session / "best.json").write_text("{")
    assert tuned_parts(store, model.graph, members) == []


# Roofline

LIMITS = Limits(2, 100e9, (1 << 14, 1 << 28), (200e9, 10e9))


def test_the_roof_is_the_lower_of_peak_and_bandwidth():
    assert roof(LIMITS.peak, LIMITS.footprints, LIMITS.bandwidths, 1000, 1 << 28) == LIMITS.peak
    assert roof(LIMITS.peak, LIMITS.footprints, LIMITS.bandwidths, 1, 1 << 28) == 10e9
    assert roof(LIMITS.peak, LIMITS.footprints, LIMITS.bandwidths, 0.1, 1) == pytest.approx(20e9)
    assert roof(LIMITS.peak, LIMITS.footprints, LIMITS.bandwidths, 0.1, 1 << 21) == pytest.approx(10.5e9)


def test_measured_and_estimated_points_look_different():
    figure = roofline(*_limits(), Point("S1", 100, 10, 1e-6, False), [Point("S2", 100, 10, 1e-6, True)], 1000)
    symbols = {trace.name: trace.marker.symbol[0] for trace in figure.data if trace.mode == "markers"}
    assert symbols == {"S1": "circle-open", "others": "circle"}
    assert figure.layout.shapes[0].x0 == pytest.approx(0.1)
    assert any("estimated" in trace.text[0] for trace in figure.data if trace.name == "S1")


def _limits():
    return LIMITS.peak, LIMITS.footprints, LIMITS.bandwidths


def test_a_position_says_what_limits_it():
    busy = position_sentence(Point("S1", 10**9, 1 << 14, 0.02, True), LIMITS, "median")
    assert "50% of what this machine allows there; what limits it is its arithmetic" in busy
    slow = position_sentence(Point("S1", 1 << 28, 1 << 28, 0.1, False), LIMITS, "estimated")
    assert "moving its data" in slow and "estimated" in slow
    assert "only moves data" in position_sentence(Point("S1", 0, 1 << 20, 0.1, True), LIMITS, "median")


def test_cycles_become_seconds_at_the_frequency_that_the_peak_tells(found):
    limits = Limits(1, 2 * found.processor.lanes * 2 * 3e9, (1, 2), (1.0, 1.0))  # 3 GHz
    assert estimated_seconds(found, limits) == pytest.approx(found.cycles / 3e9)


def test_a_point_counts_each_tensor_once(model, partition, several):
    where = point(model.graph, "S", partition.subgraphs[several], 1e-3, True)
    assert where.flops == sum(model.graph.operators[op].flops for op in partition.subgraphs[several])
    assert where.bytes == inspect_memory.fused_ideally(model.graph, partition.subgraphs[several]).total


def test_limits_that_cannot_be_measured_are_a_sentence(monkeypatch):
    failed = subprocess.CompletedProcess([], 1, stdout="", stderr="no")
    monkeypatch.setattr(inspection.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(UserError, match="could not be measured"):
        inspection.measured_limits(1)
