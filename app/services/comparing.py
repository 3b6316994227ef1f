"""Two plans beside each other: which there are, and what was measured of them, as rows, steps and bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from ago_core.artifacts.profile import Difference, Profile, Share, difference, told_apart
from ago_core.errors import UserError
from ago_core.graph.opgraph import OpGraph
from ago_core.partition.metrics import crossing_bytes
from app.services.answers import names
from app.services.describe import boundary
from app.services.loaded import METHOD_NAMES
from app.services.measured import Measured, Plan
from app.services.study import Study
from app.services.tuning import SessionStore, result, results
from visualizers.gantt import Bar
from visualizers.units import milliseconds, nbytes
from visualizers.waterfall import Step, signed

NO_FUSION = "no-fusion"
MOST_STEPS = 12
APART_SECONDS = 600.0
"""Profiles that are further apart may have met another machine: warmer, or busier."""
BUSY = 1.5
"""Times the sum of its kernels: a whole that takes longer was interrupted by something else."""
FIGURE, MEASURED, ABOUT = "Figure", "How", "What it says"


def plans(study: Study, store: SessionStore) -> dict[str, Plan]:
    """All that can be compared, by a key that an address can hold: partitions, and results of sessions on this machine.

    Without intensive fusion only where there are subgraphs with several complex operators: else it is the same code.
    """
    found: dict[str, Plan] = {}
    for method, view in study.views.items():
        found[method] = Plan(view.partition)
        if max(view.complex_counts) > 1:
            found[f"{method}:{NO_FUSION}"] = Plan(view.partition, fusion=False)
    for row in results(store.rows(), study.graph.model_hash):
        if row.threads:  # of this machine: what was tuned for another one does not run here
            try:
                found[f"session:{row.key}"] = Plan(
                    result(row.folder, study.graph)[0], tuned=row.folder, threads=row.threads
                )
            except UserError:
                continue
    return found


def plan_title(key: str) -> str:
    """A plan as people read it."""
    kind, _, rest = key.partition(":")
    if kind == "session":
        return f"Tuned by {rest}"
    return METHOD_NAMES[kind] + (", no intensive fusion" if rest else "")


def verdict(before: Measured, after: Measured, titles: Sequence[str]) -> str:
    """Which plan is faster and how far, and whether the spreads say so too."""
    first, second = before.profile.whole, after.profile.whole
    if not told_apart(first, second, min(before.profile.runs, after.profile.runs)):
        return "The medians are too close for their spreads: these runs do not tell the two apart."
    faster, slower = (1, 0) if second.median < first.median else (0, 1)
    times = (first.median, second.median)
    ratio = times[slower] / times[faster]
    return f"{titles[faster]} takes {milliseconds(times[slower] - times[faster])} less: {ratio:.3g} times as fast."


def doubts(before: Measured, after: Measured) -> list[str]:
    """What stands against comparing the two, each a sentence."""
    first, second = before.profile, after.profile
    found = []
    if (first.machine, first.threads) != (second.machine, second.threads):
        found.append(f"{first.threads} threads of {first.machine} against {second.threads} of {second.machine}.")
    elif abs(first.at - second.at) > APART_SECONDS:
        found.append("The two were measured at different times: measure both again for a fair comparison.")
    busy = [one for one in (first, second) if one.whole.median > BUSY * one.sum_of_parts]
    if busy:
        found.append(
            f"An inference took {busy[0].whole.median / busy[0].sum_of_parts:.1f} times as long as its kernels "
            "together: other programs were using the machine. Per-subgraph medians suffer less from it."
        )
    return found


def difference_of(before: Measured, after: Measured) -> Difference:
    return difference(before.profile, after.profile)


def steps(graph: OpGraph, found: Difference, before: Plan) -> list[Step]:
    """The largest gains and losses, the smaller ones as one, and what lies in no kernel; their sum is the whole."""
    ranked = sorted(found.shares, key=lambda share: -abs(share.change))
    shown = sorted(ranked[:MOST_STEPS], key=lambda share: share.change)
    rest = [share for share in ranked[MOST_STEPS:] if share.change]
    rows = [Step(share_name(share), share.change, share_about(graph, share, before)) for share in shown if share.change]
    if rest:
        rows.append(Step(f"{len(rest)} smaller", sum(share.change for share in rest), "all other subgraphs together"))
    return [*rows, Step("Not in kernels", found.rest, "calls, allocation, and what else the machine did")]


def share_name(share: Share) -> str:
    """Such as "S3, S4 → S2"."""
    return f"{_listed(share.before)} → {_listed(share.after)}"


def share_about(graph: OpGraph, share: Share, before: Plan) -> str:
    operators = [op for index in share.before for op in before.partition.subgraphs[index]]
    times = f"{milliseconds(share.seconds_before)} → {milliseconds(share.seconds_after)}"
    return f"{times}<br>{names(graph, operators)}"


def _listed(indices: Sequence[int]) -> str:
    found = [f"S{index}" for index in indices]
    return ", ".join(found[:3]) + (f" +{len(found) - 3}" if len(found) > 3 else "")


def bars(graph: OpGraph, found: Difference, profile: Profile, after: bool) -> list[Bar]:
    """The kernels of one inference, end to end: the gaps that were measured are mostly the clock's own doing.

    Those of one share are kin.
    """
    kin = {}
    for number, share in enumerate(found.shares):
        kin.update(dict.fromkeys(share.after if after else share.before, number))
    rows, begun = [], 0.0
    for call in profile.calls:
        about = names(graph, profile.groups[call.subgraph])
        rows.append(Bar(f"S{call.subgraph}", begun, call.seconds, kin[call.subgraph], about))
        begun += call.seconds
    return rows


def figure_rows(graph: OpGraph, columns: Mapping[str, tuple[Plan, Measured]]) -> list[dict[str, str]]:
    """Times and traffic, a column for each plan, each row saying whether it was measured or computed."""
    return [
        {FIGURE: label, **{title: text(graph, *pair) for title, pair in columns.items()}, MEASURED: kind, ABOUT: about}
        for label, kind, about, text in _FIGURES
    ]


def _whole(_graph: OpGraph, _plan: Plan, found: Measured) -> str:
    spread = found.profile.whole
    return f"{milliseconds(spread.median)} ({milliseconds(spread.q1)} to {milliseconds(spread.q3)})"


def _parts(_graph: OpGraph, _plan: Plan, found: Measured) -> str:
    return milliseconds(found.profile.sum_of_parts)


def _between(_graph: OpGraph, _plan: Plan, found: Measured) -> str:
    return signed((found.total - found.profile.sum_of_parts) * 1e6)


def _kernels(_graph: OpGraph, _plan: Plan, found: Measured) -> str:
    return str(len(found.profile.calls))


def _crossing(graph: OpGraph, plan: Plan, _found: Measured) -> str:
    return nbytes(crossing_bytes(graph, plan.partition))


def traffic(graph: OpGraph, plan: Plan) -> int:
    """Bytes that the kernels read and write in one inference if no cache holds them: each tensor once a subgraph."""
    edges = [boundary(graph, members) for members in plan.partition.subgraphs]
    return sum(edge.activations + edge.weights + edge.results for edge in edges)


def _traffic(graph: OpGraph, plan: Plan, _found: Measured) -> str:
    return nbytes(traffic(graph, plan))


_FIGURES = (
    ("End to end", "measured", "An inference without any clock inside: the median and the quartiles.", _whole),
    (
        "Sum of the kernels",
        "measured",
        "Of each subgraph the median, each call timed in its place, less what the clock takes.",
        _parts,
    ),
    (
        "Not in kernels",
        "measured",
        "End to end less that sum: calls and allocation; below zero where timing slows the kernels.",
        _between,
    ),
    ("Kernels", "measured", "Called in an inference.", _kernels),
    ("Between subgraphs", "computed", "Bytes that one subgraph writes for another to read.", _crossing),
    (
        "Read and written",
        "computed",
        "Bytes of all subgraphs' inputs, weights and results, each once and whole, tables that are looked up too.",
        _traffic,
    ),
)


def when(profile: Profile) -> str:
    """How the profile came about, in one line."""
    at = datetime.fromtimestamp(profile.at)
    threads = f"{profile.threads} thread{'' if profile.threads == 1 else 's'}"
    return f"{at:%Y-%m-%d %H:%M}, {profile.runs} runs, {threads}, {profile.machine}"
