"""After an edit: a session takes over what another one has found for functions that both tune."""

from types import SimpleNamespace

import pytest

from ago_core.graph.model import load_model
from ago_core.partition.ago import cluster
from ago_core.partition.edits import split
from ago_core.partition.settings import Settings
from ago_core.tuning import control
from ago_core.tuning.control import Request
from ago_core.tuning.events import State
from ago_core.tuning.interfaces import Candidate, Measurement
from ago_core.tuning.journal import read_journal
from ago_core.tuning.known import KnownSearch, why_not
from ago_core.tuning.settings import ABLATIONS, Ablation, LocalDevice
from tests.fake_tuner import Fake, FakeBackend
from tests.tuning_sessions import Scripted, network, new_session, own_queue, rows_of, run_here, settings  # noqa: F401

TRIALS = 80
EDITED = Ablation("edited")
RIGHT, WRONG = Measurement((1e-3,), None, True, "fake"), Measurement((1e-4,), "A wrong result.", False, "fake")


@pytest.fixture
def earlier(tmp_path, network):  # noqa: F811
    """AGO's partition, one subgraph of four minis, tuned to the end."""
    folder = new_session(tmp_path / "earlier", network, TRIALS)
    assert run_here(folder) == 0
    return folder


def edited_session(folder, network, reuse, ablation=EDITED):  # noqa: F811
    """Its last operator split off: the first three minis are as they were."""
    graph = load_model(network).graph
    whole = cluster(graph, Settings()).partition
    partition = split(graph, whole, whole.subgraphs[0][-1:])
    control.create(folder, Request(network, {}, settings(TRIALS, ablation=ablation), partition.to_json(), reuse))
    Fake().write(folder)
    return folder


def places(folder):
    with read_journal(folder) as journal:
        return {task["id"]: (task["kind"], tuple(map(tuple, task["places"]))) for task in journal.tasks()}


def test_unchanged_functions_are_measured_once_and_all_else_is_spent_on_what_changed(tmp_path, network, earlier):  # noqa: F811
    folder = edited_session(tmp_path / "edited", network, earlier)
    assert run_here(folder) == 0
    before, now = places(earlier), places(folder)
    unchanged = {task for task, place in now.items() if place in before.values()}
    assert len(unchanged) == 3 and len(now) > 4
    spent = {task: [trace for of, trace in rows_of(folder) if of == task] for task in now}
    with read_journal(earlier) as journal:
        measured = [(trial, trace) for trial, trace in journal.trials_with_traces() if trial.measurement.correct]
    for task in unchanged:
        old = next(number for number, place in before.items() if place == now[task])
        best = min((trial.measurement.latency, trace) for trial, trace in measured if trial.task == old)[1]
        assert spent[task] == [best]
    assert sum(map(len, spent.values())) == TRIALS
    assert all(len(traces) > 1 for task, traces in spent.items() if task not in unchanged)


def test_goes_on_after_an_interruption_although_the_earlier_session_is_gone(tmp_path, network, earlier):  # noqa: F811
    straight = edited_session(tmp_path / "straight", network, earlier)
    run_here(straight)
    folder = edited_session(tmp_path / "edited", network, earlier)
    run_here(folder, Scripted(Fake(), {5: lambda: control.stop(folder)}))
    assert control.status(folder).state is State.STOPPED
    for file in earlier.iterdir():
        file.unlink()
    control.resume(folder, ("true",))
    assert run_here(folder, FakeBackend(Fake())) == 0
    assert control.status(folder).trials == TRIALS
    once = [task for task in range(3) if sum(of == task for of, _ in rows_of(folder)) == 1]
    assert once == [task for task in range(3) if sum(of == task for of, _ in rows_of(straight)) == 1]


@pytest.mark.parametrize(
    ("ablation", "why"),
    [(Ablation("edited", fusion=False), "it searched other spaces"), (ABLATIONS["stock"], "it searched other spaces")],
)
def test_other_spaces_are_refused(tmp_path, network, earlier, ablation, why):  # noqa: F811
    folder = edited_session(tmp_path / "edited", network, earlier, ablation)
    assert run_here(folder) != 0
    status = control.status(folder)
    assert status.state is State.FAILED
    assert status.reason == f"The schedules of the session in {earlier} cannot be taken over: {why}."


def test_says_why_not(earlier):
    with read_journal(earlier) as journal:
        meta = journal.meta()
    identity = {key: meta[key] for key in ("model_hash", "target", "versions", "code")}
    assert why_not(meta, identity, settings(1)) is None
    assert why_not(meta, identity | {"code": "other"}, settings(1)) == "it is of other code of this tool"
    assert why_not(meta, identity | {"model_hash": "other"}, settings(1)) == "it is of another model"
    assert why_not(meta, identity, settings(1, device=LocalDevice(2))) == "it was measured on other devices"


class Own:
    """The search that goes on."""

    def __init__(self):
        self.replayed, self.told = [], []

    def propose(self, count):
        return [Candidate("own", f"own:{number}") for number in range(count)]

    def tell(self, candidates, measurements):
        self.told += candidates

    def replay(self, traces, measurements):
        self.replayed += traces


def known_search(applies=True):
    def rebuild(function, trace):
        if not applies:
            raise ValueError("no such block")
        return SimpleNamespace(function=function, trace=trace)

    made = []
    return KnownSearch("function", "known", rebuild, lambda: made.append(Own()) or made[-1]), made


def test_a_right_schedule_ends_the_search():
    search, made = known_search()
    first = search.propose(8)
    assert [candidate.trace for candidate in first] == ["known"]
    assert search.propose(8) == []  # not told yet
    search.tell(first, [RIGHT])
    assert search.propose(8) == [] and not made


def test_a_wrong_one_is_searched_for():
    search, made = known_search()
    search.tell(search.propose(8), [WRONG])
    found = search.propose(2)
    assert [candidate.trace for candidate in found] == ["own:0", "own:1"]
    search.tell(found, [RIGHT, RIGHT])
    assert made[0].told == found


def test_one_that_does_not_apply_is_searched_for():
    search, _ = known_search(applies=False)
    assert [candidate.trace for candidate in search.propose(1)] == ["own:0"]


@pytest.mark.parametrize(("measured", "left"), [(RIGHT, 0), (WRONG, 2)])
def test_replayed(measured, left):
    search, made = known_search()
    search.replay(["known", "own:7"], [measured, RIGHT])
    assert len(search.propose(2)) == left
    assert [own.replayed for own in made] == [["own:7"]] * bool(left)
