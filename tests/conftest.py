"""Settings of all tests."""

from pathlib import Path

import pytest
from hypothesis import settings

# The machine may be slow and shared: a timing never decides a test.
settings.register_profile("default", deadline=None)
settings.load_profile("default")


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew instead of comparing")


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
