"""Settings of all tests."""

import contextlib
import os
import re
from pathlib import Path

import pytest
from hypothesis import settings

from ago_core.devices.cores import CAN_PIN, allowed_cores

# The machine may be slow and shared: a timing never decides a test.
settings.register_profile("default", deadline=None)
settings.load_profile("default")


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew instead of comparing")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Keeps a picture of the page at which a browser test failed."""
    report = yield
    if report.when == "call" and report.failed and item.get_closest_marker("browser"):
        from tests import screenshots

        page = item.funcargs.get("page") or getattr(item.funcargs.get("panels"), "page", None)
        with contextlib.suppress(Exception):  # whatever hinders the picture, the failure is what is reported
            screenshots.keep(page, "failed-" + re.sub(r"\W+", "-", item.name))
    return report


@pytest.fixture(autouse=True)
def cores_stay():
    """A test that keeps the process on fewer cores would slow down, or fail, whatever test comes after it."""
    before = allowed_cores()
    yield
    after = allowed_cores()
    if CAN_PIN:
        os.sched_setaffinity(0, before)
    assert after == before, "the test took cores from the process"


@pytest.fixture
def golden(request):
    """Compares a text with tests/golden/NAME; with --update-golden it writes the file."""

    def compare(name: str, text: str) -> None:
        path = Path(__file__).parent / "golden" / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        assert path.exists(), f"{name} has no golden file: run pytest --update-golden"
        assert text == path.read_text(), f"{name} changed: look at the difference, then run pytest --update-golden"

    return compare


@pytest.fixture(scope="module")
def shared_store():
    """One store for all tests of a module: a model is loaded once."""
    from app.services import models

    return models.ModelStore(models.load)


@pytest.fixture
def app(monkeypatch, shared_store, tmp_path):
    """The app on SPEC, loaded; what it keeps on disk lies in a folder of the test's own."""
    from app import state
    from tests import app_driver

    monkeypatch.setenv("AGO_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(state, "model_store", lambda: shared_store)
    return app_driver.opened(app_driver.SPEC)


@pytest.fixture
def edited(app):
    """The heuristic's partition, to be edited in the left panel."""
    app.button(key="icon-edit-left").click().run()
    return app


@pytest.fixture
def saved(tmp_path):
    """Writes a model, or bytes; its path."""

    def save(model):
        path = tmp_path / "tiny.onnx"
        path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
        return path

    return save


@pytest.fixture
def refusal(saved):
    """The sentence with which a model is refused."""

    from tests.source_models import refusal_of

    def refuse(model, dims=None):
        path = saved(model)
        before = sorted(path.parent.rglob("*"))
        sentence = refusal_of(path, dims)
        assert sorted(path.parent.rglob("*")) == before
        return sentence

    return refuse
