"""Pairs of operators: what they are as ONNX, which sides there are, and how their times are judged."""

from __future__ import annotations

import json
import os

import numpy as np
import onnx
import pytest

from ago_core.artifacts.reference import Reference, relative_error
from ago_core.graph.model import load_model
from benchmarks import pairs
from benchmarks.networks import store
from benchmarks.onnx_operators import OnnxOperator, sessions
from benchmarks.pair_models import ALONE, BATCHES, CALL, PAIRS, Pair, pair_model
from benchmarks.peers import run_one_nest, run_onnxruntime_inside
from tests.test_benchmarks_networks import ROOFLINE

SMALL = Pair("pointwise → depthwise", "", (6, 5, 16), (32, 32), 2)
CORE = min(pairs.cores_for(1))


def test_there_are_six_kinds_at_two_batch_sizes_and_the_quick_ones_are_one_of_each():
    assert len({pair.kind for pair in PAIRS}) == 6 and {pair.batch for pair in PAIRS} == set(BATCHES) == {1, 4}
    assert len({pair.name for pair in (*PAIRS, CALL)}) == len(PAIRS) + 1
    quick = pairs.chosen(quick=True)
    assert len(quick) == 6 and all(pair.batch == 1 for pair in quick) and len(pairs.chosen(quick=False)) == len(PAIRS)


@pytest.mark.parametrize("pair", [SMALL, Pair("conv 3×3 → pointwise", "", (4, 4, 8), (8, 16), 1)])
def test_channels_last_or_first_it_computes_the_same(pair):
    x = np.random.default_rng(0).standard_normal((pair.batch, *pair.shape), dtype=np.float32)
    (last,) = Reference(pair_model(pair, channels_last=True), 1).outputs({"x": x})
    (first,) = Reference(pair_model(pair, channels_last=False), 1).outputs({"x": x.transpose(0, 3, 1, 2).copy()})
    assert last.shape == (pair.batch, *pair.shape[:2], pair.channels[-1])
    assert relative_error(first.transpose(0, 2, 3, 1), last) < 1e-6


@pytest.fixture
def folder(tmp_path):
    """With a small pair as its sides load it, and its inputs."""
    for name, last in (("pair", True), ("inside", False)):
        onnx.save(pair_model(SMALL, last), tmp_path / f"{name}.onnx")
    x = np.random.default_rng(0).standard_normal((SMALL.batch, *SMALL.shape), dtype=np.float32)
    np.savez(tmp_path / "inputs.npz", x=x)
    return tmp_path


def test_nothing_but_the_two_operators_is_left_and_they_are_one_subgraph(folder):
    model = load_model(folder / "pair.onnx")
    kinds = [op.kind for op in model.graph.operators]
    assert kinds == ["pointwise_conv2d", "add", "relu", "depthwise_conv2d", "add", "relu"]
    assert run_one_nest.chooses_one_nest(model, 1) in (True, False)


@pytest.fixture
def cores_given_back():
    """What a side does to the process it runs in is undone: it takes cores."""
    before = os.sched_getaffinity(0)
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.usefixtures("cores_given_back")
@pytest.mark.parametrize("peer", [run_one_nest, run_onnxruntime_inside])
def test_each_side_computes_what_onnx_runtime_does(peer, folder):
    request = {"spec": str(folder / "pair.onnx"), "inside": str(folder / "inside.onnx"), "cores": [CORE]}
    loaded = peer.load(request | {"inputs": str(folder / "inputs.npz")})
    loaded.run(loaded.call)
    with np.load(folder / "inputs.npz") as inputs:
        (expected,) = Reference(onnx.load(folder / "pair.onnx"), 1).outputs({"x": inputs["x"]})
    assert relative_error(loaded.outputs()[0], expected) < 1e-5


def test_operators_that_cannot_share_a_nest_are_said_to(tmp_path):
    onnx.save(pair_model(CALL, True), tmp_path / "call.onnx")
    with pytest.raises(ValueError, match="cannot share a nest"):
        run_one_nest.load({"spec": str(tmp_path / "call.onnx"), "cores": [CORE]})


def test_two_convolutions_without_reorders_compute_the_same_in_blocks():
    pair = Pair("pointwise → pointwise", "", (5, 6, 16), (32, 16), 1)
    x = np.random.default_rng(0).standard_normal((1, 16, 5, 6), dtype=np.float32)
    ways = sessions(OnnxOperator(pair_model(pair, False), {"x": x}, True), 1)
    expected = ways["nchw"].outputs()[0]
    for name, session in ways.items():
        result = session.outputs()[0]
        layouts = (8, 16) if name == "nchwc" else (1,)
        images = [result.reshape(1, 16 // b, 5, 6, b).transpose(0, 1, 4, 2, 3).reshape(expected.shape) for b in layouts]
        assert min(relative_error(image, expected) for image in images) < 1e-5


def test_stock_needs_trials_and_one_nest_is_untuned():
    assert set(pairs.SIDES) - set(pairs.sides_of(0)) == {"stock-nhwc"}
    assert set(pairs.SIDES) - set(pairs.sides_of(64)) == {"one-nest"}


def cell(pair: Pair, fuses: bool = True, trials: int = 0, **ms) -> dict:
    peers = {name.replace("_", "-"): {"ms": [value, value, value]} for name, value in ms.items()}
    about = {"model": pair.name, "threads": 1, "trials": trials, "date": "2026-11-23T04:00+00:00", "code": "abc"}
    told = {"ago": {"chosen": "tuned"}} if trials else {}
    limits = {"roofline": ROOFLINE, "gemm": 9e8}
    return about | {"peers": peers, "sessions": told, "estimate_fuses": fuses, "limits": limits}


def results() -> dict:
    first, second = PAIRS[0], PAIRS[2]
    assert first.kind == second.kind and first.batch == second.batch
    records = [
        cell(first, inside=0.004, onnxruntime=0.006, no_fusion=0.003, one_nest=0.00202, ago=0.002),
        cell(second, fuses=False, inside=0.001, no_fusion=0.002, one_nest=0.004, ago=0.002),
        cell(first, trials=64, stock_nhwc=0.006, no_fusion=0.002, ago=0.002),
        cell(CALL, inside=0.003, ago=0.001),
    ]
    records[1]["peers"]["onnxruntime"] = {"failed": "It crashed."}
    about = {pair.name: {"flops": 1e3, "bytes": 800} | described(pair) for pair in (first, second, CALL)}
    environment = {"machine": "a machine", "cores": 2, "versions": {"apache-tvm": "0.27"}, "date": "2026-11-23"}
    return {
        "environment": environment,
        "seed": 1,
        "networks": about,
        "cells": {f"{each['model']}, {each['trials']}": each for each in records}
        | {pairs.Cell(CALL.name, 1, 0).name: records[-1]},
    }


def described(pair: Pair) -> dict:
    return {"kind": pair.kind, "network": pair.network, "shape": pair.text, "batch": pair.batch}


def test_the_summary_has_means_over_shapes_of_a_kind_and_batch():
    untuned, tuned = pairs.summary(results())
    assert (untuned["kind"], untuned["batch"], untuned["trials"]) == ("pointwise → depthwise", 1, 0)
    assert untuned["inside/ago"] == {"mean": pytest.approx(1.0), "least": 0.5, "cells": 2}
    assert untuned["onnxruntime/ago"]["cells"] == 1 and untuned["stock-nhwc/ago"] is None
    assert untuned["apart/one nest"]["mean"] == pytest.approx((0.003 / 0.00202 * 0.5) ** 0.5)
    assert untuned["share_of_limit"]["mean"] == pytest.approx(0.5)  # 1e3 operations at 1e9 a second take 1 µs
    assert tuned["stock-nhwc/ago"]["mean"] == pytest.approx(3.0)


def test_the_tables_say_what_ago_chose_what_failed_and_how_well_times_are_known():
    text = pairs.text(results())
    assert "| 4.0 ± 0% | 6.0 ± 0% | 3.0 ± 0% | 2.0 ± 0% | 2.0 ± 0% | one nest | 1.0 | 50% |" in text
    assert "| 1.0 ± 0% | failed | 2.0 ± 0% | 4.0 ± 0% | 2.0 ± 0% | apart |" in text and "| tuned |" in text
    assert "computes next to nothing, µs: inside 3.0 ± 0%, AGO 1.0 ± 0%." in text
    assert "differ by 0.5% in the median, 1.0% at most" in text and "reordered: It crashed." in text
    assert ALONE not in text and "a machine, 2 cores" in text


def test_a_pair_that_has_a_record_is_not_measured_again(tmp_path, monkeypatch, capsys):
    seen = []

    def measured(bench, pair, asked):
        seen.append(pair.name)
        return {"flops": 1e3, "bytes": 800} | described(pair), cell(pair, ago=0.002, no_fusion=0.002)

    monkeypatch.setattr(pairs, "measured", measured)
    options = ["--results", str(tmp_path), "--work", str(tmp_path)]
    assert pairs.main(["--quick", "--json", *options]) == 0 and len(seen) == 7
    assert json.loads(capsys.readouterr().out)["summary"] and len(store.read(tmp_path, pairs.FILE)["cells"]) == 7
    pairs.main(options)
    assert len(seen) == len(set(seen)) == len(PAIRS) + 1
    pairs.main(["--quick", "--again", *options])
    assert len(seen) == len(PAIRS) + 1 + 7


def test_nothing_measured_is_one_sentence(tmp_path):
    with pytest.raises(SystemExit, match="Nothing has been measured in"):
        pairs.main(["--report", "--results", str(tmp_path)])
