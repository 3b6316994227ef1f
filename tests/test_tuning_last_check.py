"""The last check of a session: what was luck, which plan is kept, and what may come between."""

# ruff: noqa: F811 - fixtures are imported

from __future__ import annotations

import threading

import pytest

from ago_core.graph.model import load_model
from ago_core.tuning import control
from ago_core.tuning.best import read_best
from ago_core.tuning.events import Command, Kind, State
from ago_core.tuning.interfaces import DevicesLost
from tests.fake_tuner import Fake, FakeBackend
from tests.tuning_sessions import (  # noqa: F401 - network and own_queue are fixtures
    WAIT,
    data_of,
    final_plan,
    network,
    new_session,
    own_queue,
    rows_of,
    run_here,
    send,
    used_traces,
)


def test_what_was_only_lucky_is_found_out_at_the_end(tmp_path, network):
    folder = new_session(tmp_path / "s", network, 120)
    assert run_here(folder) == 0
    lucky = used_traces(folder)
    again = new_session(tmp_path / "again", network, 120)
    assert run_here(again, FakeBackend(Fake(lucky=tuple(lucky)))) == 0
    assert rows_of(again) == rows_of(folder), "the trials were the same"
    assert used_traces(again) and not used_traces(again) & lucky


def test_the_last_verdict_about_a_join_is_by_the_last_check_and_final(tmp_path, network):
    folder = new_session(tmp_path / "s", network, 400)
    assert run_here(folder) == 0
    verdicts = data_of(folder, Kind.JOIN)
    last = {verdict["task"]: verdict["final"] for verdict in verdicts}
    assert last and all(last.values()) and not verdicts[0]["final"]
    assert run_here(folder) == 0
    assert data_of(folder, Kind.JOIN) == verdicts, "nothing is judged again"


@pytest.mark.parametrize(("overhead", "chosen"), [(0.5, "apart"), (1.0, "tuned"), (30.0, "untuned")])
def test_the_plan_that_is_fastest_as_a_whole_is_kept(tmp_path, network, overhead, chosen):
    folder = new_session(tmp_path / "s", network, 120)
    assert run_here(folder, FakeBackend(Fake(overhead=overhead))) == 0
    final = final_plan(folder)
    assert final["chosen"] == chosen and final["measured"] == min(final["plans"].values())
    assert bool(used_traces(folder)) is (chosen != "untuned")
    best = read_best(folder, load_model(network), FakeBackend(Fake()).rebuild)
    assert len(best.functions) == (0 if chosen == "untuned" else len(best.partition))


def test_the_last_check_is_not_repeated_until_there_are_more_trials(tmp_path, network):
    folder = new_session(tmp_path / "s", network, 60)
    assert run_here(folder, FakeBackend(Fake(overhead=30.0))) == 0
    checks, best = data_of(folder, Kind.CHECK), (folder / "best.json").read_text()
    assert [(check["contest"], check["contests"]) for check in checks] == [
        (number, len(checks)) for number in range(1, len(checks) + 1)
    ]
    assert run_here(folder) == 0
    assert data_of(folder, Kind.CHECK) == checks and (folder / "best.json").read_text() == best
    control.extend(folder, 20)
    assert run_here(folder) == 0
    assert len(data_of(folder, Kind.CHECK)) > len(checks) and final_plan(folder)["chosen"] == "tuned"


def test_a_stop_during_the_last_check_leaves_a_result(tmp_path, network):
    folder = new_session(tmp_path / "s", network, 60)

    class Told(FakeBackend):
        def in_turns(self, contests):
            for row in super().in_turns(contests):
                send(folder, Command.STOP)()
                yield row

    assert run_here(folder, Told(Fake())) == 0
    assert control.status(folder).state is State.STOPPED and not control.status(folder).plans
    assert len(data_of(folder, Kind.CHECK)) == 1 and used_traces(folder)
    assert run_here(folder) == 0
    assert control.status(folder).state is State.FINISHED and control.status(folder).plans


def test_devices_lost_in_the_last_check(tmp_path, network):
    class Unlucky(FakeBackend):
        calls = 0

        def in_turns(self, contests):
            self.calls += 1
            if self.calls == 1:
                raise DevicesLost("All devices are gone.")
            return super().in_turns(contests)

    folder = new_session(tmp_path / "s", network, 60)
    threading.Thread(
        target=lambda: (control.wait(folder, (State.PAUSED,), WAIT), send(folder, Command.RESUME)())
    ).start()
    assert run_here(folder, Unlucky(Fake())) == 0
    assert control.status(folder).state is State.FINISHED and control.status(folder).plans
