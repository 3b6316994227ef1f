"""Addresses that name the state of the work, and edited partitions that are kept under a key: without a page."""

from __future__ import annotations

import json
import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ago_core.errors import UserError
from ago_core.partition.history import History
from ago_core.partition.partition import make_partition
from ago_core.partition.settings import Rule, Settings
from app.services import edit_store
from app.services.address import MAX_OPERATOR, MAX_SIZE, PARAMETERS, Address, read_address
from app.services.boards import Boards
from benchmarks.synthetic import residual_graph

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
keys = st.text("0123456789abcdef", max_size=16)
operators = st.sets(st.integers(0, MAX_OPERATOR), max_size=30).map(sorted).map(tuple)
settings = st.builds(
    Settings, st.floats(0, exclude_min=True, allow_infinity=False), st.sampled_from(Rule), aware=st.booleans()
)
dims = st.dictionaries(names.filter(bool), st.integers(1, MAX_SIZE), max_size=3).map(lambda d: tuple(sorted(d.items())))
indices = st.dictionaries(names.filter(bool), operators, max_size=2).map(lambda d: tuple(sorted(d.items())))
addresses = st.builds(
    Address,
    model=names,
    file=keys,
    dims=dims,
    left=names,
    right=names,
    settings=settings,
    edited=keys,
    redo=keys,
    operators=operators,
    subgraph=st.none() | st.tuples(names.filter(bool), st.integers(0, MAX_OPERATOR)),
    step=st.none() | st.integers(0, MAX_OPERATOR),
    folded=indices,
    unfolded=indices,
    colour=names,
    before=names,
    after=names,
    tuned=names,
    sessions=st.lists(names.filter(bool), unique=True, max_size=3).map(tuple),
    runs=keys,
)


@given(addresses)
def test_an_address_is_read_as_it_was_written(address):
    parameters = address.parameters()
    assert read_address(parameters) == (address, ())
    assert set(parameters) <= PARAMETERS and all(values and all(values) for values in parameters.values())


def test_an_address_is_short_and_plain():
    address = Address(
        "squeezenet@56",
        right="edited",
        settings=Settings(120),
        operators=(3, 5, 6, 7),
        step=0,
        folded=(("ago", (2, 3)),),
        unfolded=(("heuristic", ()),),
    )
    assert address.parameters() == {
        "model": ["squeezenet@56"],
        "right": ["edited"],
        "limit": ["120"],
        "operators": ["3,5-7"],
        "step": ["1"],
        "folded": ["ago:2-3"],
        "unfolded": ["heuristic:"],
    }
    assert Address().parameters() == {}


@given(st.dictionaries(st.sampled_from(sorted(PARAMETERS)) | names, st.lists(names, max_size=3), max_size=6))
def test_whatever_stands_in_an_address_is_read_or_named_in_a_sentence(parameters):
    address, lost = read_address(parameters)
    assert isinstance(address, Address) and len(lost) <= len(parameters)
    assert read_address(address.parameters()) == (address, ())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "0"),
        ("limit", "nan"),
        ("limit", "many"),
        ("cycles", "sometimes"),
        ("join", "yes"),
        ("operators", "3-"),
        ("operators", "7-3"),
        ("operators", "0-99999999999"),
        ("operators", "-1"),
        ("operators", "٣"),
        ("subgraph", "5"),
        ("subgraph", "ago:x"),
        ("step", "0"),
        ("dim", "batch"),
        ("dim", "=3"),
        ("file", "../../etc/passwd"),
        ("edited", "../secret"),
        ("runs", "x"),
    ],
)
def test_what_makes_no_sense_is_left_out_with_a_sentence(name, value):
    address, lost = read_address({"model": ["squeezenet@56"], name: [value]})
    assert address == Address("squeezenet@56")
    assert len(lost) == 1 and name in lost[0] and "left out" in lost[0] and lost[0].endswith(".")


# Edited partitions


GRAPH = residual_graph(6)
COUNT = len(GRAPH)


@pytest.fixture
def history():
    """Three edits, the last of which is undone."""
    pairs = [[0, 1], [2, 3], [4, 5]]
    done = [pairs[:count] for count in range(4)]
    steps = [
        make_partition(
            GRAPH, [*groups, *([op] for op in range(COUNT) if not any(op in group for group in groups))], "edited"
        )
        for groups in done
    ]
    made = History(steps[0])
    for step in steps[1:]:
        made = made.edited(step)
    return made.undo()


def test_an_edited_partition_comes_back_with_its_undo_and_redo(history, tmp_path):
    present, redo = edit_store.keep(history, tmp_path)
    assert edit_store.find(GRAPH, tmp_path, present, redo) == history
    assert edit_store.find(GRAPH, tmp_path, present) == History(history.present, history.past)


def test_only_edits_write_files(history, tmp_path):
    edit_store.keep(history, tmp_path)
    assert len(list(tmp_path.iterdir())) == 4
    edit_store.keep(history.undo().redo().redo(), tmp_path)
    assert len(list(tmp_path.iterdir())) == 4


def test_a_kept_file_is_a_saved_partition(history, tmp_path):
    present, _ = edit_store.keep(history, tmp_path)
    data = json.loads((tmp_path / f"{present}.json").read_text())
    assert data.items() >= history.present.to_json().items()


def test_history_begins_after_what_is_not_there_any_more(history, tmp_path):
    present, redo = edit_store.keep(history, tmp_path)
    oldest = next(file for file in tmp_path.iterdir() if json.loads(file.read_text())["parent"] == "")
    oldest.unlink()
    found = edit_store.find(GRAPH, tmp_path, present, redo)
    assert (found.present, found.past, found.future) == (history.present, history.past[1:], history.future)
    (tmp_path / f"{redo}.json").unlink()
    assert edit_store.find(GRAPH, tmp_path, present, redo).future == ()


def age(folder, days):
    """As if nobody had used any of its files for so many days."""
    then = time.time() - days * 86_400
    for path in folder.iterdir():
        os.utime(path, (then, then))


def test_files_that_nobody_used_for_long_go_once_there_are_many(history, tmp_path, monkeypatch):
    monkeypatch.setattr(edit_store, "KEPT", 3)
    old, recent = tmp_path / "old.json", tmp_path / "recent.json"
    old.write_text("{}")
    age(tmp_path, edit_store.KEPT_DAYS + 1)
    recent.write_text("{}")
    present, redo = edit_store.keep(history, tmp_path)
    assert not old.exists() and recent.exists()
    assert edit_store.find(GRAPH, tmp_path, present, redo) == history


def test_few_files_stay_however_old_they_are(history, tmp_path):
    present, redo = edit_store.keep(history, tmp_path)
    age(tmp_path, 10 * edit_store.KEPT_DAYS)
    edit_store.keep(History(history.past[0]).edited(history.future[0]), tmp_path)
    assert edit_store.find(GRAPH, tmp_path, present, redo) == history


@pytest.mark.parametrize("opened", [True, False])
def test_to_use_an_edit_keeps_what_it_was_made_from(history, tmp_path, monkeypatch, opened):
    monkeypatch.setattr(edit_store, "KEPT", 0)
    present, redo = edit_store.keep(history, tmp_path)
    age(tmp_path, edit_store.KEPT_DAYS + 1)
    if opened:
        edit_store.find(GRAPH, tmp_path, present, redo)
    another = history.undo().edited(history.future[0])  # made from the second of the four
    following, _ = edit_store.keep(another, tmp_path)
    assert edit_store.find(GRAPH, tmp_path, following) == another
    assert len(list(tmp_path.iterdir())) == (5 if opened else 3), "the other two go unless they were opened"


def test_what_cannot_be_had_back_is_a_sentence(history, tmp_path):
    present, redo = edit_store.keep(history, tmp_path)
    with pytest.raises(UserError, match="another model"):
        edit_store.find(residual_graph(3), tmp_path, present)
    with pytest.raises(UserError, match="not kept here"):
        edit_store.find(GRAPH, tmp_path, "abc")
    (tmp_path / f"{present}.json").write_text("{")
    with pytest.raises(UserError, match="not kept here"):
        edit_store.find(GRAPH, tmp_path, present)
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(UserError, match="a reload would lose it"):
        edit_store.keep(history, blocked / "edits")


# Runs


class FakeJob:
    def __init__(self, active):
        self.active = active


def test_boards_are_bounded_and_those_at_work_stay():
    kept = Boards(2)
    busy, board = kept.new()
    board["work"] = [FakeJob(True)]
    seen = [kept.new()[0] for _ in range(4)]
    assert kept.find(busy) is board
    assert [kept.find(key) is not None for key in seen] == [False, False, False, True]
    assert kept.find("none") is None
