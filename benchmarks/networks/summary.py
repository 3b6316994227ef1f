"""What the cells come to: geometric means with the number of cells behind each, cells where AGO is behind, goals."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from benchmarks.networks.cells import SPECS
from benchmarks.networks.limits import floor_seconds
from benchmarks.networks.peers import AGO, HEURISTIC, STOCK, UNFUSED, WHOLE, counts
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
NETWORKS = "networks"


@dataclass(frozen=True)
class Goal:
    """What AGO in full shall reach over the networks.

    Attributes:
        trials: of each peer that tunes.
        figure: of MEANS, or the list of cells behind the heuristic.
        least: geometric mean; None where the list shall be empty.
    """

    trials: int
    figure: str
    least: float | None


GOALS = (
    Goal(1000, "vs_stock", 3.3),
    Goal(1000, "vs_fastest_peer", 1.2),
    Goal(1000, "vs_unfused", 1.1),
    Goal(1000, "cells_behind_heuristic", None),
    Goal(0, "vs_fastest_peer", 1 / 1.3),
)


def milliseconds(cell: dict, names: Iterable[str]) -> float | None:
    """Of the fastest of the peers that count and have a right result; None where there is none."""
    compared = [cell["peers"].get(name, {}) for name in names if counts(name, cell["trials"])]
    return min((record["ms"][0] for record in compared if "ms" in record), default=None)


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
        "cells": len(cells),
        "ceilings": {name: mean(ceiling(results, cell, peers) for cell in cells) for name, peers in MEANS.items()},
        "share_of_limit": mean(share(results, cell, AGO) for cell in cells),
        "cells_behind_heuristic": behind(cells),
    }


def share(results: dict, cell: dict, peer: str) -> float | None:
    """Of the physical limit: the roofline's time over the peer's."""
    taken = milliseconds(cell, [peer])
    limit = floor_seconds(cell["limits"], results["networks"][cell["model"]])
    return None if taken is None else limit * 1e3 / taken


def ceiling(results: dict, cell: dict, names: Iterable[str]) -> float | None:
    """Time of the fastest of the peers over the physical limit: what no code can surpass here."""
    times, ours = ratio(cell, names), share(results, cell, AGO)
    return None if times is None or ours is None else times / ours


def summary(results: dict) -> dict:
    """The headline, of the paper's networks with all threads after the largest budget, and every group by itself."""
    sizes = {(cell["threads"], cell["trials"]) for cell in results["cells"].values()}
    groups = [
        {"threads": threads, "trials": trials, "models": name, "asked": asked, **figures}
        for threads, trials in sorted(sizes, reverse=True)
        for name, real, asked in ((NETWORKS, False, len(SPECS)), ("real models", True, len(REAL_MODELS)))
        for figures in [group(results, _chooser(threads, trials, real))]
        if figures["cells"]
    ]
    headline = next((each for each in groups if each["models"] == NETWORKS), {})
    return headline | {"groups": groups, "goals": [_reached(goal, groups) for goal in GOALS]}


def _reached(goal: Goal, groups: list[dict]) -> dict:
    """A goal beside what was found with most threads: `found` is None, and `reached` false, where nothing was.

    `ceiling` is the geometric mean that code at the physical limit of every cell would have; None for a list.
    """
    known = [each for each in groups if (each["models"], each["trials"]) == (NETWORKS, goal.trials)]
    most = max(known, key=lambda each: each["threads"], default=None)
    figure = most and most[goal.figure]
    found = len(figure) if isinstance(figure, list) else figure and figure["mean"]
    cells = figure["cells"] if isinstance(figure, dict) else most["cells"] if most else 0
    reached = found is not None and (found == 0 if goal.least is None else found >= goal.least)
    most_there_is = most["ceilings"].get(goal.figure) if most else None
    more = {"cells": cells, "asked": len(SPECS), "reached": reached, "ceiling": most_there_is and most_there_is["mean"]}
    return vars(goal) | {"found": found} | more


def _chooser(threads: int, trials: int, real: bool) -> Callable[[dict], bool]:
    return lambda cell: (cell["threads"], cell["trials"], cell["model"] in REAL_MODELS) == (threads, trials, real)
