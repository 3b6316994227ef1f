"""What a session does with a model, and the answers it gets: without a page, on small synthetic networks."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

from ago_core.partition.ago import Verdict
from ago_core.partition.edits import EDITED
from ago_core.partition.partition import Partition, make_partition
from ago_core.partition.settings import Rule, Settings
from app.services.answers import answer, current_step, emphasis, pair, reuse_sentence
from app.services.kept import Kept
from app.services.loaded import Loaded
from app.services.study import MERGE, MOVE, SPLIT, Study, targets
from benchmarks.synthetic import fused_groups, residual_graph

# residual_graph: 0 conv, 1 add, 2 relu | 3 conv, 4 add, 5 relu | 6 conv, 7 add | 8 add (of 7 and 2) | 9 relu | ...


def study_of(graph, groups=None):
    heuristic = make_partition(graph, groups or fused_groups(graph), "heuristic")
    return Study(Loaded(SimpleNamespace(graph=graph), heuristic))


@pytest.fixture
def study():
    return study_of(residual_graph(40))


@pytest.fixture
def edited(study):
    """Every operator by itself, to be edited."""
    study = study_of(study.graph, [[op] for op in range(40)])
    study.edit_copy("heuristic")
    return study


# Settings


def test_another_setting_is_another_partition_and_the_step_starts_again(study):
    study.show_steps(True)
    study.step = 7
    before = study.partitions["ago"]
    study.set(Settings())
    assert study.step == 7, "nothing was changed"
    study.set(Settings(threshold=20, rule=Rule.EXACT, aware=False))
    assert study.step == 0 and len(study.partitions["ago"]) > len(before)


def picture(study, method="ago"):
    drawing = study.drawing(method)
    assert drawing.wait(20) and not drawing.error
    return drawing.result


def test_views_and_pictures_are_made_once_and_each_grouping_has_its_own_revision(study):
    first, drawn = study.views["ago"], picture(study)
    assert study.views["ago"] is first and picture(study) is drawn
    study.set(Settings(threshold=20))
    assert picture(study).revision != drawn.revision
    study.set(Settings())
    assert study.views["ago"] is first and picture(study) is drawn


def test_a_subgraph_is_folded_and_unfolded_in_one_partition_alone(study):
    index = next(i for i, members in enumerate(study.partitions["ago"].subgraphs) if len(members) > 1)
    before, other = picture(study), picture(study, "heuristic")
    study.fold("ago", index)
    assert picture(study).folded == (index,) and picture(study).revision != before.revision
    assert picture(study, "heuristic") is other
    study.edit_copy("ago")
    assert picture(study, EDITED).folded == (index,), "a copy looks as what it was copied from"
    study.fold("ago", index)
    assert picture(study) is before
    study.fold("ago", None, closed=True)
    several = tuple(i for i, members in enumerate(study.partitions["ago"].subgraphs) if len(members) > 1)
    assert picture(study).folded == several
    study.fold("ago", len(study.partitions["ago"]) + 3)
    assert picture(study).folded == several, "an index of an older partition is left aside"


def test_a_slow_drawing_can_be_ended(study, monkeypatch, tmp_path):
    slow = tmp_path / "dot"
    slow.write_text(f"#!{sys.executable}\nimport time; time.sleep(60)\n")
    slow.chmod(0o755)
    monkeypatch.setattr("visualizers.dot_engine.find_dot", lambda: str(slow))
    drawing = study.drawing("ago")
    assert not drawing.wait(0.3)
    drawing.stop()
    assert drawing.wait(3), "less than the first try would take"
    assert "you stopped Graphviz" in drawing.result.note and drawing.result.elements != "[]"


def test_what_was_used_longest_ago_is_forgotten():
    kept, made = Kept(2), []
    for key in (1, 2, 1, 3, 1, 2):
        assert kept.get(key, lambda key=key: made.append(key) or key) == key
    assert made == [1, 2, 3, 2]


# Steps


def test_refusals_can_be_stepped_through_alone(study):
    study.set(Settings(threshold=60))
    study.show_steps(True)
    assert study.steps == list(range(len(study.clustering.steps)))
    study.step = 3
    study.only_refusals(True)
    assert study.steps
    assert all(study.clustering.steps[i].verdict is not Verdict.ABSORBED for i in study.steps)
    assert study.step == min(i for i in study.steps if i >= 3)


def test_where_nothing_was_refused_there_are_no_refusals():
    study = study_of(residual_graph(3))
    study.show_steps(True)
    study.only_refusals(True)
    assert study.steps == [] and study.step == 0


def test_playing_keeps_the_pace_however_often_it_is_asked(study):
    study.set(Settings(threshold=60))
    study.show_steps(True)
    study.pace = 2
    study.play(now=100.0)
    shown = []
    for tenth in range(1, 31):
        study.tick(now=100.0 + tenth / 10)
        shown.append(study.step)
    assert shown[-1] == 6 and max(b - a for a, b in zip(shown, shown[1:])) == 1
    assert study.playing
    study.tick(now=500.0)
    study.tick(now=500.1)
    assert study.step == 7, "a long pause leaves no step out"
    study.pause()
    study.tick(now=900.0)
    assert study.step == 7


def test_playing_ends_at_the_last_step_and_starts_again_from_the_first(study):
    study.set(Settings(threshold=60))
    study.show_steps(True)
    last = len(study.steps) - 1
    study.go(last - 1)
    study.play(now=0.0)
    study.tick(now=1.0)
    assert study.step == last and not study.playing
    study.play(now=5.0)
    assert study.step == 0 and study.playing
    study.set(Settings(threshold=20))
    assert study.step == 0 and not study.playing, "another construction is not played by itself"
    study.play(now=5.0)
    study.show_steps(False)
    assert not study.playing


def test_playing_goes_through_refusals_alone(study):
    study.set(Settings(threshold=60))
    study.show_steps(True)
    study.play(now=0.0)
    study.only_refusals(True)
    for second in range(1, len(study.steps) + 3):
        assert study.step in study.steps
        study.tick(now=float(second))
    assert study.step == study.steps[-1] and not study.playing


# Edits


def test_editing_starts_with_a_copy_and_a_second_copy_can_be_undone(study):
    study.edit_copy("ago")
    assert study.partitions[EDITED].subgraphs == study.partitions["ago"].subgraphs
    study.edit(SPLIT, (0,))
    changed = study.partitions[EDITED]
    study.edit_copy("heuristic")
    assert study.partitions[EDITED] == replace(study.partitions["heuristic"], method=EDITED)
    study.undo()
    assert study.partitions[EDITED] == changed


def test_a_merge_that_would_close_a_cycle_is_refused_and_goes_with_what_must_come_along(edited):
    start = edited.history.present
    edited.edit(MERGE, (2, 8))  # 2 → 3 … 7 → 8 leads around
    assert edited.refused.group == (2, 8) and edited.history.present == start
    assert edited.refused.refusal.take_along == (3, 4, 5, 6, 7)
    edited.take_along()
    assert (2, 3, 4, 5, 6, 7, 8) in edited.history.present.subgraphs and edited.refused is None
    edited.undo()
    assert edited.history.present == start
    edited.redo()
    assert (2, 3, 4, 5, 6, 7, 8) in edited.history.present.subgraphs


def test_operators_are_split_out_and_moved(edited):
    edited.edit(MERGE, (0, 1, 2))
    edited.edit(SPLIT, (2,))
    assert {(0, 1), (2,)} <= set(edited.history.present.subgraphs)
    edited.edit(MOVE, (1,), edited.history.present.owner[2])
    assert {(0,), (1, 2)} <= set(edited.history.present.subgraphs)


def test_a_refused_move_goes_with_what_must_come_along(edited):
    edited.edit(MOVE, (8,), edited.history.present.owner[2])
    assert edited.refused.group == (2, 8)
    edited.take_along()
    assert (2, 3, 4, 5, 6, 7, 8) in edited.history.present.subgraphs


def test_an_edit_that_can_never_be_is_a_sentence(study):
    library = replace(study.graph.operators[1], extern=True)
    operators = (study.graph.operators[0], library, *study.graph.operators[2:])
    study = study_of(replace(study.graph, operators=operators), [[op] for op in range(40)])
    study.edit_copy("heuristic")
    study.edit(MERGE, (0, 1))
    assert "library call" in study.message and not study.history.past and study.refused is None


def test_operators_can_be_moved_to_what_is_beside_them(edited):
    graph, partition = edited.graph, edited.history.present
    beside, others = targets(graph, partition, (2,))
    assert [partition.subgraphs[i] for i in beside] == [(1,), (3,), (8,)]
    assert sorted(beside + others) == [i for i in range(len(partition)) if i != partition.owner[2]]
    beside, others = targets(graph, partition, (2, 3))
    assert sorted(beside + others) == list(range(len(partition))), "of two subgraphs each can take the other's"
    assert {partition.owner[2], partition.owner[3]} <= set(others), "no operator outside the selection is in them"
    assert targets(graph, partition, ()) == ([], [])


def test_a_saved_partition_is_read_back_as_the_edited_one(study):
    content = json.dumps(study.partitions["heuristic"].to_json()).encode()
    study.read(content)
    assert study.file_error == "" and study.partitions[EDITED].subgraphs == study.partitions["heuristic"].subgraphs


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"hello", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"{}", "no list of subgraphs"),
        (json.dumps(Partition("other", "ago", ((0,),)).to_json()).encode(), "another model"),
    ],
)
def test_a_file_that_is_no_partition_of_the_model_is_a_sentence(study, content, says):
    study.read(content)
    assert says in study.file_error and study.history is None


# Answers


def test_a_pair_is_two_operators_or_two_subgraphs():
    graph = residual_graph(40)
    partition = make_partition(graph, fused_groups(graph), "heuristic")
    assert pair(graph, partition, (5, 3)) == (3, 5)
    assert pair(graph, partition, (0, 1, 2, 3, 4)) == (2, 3), "those that an edge joins"
    first, far = partition.subgraphs[0], partition.subgraphs[-1]
    assert pair(graph, partition, (*first, *far)) == (first[0], far[0])
    assert pair(graph, partition, (1,)) is None and pair(graph, partition, range(12)) is None


def test_every_partition_answers_and_shows_the_cycle(edited):
    graph = edited.graph
    edited.set(Settings(threshold=1))
    for method in ("ago", EDITED):
        found = answer(edited, method, (2, 8))
        assert not found.together
        assert "cycle" in found.sentences[0] or "wait for each other" in found.sentences[0]
        assert set(found.cycle) <= set(graph.edges)
        assert found.cycle[0][0] == 2 and found.cycle[-1][1] == 8
        assert all(a[1] == b[0] for a, b in zip(found.cycle, found.cycle[1:])), "one operator a subgraph: a chain"
    assert answer(edited, "heuristic", (2, 8)).sentences
    assert answer(edited, "heuristic", (2,)) is None


def test_the_edited_partition_says_what_merging_would_give(edited):
    assert "can be merged" in answer(edited, EDITED, (0, 1)).sentences[0]
    edited.edit(MERGE, (0, 1))
    found = answer(edited, EDITED, (0, 1))
    assert found.together and found.sentences == ("Both are in S0.",)


def test_reuse_is_told_for_an_edge_alone(study):
    assert reuse_sentence(study.graph, 2, 3).startswith("Fusing relu_2 into conv2d_3: ")
    assert reuse_sentence(study.graph, 0, 3) == ""


# What a panel emphasises


def test_a_panel_emphasises_one_thing_at_a_time(edited):
    shown = ("ago", EDITED)
    assert emphasis(edited, shown, 0) is None and emphasis(edited, shown, 1) is None
    differences = emphasis(edited, shown, 1, differences=True)
    assert [row[0] for row in differences.legend] == ["same", "split", "merged", "recut"]
    cycle = emphasis(edited, shown, 1, (2, 8), differences=True)
    assert cycle.elements["cycle"][0] == "2-3"
    edited.edit(MERGE, (2, 8))
    refused = emphasis(edited, shown, 1, (2, 8), differences=True)
    assert refused.elements["along"] == ("3", "4", "5", "6", "7") and refused.fade
    edited.show_steps(True)
    step = emphasis(edited, shown, 0, differences=True)
    assert step.elements["cluster"] and step.elements["candidate"] and step.fade
    assert emphasis(edited, shown, 1) == refused, "the steps are those of AGO's panel"


def test_a_step_beyond_the_last_is_none():
    study = study_of(residual_graph(1))
    study.show_steps(True)
    assert study.steps == [] and current_step(study) is None
