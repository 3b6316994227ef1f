"""Every lesson, without a browser: each exercise with wrong answers, the right one, and to the end."""

from __future__ import annotations

import gzip
import json
import math

import pytest

from ago_core.partition.edits import Refusal, merge
from ago_core.partition.explain import explain_heuristic
from ago_core.tuning.events import Kind
from app.lessons import LESSONS, affix, cycles, dividing, fusing, nests, partitions, recorded, reuse
from app.lessons.excerpts import fire, residual
from app.lessons.lesson import Outcome, Progress
from benchmarks import record_lessons
from sample_models import recorded as shipped
from tests import tuning_journals
from tests.lesson_answers import answers, lesson_models

BY_KEY = {lesson.key: lesson for lesson in LESSONS}
PLACES = [
    pytest.param(lesson, step, id=f"{lesson.key}-{step + 1}") for lesson in LESSONS for step in range(len(lesson.steps))
]


@pytest.fixture
def models():
    return lesson_models()


def loaded_for(lesson, models):
    return models[lesson.model] if lesson.loads else None


@pytest.mark.parametrize(("lesson", "step"), PLACES)
def test_an_exercise_has_a_right_answer_and_says_why_of_every_other(lesson, step, models):
    loaded, exercise = loaded_for(lesson, models), lesson.steps[step].exercise
    outcomes = [exercise.check(loaded, answer) for answer in answers()[lesson.key, step]]
    assert any(outcome.right for outcome in outcomes)
    assert not all(outcome.right for outcome in outcomes)
    assert all(len(outcome.why) > 20 for outcome in outcomes)


def right(lesson, step, models):
    """The right answers among those that are tried."""
    check = lesson.steps[step].exercise.check
    return [one for one in answers()[lesson.key, step] if check(loaded_for(lesson, models), one).right]


# The answers, by other ways than the lessons compute them


def test_what_crosses_is_the_sum_of_the_tensors_that_the_table_shows(models):
    graph = fire(models["squeezenet@56"]).graph
    names = ("relu_2", "relu_3", "relu_4")
    kib = sum(math.prod(op.outputs[0].shape) * 4 for op in graph.operators if op.name in names) / 1024
    assert all(abs(answer - kib) < 1 for answer in right(BY_KEY["partition"], 2, models))


def test_the_best_merge_joins_the_concat_with_what_it_reads(models):
    assert right(BY_KEY["partition"], 3, models) == [(1, 3), (2, 3)]


def test_the_groupings_are_what_they_say(models):
    part = fire(models["squeezenet@56"])
    twice, missing, fine = (sorted(op for group in groups for op in group) for _, groups in partitions.groupings(part))
    everything = list(range(len(part.graph)))
    assert len(twice) == len(everything) + 1
    assert set(missing) < set(everything)
    assert fine == everything


def test_merging_subgraphs_that_a_third_lies_between_closes_a_cycle(models):
    part = residual(models["mobilenet_v2@56"])
    assert right(BY_KEY["cycles"], 1, models) == [(0, 2), (0, 3), (1, 3)]
    assert isinstance(merge(part.graph, part.heuristic, cycles.ends(part)), Refusal)
    outcome = BY_KEY["cycles"].steps[1].exercise.check(models["mobilenet_v2@56"], (0, 3))
    assert outcome.marks is not None
    assert outcome.marks.elements["cycle"]


def test_a_group_that_ends_in_an_activation_is_still_one_of_a_convolution(models):
    part = fire(models["squeezenet@56"])
    pair = part.id("relu_4"), part.id("concatenate_1")
    answer = explain_heuristic(part.graph, part.heuristic, *pair)
    rule = "After conv2d_2 TVM fuses only elementwise and broadcast operators; concatenate_1 is injective."
    assert rule in answer.sentences


def test_the_skip_connection_is_outside_the_affix_set(models):
    part = residual(models["mobilenet_v2@56"])
    names = [part.graph.operators[op].name for op in affix.neighbours(part)]
    (chosen,) = right(BY_KEY["affix"], 0, models)
    assert [names[index] for index in chosen] == ["pointwise_conv2d_3", "pointwise_conv2d_4"]
    assert "add_10" in names


def test_only_output_channels_reread_a_convolutions_input(models):
    (chosen,) = right(BY_KEY["reuse"], 0, models)
    assert [reuse.loop_names(models["squeezenet@56"])[index] for index in chosen] == ["ff"]


def test_the_halo_is_what_the_hint_computes(models):
    hint = BY_KEY["reuse"].steps[2].exercise.check(models["squeezenet@56"], 0.01).why
    numbers = [int(word) for word in hint.replace(",", " ").split() if word.isdigit()]
    height, places, rows, held = numbers[:4]
    needed = sum(min(held, places - start) + rows - held for start in range(0, places, held))
    assert any(abs(answer - (needed / height) ** 2) < 0.01 for answer in right(BY_KEY["reuse"], 2, models))


def test_what_can_be_cut_is_the_opposite_for_both_directions(models):
    (pointwise,), (depthwise,) = (right(BY_KEY["fusing"], step, models) for step in (1, 2))
    assert set(pointwise) | set(depthwise) == {0, 1, 2}
    assert not set(pointwise) & set(depthwise)


def test_the_nest_is_one_parallel_loop_with_both_convolutions_inside(models):
    found = fusing.nest(models["mobilenet_v2@56"])
    first, *rest = found.after.splitlines()
    assert first.startswith("parallel for") and first.endswith(f": {found.tasks}")
    assert all(line.startswith(" ") for line in rest)
    inside = "\n".join(rest)
    assert inside.index("group_conv2d_nhwc_update") < inside.index(" conv2d_nhwc_update")
    assert "parallel" not in found.before


def test_a_skeleton_keeps_loops_and_blocks():
    script = """
    with T.sblock("root"):
        for a, b in T.grid(1, T.int64(7)):
            for c in T.vectorized(16):
                with T.sblock("one"):
                    x = T.axis.spatial(1, a)
        for d in range(1):
            with T.sblock("two"):
                pass
    """
    assert nests.skeleton(script) == "for b: 7\n  vector for c: 16\n    one\ntwo"


def test_the_first_join_trial_is_the_first_of_the_join_in_the_journal(models):
    one = recorded.session(recorded.AGO)
    (found,) = right(BY_KEY["dividing"], 1, models)
    join = dividing.join_of(one).id
    assert [event.data["task"] == join for event in one.history.of(Kind.TRIAL)[:found]] == [False] * (found - 1) + [
        True
    ]


@pytest.mark.parametrize("name", [recorded.AGO, recorded.AT_ONCE])
def test_a_recorded_session_says_where_it_comes_from(name):
    source = recorded.session(name).source
    assert all(word in source for word in ("Recorded on", "thread", "load average", "benchmarks.record_lessons"))


def test_a_session_is_recorded_with_all_that_a_lesson_reads(tmp_path):
    folder = tuning_journals.tuned(tmp_path / "session")
    data = record_lessons.exported(folder, "ago", threads=1, load=0.25)
    path = record_lessons.write("ago", data, tmp_path)
    kept = json.loads(gzip.decompress(path.read_bytes()))
    assert kept.keys() == shipped.read("ago").keys()
    assert kept["meta"]["partition"]["subgraphs"] == tuning_journals.SUBGRAPHS
    assert [event[3] for event in kept["events"]].count("trial") == 8
    assert len(kept["tasks"]) == len(tuning_journals.TASKS)


def test_recorded_sessions_are_small():
    assert all(path.stat().st_size < 300_000 for path in shipped.FOLDER.glob("*.gz"))


def test_the_shipped_kernels_are_as_the_command_takes_them_from_the_results():
    results = json.loads(record_lessons.RESULTS.read_text())
    fresh, kept = record_lessons.kernels(results), shipped.read("kernels")
    assert fresh.keys() == kept.keys()
    assert [(row["name"], row["flops"]) for row in fresh["kernels"]] == [
        (row["name"], row["flops"]) for row in kept["kernels"]
    ]


def test_no_kernel_is_far_above_its_roof():
    found = recorded.kernels()
    assert all(0 < found.share(one) < 1.25 for one in found.kernels)


def test_progress_counts_what_was_solved_once(models):
    lesson, own = BY_KEY["partition"], Progress()
    assert not own.begun(lesson)
    own.go(lesson, 0)
    loaded = models[lesson.model]
    assert not own.check(lesson, loaded, 7).right
    assert own.count(lesson) == 0
    assert own.check(lesson, loaded, 2).right
    assert not own.check(lesson, loaded, 7).right
    assert (own.count(lesson), own.finished(lesson)) == (1, False)
    own.go(lesson, 99)
    assert own.step(lesson) == len(lesson.steps) - 1
    assert isinstance(own.outcomes["partition", 0], Outcome)
