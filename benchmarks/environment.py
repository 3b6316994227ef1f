"""What stands beside every measured figure: machine, versions, date."""

from __future__ import annotations

import datetime

from ago_core.artifacts.verify import versions
from ago_core.devices.cores import physical_cores
from ago_core.devices.local import machine


def environment() -> dict:
    return {
        "machine": machine(),
        "cores": physical_cores(),
        "versions": versions(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
