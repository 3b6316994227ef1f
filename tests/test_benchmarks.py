"""The pure parts of the benchmarks: roofline arithmetic, models of one operator, statistics and tables."""

import json
import sys

import numpy as np
import pytest
from onnx import helper

from ago_core.artifacts.reference import relative_error
from ago_core.devices import roofline as limits
from ago_core.devices.roofline import Roofline
from ago_core.graph.opgraph import Operator, Pattern, Tensor
from benchmarks import kernels, roofline
from benchmarks.kernels_report import compare, table
from benchmarks.onnx_operators import Argument, OnnxOperator, onnx_operator, sessions
from benchmarks.operators import Kernel, traffic

KIB = 1024
LIMITS = Roofline(threads=1, peak=200e9, footprints=(16 * KIB, 64 * KIB), bandwidths=(100e9, 50e9))
RNG = np.random.default_rng(3)


def test_roofline_takes_the_slower_of_computing_and_moving():
    assert LIMITS.seconds(flops=200e9, nbytes=16 * KIB) == pytest.approx(1)
    assert LIMITS.seconds(flops=1, nbytes=16 * KIB) == pytest.approx(16 * KIB / 100e9)


@pytest.mark.parametrize("footprint, expected", [(0, 100e9), (KIB, 100e9), (32 * KIB, 75e9), (1 << 30, 50e9)])
def test_bandwidth_lies_between_its_neighbours_and_is_flat_outside(footprint, expected):
    assert LIMITS.bandwidth(footprint) == pytest.approx(expected)


def test_the_better_of_two_measurements_counts_figure_by_figure():
    other = Roofline(1, 100e9, LIMITS.footprints, (90e9, 60e9))
    assert LIMITS.or_better(other) == Roofline(1, 200e9, LIMITS.footprints, (100e9, 60e9))


def test_roofline_survives_json():
    assert Roofline.from_json(json.loads(json.dumps(LIMITS.to_json()))) == LIMITS


def test_the_peak_kernel_computes_what_it_says():
    """STEPS times x ← x / 2 + 1 ends at 2 from anywhere."""
    import tvm

    library = tvm.tirx.build(tvm.IRModule({"main": limits._multiply_adds(1, 16)}), limits.host_target(1))
    data = tvm.runtime.tensor(RNG.standard_normal((1, limits.ACCUMULATORS * 16)).astype("float32"))
    library["main"](data)
    assert (data.numpy() == 2).all()


def test_the_copy_kernel_copies():
    import tvm

    library = tvm.tirx.build(tvm.IRModule({"main": limits._copy(2, 256)}), limits.host_target(1))
    given = RNG.standard_normal((2, 256)).astype("float32")
    result = tvm.runtime.tensor(np.zeros_like(given))
    library["main"](tvm.runtime.tensor(given), result)
    assert (result.numpy() == given).all()


def test_more_threads_than_cores_are_refused_in_a_sentence():
    with pytest.raises(SystemExit, match="100000 threads are asked for, but this process may use"):
        roofline.use_threads(100000)


def values(*shape: int, constant: bool = False) -> Argument:
    return Argument(RNG.standard_normal(shape).astype("float32"), constant)


def operator(kind: str, arguments: list[Argument], *outputs: tuple[int, ...], **more) -> Operator:
    tensors = [[Tensor(a.value.shape, str(a.value.dtype)) for a in arguments if a.constant == c] for c in (False, True)]
    results = tuple(Tensor(shape, "float32") for shape in outputs)
    return Operator(0, kind, kind, Pattern.OPAQUE, (), 0, *map(tuple, tensors), results, **{"origin": ("node",)} | more)


def run(peer: OnnxOperator) -> list[np.ndarray]:
    return peer.ours(sessions(peer, 1)["nchw"].outputs())


def pointwise() -> tuple[OnnxOperator, np.ndarray]:
    arguments = [values(1, 5, 6, 16), values(1, 1, 16, 32, constant=True)]
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="node", strides=[1, 1])
    op = operator("pointwise_conv2d", arguments, (1, 5, 6, 32))
    return onnx_operator(op, arguments, [], {"node": node}), arguments[0].value @ arguments[1].value[0, 0]


def test_a_pointwise_convolution_against_numpy():
    peer, expected = pointwise()
    assert relative_error(run(peer)[0], expected) < 1e-6


def test_every_way_of_a_convolution_computes_the_same():
    """The blocked way leaves its results in blocks of 8 or 16 channels, as the next blocked node would read them."""
    peer, expected = pointwise()
    for way, session in sessions(peer, 1).items():
        result = session.outputs()[0]
        layouts = (8, 16) if way == "nchwc" else (1,)
        images = [result.reshape(1, 32 // b, 5, 6, b).transpose(0, 2, 3, 1, 4).reshape(1, 5, 6, 32) for b in layouts]
        assert min(relative_error(image, expected) for image in images) < 1e-6


def test_a_depthwise_convolution_keeps_the_strides_of_its_network():
    arguments = [values(1, 7, 7, 4), values(3, 3, 1, 4, constant=True)]
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="node", strides=[2, 2], pads=[1] * 4, group=4)
    op = operator("depthwise_conv2d", arguments, (1, 4, 4, 4))
    padded = np.pad(arguments[0].value, ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = sum(
        padded[:, i : i + 7 : 2, j : j + 7 : 2] * arguments[1].value[i, j, 0] for i in range(3) for j in range(3)
    )
    assert relative_error(run(onnx_operator(op, arguments, [], {"node": node}))[0], expected) < 1e-6


def test_a_bias_is_added_to_channels_and_a_clip_has_its_limits():
    arguments = [values(1, 2, 3, 5), values(1, 1, 1, 5, constant=True)]
    added = onnx_operator(operator("add", arguments, (1, 2, 3, 5)), arguments, [], {})
    assert (run(added)[0] == arguments[0].value + arguments[1].value).all()
    clipped = onnx_operator(operator("clip", arguments[:1], (1, 2, 3, 5)), arguments[:1], [-0.5, 0.25], {})
    assert (run(clipped)[0] == arguments[0].value.clip(-0.5, 0.25)).all()


def test_a_split_has_several_results():
    arguments = [values(2, 6)]
    first, second = run(onnx_operator(operator("split", arguments, (2, 3), (2, 3)), arguments, [], {}))
    assert (np.concatenate([first, second], 1) == arguments[0].value).all()


def test_a_kind_without_a_node_is_refused():
    with pytest.raises(ValueError, match="no ONNX node for a sort"):
        onnx_operator(operator("sort", [], (1,)), [], [], {})


def test_of_a_table_only_the_rows_looked_up_are_moved():
    indices = Argument(np.zeros((1, 4), np.int64), False)
    op = operator("take", [indices, values(1000, 8, constant=True)], (1, 4, 8))
    assert traffic(op) == 2 * 4 * 8 * 4 + 4 * 8


def test_wrong_code_is_not_timed():
    """Code of a ReLU under the name of a sigmoid; under its own name it has times."""
    from tvm import te, tirx

    data = te.placeholder((8, 512), name="data")
    result = te.compute(data.shape, lambda i, j: tirx.max(data[i, j], tirx.FloatImm("float32", 0)))
    function = te.create_prim_func([data, result]).with_attr("global_symbol", "main")
    arguments = [values(8, 512)]

    def measured(kind: str) -> dict:
        op = operator(kind, arguments, (8, 512))
        kernel = Kernel("net", op, function, tuple(arguments), onnx_operator(op, arguments, [], {}))
        return kernels.measure_kernel(kernel, function, 1)

    assert measured("sigmoid").keys() == {"failed"}
    assert measured("relu").keys() == {"error", "ours", "overhead", "peers"}


def test_sides_are_timed_in_turn_for_as_long():
    asked = []

    def side(name: str, seconds: float):
        return lambda number: asked.append((name, number)) or seconds

    times = kernels.in_turn({"a": side("a", 1e-5), "b": side("b", 1.0)}, rounds=2, threads=1)
    assert times == {"a": [1e-5] * 2, "b": [1.0] * 2}
    assert asked[-4:] == [("a", 100), ("b", 1), ("a", 100), ("b", 1)]


def test_quartiles_are_in_microseconds():
    assert kernels.quartiles([5e-6, 1e-6, 2e-6, 3e-6, 4e-6]) == [3.0, 2.0, 4.0]


def record(name: str, ours: float, peers: dict[str, float], **more) -> dict:
    return {
        "name": name,
        "kind": "conv2d",
        "shape": "1 → 1",
        "calls": {"net": 2},
        "flops": 2_000_000,
        "bytes": 16 * KIB,
        "error": 0.0,
        "ours": [ours, ours, ours],
        "overhead": [3.0, 3.0, 3.0],
        "peers": {way: [time, time, time] for way, time in peers.items()},
    } | more


def test_the_fastest_way_less_the_overhead_counts():
    found = compare(record("a", 20.0, {"nchw": 43.0, "nchwc with reorders": 23.0, "nchwc": 13.0}), LIMITS)
    assert (found.peer, found.one_node, found.ratio, found.lost) == (10.0, 20.0, 2.0, 20.0)
    assert found.share == pytest.approx(0.5)  # 2 MFLOP at 200 GFLOP/s take 10 µs
    assert found.resolved


def test_what_vanishes_in_the_overhead_has_no_ratio():
    assert not compare(record("a", 1.0, {"nchw": 4.0}), LIMITS).resolved
    assert compare(record("a", 1.0, {"nchw": 2.0}), LIMITS).peer == 0


def test_the_table_names_the_worst_the_costliest_and_the_failed():
    records = [
        record("good", 10.0, {"nchw": 23.0}),
        record("bad", 80.0, {"nchw": 23.0}),
        record("short", 1.0, {"nchw": 3.1}),
        {"name": "broken", "kind": "mean", "shape": "2 → 1", "failed": "wrong: differs from ONNX Runtime by 1.0e+00"},
    ]
    where = {"machine": "m", "threads": 1, "date": "2026-01-01", "versions": {"apache-tvm": "0", "onnxruntime": "1"}}
    run = {"environment": where, "roofline": LIMITS.to_json(), "kernels": {r["name"]: r for r in records}}
    text = table(run)
    kind = next(line for line in text.splitlines() if line.startswith("| conv2d"))
    assert kind.split(" | ")[1:4] == ["3", "1", "1.41"]  # √(0.5 · 4)
    assert "4.00 (4.00 to 4.00) | bad, 1 → 1" in kind
    assert "| bad | 1 → 1 | 2 | 80.0 | 20.0 | 12% | 120 |" in text
    assert "- broken, 2 → 1: wrong: differs from ONNX Runtime" in text


def test_a_report_of_nothing_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(kernels, "RESULTS", tmp_path / "kernels.json")
    monkeypatch.setattr(sys, "argv", ["kernels", "--report", "--threads", "2"])
    with pytest.raises(SystemExit, match="Nothing has been measured with 2 thread"):
        kernels.main()
