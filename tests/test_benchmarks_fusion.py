"""The pure parts of the benchmark of fusion: which chains there are, which tasks are tried, how times are judged."""

import sys

import pytest

from ago_core.graph.opgraph import Operator, OpGraph, Pattern, Tensor, Totals
from ago_core.schedules.fuse import Task
from benchmarks import fusion
from benchmarks.chains import chains, cut, key_of, kind_of
from benchmarks.fusion_report import compare, line_of, summary, table
from benchmarks.fusion_worker import name_of, reason_of, spread

COMPLEX, POINT, MOVE, SUM = (
    Pattern.OUT_ELEMENTWISE_FUSABLE,
    Pattern.ELEMENTWISE,
    Pattern.INJECTIVE,
    Pattern.REDUCTION,
)
TENSOR = Tensor((4, 4), "float32")


def graph(*operators: tuple[str, Pattern, tuple[int, ...]], results: tuple[int, ...] = (), extern: int = -1) -> OpGraph:
    """Operators by kind, pattern and the operators they read; what is complex multiplies."""
    made = tuple(
        Operator(
            *(k, f"{kind}_{k}", kind, pattern, (), 0, (TENSOR,) * len(reads), (), (TENSOR,), ("node",)),
            multiply_adds=int(pattern is COMPLEX),
            extern=k == extern,
            sources=reads,
            access=(None,) * len(reads),
        )
        for k, (kind, pattern, reads) in enumerate(operators)
    )
    edges = tuple(sorted({(read, op.id) for op in made for read in op.sources}))
    return OpGraph("g", "hash", made, edges, results or (len(made) - 1,), (), Totals(0, 0, 0, 0))


def test_a_pair_ends_behind_the_pointwise_operators_of_its_last():
    line = graph(("conv2d", COMPLEX, ()), ("relu", POINT, (0,)), ("conv2d", COMPLEX, (1,)), ("relu", POINT, (2,)))
    assert list(chains(line, 2)) == [(0, 1, 2, 3)]
    assert list(chains(line, 3)) == []


def test_a_chain_of_three_holds_the_residual_add_and_stops_where_its_sum_is_read_twice():
    block = graph(
        *(("relu", POINT, ()), ("conv2d", COMPLEX, (0,)), ("conv2d", COMPLEX, (1,)), ("conv2d", COMPLEX, (2,))),
        *(("add", POINT, (0, 3)), ("conv2d", COMPLEX, (4,)), ("add", POINT, (4, 5))),
    )
    assert list(chains(block, 3)) == [(1, 2, 3, 4)]
    assert list(chains(block, 2)) == [(1, 2), (2, 3, 4)]


def test_what_is_read_by_two_that_give_one_result_stays_inside():
    swish = graph(
        *(("conv2d", COMPLEX, ()), ("add", POINT, (0,)), ("sigmoid", POINT, (1,)), ("multiply", POINT, (1, 2))),
        ("conv2d", COMPLEX, (3,)),
    )
    assert list(chains(swish, 2)) == [(0, 1, 2, 3, 4)]


@pytest.mark.parametrize("kind, pattern", [("mean", SUM), ("conv2d", COMPLEX), ("reshape", MOVE)])
def test_two_readers_that_are_not_pointwise_end_a_chain(kind, pattern):
    fork = graph(("conv2d", COMPLEX, ()), (kind, pattern, (0,)), (kind, pattern, (0,)), ("conv2d", COMPLEX, (1,)))
    assert all(0 not in chain for chain in chains(fork, 2))


def test_results_of_the_model_and_library_calls_end_a_chain():
    pair = [("conv2d", COMPLEX, ()), ("conv2d", COMPLEX, (0,))]
    assert list(chains(graph(*pair), 2)) == [(0, 1)]
    assert list(chains(graph(*pair, results=(0, 1)), 2)) == []
    assert list(chains(graph(*pair, extern=1), 2)) == []
    assert list(chains(graph(*pair, extern=0), 2)) == []


def test_parts_begin_at_what_sums():
    line = graph(
        *(("matmul", COMPLEX, ()), ("divide", POINT, (0,)), ("softmax", SUM, (1,)), ("reshape", MOVE, (2,))),
        ("matmul", COMPLEX, (3,)),
    )
    assert cut(line, (0, 1, 2, 3, 4)) == ((0, 1), (2, 3), (4,))


def test_equal_chains_have_equal_keys_wherever_they_stand():
    two = graph(("conv2d", COMPLEX, ()), ("relu", POINT, (0,)), ("conv2d", COMPLEX, (1,)), ("relu", POINT, (2,)))
    assert key_of(two, (0, 1))[1] == key_of(two, (2, 3))[1]
    assert key_of(two, (0, 1)) != key_of(two, (1, 2))


@pytest.mark.parametrize(
    "kind, weights, expected",
    [
        ("pointwise_conv2d", (TENSOR,), "pointwise"),
        ("conv2d", (TENSOR,), "conv2d"),
        ("matmul", (TENSOR,), "matmul"),
        ("matmul", (), "batched matmul"),
        ("layer_norm", (TENSOR,), "layer norm"),
    ],
)
def test_kinds_in_words(kind, weights, expected):
    assert kind_of(Operator(0, "a", kind, COMPLEX, (), 0, (), weights, (), ())) == expected


def test_tasks_are_spread_over_the_space():
    assert spread([1, 2, 3], 3) == [1, 2, 3]
    assert spread(list(range(10)), 4) == [0, 3, 6, 9]


def test_names_of_tasks_and_reasons_of_refusals():
    assert name_of(Task(((0, 1), (1, 7)))) == "task axis 0 by 1, axis 1 by 7"
    message = "ScheduleError: An error occurred in 'compute-at'.\n# from tvm\nError message: The scope is not compact\n"
    assert reason_of(message) == "The scope is not compact"
    assert reason_of("") == "no reason given"


def times(median: float) -> list[float]:
    return [median, median * 0.9, median * 1.1]


def record(name: str, apart: float = 100, chosen: float | None = None, fused=None, **more) -> dict:
    return {
        "name": f"net {name} → c",
        "kind": "pointwise → depthwise",
        "length": 2,
        "shape": "1 → 1",
        "calls": {"mnasnet@224": 2},
        "reuse": [{"pays": True, "reason": "said"}],
        "code": "0",
        "date": "2026-01-02",
        "apart": times(apart),
        "chosen": chosen and times(chosen),
        "chose_to_fuse": chosen is not None,
        "groups": [[2, [[1, 4]]]] if chosen else [[1, None], [1, None]],
        "fused": fused and times(fused),
        "task": [[1, 7]] if fused else None,
        "tasks": int(fused is not None),
        "refused": {} if fused else {"Not compact": 3},
        "wrong": {},
        "exploded": {},
    } | more


def test_a_choice_apart_is_the_code_apart_and_a_choice_in_one_nest_is_fused_code():
    apart = compare(record("a", 80, fused=40))
    assert (apart.gain, apart.best_gain, apart.missed) == (1.0, 2.0, 2.0)
    whole = compare(record("a", chosen=50, fused=80))
    assert (whole.gain, whole.fused, whole.missed) == (2.0, 50, 1.0)
    partly = compare(record("a", chosen=50, fused=80, groups=[[1, None], [2, [[1, 4]]]]))
    assert (partly.gain, partly.fused) == (2.0, 80)


@pytest.mark.parametrize("lacking", [{"failed": "too large"}, {"apart": None}, {"chose_to_fuse": True, "chosen": None}])
def test_without_its_times_a_chain_is_not_judged(lacking):
    assert compare(record("a") | lacking) is None


def test_a_row_counts_choices_and_losses():
    group = [record("a", chosen=50, fused=80), record("b", chosen=200, fused=80), record("c", fused=80), record("d")]
    row = summary([compare(each) for each in group])
    assert row[:2] == ["4", "3"]
    assert row[2] == "1.00"  # ⁴√(2 · ½ · 1 · 1)
    assert row[5:] == ["4", "2", "1", "0.50", "1"]


def test_the_table_names_losses_misses_refusals_and_troubles():
    records = [
        record("loss", chosen=200, fused=80),
        record("miss", fused=50),
        record("odd"),
        record("slow", fused=90, exploded={"task axis 0 by 1": "not compiled after 60 s"}),
        {"name": "net x → y", "kind": "k", "length": 2, "shape": "2", "calls": {}, "failed": "TVMError: no"},
    ]
    where = {"machine": "m", "threads": 1, "date": "2026-01-01", "versions": {"apache-tvm": "0"}}
    text = table({"environment": where, "chains": {r["name"]: r for r in records}})
    losses, misses = text.split("slower than apart:")[1].split("over 5 % faster than the choice:")
    assert "0.50× net loss" in losses and "net miss" not in losses
    assert "2.00× net miss" in misses
    assert "- Not compact (1 pointwise → depthwise; such as net odd" in text
    assert "task axis 0 by 1: not compiled after 60 s" in text and "net x → y (k, 2): TVMError: no" in text
    assert "- mnasnet@224, 4 chains of 2: apart / chosen 0.84" in text
    assert "2026-01-02" in text and "2026-01-01" not in text


def test_a_line_says_what_was_found():
    assert "apart 100.0 µs, chosen 2.00×, best fused 2.00×" in line_of(record("a", chosen=50, fused=80))
    assert line_of(record("a")).endswith("chosen apart (1.00×), cannot be fused")
    assert line_of(record("a", failed="no memory")).endswith(": no memory")


class Script(fusion.Worker):
    """A worker whose process answers as written."""

    def __init__(self, *answers):
        super().__init__(1)
        self.answers, self.skipped = list(answers), []

    def _ask(self, chain, known, skip):
        self.skipped.append(skip)
        return self.answers.pop(0)


def test_what_explodes_is_skipped_recorded_and_does_not_end_the_chain():
    worker = Script(("task 1", "not compiled after 60 s"), ("task 9", {"code": "new"}))
    assert worker.measure(None, "old") == {"code": "new", "exploded": {"task 1": "not compiled after 60 s"}}
    assert worker.skipped == [frozenset(), frozenset({"task 1"})]


@pytest.mark.parametrize("step", [None, "the schedules", "not scheduled"])
def test_a_chain_without_its_reference_fails(step):
    found = Script((step, "its process ended")).measure(None, None)
    assert found["failed"].endswith("its process ended") and found["code"] is None


def test_code_that_is_known_is_not_recorded_again():
    assert Script(("the schedules", {"code": "old"})).measure(None, "old") == {"code": "old"}


def test_a_failure_keeps_what_exploded_before_it():
    found = Script(("task 1", "too long"), ("apart", {"code": None, "failed": "no"})).measure(None, None)
    assert found == {"code": None, "failed": "no", "exploded": {"task 1": "too long"}}


def test_a_report_of_nothing_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(fusion, "RESULTS", tmp_path / "fusion.json")
    monkeypatch.setattr(sys, "argv", ["fusion", "--report", "--threads", "2"])
    with pytest.raises(SystemExit, match="Nothing has been measured with 2 thread"):
        fusion.main()
