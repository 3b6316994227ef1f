"""Sessions in processes of their own: killed, waiting for each other, on a full disk."""

# ruff: noqa: F811 - fixtures are imported

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import time

import pytest

from ago_core.errors import UserError
from ago_core.tuning import control, session
from ago_core.tuning.events import Kind, State
from ago_core.tuning.journal import read_journal
from tests.fake_tuner import PROGRAM, Fake, FakeBackend
from tests.tuning_sessions import (  # noqa: F401 - network and own_queue are fixtures
    WAIT,
    network,
    new_session,
    own_queue,
    pid_of,
    rows_of,
    run_here,
    started,
    wait_for_trials,
    wait_until_gone,
)


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
    ended = []  # small letters: trials; large ones: whole models, which take turns too
    for name, folder in zip("ab", folders):
        with read_journal(folder) as journal:
            ended += [(trial.at, name) for trial in journal.trials()]
            ended += [(event.at, name.upper()) for event in journal.events(kinds=[Kind.END_TO_END])]
    order = "".join(name for _, name in sorted(ended))
    overlap = order[max(order.index("a"), order.index("b")) : min(order.rindex("a"), order.rindex("b"))]
    turns = ["".join(run) for _, run in itertools.groupby(overlap, str.lower)]
    assert len(turns) > 6, order
    assert all(sum(map(str.islower, turn)) <= 8 for turn in turns[1:-1]), f"a batch each: {order}"


def test_a_session_that_waits_says_for_whom(tmp_path, network):
    fake = Fake(delay=0.2)
    first, second = (new_session(tmp_path / name, network, 1_000, fake, batch=16) for name in ("a", "b"))
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
