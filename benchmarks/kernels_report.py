"""The table of benchmarks/kernels.py's results."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from ago_core.devices.roofline import Roofline

RESOLVED = 0.5
"""Where ONNX Runtime's time less its overhead is below this share of the overhead, a ratio would be noise."""
COSTLIEST = 15


@dataclass(frozen=True)
class Comparison:
    """One operator's record, evaluated. Times in microseconds.

    Attributes:
        record: as benchmarks/kernels.py keeps it.
        ours: median.
        peer: median of ONNX Runtime's fastest way, less the overhead of a call.
        one_node: the same of the model of one node as ONNX Runtime makes it, reorders included.
        roof: the least that the machine allows.
    """

    record: dict
    ours: float
    peer: float
    one_node: float
    roof: float

    @property
    def resolved(self) -> bool:
        return self.peer >= RESOLVED * self.record["overhead"][0]

    @property
    def ratio(self) -> float:
        return self.ours / self.peer

    @property
    def share(self) -> float:
        """Of the roofline; 1 is as fast as the machine allows."""
        return self.roof / self.ours

    @property
    def calls(self) -> int:
        return sum(self.record["calls"].values())

    @property
    def lost(self) -> float:
        """Microseconds in all networks together by which ours is slower."""
        return self.calls * (self.ours - self.peer)

    @property
    def spread(self) -> str:
        """The ratio with the worst and the best that the quartiles of both sides allow."""
        _, ours_low, ours_high = self.record["ours"]
        _, low, high = min(self.record["peers"].values())
        overhead = self.record["overhead"][0]
        return f"{self.ratio:.2f} ({ours_low / (high - overhead):.2f} to {ours_high / max(low - overhead, 1e-3):.2f})"


def compare(record: dict, roofline: Roofline) -> Comparison:
    overhead = record["overhead"][0]
    ways = {way: max(times[0] - overhead, 0.0) for way, times in record["peers"].items()}
    one_node = min(time for way, time in ways.items() if way != "nchwc")
    roof = roofline.seconds(record["flops"], record["bytes"]) * 1e6
    return Comparison(record, record["ours"][0], min(ways.values()), one_node, roof)


def table(run: dict) -> str:
    """A row for each kind, then where most time is lost and what failed, as Markdown."""
    roofline = Roofline.from_json(run["roofline"])
    records = run["kernels"].values()
    compared = [compare(record, roofline) for record in records if "failed" not in record]
    kinds: dict[str, list[Comparison]] = {}
    for comparison in compared:
        kinds.setdefault(comparison.record["kind"], []).append(comparison)
    parts = [_kinds_table(kinds, compared), _costliest_table(compared), _notes(run, roofline, compared)]
    failed = [f"- {record['name']}, {record['shape']}: {record['failed']}" for record in records if "failed" in record]
    return "\n\n".join(parts + (["Not timed:", "\n".join(failed)] if failed else []))


def _kinds_table(kinds: dict[str, list[Comparison]], compared: list[Comparison]) -> str:
    heads = (
        *("kind", "shapes", "too short", "ours / ONNX Runtime", "the same, reorders counted"),
        *("share of roofline", "ms in all networks", "ONNX Runtime's", "worst ratio (quartiles)", "worst shape"),
    )
    lines = ["| " + " | ".join(heads) + " |", "|---" + "|--:" * 7 + "|---|---|"]
    by_time = sorted(kinds.items(), key=lambda item: -_milliseconds(item[1]))
    for kind, group in [*by_time, ("all", compared)]:
        resolved = [comparison for comparison in group if comparison.resolved]
        worst = max(resolved, key=lambda comparison: comparison.ratio, default=None)
        cells = (
            kind,
            len(group),
            len(group) - len(resolved),
            _mean([comparison.ratio for comparison in resolved]),
            _mean([comparison.ours / comparison.one_node for comparison in resolved]),
            f"{statistics.median(comparison.share for comparison in group):.0%}" if group else "–",
            f"{_milliseconds(group):.2f}",
            f"{sum(comparison.calls * comparison.peer for comparison in group) / 1e3:.2f}",
            worst.spread if worst else "–",
            f"{worst.record['name']}, {worst.record['shape']}" if worst else "–",
        )
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def _costliest_table(compared: list[Comparison]) -> str:
    lines = [
        "Most time lost to ONNX Runtime, calls × difference:",
        "",
        "| operator | shape | calls | ours, µs | ONNX Runtime, µs | share of roofline | lost, µs |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for c in sorted(compared, key=lambda c: -c.lost)[:COSTLIEST]:
        if c.lost <= 0:
            break
        figures = f"{c.calls} | {c.ours:.1f} | {c.peer:.1f} | {c.share:.0%} | {c.lost:.0f}"
        lines.append(f"| {c.record['name']} | {c.record['shape']} | {figures} |")
    return "\n".join(lines)


def _notes(run: dict, roofline: Roofline, compared: list[Comparison]) -> str:
    where = run["environment"]
    curve = ", ".join(
        f"{footprint >> 10} KiB {bandwidth / 1e9:.0f}"
        for footprint, bandwidth in zip(roofline.footprints, roofline.bandwidths)
    )
    overhead = statistics.median(c.record["overhead"][0] for c in compared) if compared else 0.0
    versions = where["versions"]
    return "\n".join(
        (
            f"{where['machine']}, {where['threads']} thread(s), {where['date']}, TVM {versions['apache-tvm']}, "
            f"ONNX Runtime {versions['onnxruntime']}.",
            f"Peak {roofline.peak / 1e9:.0f} GFLOP/s; copy, GB/s: {curve}.",
            f"Ratios are geometric means, below 1 where ours is faster; a call's overhead, {overhead:.1f} µs, is "
            "taken off ONNX Runtime's time.",
            "Milliseconds are sums over all calls of the six networks, each operator by itself: nothing is fused.",
            "ONNX Runtime's fastest way counts, on images blocked beforehand too; the next column counts its reorders.",
            f"Too short: less than {RESOLVED} of the overhead is left. Shares of the roofline are medians; above 100 % "
            "where more is read than written, since the bandwidth is a copy's.",
        )
    )


def _milliseconds(group: list[Comparison]) -> float:
    """Ours, all calls of all networks."""
    return sum(comparison.calls * comparison.ours for comparison in group) / 1e3


def _mean(ratios: list[float]) -> str:
    return f"{statistics.geometric_mean(ratios):.2f}" if ratios else "–"
