"""What the cells come to: geometric means with the number of cells behind each, and cells where AGO is behind."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable

from benchmarks.networks.limits import floor_seconds
from benchmarks.networks.peers import AGO, HEURISTIC, PEERS, STOCK, UNFUSED, WHOLE
from benchmarks.networks.real_models import REAL_MODELS

INFERENCE = ("onnxruntime", "openvino")
"""What users would pick instead; the faster one counts."""
MEANS: dict[str, tuple[str, ...]] = {
    "vs_stock": STOCK,
    "vs_fastest_peer": INFERENCE,
    "vs_iree": ("iree",),
    "vs_heuristic": (HEURISTIC,),
    "vs_unfused": (UNFUSED,),
    "vs_whole": (WHOLE,),
}
"""How many times as long as AGO the fastest of these peers takes."""


def milliseconds(cell: dict, names: Iterable[str]) -> float | None:
    """Of the fastest of the peers that have a right result; None where none has."""
    return min((cell["peers"][name]["ms"][0] for name in names if "ms" in cell["peers"].get(name, {})), default=None)


def ratio(cell: dict, names: Iterable[str]) -> float | None:
    """Time of the fastest of the peers over AGO's; above 1 AGO is faster."""
    ours, theirs = milliseconds(cell, [AGO]), milliseconds(cell, names)
    return None if ours is None or theirs is None else theirs / ours


def mean(ratios: Iterable[float | None]) -> dict | None:
    """{"mean": geometric, "least", "cells": how many}; None without any."""
    known = [value for value in ratios if value is not None]
    if not known:
        return None
    return {"mean": statistics.geometric_mean(known), "least": min(known), "cells": len(known)}


def behind(cells: Iterable[dict]) -> list[dict]:
    """Cells in which AGO takes longer than TVM's partition in the same spaces.

    `beyond_spread`: whether the quartiles do not overlap, so that it is not chance alone.
    """
    found = []
    for cell in cells:
        times = ratio(cell, [HEURISTIC])
        if times is not None and times < 1:
            ours, theirs = (cell["peers"][name]["ms"] for name in (AGO, HEURISTIC))
            where = {key: cell[key] for key in ("model", "threads", "trials")}
            found.append(where | {"ratio": times, "beyond_spread": ours[1] > theirs[2]})
    return found


def group(results: dict, chosen: Callable[[dict], bool]) -> dict:
    """The figures of the cells that are chosen."""
    cells = [cell for cell in results["cells"].values() if chosen(cell)]
    means = {name: mean(ratio(cell, peers) for cell in cells) for name, peers in MEANS.items()}
    return means | {
        "share_of_limit": mean(share(results, cell, AGO) for cell in cells),
        "cells_behind_heuristic": behind(cells),
    }


def share(results: dict, cell: dict, peer: str) -> float | None:
    """Of the physical limit: the roofline's time over the peer's."""
    taken = milliseconds(cell, [peer])
    limit = floor_seconds(results["limits"][str(cell["threads"])], results["networks"][cell["model"]])
    return None if taken is None else limit * 1e3 / taken


def summary(results: dict) -> dict:
    """The headline, of the paper's networks with all threads after the largest budget, and every group by itself."""
    sizes = {(cell["threads"], cell["trials"]) for cell in results["cells"].values()}
    groups = [
        {"threads": threads, "trials": trials, "models": name, **figures}
        for threads, trials in sorted(sizes, reverse=True)
        for name, real in (("networks", False), ("real models", True))
        for figures in [group(results, _chooser(threads, trials, real))]
        if any(figures.values())
    ]
    headline = next((each for each in groups if each["models"] == "networks"), {})
    return headline | {"groups": groups}


def _chooser(threads: int, trials: int, real: bool) -> Callable[[dict], bool]:
    return lambda cell: (cell["threads"], cell["trials"], cell["model"] in REAL_MODELS) == (threads, trials, real)


def titles(names: Iterable[str]) -> list[str]:
    return [PEERS[name].title for name in names]
