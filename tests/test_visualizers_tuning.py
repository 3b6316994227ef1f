"""What a journal's events come to, and plots of it: they hold what was measured, thinned but never changed."""

from __future__ import annotations

import pytest

from ago_core.tuning.events import Event, Kind
from ago_core.tuning.journal import read_journal
from tests import tuning_journals
from visualizers import tuning as plots
from visualizers import tuning_history as known
from visualizers.tuning_history import History
from visualizers.units import duration, milliseconds


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tuning_journals.tuned(tmp_path_factory.mktemp("journal") / "s")


@pytest.fixture(scope="module")
def history(folder):
    return read(folder)


def read(folder) -> History:
    with read_journal(folder) as journal:
        return History(journal.events())


@pytest.fixture(scope="module")
def tasks(folder):
    with read_journal(folder) as journal:
        return known.read_tasks(journal.tasks())


@pytest.fixture(scope="module")
def units(tasks):
    return known.units(tasks, tuning_journals.SUBGRAPHS)


def test_equal_subgraphs_are_one_unit_and_joins_hold_their_minis(units):
    assert [(unit.subgraphs, unit.minis, unit.join) for unit in units] == [((0,), (0, 1), 3), ((1, 2), (2,), None)]
    assert units[0].title == "S0 conv2d_1 + conv2d_2" and units[1].title == "S1 ×2 softmax_1"


def test_a_subgraph_counts_with_the_faster_of_its_join_and_its_parts(units, history):
    joined, single = known.unit_latencies(units, history)
    assert (joined.first, joined.apart, joined.joined) == pytest.approx((700e-6, 650e-6, 500e-6))
    assert joined.now == 500e-6
    assert (single.first, single.now, single.joined) == (100e-6, 100e-6, None)


def test_the_sum_follows_every_best_once_each_subgraph_has_one(units, history):
    points = known.summed(units, history)
    assert [(point.trials, point.elapsed) for point in points] == [(3, 4.0), (5, 6.0), (8, 9.0)]
    assert [point.seconds for point in points] == pytest.approx([900e-6, 850e-6, 700e-6])


def test_what_was_known_earlier_is_what_the_events_until_then_say(units, history):
    early = history.until(5.5)
    assert len(early.of(Kind.TRIAL)) == 4 and not early.of(Kind.JOIN)
    assert known.unit_latencies(units, early)[0].joined is None
    assert history.until(history.elapsed).last == history.last


def test_runs_have_quartiles(history):
    first, second = known.runs(history)
    assert (first.low, first.median, first.high) == pytest.approx((1.05e-3, 1.1e-3, 1.15e-3))
    assert second.trials == 8 and second.median == pytest.approx(0.55e-3)


def test_reasons_leave_out_the_figures_and_the_rare_ones_go_together(history):
    assert set(known.reasons(history).values()) == {"Not built: It was ended after … seconds"}
    events = [_failed(i, f"Kind {'ABCDEFG'[i % 7]} of fault.") for i in range(70)]
    named = set(known.reasons(History(events)).values())
    assert len(named) == known.MAX_REASONS and known.OTHER_REASONS in named


def _failed(number: int, error: str) -> Event:
    data = {"trial": number + 1, "task": 0, "latency": None, "error": error, "correct": None, "device": "local"}
    return Event(number + 1, 0.0, float(number), Kind.TRIAL, data)


def _ran(number: int, seconds: float) -> Event:
    data = {"trial": number + 1, "task": 0, "latency": seconds, "error": None, "correct": True, "device": "local"}
    return Event(number + 1, 0.0, float(number), Kind.TRIAL, data)


def test_a_device_is_busy_between_its_reports(history):
    (use,) = known.devices(history)
    assert use.spans == ((1.0, 10.0),) and use.busy == 9.0 and (use.trials, use.failed) == (8, 1)


def test_a_lost_device_is_marked_where_it_was_lost():
    states = [(1.0, "busy", ""), (3.0, "quarantined", "It hung."), (5.0, "busy", ""), (6.0, "lost", "It is gone.")]
    events = [
        Event(i, 0.0, at, Kind.DEVICE, {"device": "pi", "state": name, "reason": reason, "until": 0.0})
        for i, (at, name, reason) in enumerate(states, 1)
    ]
    (use,) = known.devices(History(events))
    assert use.busy == 3.0 and [trouble[1] for trouble in use.troubles] == ["quarantined", "lost"]
    figure = plots.device_use([use], 6.0, "")
    assert list(figure.data[1].text) == ["quarantined: It hung.", "lost: It is gone."]
    assert max(figure.data[0].y) <= 100


def test_the_main_plot_shows_each_measurement_with_its_spread(units, history):
    line = plots.Line(known.runs(history), known.summed(units, history))
    figure = plots.end_to_end({"one": line}, plots.TRIALS, "r")
    summed, measured = figure.data
    assert list(measured.x) == [3, 8] and list(measured.y) == pytest.approx([1100, 550])
    assert list(measured.error_y.array) == pytest.approx([50, 25])
    assert list(summed.y) == pytest.approx([900, 850, 700]) and figure.layout.yaxis.title.text == "latency (µs)"
    over_time = plots.end_to_end({"one": line}, plots.TIME, "r")
    assert list(over_time.data[1].x) == [4.5, 10.0]


def test_several_sessions_differ_by_hue_dash_and_symbol(units, history):
    line = plots.Line(known.runs(history), known.summed(units, history))
    figure = plots.end_to_end({"one": line, "two": line}, plots.TRIALS, "r")
    one, two = figure.data[1], figure.data[3]
    assert one.line.color != two.line.color and one.line.dash != two.line.dash
    assert one.marker.symbol != two.marker.symbol
    assert [trace.showlegend for trace in figure.data] == [False, None, False, None]


def test_before_and_now_count_all_copies(units, history):
    figure = plots.before_and_now(units, known.unit_latencies(units, history), "", "")
    first, now = figure.data
    assert dict(zip(now.y, now.x)) == pytest.approx({"S0 conv2d_1 + conv2d_2": 500, "S1 ×2 softmax_1": 200})
    assert list(first.x) == pytest.approx([700, 200]) and list(now.text) == ["1.40×", "1.00×"]


@pytest.mark.parametrize(
    ("plan", "seconds", "name"),
    [
        ("tuned", 500, "as tuned"),
        ("apart", 650, "all apart"),
        ("joined", 500, "all joined"),
        ("untuned", 500, "not kept"),
    ],
)
def test_the_bars_are_of_the_plan_that_was_kept(units, folder, plan, seconds, name):
    history = read(folder)
    last = history.last + 1
    data = {"trials": 8, "summed": 7e-4, "measured": 1e-3, "seconds": [1e-3], "error": None, "device": "local"}
    history.add([Event(last, 0.0, 11.0, Kind.END_TO_END, data | {"chosen": plan, "plans": {plan: 1e-3}})])
    assert known.kept_plan(history) == plan
    _, now = plots.before_and_now(units, known.unit_latencies(units, history), plan, "").data
    assert max(now.x) == pytest.approx(seconds) and name in now.name
    history.add([_failed(last + 1, "It crashed.")])
    assert known.kept_plan(history) == "", "trials have followed"


def test_a_verdict_is_final_until_trials_follow(folder):
    history = read(folder)
    (task,) = known.verdicts(history)
    assert known.verdicts(history)[task]["final"] is False
    again = dict(known.verdicts(history)[task]) | {"kept": False, "final": True}
    history.add([Event(history.last + 1, 0.0, 11.0, Kind.JOIN, again)])
    assert known.verdicts(history)[task]["final"] and not known.verdicts(history)[task]["kept"]
    history.add([_failed(history.last + 1, "It crashed.")])
    assert not known.verdicts(history)[task]["final"]


def test_the_budget_adds_up(tasks, history):
    found = known.efforts(tasks, history)
    figure = plots.budget(tasks, found, known.task_titles(tasks), "")
    assert sum(sum(trace.x) for trace in figure.data) == 8
    assert {trace.name for trace in figure.data} == {"part", "join"}
    many = [known.Task(i, "mini", (f"op_{i}",), ((i,),), 1.0, ()) for i in range(40)]
    efforts = [known.Effort(i, 0, None, "tuning") for i in range(40)]
    crowded = plots.budget(many, efforts, known.task_titles(many), "")
    assert sum(sum(trace.x) for trace in crowded.data) == sum(range(40))
    assert sum(len(trace.y) for trace in crowded.data) == plots.MAX_ROWS + 1


def test_trials_are_thinned_but_improvements_are_all_drawn():
    events = [_ran(i, 1e-3 - i * 1e-8) for i in range(10_000)]
    bests = [
        Event(20_000 + i, 0.0, float(i), Kind.BEST, {"task": 0, "trial": i + 1, "latency": 1e-3 - i * 1e-8})
        for i in range(0, 10_000, 100)
    ]
    failures = [_failed(20_000 + i, "It crashed.") for i in range(3_000)]
    figure = plots.trials(History([*events, *failures, *bests]), None, "")
    ran, improved, failed = figure.data
    assert len(improved.x) == 100
    assert len(ran.x) <= plots.MAX_POINTS and "drawn" in ran.name
    assert len(failed.x) <= plots.MAX_FAILURES and "(3000)" in failed.name


def test_failures_stand_apart_by_reason(history):
    figure = plots.trials(history, 0, "")
    failed = figure.data[-1]
    assert list(failed.text) == [tuning_journals.FAILURE] and failed.yaxis == "y2"
    assert list(figure.data[1].y) == pytest.approx([400, 350])


@pytest.mark.parametrize(
    ("seconds", "text"), [(1.234e-3, "1.23 ms"), (0.25, "250 ms"), (45.6e-6, "45.6 µs"), (999.9e-6, "1.00 ms")]
)
def test_latencies_have_three_digits(seconds, text):
    assert milliseconds(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(45, "45 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")])
def test_durations(seconds, text):
    assert duration(seconds) == text
