"""What is compared: a model, on so many threads, after so many trials."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.networks.real_models import REAL_MODELS
from sample_models import SAMPLES

THREADS = (2, 1)
BUDGETS = (0, 1000, 200)
"""Trials, the most telling first."""
SPECS = tuple(f"{sample.name}@{sample.sizes[rank]}" for rank in (2, 1, 0) for sample in SAMPLES.values())
"""The paper's networks, the largest inputs first."""

QUICK = ("mobilenet_v2@56", "squeezenet@56", "bert_tiny@32")
QUICK_TRIALS = 64
"""More than the last of them has functions: with fewer, some would be left as they are."""


@dataclass(frozen=True)
class Cell:
    """One comparison.

    Attributes:
        model: a sample such as "mobilenet_v2@224", or a name of REAL_MODELS.
        threads: of all peers.
        trials: measured candidates of each peer that tunes.
    """

    model: str
    threads: int
    trials: int

    @property
    def name(self) -> str:
        return f"{self.model}, {self.threads} threads, {self.trials} trials"

    @property
    def is_sample(self) -> bool:
        return self.model not in REAL_MODELS


def cells(models: Iterable[str] = (), threads: Iterable[int] = (), trials: Iterable[int] = ()) -> list[Cell]:
    """The cells that are asked for, the most useful first; an empty choice means all.

    Args:
        models: names or their beginnings, such as "mobilenet" or "bert_tiny@32"; "real" for all of REAL_MODELS.
        trials: budgets, any number.

    Raises:
        ValueError: a name fits no model.
    """
    every = (*SPECS, *REAL_MODELS)
    wanted = [name for asked in models for name in _named(asked, every)] or every
    found = [
        Cell(model, count, budget)
        for count in tuple(threads) or THREADS
        for budget in tuple(trials) or BUDGETS
        for model in every
        if model in wanted
    ]
    return sorted(found, key=_usefulness)  # stable: within a group as above


def quick(threads: Iterable[int] = ()) -> list[Cell]:
    """A subset of all peers that takes minutes: three small networks without a trial, then the least one tuned."""
    counts = tuple(threads) or THREADS[:1]
    untuned = [Cell(model, count, 0) for count in counts for model in QUICK]
    return untuned + [Cell(QUICK[-1], count, QUICK_TRIALS) for count in counts]


def _named(asked: str, every: tuple[str, ...]) -> list[str]:
    found = [name for name in every if name.startswith(asked) or (asked == "real" and name in REAL_MODELS)]
    if not found:
        raise ValueError(f"No model is called {asked!r}; there are {', '.join(every)}, and real for the last ones.")
    return found


def _usefulness(cell: Cell) -> tuple:
    """All threads before one, the budgets that are compared most before the one between, the paper's networks first."""
    between = cell.trials == BUDGETS[-1]
    return -cell.threads, between, not cell.is_sample
