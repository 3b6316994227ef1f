"""Environments of the peers: a venv each, made on first use, with pinned versions."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

STAMP = "requirements.txt"
INSTALL_SECONDS = 1200


class Unavailable(Exception):
    """A peer or a model cannot be had here; the message is a sentence that says why."""


@dataclass(frozen=True)
class Environment:
    """Packages that are installed together.

    Attributes:
        name: of its folder.
        requirements: as pip takes them, pinned.
    """

    name: str
    requirements: tuple[str, ...]


def ensure(environment: Environment, folder: Path) -> Path:
    """The environment's Python; it is made in a folder of `folder` unless it is there with these requirements.

    Raises:
        Unavailable: pip or venv fail.
    """
    home = folder / environment.name
    python, stamp, wanted = home / "bin" / "python", home / STAMP, "\n".join(environment.requirements)
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    shutil.rmtree(home, ignore_errors=True)
    run([sys.executable, "-m", "venv", str(home)], f"The environment {environment.name} cannot be made")
    what = f"{' '.join(environment.requirements)} cannot be installed"
    run([str(python), "-m", "pip", "install", "--quiet", *PIP, *environment.requirements], what)
    stamp.write_text(wanted)
    return python


PIP = ("--disable-pip-version-check", "--no-input", "--only-binary=:all:")


def run(command: list[str], what: str) -> None:
    """Raises Unavailable, with `what` and the command's last line, where it fails or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{what} within {INSTALL_SECONDS} s.") from error
    except OSError as error:
        raise Unavailable(f"{what}: {error.strerror}.") from error
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise Unavailable(f"{what}: {(errors or ['no reason given'])[-1][:200]}")
