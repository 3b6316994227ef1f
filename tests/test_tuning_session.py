"""Sessions on made-up devices: in this process where one run tells enough, in their own where they are killed."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import psutil
import pytest

from ago_core.errors import UserError
from ago_core.graph.model import load_model
from ago_core.partition.partition import make_partition
from ago_core.tuning import control, lock, session
from ago_core.tuning.best import read_best
from ago_core.tuning.control import Request
from ago_core.tuning.events import Command, Kind, State
from ago_core.tuning.interfaces import DevicesLost
from ago_core.tuning.journal import open_journal, read_journal
from ago_core.tuning.settings import ABLATIONS, Ablation, LocalDevice, TuningSettings
from ago_core.tuning.tuner import Stopwatch
from tests.fake_tuner import PROGRAM, Fake, FakeBackend
from tests.networks import inverted_residual

WAIT = 60.0


@pytest.fixture(autouse=True)
def own_queue(tmp_path, monkeypatch):
    """Other sessions of this machine are not waited for."""
    monkeypatch.setenv("AGO_CACHE", str(tmp_path / "cache"))
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Path:
    return inverted_residual(tmp_path_factory.mktemp("network"))


def settings(trials: int, batch: int = 8, ablation: Ablation = ABLATIONS["ago"]) -> TuningSettings:
    return TuningSettings(trials, LocalDevice(1), ablation, batch)


def new_session(folder: Path, network: Path, trials: int, fake: Fake | None = None, **options) -> Path:
    control.create(folder, Request(network, {}, settings(trials, **options)))
    (fake or Fake()).write(folder)
    return folder


class Scripted(FakeBackend):
    """Calls `script[n]` before the n-th trial of the process."""

    def __init__(self, fake: Fake, script=None):
        super().__init__(fake)
        self.script = script or {}

    def measure(self, reference, candidates, below):
        for index, measurement in super().measure(reference, candidates, below):
            if (action := self.script.get(self.trials)) is not None:
                action()
            yield index, measurement


def run_here(folder: Path, backend: FakeBackend | None = None) -> int:
    """The session's process, in this one."""
    return session.main([str(folder)], lambda _: backend or FakeBackend(Fake()))


def rows_of(folder: Path) -> list[tuple[int, str]]:
    """(task, trace) of each trial, in order."""
    with read_journal(folder) as journal:
        return [(trial.task, trace) for trial, trace in journal.trials_with_traces()]


def states_of(folder: Path) -> list[str]:
    with read_journal(folder) as journal:
        return [event.data["state"] for event in journal.events(kinds=[Kind.SESSION])]


def data_of(folder: Path, kind: Kind) -> list[dict]:
    with read_journal(folder) as journal:
        return [dict(event.data) for event in journal.events(kinds=[kind])]


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


def final_plan(folder: Path) -> dict:
    with read_journal(folder) as journal:
        return dict(journal.last(Kind.END_TO_END).data)


def used_traces(folder: Path) -> set[str]:
    return {row["trace"] for row in json.loads((folder / "best.json").read_text())["functions"]}


def test_what_was_only_lucky_is_found_out_at_the_end(tmp_path, network):
    folder = new_session(tmp_path / "s", network, 120)
    assert run_here(folder) == 0
    lucky = used_traces(folder)
    again = new_session(tmp_path / "again", network, 120)
    assert run_here(again, FakeBackend(Fake(lucky=tuple(lucky)))) == 0
    assert rows_of(again) == rows_of(folder), "the trials were the same"
    assert used_traces(again) and not used_traces(again) & lucky


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


def send(folder: Path, command: Command, value: int = 0):
    def action():
        with open_journal(folder) as journal:
            journal.send(command, value)

    return action


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


# what does not fit


def refused(folder: Path, backend: FakeBackend | None = None) -> str:
    """The reason that a resume is refused with; nothing is lost by it."""
    before = rows_of(folder)
    assert run_here(folder, backend) == session.USER_ERROR
    status = control.status(folder)
    assert status.state is State.FAILED and rows_of(folder) == before
    return status.reason


def test_another_model_target_or_version_is_refused_with_the_reason(tmp_path, monkeypatch):
    network = inverted_residual(tmp_path)
    folder = new_session(tmp_path / "s", network, 30)
    assert run_here(folder) == 0
    control.extend(folder, 10)
    assert "for fake, and the device now is pi" in refused(folder, FakeBackend(Fake(target="pi")))
    with monkeypatch.context() as patch:
        patch.setattr(session, "version", lambda package: "9.9" if package == "apache-tvm" else version(package))
        assert "apache-tvm 9.9" in refused(folder)
    content = network.read_bytes()
    inverted_residual(tmp_path, channels=16)
    assert "model's file has changed" in refused(folder)
    network.unlink()
    assert "no file" in refused(folder)
    network.write_bytes(content)
    assert run_here(folder) == 0 and control.status(folder).trials == 40


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


# processes


def started(folder: Path) -> Path:
    control.start(folder, PROGRAM)
    return folder


def wait_for_trials(folder: Path, count: int) -> None:
    end = time.monotonic() + WAIT
    while control.status(folder).trials < count:
        assert time.monotonic() < end, (folder / control.LOG).read_text()
        time.sleep(0.02)


def pid_of(folder: Path) -> int:
    """The process that was given the folder."""
    for process in psutil.process_iter(["cmdline"]):
        if str(folder) in (process.info["cmdline"] or []):
            return process.pid
    raise AssertionError("no process has the session")


def wait_until_gone(folder: Path) -> None:
    end = time.monotonic() + WAIT
    while lock.is_held(folder):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_killed_at_any_moment_and_resumed_it_finds_the_same(tmp_path, network):
    fake = Fake(space=24, delay=0.004)
    whole = new_session(tmp_path / "whole", network, 10_000)
    assert run_here(whole, FakeBackend(fake)) == 0
    folder = started(new_session(tmp_path / "killed", network, 10_000, fake))
    assert control.status(folder).state in (State.QUEUED, State.RUNNING), "held from the start on"
    with pytest.raises(UserError, match="running already"):
        control.start(folder, PROGRAM)
    kept = []
    for count in (13, 50):
        wait_for_trials(folder, count)
        os.kill(pid_of(folder), signal.SIGKILL)
        wait_until_gone(folder)
        status = control.status(folder)
        assert status.state is State.INTERRUPTED and "without a word" in status.reason
        rows = rows_of(folder)
        assert rows[: len(kept)] == kept and len(rows) >= count
        kept = rows
        control.resume(folder, PROGRAM)
    assert control.wait(folder, (State.FINISHED,), WAIT) is State.FINISHED, (folder / control.LOG).read_text()
    rows = rows_of(folder)
    assert rows[: len(kept)] == kept and len(set(rows)) == len(rows)
    assert set(rows) == set(rows_of(whole))

    def functions(at):
        data = json.loads((at / "best.json").read_text())
        return [(row["subgraph"], row["seconds"], row["trace"]) for row in data["functions"]], data["partition"]

    assert functions(folder) == functions(whole)


def test_two_sessions_on_one_device_take_turns(tmp_path, network):
    fake = Fake(delay=0.02)
    folders = [new_session(tmp_path / name, network, 120, fake, batch=8) for name in ("a", "b")]
    for folder in folders:
        started(folder)
    for folder in folders:
        assert control.wait(folder, (State.FINISHED,), WAIT) is State.FINISHED, (folder / control.LOG).read_text()
    ended = []
    for name, folder in zip("ab", folders):
        with read_journal(folder) as journal:
            ended += [(trial.at, name) for trial in journal.trials()]
    order = "".join(name for _, name in sorted(ended))
    overlap = order[max(order.index("a"), order.index("b")) : min(order.rindex("a"), order.rindex("b"))]
    runs = [len(run) for run in overlap.replace("ab", "a b").replace("ba", "b a").split()]
    assert len(runs) > 6, order
    assert all(run <= 8 for run in runs[1:-1]), "a batch each"


def test_a_session_that_waits_says_for_whom(tmp_path, network):
    fake = Fake(delay=0.4)
    first, second = (new_session(tmp_path / name, network, 16, fake, batch=16) for name in ("a", "b"))
    started(first)
    wait_for_trials(first, 1)
    started(second)
    end = time.monotonic() + WAIT
    while not (control.status(second).reason.startswith("Waiting for local") or time.monotonic() > end):
        time.sleep(0.05)
    status = control.status(second)
    assert status.state is State.QUEUED and f"{first}" in status.reason
    for folder in (second, first):
        control.stop(folder)
        assert control.wait(folder, (State.STOPPED, State.FINISHED), WAIT).ended


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own that is soon full."""
    place = tmp_path / "disk"
    place.mkdir()
    options = "size=1200k,mode=0777"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", place]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small file system can be mounted by root only, and not everywhere")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk_ends_the_session_with_a_sentence_and_it_goes_on_with_more_room(small_disk, network):
    folder = new_session(small_disk / "s", network, 1_000, Fake())
    assert run_here(folder) == session.USER_ERROR
    status = control.status(folder)
    assert status.state in (State.FAILED, State.INTERRUPTED) and "full" in status.reason
    before = rows_of(folder)
    assert 20 < len(before) < 1_000
    subprocess.run(["mount", "-o", "remount,size=40m", small_disk], check=True)
    assert run_here(folder) == 0
    rows = rows_of(folder)
    assert rows[: len(before)] == before and len(set(rows)) == len(rows) == 1_000
