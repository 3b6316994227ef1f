"""A session's journal: what was written is there, whatever happens to the process, the disk or the file."""

from __future__ import annotations

import csv
import os
import resource
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ago_core.errors import UserError
from ago_core.tuning.events import Command, Kind
from ago_core.tuning.files import JOURNAL
from ago_core.tuning.interfaces import Measurement
from ago_core.tuning.journal import DamagedJournal, Journal, check_journal, create_journal, open_journal, read_journal
from ago_core.tuning.records import COLUMNS, write_csv
from ago_core.tuning.repair import repair

ROOT = Path(__file__).parents[1]
RIGHT = Measurement((3e-4, 1e-4, 2e-4), None, True, "d0")
FAILED = Measurement((), "It could not be built.", None, "d1")
TASK = {"kind": "mini", "operators": ["conv2d", "relu"], "places": [[0, 1]], "weight": 12.5, "parts": []}
TRACE = "trace " * 400
"""Long enough for a page of its own."""


@pytest.fixture
def folder(tmp_path):
    create_journal(tmp_path / "session", {"settings": {"trials": 5}, "dims": {}})
    with open_journal(tmp_path / "session") as journal:
        journal.write_plan({"target": "t"}, [TASK, TASK | {"kind": "join", "parts": [0]}])
    return tmp_path / "session"


def add_trials(folder: Path, count: int) -> None:
    with open_journal(folder) as journal:
        for number in range(count):
            journal.add_trial(0, f"{TRACE}{number}", RIGHT, float(number))


def trials_in(folder: Path) -> int:
    with read_journal(folder) as journal:
        return sum(1 for _ in journal.trials())


def in_a_process(code: str, *arguments: object, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, **options)


# writing and reading


def test_what_is_written_is_read(folder):
    with open_journal(folder) as journal:
        assert journal.add_trial(0, "first", RIGHT, 1.5) == 1
        assert journal.add_trial(1, "second", FAILED, 2.5) == 2
        journal.write_composed(1, {"0": 1})
    with read_journal(folder) as journal:
        first, second = journal.trials()
        assert (first.measurement, second.measurement) == (RIGHT, FAILED)
        assert (first.task, second.task, second.elapsed, journal.elapsed()) == (0, 1, 2.5, 2.5)
        assert list(journal.traces(0)) == [("first", RIGHT)] and journal.trace(2) == "second"
        assert [trial.id for trial in journal.trials(after=1)] == [2]
        assert journal.meta()["target"] == "t" and journal.meta()["settings"] == {"trials": 5}
        assert [task["kind"] for task in journal.tasks()] == ["mini", "join"]
        assert journal.tasks()[0] == {"id": 0, **TASK}
        assert (journal.composed(0), journal.composed(1)) == (None, {"0": 1})
        assert journal.recent(1) == [2.5] and journal.trial_count() == 2


def test_a_new_journal_is_seen_whole_or_not_at_all(tmp_path, monkeypatch):
    (tmp_path / f"{JOURNAL}.new").write_text("left by a process that was killed")
    seen, add_event = [], Journal.add_event
    watched = lambda self, *values: seen.append((tmp_path / JOURNAL).exists()) or add_event(self, *values)  # noqa: E731
    monkeypatch.setattr(Journal, "add_event", watched)
    create_journal(tmp_path, {"settings": {}})
    assert seen == [False] and [file.name for file in tmp_path.iterdir()] == [JOURNAL]
    with read_journal(tmp_path) as journal:
        assert journal.last(Kind.SESSION).data["state"] == "queued"


def test_events_are_numbered_so_that_readers_can_go_on(folder):
    with open_journal(folder) as journal, read_journal(folder) as one, read_journal(folder) as other:
        last = one.last_event()
        journal.add_trial(0, "t", RIGHT, 1.0)
        journal.add_event(Kind.BEST, {"task": 0}, 1.0)
        seen = one.events(after=last)
        assert [event.kind for event in seen] == [Kind.TRIAL, Kind.BEST]
        assert seen == other.events(after=last)
        assert seen[0].data == {
            "trial": 1, "task": 0, "latency": 2e-4, "error": None, "correct": True, "device": "d0"
        }  # fmt: skip
        assert one.events(after=seen[-1].id) == [] and one.last_event() == seen[-1].id
        assert one.events(kinds=[Kind.BEST]) == seen[1:] == [one.last(Kind.BEST)]
        assert [event.kind for event in one.events(limit=1)] == [Kind.SESSION]
        assert one.last(Kind.JOIN) is None


def test_a_reader_sees_each_trial_while_it_is_written(folder):
    with open_journal(folder) as journal, read_journal(folder) as reader:
        for number in range(1, 20):
            journal.add_trial(0, TRACE, RIGHT, 0.0)
            assert reader.trial_count() == number


def test_a_transaction_is_all_or_nothing(folder):
    class Accident(Exception):
        pass

    with open_journal(folder) as journal:
        before = journal.last_event()
        with pytest.raises(Accident), journal.transaction():
            journal.add_trial(0, "t", RIGHT, 1.0)
            raise Accident
        assert journal.trial_count() == 0 and journal.last_event() == before
        journal.add_trial(0, "t", RIGHT, 1.0)
    assert trials_in(folder) == 1


def test_several_threads_may_write(folder):
    with open_journal(folder) as journal:
        threads = [
            threading.Thread(target=lambda: [journal.add_trial(0, "t", RIGHT, 0.0) for _ in range(50)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert trials_in(folder) == 200


def test_commands_come_from_another_connection_and_are_taken_once(folder):
    with open_journal(folder) as tuner, open_journal(folder) as user:
        user.send(Command.EXTEND, 10)
        user.send(Command.STOP)
        assert tuner.waiting_commands() == 2
        assert tuner.take_commands() == [(Command.EXTEND, 10), (Command.STOP, 0)]
        assert tuner.take_commands() == [] and tuner.waiting_commands() == 0


def test_a_reader_cannot_write(folder):
    with read_journal(folder) as journal, pytest.raises(sqlite3.OperationalError, match="readonly"):
        journal._connection.execute("DELETE FROM trials")


def test_records_as_csv(folder, tmp_path):
    with open_journal(folder) as journal:
        journal.add_trial(0, "first", RIGHT, 1.5)
        journal.add_trial(1, "second", FAILED, 2.5)
        assert write_csv(journal, tmp_path / "out.csv") == 2
        with pytest.raises(UserError, match="cannot be written"):
            write_csv(journal, tmp_path / "missing" / "out.csv")
    first, second = csv.DictReader((tmp_path / "out.csv").open())
    assert tuple(first) == COLUMNS
    assert (first["kind"], first["operators"], float(first["median_s"])) == ("mini", "conv2d relu", 2e-4)
    assert (first["correct"], first["trace"], second["error"]) == ("True", "first", FAILED.error)
    assert (second["median_s"], second["correct"]) == ("", "")


# what can go wrong


def test_a_folder_holds_one_session(folder, tmp_path):
    with pytest.raises(UserError, match="holds a session already"):
        create_journal(folder, {})
    with pytest.raises(UserError, match="no session"), read_journal(tmp_path):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be made"):
        create_journal(tmp_path / "file" / "session", {})


def test_another_schema_is_refused(folder):
    with open_journal(folder) as journal:
        journal.write_meta({"schema": 99})
    with pytest.raises(UserError, match="schema 99"), read_journal(folder):
        pass


def test_a_process_killed_while_it_writes_loses_only_that(folder):
    add_trials(folder, 20)
    code = """
import os, sys
from pathlib import Path
from ago_core.tuning.journal import open_journal
from ago_core.tuning.interfaces import Measurement
with open_journal(Path(sys.argv[1])) as journal:
    right = Measurement((1.0,), None, True, "d")
    journal.add_trial(0, "whole", right, 0.0)
    with journal.transaction():
        journal.add_trial(0, "half", right, 0.0)
        os._exit(9)
"""
    assert in_a_process(code, folder).returncode == 9
    with read_journal(folder) as journal:
        assert [trace[:5] for trace, _ in journal.traces(0)][-2:] == ["trace", "whole"]
    add_trials(folder, 1)
    assert trials_in(folder) == 22


def torn(folder: Path, left: int) -> Path:
    """A copy as a crash of the machine leaves it: the log of what was not yet merged ends in the middle of a record."""
    code = """
import os, sys
from pathlib import Path
from ago_core.tuning.journal import open_journal
from ago_core.tuning.interfaces import Measurement
with open_journal(Path(sys.argv[1])) as journal:
    for number in range(10):
        journal.add_trial(0, "x" * 3000, Measurement((1.0,), None, True, "d"), 0.0)
    os._exit(9)
"""
    in_a_process(code, folder)
    log = folder / f"{JOURNAL}-wal"
    os.truncate(log, log.stat().st_size - left)
    (folder / f"{JOURNAL}-shm").unlink()
    return folder


def test_a_torn_last_record_is_left_out_and_the_session_goes_on(folder):
    torn(folder, left=100)
    check_journal(folder)
    assert trials_in(folder) == 9
    add_trials(folder, 2)
    assert trials_in(folder) == 11


def overwrite_middle(path: Path, pages: int) -> None:
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + pages * 4096] = os.urandom(pages * 4096)
    path.write_bytes(content)


def test_a_damaged_page_is_a_sentence_and_the_rest_is_saved(folder, tmp_path):
    add_trials(folder, 200)
    overwrite_middle(folder / JOURNAL, pages=3)
    damage = (folder / JOURNAL).read_bytes()
    with pytest.raises(DamagedJournal, match=r"damaged.*--repair"):
        check_journal(folder)
    out = tmp_path / "out.csv"
    with pytest.raises(DamagedJournal), read_journal(folder) as journal:
        write_csv(journal, out)
    before = [int(row["trial"]) for row in csv.DictReader(out.open())]
    assert 10 < len(before) < 200 and before == list(range(1, len(before) + 1))

    saved = repair(folder)
    check_journal(folder)
    with read_journal(folder) as journal:
        trials = [trial.id for trial in journal.trials()]
        assert len(journal.tasks()) == 2 and journal.meta()["target"] == "t" and journal.events()
    assert len(trials) == saved >= 190 and trials[: len(before)] == before and trials[-1] == 200
    assert (folder / "damaged-1.sqlite").read_bytes() == damage
    add_trials(folder, 1)
    assert trials_in(folder) == saved + 1


def test_repair_leaves_a_whole_journal_as_it_is_and_refuses_what_is_none(folder):
    add_trials(folder, 20)
    with read_journal(folder) as journal:
        events = journal.events()
    assert repair(folder) == 20
    with read_journal(folder) as journal:
        assert journal.events() == events
    (folder / JOURNAL).write_bytes(b"not a database" * 100)
    with pytest.raises(UserError, match="Nothing can be saved"):
        repair(folder)
    assert (folder / JOURNAL).read_bytes() == b"not a database" * 100 and not list(folder.glob("*repaired*"))


@pytest.mark.parametrize("content", [b"", b"not a database" * 100])
def test_a_file_that_is_no_journal(folder, content):
    for file in folder.glob(f"{JOURNAL}*"):
        file.unlink()
    (folder / JOURNAL).write_bytes(content)
    with pytest.raises(DamagedJournal), read_journal(folder):
        pass
    with pytest.raises(DamagedJournal), open_journal(folder):
        pass
    assert (folder / JOURNAL).read_bytes() == content


def test_a_record_that_cannot_be_parsed_is_named(folder):
    add_trials(folder, 3)
    with open_journal(folder) as journal, journal.transaction() as connection:
        connection.execute("UPDATE trials SET seconds = '[0.1' WHERE id = 3")
    with read_journal(folder) as journal:
        rows = journal.trials()
        assert [next(rows).id, next(rows).id] == [1, 2]
        with pytest.raises(DamagedJournal, match=r"damaged.*trial 3"):
            next(rows)
    assert repair(folder) == 2 == trials_in(folder)


def test_a_full_disk_is_a_sentence_and_loses_nothing(folder):
    code = """
import sys
from pathlib import Path
from ago_core.errors import UserError
from ago_core.tuning.journal import open_journal
from ago_core.tuning.interfaces import Measurement
written = 0
try:
    with open_journal(Path(sys.argv[1])) as journal:
        while True:
            journal.add_trial(0, "x" * 3000, Measurement((1.0,), None, True, "d"), 0.0)
            written += 1
except UserError as error:
    print(written, error)
"""
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))  # noqa: E731
    done = in_a_process(code, folder, preexec_fn=limit)
    count, sentence = done.stdout.split(" ", 1)
    assert "disk is full" in sentence and "No earlier trial is lost" in sentence and not done.stderr
    assert int(count) == trials_in(folder) > 10
    add_trials(folder, 1)
    assert trials_in(folder) == int(count) + 1


@pytest.fixture
def read_only(folder, tmp_path):
    """The session's folder where nobody can write: root needs a mount for that."""
    add_trials(folder, 7)
    torn(folder, left=0)  # the last trials are still in the log
    (folder / "tuner.lock").touch()
    if os.geteuid() != 0:
        folder.chmod(0o500)
        yield folder
        folder.chmod(0o700)
        return
    place = tmp_path / "mounted"
    place.mkdir()
    mounted = subprocess.run(["mount", "-o", "bind", folder, place], capture_output=True, check=False).returncode == 0
    if not mounted or subprocess.run(["mount", "-o", "remount,ro,bind", place], check=False).returncode:
        pytest.skip("root cannot mount a read-only folder here")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_read_only_folder_can_be_read_and_says_that_it_cannot_be_written(read_only):
    assert trials_in(read_only) == 17
    with pytest.raises(UserError, match=r"read-only|writable"), open_journal(read_only):
        pass
    with pytest.raises(UserError, match=r"session already|writable"):
        create_journal(read_only, {})
    with pytest.raises(UserError, match=r"cannot be (made|written)"):
        create_journal(read_only / "new", {})
