"""Emulated arm64 devices as fixtures: import `emulated` and `phone` into a test module and mark it `emulated`."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ago_core.artifacts.linker import AARCH64_VARIABLE
from ago_core.devices.local_group import start_devices, stop_devices
from ago_core.devices.tracker import Address, list_devices
from tests.devices import free_port, until

SCRIPT = Path(__file__).with_name("emulated_arm64.sh")
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
HOME = Path(os.environ.get("EMU_HOME", CACHE / "ago-explorer" / "emulated-arm64"))
SETUP_SECONDS = 420
BOOT_SECONDS = 120


@dataclass(frozen=True)
class Emulated:
    """A tracker for emulated devices; tests must claim nothing about their times."""

    tracker: Address

    @contextlib.contextmanager
    def device(self, key: str, processor: str = "cortex-a76") -> Iterator[str]:
        """A device of its own for the block; its key."""
        command = ["bash", str(SCRIPT), "serve", str(self.tracker), key, processor]
        with (HOME / f"{key}.log").open("wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        try:
            until(lambda: key in {device.key for device in list_devices(self.tracker)}, BOOT_SECONDS)
            yield key
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture(scope="session")
def emulated(tmp_path_factory) -> Iterator[Emulated]:
    """Sets the device up on first use (minutes, 200 MB), and a tracker; skips with the reason where that fails."""
    environment = os.environ | {"PYTHON": sys.executable}
    try:
        done = subprocess.run(
            ["bash", str(SCRIPT), "setup"],
            capture_output=True,
            text=True,
            env=environment,
            timeout=SETUP_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"the emulated device was not set up in {SETUP_SECONDS} seconds")
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        pytest.skip(f"the emulated device cannot be set up: {reason}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGO_STATE", str(tmp_path_factory.mktemp("state")))
        patch.setenv(AARCH64_VARIABLE, str(HOME / "bin" / "aarch64-link"))
        group = start_devices(1, "host", threads=1, port=free_port())
        yield Emulated(group.tracker)
        stop_devices(group)


@pytest.fixture(scope="session")
def phone(emulated: Emulated) -> Iterator[str]:
    """The key of a Cortex-A76."""
    with emulated.device("phone") as key:
        yield key
