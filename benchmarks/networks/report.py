"""The results as Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.networks.cells import SPECS
from benchmarks.networks.peers import AGO, HEURISTIC, PEERS, STOCK, UNFUSED, WHOLE, counts, peers_of
from benchmarks.networks.real_models import REAL_MODELS
from benchmarks.networks.summary import MEANS, mean, ratio, share, summary

COLUMNS = {
    "vs_stock": "TVM, stock",
    "vs_fastest_peer": "faster of ONNX Runtime and OpenVINO",
    "vs_iree": "IREE",
    "vs_heuristic": "TVM's partition, our spaces",
    "vs_unfused": "AGO without fusion",
    "vs_whole": "AGO without reformer",
}
MEANING = (
    "How many times as long as AGO a peer takes: geometric mean over the cells (and in the cell where that is least). "
    "Without a trial MetaSchedule's rules give no schedule, only the loops as they are: that is no comparison, and "
    "left out."
)
GOAL_NAMES = COLUMNS | {"cells_behind_heuristic": "AGO behind TVM's partition in our spaces in no cell"}
ABLATIONS = (*STOCK, HEURISTIC, UNFUSED, WHOLE)


def text(results: dict) -> str:
    """All tables."""
    parts = [
        MEANING,
        summary_table(results),
        goals(results),
        *_latencies(results),
        "Peers and models without a result",
        failures(results),
        "How many times as long as AGO each ablation takes, by network (geometric means over sizes)",
        ablations(results),
        "Trials after which the whole model was first as fast as TVM's partition in our spaces in the end",
        reached(results),
        "Partitions",
        partitions(results),
        footer(results),
    ]
    return "\n\n".join(part for part in parts if part)


def summary_table(results: dict) -> str:
    """A row for each group of cells."""
    heads = ["models", "threads", "trials", "cells", *(COLUMNS[name] for name in MEANS)]
    heads += ["AGO of the limit", "cells behind our heuristic"]
    return table(heads, [_summary_row(group) for group in summary(results)["groups"]], left=1)


def _summary_row(group: dict) -> list[str]:
    means = [_mean_and_least(group[name], group["cells"]) for name in MEANS]
    limit = group["share_of_limit"]
    lost = group["cells_behind_heuristic"]
    beyond = f", {sum(cell['beyond_spread'] for cell in lost)} beyond the spread" if lost else ""
    about = [group["models"], group["threads"], f"{group['trials']:,}", f"{group['cells']} of {group['asked']}"]
    return [*about, *means, f"{limit['mean']:.0%}" if limit else "–", f"{len(lost)}{beyond}"]


def _mean_and_least(found: dict | None, cells: int) -> str:
    """Such as "1.15 (0.83)"; with the number of cells where it is not all."""
    if found is None:
        return "–"
    fewer = f", {found['cells']} cells" if found["cells"] < cells else ""
    return f"{found['mean']:.2f} ({found['least']:.2f}{fewer})"


def _mean(found: dict | None) -> str:
    return f"{found['mean']:.2f} ({found['cells']})" if found else "–"


def goals(results: dict) -> str:
    """What shall be reached with most threads, with what was found and of how many cells."""
    found = summary(results)
    lines = map(_goal, found["goals"])
    return f"Goals, {found['threads']} thread(s), times over AGO's, means over the networks:\n\n" + "\n".join(lines)


def _goal(goal: dict) -> str:
    what = GOAL_NAMES[goal["figure"]]
    if goal["least"] is not None:
        what = f"{what} ≥ {goal['least']:.2f}"
    if goal["found"] is None:
        return f"- {goal['trials']:,} trials, {what}: not measured yet."
    found = f"in {goal['found']}" if goal["least"] is None else f"{goal['found']:.2f}"
    verdict = "reached" if goal["reached"] else "**not reached**"
    so_far = f" so far, {goal['cells']} of {goal['asked']} cells" if goal["cells"] < goal["asked"] else ""
    most = f" Code at the machine's limit would have {goal['ceiling']:.2f}." if goal["ceiling"] else ""
    return f"- {goal['trials']:,} trials, {what}: {found}, {verdict}{so_far}.{most}"


def _latencies(results: dict) -> list[str]:
    """A title and a table for each number of threads and budget."""
    parts = []
    for threads, trials in sorted({(c["threads"], c["trials"]) for c in results["cells"].values()}, reverse=True):
        cells = [c for c in ordered(results) if (c["threads"], c["trials"]) == (threads, trials)]
        names = [name for name in peers_of(trials) if any(name in cell["peers"] for cell in cells)]
        rows = [
            [cell["model"], *(_milliseconds(cell["peers"].get(name)) for name in names), *_share(results, cell)]
            for cell in cells
        ]
        heads = ["model", *(PEERS[name].title for name in names), "limit, ms", "AGO of the limit"]
        parts += [f"Milliseconds, {threads} threads, {trials} trials: median, and half the quartiles' distance"]
        parts += [table(heads, rows, left=1)]
    return parts


def ordered(results: dict) -> list[dict]:
    """The cells by network, then by size."""
    order = {name: place for place, name in enumerate((*sorted(SPECS, key=_by_name), *REAL_MODELS))}
    return sorted(results["cells"].values(), key=lambda cell: order.get(cell["model"], len(order)))


def _by_name(spec: str) -> tuple[str, int]:
    name, _, size = spec.partition("@")
    return name, int(size)


def _milliseconds(record: dict | None) -> str:
    if record is None:
        return "–"
    if "ms" not in record:
        return "failed"
    middle, low, high = record["ms"]
    return f"{middle:.2f} ± {(high - low) / 2 / middle:.0%}"


def _share(results: dict, cell: dict) -> list[str]:
    part = share(results, cell, AGO)
    return [f"{cell['peers'][AGO]['ms'][0] * part:.3f}", f"{part:.0%}"] if part else ["–", "–"]


def failures(results: dict) -> str:
    """Each reason once, with the cells that it holds for."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, cell in results["cells"].items():
        for peer, record in cell["peers"].items():
            if "failed" in record and counts(peer, cell["trials"]):
                found.setdefault((PEERS[peer].title, record["failed"]), []).append(name)
    lines = [f"- {peer}: {reason} ({_listed(where)})" for (peer, reason), where in found.items()]
    missing = {model: record["failed"] for model, record in results["networks"].items() if "failed" in record}
    lines += [f"- {model}: {reason}" for model, reason in missing.items()]
    return "\n".join(lines) or "None."


def _listed(names: list[str]) -> str:
    return "; ".join(names[:3]) + (f"; and {len(names) - 3} more" if len(names) > 3 else "")


def ablations(results: dict) -> str:
    groups: dict[tuple, list[dict]] = {}
    for cell in ordered(results):
        groups.setdefault((cell["model"].partition("@")[0], cell["threads"], cell["trials"]), []).append(cell)
    rows = [
        [*key, *(_mean(mean(ratio(c, [name]) for c in cells)) for name in ABLATIONS)] for key, cells in groups.items()
    ]
    return table(["network", "threads", "trials", *(PEERS[name].title for name in ABLATIONS)], rows, left=1)


def reached(results: dict) -> str:
    rows = []
    for cell in ordered(results):
        found = cell["trials_to_reach_heuristic"]
        if found:
            shown = ["never" if found.get(name, 0) is None else found.get(name, "–") for name in _tuning()]
            rows.append([cell["model"], cell["threads"], cell["trials"], *shown])
    heads = ["model", "threads", "trials", *(PEERS[name].title for name in _tuning())]
    return table(heads, rows, left=1) if rows else ""


def _tuning() -> list[str]:
    return [name for name, peer in PEERS.items() if peer.tunes]


def partitions(results: dict) -> str:
    heads = [
        "model",
        "partition",
        "operators",
        "subgraphs",
        "trivial",
        "largest",
        "mean weight",
        "median",
        "largest weight",
    ]
    heads += ["Jain's index", "MB that cross"]
    rows = []
    for model, record in results["networks"].items():
        for method, found in record.get("partitions", {}).items():
            middle = found["weights"][len(found["weights"]) // 2]
            rows.append(
                [
                    *(model, method, found["operators"], found["subgraphs"], found["trivial"], found["largest"]),
                    *(f"{found['mean_weight']:.0f}", f"{middle:.0f}", f"{found['largest_weight']:.0f}"),
                    *(f"{found['fairness']:.2f}", f"{found['crossing_bytes'] / 1e6:.2f}"),
                ]
            )
    return table(heads, rows, left=2)


def footer(results: dict) -> str:
    """Machine, versions, limits, dates."""
    where = results["environment"]
    lines = _limits(results["cells"].values())
    dates = sorted(cell["date"][:10] for cell in results["cells"].values()) or [where["date"]]
    packages = ", ".join(f"{name} {number}" for name, number in where["versions"].items())
    peers = ", ".join(f"{PEERS[name].title} {number}" for name, number in _versions(results).items())
    codes = ", ".join(dict.fromkeys(cell["code"] for cell in results["cells"].values()))
    when = " to ".join(sorted({dates[0], dates[-1]}))
    lines += [f"{where['machine']}, {where['cores']} cores, {when}, seed {results['seed']}, code {codes}."]
    lines += [f"{packages}. Peers: {peers}.", _starts(results["cells"].values())]
    return "\n".join(lines)


def _starts(cells: Iterable[dict]) -> str:
    """How often each peer's process was started; those of older cells once."""
    records = [record for cell in cells for record in cell["peers"].values() if "ms" in record]
    known = sorted({len(record.get("starts", [0])) for record in records}) or [0]
    return f"Each peer's process was started {' or '.join(map(str, known))} times in a cell."


def _limits(cells: Iterable[dict]) -> list[str]:
    """The least and the most that was measured beside a cell, for each number of threads."""
    known: dict[int, list[dict]] = {}
    for cell in cells:
        known.setdefault(cell["threads"], []).append(cell["limits"])
    return [
        f"{threads} thread{'s' * (threads > 1)}, as measured beside the cells: "
        f"{_span(limits['roofline']['peak'] for limits in found)} GFLOP/s in registers, "
        f"{_span(limits['gemm'] for limits in found)} GFLOP/s in a GEMM, "
        f"{_span(limits['roofline']['bandwidths'][-1] for limits in found)} GB/s from memory."
        for threads, found in sorted(known.items(), reverse=True)
    ]


def _span(rates: Iterable[float]) -> str:
    """In billions."""
    values = [f"{rate / 1e9:.0f}" for rate in sorted(rates)]
    return " to ".join(dict.fromkeys([values[0], values[-1]]))


def _versions(results: dict) -> dict[str, str]:
    records = (item for cell in results["cells"].values() for item in cell["peers"].items())
    return {
        name: record["version"]
        for name, record in records
        if "version" in record and name in PEERS and not PEERS[name].tunes
    }


def table(heads: list[str], rows: Iterable[list], left: int) -> str:
    """Markdown; the first columns to the left, the others to the right."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * left + "--:|" * (len(heads) - left)]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows)])
