"""Turns on a device, and the lock that says whether a session's process lives."""

import os
import subprocess
import sys

import pytest

from ago_core.errors import UserError
from ago_core.tuning import lock
from ago_core.tuning.turns import Turn, turns_folder
from tests.test_tuning_journal import ROOT

HOLDER = """
import sys, time
from pathlib import Path
from ago_core.tuning.turns import Turn
with Turn(Path(sys.argv[1]), "local", "the other") as turn:
    print(turn.has_come(), flush=True)
    time.sleep(60)
"""


def test_the_first_that_came_has_the_turn(tmp_path):
    with Turn(tmp_path, "local", "first") as first, Turn(tmp_path, "local", "second") as second:
        assert first.has_come() and not second.has_come() and second.ahead == "first"
        assert first.has_come(), "it stays so"
        with Turn(tmp_path, "pi at 127.0.0.1:9190", "third") as third:
            assert third.has_come(), "another device has another queue"
        with Turn(tmp_path, "local", "fourth") as fourth:
            first.__exit__()
            assert not fourth.has_come(), "nobody overtakes"
            assert second.has_come() and second.ahead == ""


def test_two_that_come_again_and_again_alternate(tmp_path):
    turns = {name: Turn(tmp_path, "local", name).__enter__() for name in ("a", "b")}
    order = []
    for _ in range(10):
        name = next(name for name, turn in turns.items() if turn.has_come())
        order.append(name)
        turns[name].__exit__()
        turns[name] = Turn(tmp_path, "local", name).__enter__()
    assert order in (["a", "b"] * 5, ["b", "a"] * 5)


def test_a_ticket_written_late_does_not_overtake_who_has_the_turn(tmp_path, monkeypatch):
    with Turn(tmp_path, "local", "now") as now:
        assert now.has_come()
        monkeypatch.setattr("ago_core.tuning.turns.time.time_ns", lambda: 1)
        with Turn(tmp_path, "local", "older") as older:
            assert not older.has_come()
            now.__exit__()
            assert older.has_come()


def test_a_killed_process_gives_its_turn_up(tmp_path):
    other = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT)
    assert other.stdout.readline() == b"True\n"
    with Turn(tmp_path, "local", "this") as turn:
        assert not turn.has_come() and turn.ahead == "the other"
        other.kill()
        other.wait()
        other.stdout.close()
        assert turn.has_come()
    assert not list(tmp_path.glob("*/*.ticket"))


def test_the_queue_is_in_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("AGO_CACHE", str(tmp_path / "own"))
    assert turns_folder() == tmp_path / "own" / "turns"
    (tmp_path / "own").write_text("")
    with pytest.raises(UserError, match="AGO_CACHE"):
        Turn(turns_folder(), "local", "this").__enter__()


def test_a_session_is_held_by_one_process(tmp_path):
    assert not lock.is_held(tmp_path)
    held = lock.take_lock(tmp_path)
    assert lock.is_held(tmp_path)
    with pytest.raises(UserError, match="running already"):
        lock.take_lock(tmp_path)
    os.close(held)
    assert not lock.is_held(tmp_path)
    os.close(lock.take_lock(tmp_path))
