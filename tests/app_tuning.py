"""The Tune page in tests: where its sessions lie, opening it, and what it shows."""

from __future__ import annotations

import os

import pytest

from ago_core.tuning import lock
from ago_core.tuning.events import Kind, State
from ago_core.tuning.journal import open_journal
from app.services.tuning import session_store
from tests.app_driver import text

TUNE = "screens/tune.py"
FINISHED = (State.FINISHED, "All 8 trials are spent.")


@pytest.fixture(autouse=True)
def sessions(tmp_path, monkeypatch):
    """The folder of all sessions, empty."""
    monkeypatch.setenv("AGO_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("AGO_CACHE", str(tmp_path / "cache"))
    session_store.cache_clear()
    yield tmp_path / "data" / "sessions"
    session_store.cache_clear()


@pytest.fixture
def held():
    """Makes sessions look as if a process had them."""
    locks = []
    yield lambda folder: locks.append(lock.take_lock(folder))
    for descriptor in locks:
        os.close(descriptor)


def watch(app, *keys):
    """The page as a link with these sessions opens it."""
    app.query_params["session"] = list(keys)
    app.switch_page(TUNE).run()
    assert not app.exception
    return app


def labels(app):
    return [one.label for one in app.button]


def alternatives(app):
    return [element.proto.alt for element in app.get("plotly_chart")]


def progress(app):
    return "\n".join(element.proto.text for element in app.get("progress")).replace("\\", "")


def detail(app, name):
    app.button_group(key="tuning-detail").set_value(name).run()
    assert not app.exception and not app.error
    return text(app)


def listed(app):
    app.switch_page(TUNE).run()
    app.button_group(key="tuning-page").set_value("sessions").run()
    assert not app.exception
    return app


def damage(folder):
    """Overwrites a page of the events."""
    journal = folder / "journal.sqlite"
    with open_journal(folder) as opened_journal:
        for number in range(2000):
            opened_journal.add_event(Kind.COMMAND, {"name": "pause", "value": number}, 10.0)
    content = bytearray(journal.read_bytes())
    middle = 4096 * (len(content) // 8192)
    content[middle : middle + 4096] = b"\xff" * 4096
    journal.write_bytes(content)
