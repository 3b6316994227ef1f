"""The tables of benchmarks/fusion.py's results."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import dataclass

MOBILE = ("mobilenet_v2@224", "mnasnet@224")
WORST = 20


@dataclass(frozen=True)
class Comparison:
    """One chain's record, evaluated. Times are medians in microseconds.

    Attributes:
        record: as benchmarks/fusion.py keeps it.
        apart: of the best code that is not fused.
        chosen: of what is chosen without a trial.
        fused: of the best code in one nest; None where there is none.
    """

    record: dict
    apart: float
    chosen: float
    fused: float | None

    @property
    def chose_to_fuse(self) -> bool:
        return self.record["chose_to_fuse"]

    @property
    def gain(self) -> float:
        """Of the choice; above 1 where it is faster than code apart."""
        return self.apart / self.chosen

    @property
    def best_gain(self) -> float | None:
        """Of the best code in one nest."""
        return None if self.fused is None else self.apart / self.fused

    @property
    def missed(self) -> float:
        """How much faster the best known code is than the choice; 1 where the choice is the best."""
        return self.chosen / min(self.chosen, self.apart, self.fused or self.chosen)


def compare(record: dict) -> Comparison | None:
    """None where a time is missing."""
    if "failed" in record or (record["chose_to_fuse"] and record["chosen"] is None):
        return None
    chosen = record["chosen"] if record["chose_to_fuse"] else record["apart"]
    if record["apart"] is None or chosen is None:
        return None
    fused = [record["fused"][0]] if record["fused"] else []
    if record["chose_to_fuse"] and len(record["groups"]) == 1:  # all stages in one nest
        fused.append(chosen[0])
    return Comparison(record, record["apart"][0], chosen[0], min(fused, default=None))


def table(run: dict) -> str:
    """A row for each kind, the networks of separable convolutions, the worst choices and what cannot be fused."""
    records = list(run["chains"].values())
    compared = [comparison for comparison in map(compare, records) if comparison is not None]
    parts = [
        _kinds_table(compared),
        _mobile(compared),
        _list("Fused by choice, and slower than apart:", _losses(compared), _loss),
        _list("The best known code is over 5 % faster than the choice:", _misses(compared), _miss),
        _refused(compared),
        _list("Wrong, or too much to compile; left out:", [r for r in records if _troubled(r)], _trouble),
        _notes(run),
    ]
    return "\n\n".join(part for part in parts if part)


def _kinds_table(compared: list[Comparison]) -> str:
    heads = (
        *("kind", "chains", "can be fused", "apart / chosen", "apart / best fused", "best known / chosen"),
        *("reuse says yes", "chosen to fuse", "of these slower", "worst of these", "better fused, not chosen"),
    )
    lines = ["| " + " | ".join(heads) + " |", "|---" + "|--:" * (len(heads) - 1) + "|"]
    kinds: dict[str, list[Comparison]] = {}
    for comparison in compared:
        kinds.setdefault(comparison.record["kind"], []).append(comparison)
    order = sorted(kinds.items(), key=lambda item: (item[1][0].record["length"], -len(item[1])))
    for kind, group in [*order, ("all", compared)]:
        lines.append("| " + " | ".join([kind, *summary(group)]) + " |")
    return "\n".join(lines)


def summary(group: list[Comparison]) -> list[str]:
    """The cells of a row, but for its name."""
    chosen = [c for c in group if c.chose_to_fuse]
    fusable = [c for c in group if c.fused is not None]
    return [
        str(len(group)),
        str(len(fusable)),
        _mean([c.gain for c in group]),
        _mean([c.best_gain for c in fusable]),
        _mean([1 / c.missed for c in group]),
        str(sum(all(edge["pays"] for edge in c.record["reuse"]) for c in group)),
        str(len(chosen)),
        str(sum(c.gain < 1 for c in chosen)),
        f"{min(c.gain for c in chosen):.2f}" if chosen else "–",
        str(sum(c.best_gain > 1 for c in fusable if not c.chose_to_fuse)),
    ]


def _mobile(compared: list[Comparison]) -> str:
    lines = []
    for spec in MOBILE:
        for length in (2, 3):
            own = [c for c in compared if spec in c.record["calls"] and c.record["length"] == length]
            fusable = [c.best_gain for c in own if c.best_gain is not None]
            gains = f"apart / chosen {_mean([c.gain for c in own])}, apart / best fused {_mean(fusable)}"
            chosen = [c for c in own if c.chose_to_fuse]
            count = f"{len(chosen)} chosen to fuse, {sum(c.gain < 1 for c in chosen)} of these slower"
            lines.append(f"- {spec}, {len(own)} chains of {length}: {gains}; {count}.")
    return "\n".join(lines)


def _losses(compared: list[Comparison]) -> list[Comparison]:
    return sorted((c for c in compared if c.chose_to_fuse and c.gain < 1), key=lambda c: c.gain)[:WORST]


def _misses(compared: list[Comparison]) -> list[Comparison]:
    return sorted((c for c in compared if c.missed > 1.05), key=lambda c: -c.missed)[:WORST]


def _loss(c: Comparison) -> str:
    return f"{c.gain:.2f}× {_title(c.record)}: apart {c.apart:.1f} µs, chosen {c.chosen:.1f} µs {_groups(c.record)}"


def _miss(c: Comparison) -> str:
    best = "–" if c.fused is None else f"{c.fused:.1f} µs, {_cuts(c.record['task'])}"
    chosen = f"chosen {c.chosen:.1f} µs {_groups(c.record)}" if c.chose_to_fuse else f"chosen apart {c.chosen:.1f} µs"
    return f"{c.missed:.2f}× {_title(c.record)}: {chosen}; apart {c.apart:.1f} µs; best in one nest {best}"


def _refused(compared: list[Comparison]) -> str:
    """Reasons for which no task was possible, and for which chains."""
    reasons: dict[str, list[dict]] = {}
    for c in compared:
        if not c.record["tasks"]:
            for reason in c.record["refused"]:
                reasons.setdefault(reason, []).append(c.record)
    if not reasons:
        return ""
    lines = []
    for reason, records in sorted(reasons.items(), key=lambda item: -len(item[1])):
        kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(r["kind"] for r in records).most_common())
        lines.append(f"- {reason} ({kinds}; such as {_title(records[0])})")
    return "Cannot be in one nest by any task, with TVM's reason:\n\n" + "\n".join(lines)


def _troubled(record: dict) -> bool:
    return bool("failed" in record or record.get("exploded") or record.get("wrong"))


def _trouble(record: dict) -> str:
    said = [record["failed"]] if "failed" in record else []
    said += [f"{name}: {what}" for name, what in record.get("exploded", {}).items()]
    said += [f"{name}: differs by {error:.1e}" for name, error in record.get("wrong", {}).items()]
    return f"{_title(record)}: {'; '.join(said)}"


def _notes(run: dict) -> str:
    where = run["environment"]
    dates = sorted({record["date"] for record in run["chains"].values() if "date" in record})
    when = " to ".join(sorted({dates[0], dates[-1]})) if dates else where["date"]
    return "\n".join(
        (
            f"{where['machine']}, {where['threads']} thread(s), {when}, TVM {where['versions']['apache-tvm']}.",
            "Ratios are geometric means of medians. Apart is a nest for each stage, one after the other; nothing is "
            "tuned. The best fused code is the fastest of some tasks.",
            f"Single ratios are known to about {_spread(run):.0%}: the median distance of a quartile from its median.",
        )
    )


def _spread(run: dict) -> float:
    times = [r[k] for r in run["chains"].values() for k in ("apart", "chosen", "fused") if r.get(k)]
    return statistics.median((high - low) / 2 / middle for middle, low, high in times) if times else 0.0


def _list(title: str, found: list, sentence) -> str:
    return title + "\n\n" + "\n".join(f"- {sentence(each)}" for each in found) if found else ""


def _title(record: dict) -> str:
    return f"{record['name']} ({record['kind']}, {record['shape']})"


def _groups(record: dict) -> str:
    return "(" + " | ".join(f"{stages} by {_cuts(cuts)}" for stages, cuts in record["groups"] if cuts) + ")"


def _cuts(cuts: list | None) -> str:
    return "–" if cuts is None else ", ".join(f"axis {axis}: {extent}" for axis, extent in cuts)


def _mean(ratios: list[float]) -> str:
    return f"{statistics.geometric_mean(ratios):.2f}" if ratios else "–"


def line_of(record: dict) -> str:
    """What is printed of a chain as soon as it is measured."""
    c = compare(record)
    if c is None:
        return f"{_title(record)}: {record.get('failed', 'not timed')}"
    best = "cannot be fused" if c.best_gain is None else f"best fused {c.best_gain:.2f}×"
    chosen = f"{c.gain:.2f}×" if c.chose_to_fuse else f"apart ({c.gain:.2f}×)"
    return f"{_title(record)}: apart {c.apart:.1f} µs, chosen {chosen}, {best}"
