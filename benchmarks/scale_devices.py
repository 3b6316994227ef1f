"""The rate of a tuning session against the number of devices, which are simulated."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ago_core.devices.local_group import start_devices, stop_devices
from ago_core.devices.tracker import Address, list_devices
from ago_core.tuning import control
from ago_core.tuning.events import State
from ago_core.tuning.journal import read_journal
from ago_core.tuning.settings import ABLATIONS, RemoteDevice, TuningSettings

MODEL = "squeezenet@56"
KEY = "simulated"
SECONDS = 5.0
"""Of a timing; building a trial and searching for it takes a fraction of a second of this machine."""
CALLS = 2
"""Timings of a trial: a short one, then the one that counts (`bench.time_function`)."""
BATCH = 4
"""Times the number of devices: the candidates measured together."""
BATCHES = 3
"""Of which the rate is taken, after the first."""
ENDLESS = 1_000_000
"""Trials: the session is stopped, so that its last check, which compares on one device, plays no part."""


def rate(count: int) -> dict:
    """Trials a second of a session on so many devices."""
    batch = BATCH * count
    with simulated_devices(count) as tracker, tempfile.TemporaryDirectory(prefix="ago-scale-") as folder:
        device = RemoteDevice(tracker.host, tracker.port, KEY, "host")
        settings = TuningSettings(ENDLESS, device, ABLATIONS["heuristic"], batch)
        elapsed = _session(Path(folder) / "session", settings, batch * (BATCHES + 1))
    measured = elapsed[batch - 1 :]
    seconds = measured[-1] - measured[0]
    return {"trials": len(measured) - 1, "seconds": seconds, "trials_per_second": (len(measured) - 1) / seconds}


def _session(folder: Path, settings: TuningSettings, trials: int) -> list[float]:
    """Seconds at which each trial was done, until there are so many."""
    control.create(folder, control.Request(MODEL, {}, settings))
    control.start(folder)
    while (status := control.status(folder)).trials < trials:
        if status.state.ended or status.state is State.PAUSED:
            sys.exit(f"The session is {status.state.value}: {status.reason}")
        time.sleep(0.5)
    control.stop(folder)
    control.wait(folder, tuple(state for state in State if state.ended), 600)
    with read_journal(folder) as journal:
        return [trial.elapsed for trial in journal.trials()][:trials]


@contextlib.contextmanager
def simulated_devices(count: int) -> Iterator[Address]:
    """A tracker that so many of them have registered with; all end with the block."""
    group = start_devices(0, KEY)
    command = [sys.executable, "-m", "benchmarks.simulated_devices", "--tracker", str(group.tracker), "--key", KEY]
    servers = subprocess.Popen([*command, "--count", str(count), "--seconds", str(SECONDS)], stderr=subprocess.DEVNULL)
    try:
        while len(list_devices(group.tracker)) < count:
            if servers.poll() is not None:
                sys.exit("The simulated devices do not start.")
            time.sleep(0.2)
        yield group.tracker
    finally:
        servers.terminate()
        servers.wait()
        stop_devices(group)
