"""Predicts which candidates are fast: boosted trees, one model for all tasks of a session.

MetaSchedule's own XGBModel predicts at random until it has 100 samples, trains with callbacks in Python for hundreds of
rounds, and keeps every sample. This one begins after WARM_UP, trains in hundredths of a second, and forgets. What it
predicts is the best time of a task over that of the candidate, so that tasks of any size teach each other.

What describes a candidate:

* in MetaSchedule's spaces its own 164 features of every store (src/s_tir/meta_schedule/feature_extractor), summed and
  maximised over the stores; they took two thirds of the search's time, 5 to 13 ms for a candidate;
* in this project's spaces the cuts themselves: a space has two to ten, and the same code makes all spaces.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xgboost
from tvm.ir.utils import derived_object
from tvm.s_tir.meta_schedule import TuneContext
from tvm.s_tir.meta_schedule.cost_model import PyCostModel
from tvm.s_tir.meta_schedule.feature_extractor import PerStoreFeature
from tvm.s_tir.meta_schedule.runner import RunnerResult
from tvm.s_tir.meta_schedule.search_strategy import MeasureCandidate

WARM_UP = 8
"""Samples before the first training."""
GROWTH = 1.2
"""Times the samples of the last training that there must be before the next."""
KEPT = 4096
"""Samples, the latest."""
ROUNDS = 40
SETTINGS = {"max_depth": 6, "eta": 0.2, "tree_method": "hist", "nthread": 1, "objective": "reg:squarederror"}
MAX_CUTS = 16
"""Cuts that are told to the model."""

Features = Callable[[TuneContext, list[MeasureCandidate]], np.ndarray]
"""One row for each candidate."""


def store_features(context: TuneContext, candidates: list[MeasureCandidate]) -> np.ndarray:
    """MetaSchedule's: [candidates, 328]."""
    every = [stores.numpy() for stores in PerStoreFeature().extract_from(context, candidates)]
    return np.stack([np.concatenate([stores.sum(axis=0), stores.max(axis=0)]) for stores in every]).astype("float32")


def cut_features(context: TuneContext, candidates: list[MeasureCandidate]) -> np.ndarray:
    """Steps of the trace, and of each sampled cut the binary logarithms of both parts: [candidates, 1 + 2·MAX_CUTS]."""
    return np.array([_cuts_of(candidate.sch.trace) for candidate in candidates], "float32")


def _cuts_of(trace) -> list[float]:
    decisions = trace.decisions
    ordered = [decisions[step] for step in trace.insts if step in decisions]
    logarithms = [math.log2(int(part)) for cut in ordered[:MAX_CUTS] for part in cut]
    return [float(len(trace.insts)), *logarithms, *[-1.0] * (2 * MAX_CUTS - len(logarithms))]


@dataclass(frozen=True)
class Sample:
    """One measured candidate: its task, its features, and its seconds, infinite where it failed."""

    task: str
    features: np.ndarray
    seconds: float


@derived_object
class CostModel(PyCostModel):
    """For `TuneContext.pre_tuning`; `TuneContext.task_name` tells tasks apart."""

    def __init__(self, features: Features, seed: int):
        super().__init__()
        self._features = features
        self._random = np.random.default_rng(seed)
        self._seed = seed
        self._samples: deque[Sample] = deque(maxlen=KEPT)
        self._best: dict[str, float] = {}
        self._since_training = 0
        self._trees: xgboost.Booster | None = None

    def update(self, context: TuneContext, candidates: list[MeasureCandidate], results: list[RunnerResult]) -> None:
        task = str(context.task_name)
        for features, result in zip(self._features(context, candidates), results):
            seconds = float(result.run_secs[0]) if result.run_secs else math.inf
            self._samples.append(Sample(task, features, seconds))
            self._best[task] = min(self._best.get(task, math.inf), seconds)
        self._since_training += len(candidates)
        if len(self._samples) >= WARM_UP and self._since_training >= (1 - 1 / GROWTH) * len(self._samples):
            self._train()

    def predict(self, context: TuneContext, candidates: list[MeasureCandidate]) -> np.ndarray:
        if self._trees is None:
            return self._random.uniform(size=len(candidates))
        return self._trees.inplace_predict(self._features(context, candidates)).astype("float64")

    def _train(self) -> None:
        speeds = [0 if math.isinf(each.seconds) else self._best[each.task] / each.seconds for each in self._samples]
        data = xgboost.DMatrix(np.stack([each.features for each in self._samples]), label=np.array(speeds))
        self._trees = xgboost.train(SETTINGS | {"seed": self._seed}, data, ROUNDS)
        self._since_training = 0
