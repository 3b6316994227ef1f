"""Where the time of an inference went, as plain data: what `profiler.measure_profiles` measured."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from ago_core.errors import UserError
from ago_core.partition.compare import overlaps

SCHEMA = 1


@dataclass(frozen=True)
class Spread:
    """Of repeated measurements, in seconds."""

    median: float
    q1: float
    q3: float


def told_apart(first: Spread, second: Spread, runs: int) -> bool:
    """Whether the medians differ by more than their 95 % intervals, of so many runs each.

    The intervals are the notches of box plots, median ± 1.57 · (q3 − q1) / √runs: McGill, Tukey and Larsen 1978.
    """
    reach = [1.57 * (spread.q3 - spread.q1) / math.sqrt(runs) for spread in (first, second)]
    return abs(first.median - second.median) > sum(reach)


@dataclass(frozen=True)
class KernelCall:
    """One kernel of one inference.

    Attributes:
        subgraph: its index in the partition.
        start: seconds since the inference began.
        seconds: that it took.
    """

    subgraph: int
    start: float
    seconds: float


@dataclass(frozen=True)
class Profile:
    """One plan of a model, measured on this machine.

    Attributes:
        model_hash: of the graph.
        method: how the partition was made.
        groups: operator ids of each subgraph, in the partition's order.
        fusion: whether the analytic schedule could put several stages into one nest (intensive fusion).
        tuned: the folder of the session whose functions were compiled; "" where none were.
        max_rel_error: of the outputs against ONNX Runtime's, see `reference.relative_error`.
        tolerance: that it must not exceed.
        whole: seconds of an inference, without any clock inside.
        subgraphs: seconds of each subgraph's kernel; None where it has none: a view of a tensor, or a library call.
        calls: the kernels of that inference, with the clock, whose kernels' sum was the median.
        clock: seconds that timing a call takes by itself; taken off each of `subgraphs` and `calls`.
        runs: inferences without the clock, and as many with it.
        threads: that ran it.
        machine: the processor.
        target: what was compiled for.
        build_seconds: from the partition to the executable.
        at: when it was measured, Unix time.
    """

    model: str
    model_hash: str
    method: str
    groups: tuple[tuple[int, ...], ...]
    fusion: bool
    tuned: str
    max_rel_error: float
    tolerance: float
    whole: Spread
    subgraphs: tuple[Spread | None, ...]
    calls: tuple[KernelCall, ...]
    clock: float
    runs: int
    threads: int
    machine: str
    target: str
    build_seconds: float
    at: float

    @property
    def sum_of_parts(self) -> float:
        """Seconds: the sum of the subgraphs' medians."""
        return sum(part.median for part in self.subgraphs if part)

    @property
    def correct(self) -> bool:
        return self.max_rel_error <= self.tolerance

    @property
    def key(self) -> str:
        """The same for every profile of one plan: see `plan_key`."""
        return plan_key(self.model_hash, self.groups, self.fusion, self.tuned)

    def to_json(self) -> dict:
        return {"schema": SCHEMA, **asdict(self)}


def plan_key(model_hash: str, groups: Sequence[Sequence[int]], fusion: bool, tuned: str) -> str:
    """A content hash of what was compiled, but for what a session found since: its partition is part of it."""
    content = json.dumps([SCHEMA, model_hash, [list(group) for group in groups], fusion, tuned])
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def profile_from_json(data: object) -> Profile:
    """Reads what `Profile.to_json` wrote.

    Raises:
        UserError: it is something else, or of another version.
    """
    if not isinstance(data, Mapping) or data.get("schema") != SCHEMA:
        raise UserError("This is no profile of this version: measure again.")
    try:
        fields = {name: value for name, value in data.items() if name != "schema"}
        fields["groups"] = tuple(tuple(map(int, group)) for group in data["groups"])
        fields["whole"] = Spread(**data["whole"])
        fields["subgraphs"] = tuple(part and Spread(**part) for part in data["subgraphs"])
        fields["calls"] = tuple(KernelCall(**call) for call in data["calls"])
        return Profile(**fields)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"The profile cannot be read: {error!r}. Measure again.") from error


@dataclass(frozen=True)
class Share:
    """Subgraphs of two plans over the same operators, as few as can be compared by themselves.

    Attributes:
        before, after: indices of subgraphs in the first plan and in the second.
        seconds_before, seconds_after: the sums of their medians.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]
    seconds_before: float
    seconds_after: float

    @property
    def change(self) -> float:
        """Seconds that the second plan takes longer; negative where it is faster."""
        return self.seconds_after - self.seconds_before


@dataclass(frozen=True)
class Difference:
    """Where the time went that one plan takes longer than another; `shares` and `rest` sum to `whole`.

    Attributes:
        shares: in the order of the first plan's subgraphs.
        rest: seconds of the whole difference that lie in no kernel: between them, and whatever else the machine did.
        whole: seconds that an inference of the second plan takes longer; negative where it is faster.
    """

    shares: tuple[Share, ...]
    rest: float
    whole: float


def difference(before: Profile, after: Profile) -> Difference:
    """Compares two profiles of one model.

    Raises:
        ValueError: they are of different models.
    """
    if before.model_hash != after.model_hash:
        raise ValueError("only plans of one model can be compared")
    shares = tuple(
        Share(left, right, _seconds(before, left), _seconds(after, right))
        for left, right in overlaps(before.groups, after.groups)
    )
    whole = after.whole.median - before.whole.median
    return Difference(shares, whole - sum(share.change for share in shares), whole)


def _seconds(profile: Profile, indices: Sequence[int]) -> float:
    return sum(part.median for index in indices if (part := profile.subgraphs[index]))
