"""Tuning in a real browser: a small session is started, watched by two pages, paused, reloaded, resumed and stopped."""

from __future__ import annotations

import re

import pytest

from ago_core.tuning import control
from ago_core.tuning.events import State
from tests.screenshots import keep
from tests.test_browser_app import browser, page, reads, running_app  # noqa: F401

pytestmark = pytest.mark.browser

SESSION = "squeezenet-56-ago"
PATIENCE = 120_000


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def server(tmp_path_factory, data):
    environment = {"AGO_DATA": str(data), "AGO_CACHE": str(data / "cache")}
    with running_app(tmp_path_factory.mktemp("server"), **environment) as address:
        yield address
    folder = data / "sessions" / SESSION
    if folder.exists() and not control.status(folder).state.ended:
        control.stop(folder)
        control.wait(folder, tuple(state for state in State if state.ended), 60)


def button(page, name):  # noqa: F811
    return page.get_by_role("button", name=name, exact=True)


def test_a_session_is_watched_paused_resumed_and_stopped(page, server, browser, data):  # noqa: F811
    folder = data / "sessions" / SESSION
    page.goto(f"{server}/tune?model=squeezenet@56")
    button(page, "Start tuning").click(timeout=60_000)
    page.wait_for_url(re.compile(f"session={SESSION}"), timeout=30_000)
    page.get_by_text(re.compile("^[1-9][0-9]* of 200$")).first.wait_for(timeout=PATIENCE)
    second = browser.new_context().new_page()
    second.goto(page.url)
    button(second, "Pause").wait_for(timeout=60_000)
    keep(page, "tune")

    button(page, "Pause").click()
    button(page, "Resume").wait_for(timeout=PATIENCE)
    assert control.status(folder).state is State.PAUSED
    button(second, "Resume").wait_for(timeout=60_000)

    page.reload()
    reads(page, "Paused by the user.", seconds=60)
    trials = control.status(folder).trials
    assert page.get_by_text(f"{trials} of 200").count() >= 1

    button(second, "Resume").click()
    button(page, "Pause").wait_for(timeout=60_000)
    button(page, "Stop").click()
    reads(page, "Stopped by the user.", seconds=120)
    assert control.status(folder).state is State.STOPPED
    with page.expect_download() as started:
        while button(page, "More").count() != 1:  # the page is being drawn again
            page.wait_for_timeout(100)
        button(page, "More").click()
        page.get_by_text("All trials as CSV").click()
    assert len(started.value.path().read_text().splitlines()) == control.status(folder).trials + 1
