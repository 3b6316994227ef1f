"""Sessions on made-up devices, in this process: the loop, commands, lost devices, and what does not fit."""

# ruff: noqa: F811 - fixtures are imported

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import threading
import time
from collections import Counter
from importlib.metadata import version

import psutil
import pytest

from ago_core.errors import UserError
from ago_core.graph.model import load_model
from ago_core.partition.partition import make_partition
from ago_core.tuning import code_version, control, session
from ago_core.tuning.best import read_best
from ago_core.tuning.control import Request
from ago_core.tuning.events import RESUMED, Command, Kind, State
from ago_core.tuning.interfaces import DevicesLost
from ago_core.tuning.journal import open_journal, read_journal
from ago_core.tuning.records import write_csv
from ago_core.tuning.settings import ABLATIONS, Ablation
from ago_core.tuning.tuner import Stopwatch
from tests.fake_tuner import Fake, FakeBackend
from tests.networks import inverted_residual
from tests.tuning_sessions import (  # noqa: F401 - network and own_queue are fixtures
    ELSEWHERE,
    WAIT,
    Elsewhere,
    Scripted,
    data_of,
    network,
    new_session,
    own_queue,
    refused,
    rows_of,
    run_here,
    send,
    settings,
    states_of,
)

# one run


def test_a_session_runs_to_its_end(tmp_path, network):
    folder = new_session(tmp_path / "s", network, 300)
    assert control.status(folder).state is State.INTERRUPTED, "created, and nothing runs"
    assert run_here(folder) == 0
    status = control.status(folder)
    assert (status.state, status.trials, status.total) == (State.FINISHED, 300, 300)
    assert (status.model, status.ablation, status.device, status.method) == ("inverted_residual", "ago", "local", "ago")
    assert states_of(folder) == ["queued", "queued", "running", "finished"]
    assert len(set(rows_of(folder))) == 300
    with read_journal(folder) as journal:
        events = journal.events()
        assert [event.id for event in events] == list(range(1, len(events) + 1))
        assert [event.elapsed for event in events] == sorted(event.elapsed for event in events)
    trials, bests = data_of(folder, Kind.TRIAL), data_of(folder, Kind.BEST)
    assert len(trials) == 300 and any(trial["error"] for trial in trials)
    best: dict[int, float] = {}
    for event in bests:
        assert event["before"] == best.get(event["task"]) and event["latency"] < best.get(event["task"], 1.0)
        assert trials[event["trial"] - 1]["correct"] is True
        best[event["task"]] = event["latency"]
    *_, final = data_of(folder, Kind.END_TO_END)
    assert final["trials"] == 300, "the final code is measured"
    assert status.end_to_end == final["measured"] == min(final["plans"].values()) == final["plans"][final["chosen"]]
    assert (status.chosen, status.plans) == (final["chosen"], final["plans"]) and "untuned" in final["plans"]
    assert data_of(folder, Kind.DEVICE) == [{"device": "fake-0", "state": "free", "reason": "", "until": 0.0}]


@pytest.mark.parametrize(("factor", "kept"), [(0.5, True), (10.0, False)])
def test_a_join_is_kept_only_if_it_beats_its_parts(tmp_path, network, factor, kept):
    folder = new_session(tmp_path / "s", network, 400)
    assert run_here(folder, FakeBackend(Fake(join_factor=factor))) == 0
    verdicts = data_of(folder, Kind.JOIN)
    assert verdicts and all(verdict["kept"] is kept for verdict in verdicts)
    assert all((verdict["joined"] < verdict["parts"]) is kept for verdict in verdicts)
    model = load_model(network)
    best = read_best(folder, model, FakeBackend(Fake()).rebuild)
    traces = [function.attrs["fake_trace"] for function in best.functions.values()]
    assert any(trace.startswith("join") for trace in traces) is kept
    with read_journal(folder) as journal:
        tasks = journal.tasks()
    widest = max(len(task["places"][0]) for task in tasks if (task["kind"] == "join") is kept)
    assert max(map(len, best.partition.subgraphs)) == widest
    assert best.functions.keys() == set(range(len(best.partition))) and best.target == "fake"


def test_a_join_begins_with_the_best_of_its_parts(tmp_path, network):
    folder = new_session(tmp_path / "s", network, 200)
    backend = FakeBackend(Fake())
    assert run_here(folder, backend) == 0
    joins = [search.task for search in backend.searches if search.task.parts]
    assert joins
    traces = {trace for _, trace in rows_of(folder)}
    for join in joins:
        assert all(part.trace in traces for part in join.parts)
        assert sorted(op for part in join.parts for op in part.operators) == list(
            range(sum(len(part.operators) for part in join.parts))
        )


def test_without_the_reformer_nothing_is_split(tmp_path, network):
    folder = new_session(tmp_path / "s", network, 60, ablation=ABLATIONS["no-reformer"])
    backend = FakeBackend(Fake())
    assert run_here(folder, backend) == 0
    assert not any(search.task.parts for search in backend.searches) and not data_of(folder, Kind.JOIN)


def test_a_wrong_result_is_recorded_and_never_used(tmp_path, network):
    wrong = tuple(f"{kind}:{seed}:{number}" for kind in ("mini", "join") for seed in range(20) for number in (1, 4))
    folder = new_session(tmp_path / "s", network, 200)
    assert run_here(folder, FakeBackend(Fake(wrong=wrong))) == 0
    reported = [trial for trial in data_of(folder, Kind.TRIAL) if trial["correct"] is False]
    assert len(reported) > 5 and all(trial["latency"] is None and trial["error"] for trial in reported)
    used = {row["trace"] for row in json.loads((folder / "best.json").read_text())["functions"]}
    assert used and not used & set(wrong)


def test_an_exhausted_space_ends_the_session(tmp_path, network):
    folder = new_session(tmp_path / "s", network, 10_000)
    assert run_here(folder, FakeBackend(Fake(space=20))) == 0
    status = control.status(folder)
    assert status.state is State.FINISHED and "exhausted" in status.reason
    assert status.trials == 20 * status.tasks


def test_an_edited_partition_is_tuned_as_it_is(tmp_path, network):
    graph = load_model(network).graph
    single = make_partition(graph, [[op.id] for op in graph.operators], "edited")
    folder = tmp_path / "s"
    request = Request(network, {}, settings(40, ablation=Ablation("edited")), single.to_json())
    control.create(folder, request)
    assert run_here(folder) == 0
    assert control.status(folder).method == "edited" and control.status(folder).ablation == "custom"
    best = read_best(folder, load_model(network), FakeBackend(Fake()).rebuild)
    assert best.partition.subgraphs == single.subgraphs


def test_memory_does_not_grow_with_trials(tmp_path, network):
    folder = new_session(tmp_path / "s", network, 10_000, batch=64)
    seen = {}

    def look(name):
        gc.collect()
        seen[name] = psutil.Process().memory_info().rss, len(gc.get_objects())

    backend = Scripted(Fake(space=100_000), {2_000: lambda: look("early"), 9_900: lambda: look("late")})
    assert run_here(folder, backend) == 0
    assert control.status(folder).trials == 10_000
    (early_bytes, early_objects), (late_bytes, late_objects) = seen["early"], seen["late"]
    assert late_objects - early_objects < 2_000, "fewer than one object in four trials"
    assert late_bytes - early_bytes < 30e6


# commands


def test_stop_takes_effect_within_a_batch_and_resume_repeats_nothing(tmp_path, network):
    folder = new_session(tmp_path / "s", network, 100)
    assert run_here(folder, Scripted(Fake(), {20: send(folder, Command.STOP)})) == 0
    assert control.status(folder).state is State.STOPPED and 20 <= len(rows_of(folder)) < 20 + 8
    before = rows_of(folder)
    assert (folder / "best.json").exists(), "what was found can be used"
    backend = FakeBackend(Fake())
    assert run_here(folder, backend) == 0
    after = rows_of(folder)
    assert after[: len(before)] == before and len(set(after)) == len(after) == 100
    assert any(search.told for search in backend.searches)
    assert control.status(folder).state is State.FINISHED


def test_pause_holds_the_session_until_it_is_resumed(tmp_path, network):
    folder = new_session(tmp_path / "s", network, 60)
    seen = []

    def later():
        if control.wait(folder, (State.PAUSED,), WAIT) is State.PAUSED:
            seen.append((len(rows_of(folder)), control.status(folder).elapsed))
            time.sleep(0.3)
            seen.append((len(rows_of(folder)), control.status(folder).elapsed))
        send(folder, Command.RESUME)()

    watcher = threading.Thread(target=later)
    watcher.start()
    assert run_here(folder, Scripted(Fake(), {10: send(folder, Command.PAUSE)})) == 0
    watcher.join()
    assert seen[0] == seen[1] and 10 <= seen[0][0] < 18, "nothing is measured, and the clock stands"
    assert states_of(folder) == ["queued", "queued", "running", "paused", "running", "finished"]
    assert control.status(folder).trials == 60


def test_stop_reaches_a_paused_session(tmp_path, network):
    folder = new_session(tmp_path / "s", network, 60)
    script = {10: lambda: (send(folder, Command.PAUSE)(), send(folder, Command.STOP)())}
    assert run_here(folder, Scripted(Fake(), script)) == 0
    assert states_of(folder)[-2:] == ["paused", "stopped"]
    assert [command["name"] for command in data_of(folder, Kind.COMMAND)] == ["pause", "stop"]


def test_extend_a_running_and_a_finished_session(tmp_path, network):
    folder = new_session(tmp_path / "s", network, 40)
    assert run_here(folder, Scripted(Fake(), {10: send(folder, Command.EXTEND, 16)})) == 0
    assert (control.status(folder).trials, control.status(folder).total) == (56, 56)
    control.extend(folder, 10)
    assert run_here(folder) == 0
    assert (control.status(folder).trials, control.status(folder).total) == (66, 66)
    assert len(set(rows_of(folder))) == 66


def test_a_termination_signal_is_a_stop(tmp_path, network):
    folder = new_session(tmp_path / "s", network, 100)
    assert run_here(folder, Scripted(Fake(), {20: lambda: os.kill(os.getpid(), signal.SIGTERM)})) == 0
    assert control.status(folder).state is State.STOPPED and len(rows_of(folder)) < 28


def test_commands_to_a_session_that_does_not_run_are_refused(tmp_path, network):
    folder = new_session(tmp_path / "s", network, 40)
    for command in (control.pause, control.stop):
        with pytest.raises(UserError, match="does not run"):
            command(folder)
        with pytest.raises(UserError, match="no session"):
            command(tmp_path / "nowhere")


# devices


def test_without_devices_the_session_pauses_and_goes_on_with_what_was_left(tmp_path, network):
    folder = new_session(tmp_path / "s", network, 60)
    threading.Thread(
        target=lambda: (control.wait(folder, (State.PAUSED,), WAIT), send(folder, Command.RESUME)())
    ).start()
    assert run_here(folder, FakeBackend(Fake(lost_after=13))) == 0
    with read_journal(folder) as journal:
        paused = next(e.data for e in journal.events(kinds=[Kind.SESSION]) if e.data["state"] == "paused")
    assert paused["reason"] == "All devices are gone."
    rows = rows_of(folder)
    assert len(set(rows)) == len(rows) == 60
    numbers = Counter(task for task, _ in rows)
    for task, count in numbers.items():
        tried = sorted(int(trace.rsplit(":", 1)[1]) for t, trace in rows if t == task)
        assert tried == list(range(count)), "no candidate was left out"


def test_devices_lost_while_the_whole_model_is_measured(tmp_path, network):
    class Unlucky(FakeBackend):
        calls = 0

        def end_to_end(self, model, versions):
            self.calls += 1
            if self.calls == 1:
                raise DevicesLost("All devices are gone.")
            return super().end_to_end(model, versions)

    folder = new_session(tmp_path / "s", network, 60)
    threading.Thread(
        target=lambda: (control.wait(folder, (State.PAUSED,), WAIT), send(folder, Command.RESUME)())
    ).start()
    assert run_here(folder, Unlucky(Fake())) == 0
    assert control.status(folder).state is State.FINISHED and control.status(folder).end_to_end is not None


def test_a_device_elsewhere_is_free_while_the_session_proposes(tmp_path, network):
    folder = new_session(tmp_path / "s", network, 80, device=ELSEWHERE)
    backend = Elsewhere(Fake())
    assert run_here(folder, backend) == 0, control.status(folder).reason
    assert control.status(folder).trials == 80 and len(set(rows_of(folder))) == 80


# what does not fit


def test_another_model_target_or_version_is_refused_with_the_reason(tmp_path, monkeypatch):
    network = inverted_residual(tmp_path)
    folder = new_session(tmp_path / "s", network, 30)
    assert run_here(folder) == 0
    control.extend(folder, 10)
    assert "for fake, and the device now is pi" in refused(folder, FakeBackend(Fake(target="pi")))
    with monkeypatch.context() as patch:
        patch.setattr(session, "version", lambda package: "9.9" if package == "apache-tvm" else version(package))
        assert "apache-tvm 9.9" in refused(folder)
    with monkeypatch.context() as patch:
        patch.setattr(session, "code_version", lambda: "0123")
        assert "other code of this tool" in refused(folder) and "now 0123" in refused(folder)
    content = network.read_bytes()
    inverted_residual(tmp_path, channels=16)
    assert "model's file has changed" in refused(folder)
    network.unlink()
    assert "no file" in refused(folder)
    network.write_bytes(content)
    assert run_here(folder) == 0 and control.status(folder).trials == 40


def test_what_code_of_another_version_found_can_still_be_used(tmp_path, network):
    folder = new_session(tmp_path / "s", network, 30)
    assert run_here(folder) == 0
    with open_journal(folder) as journal, journal.transaction() as connection:
        connection.execute("DELETE FROM meta WHERE key = 'code'")  # as earlier versions of this tool wrote it
    assert "of unknown version" in refused(folder)
    with read_journal(folder) as journal:
        assert write_csv(journal, tmp_path / "trials.csv") == 30
    assert read_best(folder, load_model(network), FakeBackend(Fake()).rebuild).functions


def test_the_version_of_the_code_is_of_what_traces_depend_on(tmp_path, monkeypatch):
    version_of = code_version.code_version.__wrapped__
    before = version_of()
    shutil.copytree(code_version.ROOT, tmp_path / "ago_core")
    monkeypatch.setattr(code_version, "ROOT", tmp_path / "ago_core")
    assert version_of() == before
    (tmp_path / "ago_core" / "tuning" / "journal.py").write_text("")
    assert version_of() == before
    for source in ("schedules/apply.py", "lowering/regroup.py", "tuning/space.py"):
        (tmp_path / "ago_core" / source).write_text("")
        assert version_of() != before
        before = version_of()


def test_a_fault_of_the_tuner_is_told_and_logged(tmp_path, network, capsys):
    folder = new_session(tmp_path / "s", network, 30)

    def fault():
        raise RuntimeError("out of paper")

    assert run_here(folder, Scripted(Fake(), {10: fault})) == session.BUG
    assert "out of paper" in control.status(folder).reason and "Traceback" in capsys.readouterr().err
    assert run_here(folder) == 0 and len(set(rows_of(folder))) == 30


def test_a_best_that_is_missing_or_of_another_model_is_a_sentence(tmp_path, network):
    model, rebuild = load_model(network), FakeBackend(Fake()).rebuild
    folder = new_session(tmp_path / "s", network, 30)
    with pytest.raises(UserError, match="no result yet"):
        read_best(folder, model, rebuild)
    assert run_here(folder) == 0
    other = load_model(inverted_residual(tmp_path, channels=16))
    with pytest.raises(UserError, match="another model"):
        read_best(folder, other, rebuild)

    def inapplicable(function, trace):
        raise ValueError("no such block")

    with pytest.raises(UserError, match="no such block"):
        read_best(folder, model, inapplicable)
    (folder / "best.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        read_best(folder, model, rebuild)


def test_the_clock_of_a_session_stands_while_it_does_not_run():
    now = [100.0]
    watch = Stopwatch(lambda: now[0], before=5.0)
    for step, running in ((1.0, False), (2.0, True), (4.0, False), (8.0, True)):
        (watch.start if running else watch.stop)()
        now[0] += step
    assert watch.seconds == 5.0 + 2.0 + 8.0


def test_a_resumed_session_has_not_ended_although_its_process_has_not_spoken_yet(tmp_path, network):
    """Who waits for its end would else find the old one."""
    folder = new_session(tmp_path / "s", network, 8)
    assert run_here(folder) == 0
    control.extend(folder, 4)
    control.resume(folder, ("sh", "-c", "sleep 2"))
    status = control.status(folder)
    assert (status.state, status.reason) == (State.QUEUED, RESUMED)
    assert control.wait(folder, (State.INTERRUPTED,), 30) is State.INTERRUPTED
