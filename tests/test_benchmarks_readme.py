"""The README's figures of networks are those of the results, and goals are judged by what was measured."""

from __future__ import annotations

import pytest

from benchmarks.networks import __main__ as command
from benchmarks.networks import plots, readme, report, store
from benchmarks.networks.summary import summary
from tests.test_benchmarks_networks import record, results_of

AGAIN = "run python -m benchmarks.networks --report --readme"


def test_the_readme_and_its_pictures_are_of_the_last_results():
    text, results = command.README.read_text(), store.read(command.RESULTS)
    assert readme.updated(text, results) == text, AGAIN
    for name, picture in plots.pictures(results).items():
        assert (command.RESULTS / name).read_text() == picture, AGAIN


def test_only_what_is_between_the_markers_is_written():
    found = readme.updated(f"before\n{readme.BEGIN}\nold\n{readme.END}\nafter\n", results_of(record(ago=1.0)))
    assert found.startswith(f"before\n{readme.BEGIN}\n") and found.endswith(f"{readme.END}\nafter\n")
    assert "old" not in found and "| networks | 2 | 1,000 | 1 of 18 |" in found


@pytest.mark.parametrize("text", ["none", readme.BEGIN, f"{readme.END} {readme.BEGIN}"])
def test_a_readme_without_its_markers_is_left_alone(text):
    with pytest.raises(ValueError, match="The README has no line"):
        readme.updated(text, results_of(record(ago=1.0)))


@pytest.mark.parametrize("options", [["--readme"], ["--report", "--readme", "--results", "elsewhere"]])
def test_the_readme_is_written_from_the_results_that_are_shipped(options):
    with pytest.raises(SystemExit):
        command.main(options)


def test_goals_are_judged_by_what_was_measured_with_most_threads():
    slow = record(threads=1, onnxruntime=1.0, stock_nhwc=1.0, heuristic=0.5, ago=1.0)
    fast = record(onnxruntime=1.1, stock_nhwc=4.0, heuristic=0.95, ago=1.0)
    goals = summary(results_of(slow, fast))["goals"]
    assert [goal["reached"] for goal in goals] == [True, False, False, False, False]
    assert [goal["found"] for goal in goals] == [pytest.approx(4.0), pytest.approx(1.1), None, 1, None]
    text = report.goals(results_of(slow, fast))
    assert "- 1,000 trials, TVM, stock ≥ 3.30: 4.00, reached so far, 1 of 18 cells." in text
    one = "- 1,000 trials, faster of ONNX Runtime and OpenVINO ≥ 1.20: 1.10, **not reached** so far, 1 of 18 cells."
    assert one in text
    assert text.splitlines()[-1] == "- 0 trials, faster of ONNX Runtime and OpenVINO ≥ 0.77: not measured yet."


def test_no_cell_behind_is_reached_only_where_there_is_none():
    kept = summary(results_of(record(heuristic=1.1, ago=1.0)))["goals"][3]
    assert kept["found"] == 0 and kept["reached"]
