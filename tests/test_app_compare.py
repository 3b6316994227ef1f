"""The Compare page with measured plans, and what an edit gives, in each state."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from ago_core.artifacts.edit_times import EditTimes, Estimate, Part
from ago_core.artifacts.profile import Spread, difference
from ago_core.partition.partition import make_partition
from ago_core.tuning import edit_bench
from app import state
from app.services import comparing, edit_times
from app.services.edit_times import TimingEdit
from app.services.jobs import JobQueue
from app.services.measured import Measured, Plan
from app.services.models import Choice
from app.services.study import EDITED
from benchmarks.synthetic import fused_groups, residual_graph
from tests.app_driver import COMPARE, button, detoured, neighbours, own, select, study, text
from tests.app_tuning import alternatives
from tests.test_app_measured import keep, profile_of


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("AGO_DATA", str(tmp_path / "data"))


@pytest.fixture
def command(monkeypatch, tmp_path):
    """Replaces the command line by Python code, which finds `say` defined."""
    queues = []

    def write(code):
        script = tmp_path / "fake.py"
        script.write_text(
            "import json, pathlib, sys, time\n"
            "def say(**message): print(json.dumps(message), file=sys.stderr, flush=True)\n"
            f"{code}\n"
        )
        queues.append(JobQueue([sys.executable, str(script)]))
        monkeypatch.setattr(state, "job_queue", lambda: queues[-1])

    yield write
    for queue in queues:
        queue.cancel_all()


def until(app, done, seconds=15):
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)
    return app.run()


def idle(app):
    return lambda: not any(jobs[-1].active for jobs in own(app).jobs.values())


def writing(results):
    """Code that keeps results in the folder that the command line is given, and reports."""
    files = {f"{result.key}.json": json.dumps(result.to_json()) for result in results}
    return (
        "folder = pathlib.Path(sys.argv[sys.argv.index('--keep') + 1]); folder.mkdir(parents=True, exist_ok=True)\n"
        f"for name, content in {files!r}.items(): (folder / name).write_text(content)\n"
        "print(json.dumps({'done': True}))"
    )


# Compare


def both(app, before=2.0, after=1.0):
    """Profiles of both partitions, of so many milliseconds."""
    partitions = study(app).partitions
    return [profile_of(Plan(partitions["heuristic"]), before), profile_of(Plan(partitions["ago"]), after)]


def test_nothing_was_measured_yet(app):
    app.switch_page(COMPARE).run()
    assert "Not measured yet." in text(app) and not button(app, "Measure both").disabled
    assert app.selectbox(key="compare-before").value == "heuristic"
    assert "Acyclic" in text(app) and not app.exception


def test_one_plan_was_measured(app):
    keep(both(app)[0])
    app.switch_page(COMPARE).run()
    assert "TVM heuristic took 2.00 ms" in text(app) and "AGO was **not measured yet**" in text(app)


def test_measuring_shows_progress_and_then_the_result(app, command):
    command(f"say(progress='Measuring, round 3 of 40', seconds=1)\ntime.sleep(1)\n{writing(both(app))}")
    app.switch_page(COMPARE).run()
    button(app, "Measure both").click().run()
    until(app, lambda: next(iter(own(app).jobs.values()))[-1].progress.current.startswith("Measuring"))
    assert "Measuring, round 3 of 40" in text(app) and button(app, "Measure both").disabled
    assert "Cancel" in [one.label for one in app.button]
    until(app, idle(app))
    shown = text(app)
    assert "TVM heuristic 2.00 ms" in shown and "AGO 1.00 ms" in shown and "AGO takes 1.00 ms less" in shown
    assert "2 times as fast" in shown and "a machine" in shown and "computed" in shown
    assert not app.exception
    waterfall, gantt, *others = alternatives(app)
    assert waterfall.startswith("Waterfall chart") and "Whole inference: −1,000 µs" in waterfall
    assert "TVM heuristic: " in gantt and len(others) == 4 and all(others)


def test_what_was_measured_is_there_after_a_reload(app):
    for profile in both(app):
        keep(profile)
    app.switch_page(COMPARE).run()
    assert "AGO takes 1.00 ms less" in text(app)
    app.button(key="icon-swap").click().run()
    assert app.selectbox(key="compare-before").value == "ago" and "AGO takes 1.00 ms less" in text(app)


def test_a_failure_says_why(app, command):
    command("say(error='There is no linker_here.'); sys.exit(2)")
    app.switch_page(COMPARE).run()
    button(app, "Measure both").click().run()
    until(app, idle(app))
    assert app.error[0].value.replace("\\", "") == "There is no linker_here."
    assert not button(app, "Measure both").disabled and "Not measured yet." in text(app)


def test_a_plan_is_not_compared_with_itself(app):
    app.switch_page(COMPARE).run()
    app.selectbox(key="compare-after").select("heuristic").run()
    assert "Choose two different plans." in text(app) and button(app, "Measure both").disabled


def test_fusion_is_a_choice_where_it_could_matter(app):
    app.switch_page(COMPARE).run()
    assert app.selectbox(key="compare-after").options == ["TVM heuristic", "AGO", "AGO, no intensive fusion"]
    app.selectbox(key="compare-after").select("ago:no-fusion").run()
    partition = study(app).partitions["ago"]
    keep(replace(profile_of(Plan(partition)), max_rel_error=0.5))
    keep(profile_of(Plan(partition, fusion=False)))
    app.selectbox(key="compare-before").select("ago").run()
    assert "Its output is wrong" in app.error[0].value and len(app.error) == 1


# What the page says


@pytest.fixture
def pair():
    graph = residual_graph(24)
    groups = fused_groups(graph)
    plans = [Plan(make_partition(graph, each, "edited")) for each in (groups, [[op.id] for op in graph.operators])]
    return graph, plans, [Measured(profile_of(plan, time)) for plan, time in zip(plans, (3.0, 2.0))]


def test_the_steps_sum_to_the_whole_difference(pair):
    graph, plans, (before, after) = pair
    found = difference(before.profile, after.profile)
    steps = comparing.steps(graph, found, plans[0])
    assert sum(step.change for step in steps) == pytest.approx(after.total - before.total)
    assert len(steps) <= comparing.MOST_STEPS + 2 and steps[-1].name == "Not in kernels"
    assert steps[-1].change == pytest.approx(found.rest)


def test_bars_of_the_same_operators_are_kin(pair):
    graph, plans, measured = pair
    found = difference(*(one.profile for one in measured))
    lanes = [comparing.bars(graph, found, one.profile, after=k == 1) for k, one in enumerate(measured)]
    for plan, bars in zip(plans, lanes):
        assert len(bars) == len(plan.partition)
        assert all(bar.start == pytest.approx(sum(b.seconds for b in bars[:k])) for k, bar in enumerate(bars))
    kin = [
        {op: bar.kin for bar, members in zip(bars, plan.partition.subgraphs) for op in members}
        for plan, bars in zip(plans, lanes)
    ]
    assert kin[0] == kin[1]


def test_medians_within_their_spreads_tell_nothing_apart(pair):
    _, _, (before, after) = pair
    assert "b takes 1.00 ms less: 1.5 times" in comparing.verdict(before, after, ["a", "b"])
    wide = Measured(replace(after.profile, whole=replace(after.profile.whole, q3=1.0)))
    assert "do not tell the two apart" in comparing.verdict(before, wide, ["a", "b"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"at": 5e9}, "different times"),
        ({"threads": 8}, "8 of a machine"),
        ({"whole": Spread(1.0, 1.0, 1.0)}, "other programs"),
    ],
)
def test_what_stands_against_a_comparison_is_said(pair, change, says):
    _, _, (before, after) = pair
    assert comparing.doubts(before, after) == []
    assert says in comparing.doubts(before, Measured(replace(after.profile, **change)))[0]


def test_sessions_of_this_machine_can_be_compared(monkeypatch, app, tmp_path):
    partition = study(app).partitions["ago"]
    rows = [SimpleNamespace(key="mine", folder=tmp_path, threads=1), SimpleNamespace(key="far", folder=0, threads=0)]
    monkeypatch.setattr(comparing, "results", lambda *_: rows)
    monkeypatch.setattr(comparing, "result", lambda folder, graph: (partition, 1))
    found = comparing.plans(study(app), SimpleNamespace(rows=list))
    assert found["session:mine"] == Plan(partition, tuned=tmp_path, threads=1) and "session:far" not in found
    assert comparing.plan_title("session:mine") == "Tuned by mine"


# What an edit gives


def times_of(edit, before=2e-5, after=1e-5):
    spreads = [Spread(value, 0.9 * value, 1.1 * value) for value in (before, after)]
    parts = [tuple(Part(edit.before.subgraphs[k], spreads[0]) for k in range(2)), (Part((0,), spreads[1]),)]
    return EditTimes(edit.key, *parts, *spreads, 31, 1, "a machine", 1e9)


@pytest.fixture
def merged(edited):
    select(edited, *neighbours(edited, study(edited).partitions[EDITED]))
    edited.button(key="edit-merge").click().run()
    assert not edited.exception
    return edited


def test_a_merge_is_estimated_before_it_is_made(edited, monkeypatch):
    monkeypatch.setattr(edit_bench, "estimate_edit", lambda *_: Estimate(2e-5, 1.5e-5, 3e9))
    u, v = neighbours(edited, study(edited).partitions[EDITED])
    select(edited, u, v)
    edited.button(key="estimate-edit").click().run()
    asked = edit_times.thought_of(study(edited), (u, v)).values()
    until(edited, lambda: all(edit_times.asked(edit).done for edit in asked))
    assert "Merging, estimated: about 20.0 µs → 15.0 µs (−5.00 µs)" in text(edited).replace("*", "")
    assert len(study(edited).history.past) == 0, "nothing was edited"


def test_what_is_refused_is_not_estimated(edited):
    operators = detoured(edited, study(edited).partitions[EDITED])
    assert "merge" not in edit_times.thought_of(study(edited), operators)
    assert edit_times.thought_of(study(edited), ()) == {}


def test_an_edit_is_measured_and_kept(merged, command, monkeypatch):
    monkeypatch.setattr(edit_bench, "estimate_edit", lambda *_: Estimate(2e-5, 1.5e-5, 3e9))
    edit = edit_times.last_edit(study(merged))
    command(writing([times_of(edit)]))
    assert "was not measured yet" in text(merged)
    merged.button(key="measure-edit").click().run()
    until(merged, lambda: idle(merged)() and edit_times.asked(edit).done)
    shown = text(merged).replace("*", "")
    assert "The last edit, measured: 20.0 µs → 10.0 µs (−10.0 µs)" in shown and "about 20.0 µs → 15.0 µs" in shown
    merged.button(key="keep-edit").click().run()
    assert "The last edit" not in text(merged) and len(study(merged).history.past) == 1


def test_an_edit_that_lost_is_undone(merged):
    before = study(merged).history.past[-1]
    merged.button(key="undo-edit").click().run()
    assert study(merged).history.present == before and "The last edit" not in text(merged)


def test_an_edit_that_cannot_be_measured_says_why(merged, command, monkeypatch):
    monkeypatch.setattr(edit_bench, "estimate_edit", lambda *_: Estimate(2e-5, 1.5e-5, 3e9))
    command("say(error='No such_core.'); sys.exit(2)")
    merged.button(key="measure-edit").click().run()
    until(merged, lambda: idle(merged)() and edit_times.asked(edit_times.last_edit(study(merged))).done)
    assert merged.error[0].value.replace("\\", "") == "No such_core." and not merged.button(key="measure-edit").disabled


def test_an_edit_whose_times_are_too_close_says_so(merged):
    edit = edit_times.last_edit(study(merged))
    assert "too close" in edit_times.measured_text(times_of(edit, 1e-5, 1.05e-5))
    assert "too close" not in edit_times.measured_text(times_of(edit))
    assert "(no change)" in edit_times.measured_text(times_of(edit, 1e-5, 1e-5))


def test_the_command_gets_both_partitions(merged, tmp_path):
    edit = edit_times.last_edit(study(merged))
    work = TimingEdit(Choice("net", (("n", 2),)), edit)
    work.prepare(tmp_path)
    kind, _, before, after, *rest = work.arguments(tmp_path)
    assert kind == "edit-times" and rest[:2] == ["--dim", "n=2"] and work.partition == edit.after
    written = [json.loads(Path(file).read_text()) for file in (before, after)]
    assert written == [edit.before.to_json(), edit.after.to_json()] and written[0] != written[1]
