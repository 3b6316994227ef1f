"""The results file: where, with what, and a record for each cell.

environment, seed   of the machine that all of it was measured on
networks            by model: FLOPs, bytes, operators, partition statistics; or why it cannot be had
cells               by name, see `measure.measured`
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from benchmarks.environment import environment
from benchmarks.networks.sessions import SEED
from benchmarks.resumable import save

FILE = "networks.json"
ROOT = Path(__file__).resolve().parents[2]


class OtherMachine(Exception):
    """The results are of another machine or other versions; the message is a sentence."""


def read(folder: Path, file: str = FILE) -> dict:
    """What has been measured; empty where nothing has."""
    path = folder / file
    return json.loads(path.read_text()) if path.exists() else {}


def opened(folder: Path, file: str = FILE) -> dict:
    """The results to go on with.

    Raises:
        OtherMachine: see there.
    """
    here, old = environment(), read(folder, file)
    if not old:
        return {"environment": here, "seed": SEED, "networks": {}, "cells": {}}
    for key in ("machine", "versions"):
        if old["environment"][key] != here[key]:
            raise OtherMachine(
                f"{folder / file} was measured with {key} {old['environment'][key]}, and here it is {here[key]}: "
                "choose another folder with --results, or move it away."
            )
    return old


def write(folder: Path, results: dict, file: str = FILE) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    save(folder / file, results)


def revision() -> str:
    """Of the code, where git tells; with a plus where files of it have been changed since."""
    try:
        command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--exclude=*"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
