"""Edits and differences of partitions, compared and run, on the pages and without a browser."""

from __future__ import annotations

import json
import re
import threading

from ago_core.errors import UserError
from ago_core.lowering import regions
from ago_core.lowering.regions import parallel_regions
from ago_core.partition.partition import Partition
from app import state
from app.services.study import EDITED
from sample_models import SAMPLES
from tests.app_driver import (
    COMPARE,
    EXPLORE,
    RUN,
    SPEC,
    button,
    detoured,
    marks,
    neighbours,
    own,
    select,
    settle,
    study,
    text,
)
from visualizers.colouring import Colour

FUSED = 1  # an operator that the heuristic fuses with others


# Edits


def test_editing_starts_with_a_copy_in_the_same_panel(app):
    assert app.selectbox(key="method-left").options == ["TVM heuristic", "AGO"]
    app.button(key="icon-edit-left").click().run()
    assert app.selectbox(key="method-left").value == EDITED
    assert study(app).partitions[EDITED].subgraphs == own(app).loaded.heuristic.subgraphs
    assert all(app.button(key=f"icon-{what}").disabled for what in ("undo", "redo"))
    assert app.button(key="edit-merge").disabled and app.button(key="edit-split").disabled
    assert "Select operators" in text(app)


def test_merge_undo_redo_and_split(edited):
    partition = study(edited).partitions[EDITED]
    u, v = neighbours(edited, partition)
    select(edited, u, v)
    count = len(partition)
    edited.button(key="edit-merge").click().run()
    assert f"{count - 1} subgraphs" in text(edited) and study(edited).refused is None
    edited.button(key="icon-undo").click().run()
    assert study(edited).partitions[EDITED] == partition
    edited.button(key="icon-redo").click().run()
    assert len(study(edited).partitions[EDITED]) == count - 1
    edited.button(key="edit-split").click().run()
    assert (u, v) in study(edited).partitions[EDITED].subgraphs
    assert edited.button(key="edit-split").disabled and edited.button(key="edit-merge").disabled


def test_a_refused_edit_is_explained_drawn_and_can_take_others_along(edited):
    partition = study(edited).partitions[EDITED]
    select(edited, *detoured(edited, partition))
    edited.button(key="edit-merge").click().run()
    refused = study(edited).refused
    assert "Not possible:" in text(edited) and "wait for each other" in text(edited)
    told = marks(edited)[0]["elements"]
    assert told["cycle"] == [f"{u}-{v}" for u, v in refused.refusal.cycle]
    assert told["along"] == [str(op) for op in refused.refusal.take_along]
    edited.button(key="take-along").click().run()
    group = {*refused.group, *refused.refusal.take_along}
    assert any(group == set(members) for members in study(edited).partitions[EDITED].subgraphs)
    assert "Not possible" not in text(edited) and marks(edited)[0] is None
    edited.button(key="icon-undo").click().run()
    assert study(edited).partitions[EDITED] == partition


def test_a_refusal_can_be_left(edited):
    select(edited, *detoured(edited, study(edited).partitions[EDITED]))
    edited.button(key="edit-merge").click().run()
    edited.button(key="leave-it").click().run()
    assert "Not possible" not in text(edited)


def test_operators_are_moved_to_a_subgraph_beside_them(edited):
    partition = study(edited).partitions[EDITED]
    graph = own(edited).loaded.graph
    u, v = neighbours(edited, partition)
    select(edited, u)
    target = edited.button(key=f"move-to-{partition.owner[v]}")
    assert graph.operators[partition.subgraphs[partition.owner[v]][0]].name in target.label.replace("\\", "")
    target.click().run()
    moved = study(edited).partitions[EDITED]
    assert moved.owner[u] == moved.owner[v] and len(moved) <= len(partition)


def test_operators_are_moved_to_any_other_subgraph(edited):
    graph, partition = own(edited).loaded.graph, study(edited).partitions[EDITED]
    select(edited, FUSED)
    others = edited.selectbox(key="move-to-another")
    buttons = [one.key for one in edited.button if one.key.startswith("move-to-")]
    assert len(others.options) + len(buttons) == len(partition) - 1
    last = partition.subgraphs[-1]
    option = f"S{len(partition) - 1}: " + ", ".join(graph.operators[op].name for op in last)
    assert option in others.options
    others.select(len(partition) - 1).run()
    assert study(edited).refused.group == (FUSED, *last) and "Not possible:" in text(edited)
    assert edited.selectbox(key="move-to-another").value is None


def test_many_subgraphs_beside_are_all_offered(edited):
    partition = study(edited).partitions[EDITED]
    select(edited, *range(0, len(own(edited).loaded.graph), 2))
    buttons = [one.key for one in edited.button if one.key.startswith("move-to-")]
    assert len(buttons) == 8 and len(edited.selectbox(key="move-to-another").options) == len(partition) - 8


def test_both_panels_can_show_the_edited_partition(edited):
    edited.selectbox(key="method-right").select(EDITED).run()
    assert not edited.exception and not edited.error
    assert [one.key for one in edited.button].count("edit-merge") == 1


def test_another_model_has_no_edits_and_they_are_there_when_one_comes_back(edited):
    select(edited, FUSED)
    edited.button(key="edit-split").click().run()
    edits = study(edited).history
    edited.selectbox(key="sample").select("bert_tiny").run()
    settle(edited)
    assert own(edited).choice.name == f"bert_tiny@{SAMPLES['bert_tiny'].default_size}"
    assert edited.selectbox(key="method-left").value == "heuristic"
    edited.selectbox(key="sample").select("squeezenet").run()
    settle(edited)
    edited.button_group(key="size-squeezenet").set_value(56).run()
    settle(edited)
    assert study(edited).history == edits and edited.selectbox(key="method-left").value == EDITED


def upload_partition(app, data):
    content = data if isinstance(data, bytes) else json.dumps(data).encode()
    app.file_uploader(key="partition-file").set_value(("partition.json", content, "application/json")).run()
    return app


def test_a_saved_partition_is_loaded_and_can_be_undone(edited):
    before = study(edited).partitions[EDITED]
    upload_partition(edited, own(edited).loaded.views["ago"].partition.to_json())
    assert study(edited).partitions[EDITED].subgraphs == own(edited).loaded.views["ago"].partition.subgraphs
    edited.button(key="icon-undo").click().run()
    assert study(edited).partitions[EDITED] == before


def test_a_file_that_cannot_be_taken_says_why(edited):
    upload_partition(edited, b"hello")
    assert "not JSON" in edited.error[0].value
    upload_partition(edited, Partition("other", "ago", ((0,),)).to_json())
    assert "made for another model" in edited.error[0].value and len(edited.error) == 1
    edited.file_uploader(key="partition-file").set_value([]).run()
    assert not edited.error, "the file was taken away again"


# Differences


def test_panels_are_coloured_by_what_differs(app):
    study(app).colour = Colour.DIFFERENCES
    app.run()
    left, right = marks(app)
    assert left["elements"]["merged"] and right["legend"] == left["legend"]
    assert "Left to right:" in text(app) and "less crosses subgraphs" in text(app)
    app.switch_page(COMPARE).run()
    app.switch_page(EXPLORE).run()
    assert "Left to right:" in text(app)
    app.selectbox(key="method-left").select("ago").run()
    assert "Left to right:" not in text(app) and marks(app) == [None, None]


# Compare and run


def test_the_edited_partition_is_compared(edited):
    select(edited, FUSED)
    edited.button(key="edit-split").click().run()
    edited.switch_page(COMPARE).run()
    assert ">Edited<" in text(edited)
    for row in ("TVM heuristic → AGO", "TVM heuristic → Edited", "AGO → Edited"):
        assert row in text(edited)


def test_parallel_regions_are_counted_beside_the_page(app, monkeypatch):
    gate, model = threading.Event(), own(app).loaded.model
    app.slider(key="threshold").set_value(50).run()  # a grouping that is not counted yet

    def slow(model, partition):
        gate.wait(20)
        return parallel_regions(model, partition)

    monkeypatch.setattr(regions, "parallel_regions", slow)
    app.switch_page(COMPARE).run()
    assert "counting …" in text(app) or "waiting …" in text(app)
    assert "Kept out of memory" in text(app) and "Fewer is better." in text(app)
    gate.set()
    tasks = [own(app).loaded.regions(partition) for partition in study(app).partitions.values()]
    assert all(task.wait(20) for task in tasks)
    app.run()
    expected = [parallel_regions(model, partition) for partition in study(app).partitions.values()]
    row = re.search(r"<tr><td[^>]*>Parallel regions</td>(.*?)</tr>", text(app))[1]
    assert re.findall(r"<td[^>]*>([^<]*)</td>", row)[:2] == [str(count) for count in expected]
    assert "…" not in row and expected[1] <= len(own(app).loaded.graph)


def test_regions_that_cannot_be_counted_say_why(app, monkeypatch):
    def fails(model, partition):
        raise UserError("The operator x_1 cannot be lowered.")

    monkeypatch.setattr(regions, "parallel_regions", fails)
    app.slider(key="threshold").set_value(30).run()  # a grouping that is not counted yet
    app.switch_page(COMPARE).run()
    assert own(app).loaded.regions(study(app).partitions["ago"]).wait(20)
    app.run()
    assert "parallel regions of AGO are not known: The operator x_1" in text(app) and not app.exception


def test_the_same_groups_are_counted_once(edited):
    partitions = study(edited).partitions
    counted = own(edited).loaded.regions
    assert counted(partitions["heuristic"]) is counted(partitions[EDITED])
    assert counted(partitions["heuristic"]) is not counted(partitions["ago"])


def test_a_run_has_the_partition_as_it_is_now(edited, monkeypatch):
    submitted = []

    class Queue:
        def submit(self, work, keep=None):
            submitted.append(work)
            return state.Job(work)

    monkeypatch.setattr(state, "job_queue", Queue)
    edited.slider(key="threshold").set_value(40).run()
    select(edited, FUSED)
    edited.button(key="edit-split").click().run()
    edited.switch_page(RUN).run()
    assert text(edited).count("Not run yet.") == 3
    button(edited, "Compile and run").click().run()
    assert [work.partition for work in submitted] == list(study(edited).partitions.values())
    edited.switch_page(EXPLORE).run()
    edited.button(key="icon-undo").click().run()
    edited.switch_page(RUN).run()
    assert text(edited).count("Not run yet.") == 1, "the run was of another partition"
    assert f"{SPEC}, Edited, " in text(edited)
    for job in [jobs[-1] for jobs in own(edited).jobs.values()]:
        job.cancel()
