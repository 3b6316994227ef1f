"""How long AGO's partition and an edit take, and how that grows with the model.

    python -m benchmarks.partition            print the table, write benchmarks/results/partition.json
    python -m benchmarks.partition --json     print the JSON instead
    python -m benchmarks.partition --largest 10000

Synthetic networks with the shapes of real ones. A partition counts from an OpGraph to a checked Partition, reuse
analysis included; an edit counts with all its checks. Each figure is the median of repeated runs.

A second table compares the two rules on the sample networks and the light models: does the exact test of reachability
ever allow what the stages refuse?
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ago_core.graph.model import load_model
from ago_core.graph.opgraph import OpGraph
from ago_core.partition.ago import Clustering, Verdict, cluster
from ago_core.partition.edits import merge
from ago_core.partition.settings import Rule, Settings
from benchmarks.environment import environment
from benchmarks.light_models import LIGHT_MODELS
from benchmarks.models import SAMPLES
from benchmarks.synthetic import FAMILIES

RESULTS = Path(__file__).parent / "results" / "partition.json"
SIZES = (1_000, 10_000, 100_000)
RULES = {"stages": Settings(), "exact": Settings(rule=Rule.EXACT)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--largest", type=int, default=SIZES[-1], help="leave out larger sizes")
    args = parser.parse_args()
    rows = [_measure(*case) for case in _cases(args.largest)]
    results = {"environment": environment(), "rows": rows, "growth": _growth(rows), "rules": _rules()}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results) if args.json else table(results))
    return 0


def _cases(largest: int) -> list[tuple[str, int, str]]:
    sizes = [size for size in SIZES if size <= largest]
    return [(family, size, rule) for family in FAMILIES for size in sizes for rule in RULES]


def _measure(family: str, size: int, rule: str) -> dict:
    graph = FAMILIES[family](size)
    clustering = cluster(graph, RULES[rule])
    repeats = 5 if size < 100_000 else 2
    seconds = _median_seconds(lambda: cluster(graph, RULES[rule]), repeats)
    edit = _median_seconds(lambda: merge(graph, clustering.partition, _neighbours(graph, clustering.partition)), 5)
    print(f"{family:12s} {size:7d} {rule:6s} {seconds:7.3f} s", file=sys.stderr, flush=True)
    return {
        "family": family,
        "operators": len(graph),
        "rule": rule,
        "seconds": seconds,
        "edit_seconds": edit,
        "subgraphs": len(clustering.partition),
        "steps": len(clustering.steps),
    }


def _rules() -> list[dict]:
    """The partitions of both rules for each network, with the plain savings and with those of reuse analysis."""
    graphs = {path.stem: load_model(str(path)).graph for path in LIGHT_MODELS}
    graphs |= {sample: load_model(sample).graph for sample in SAMPLES}
    return [_compare_rules(name, graph, aware) for name, graph in graphs.items() for aware in (True, False)]


def _compare_rules(name: str, graph: OpGraph, aware: bool) -> dict:
    stages, exact = (cluster(graph, Settings(rule=rule, aware=aware)) for rule in (Rule.STAGES, Rule.EXACT))
    return {
        "model": name,
        "operators": len(graph),
        "aware": aware,
        "subgraphs": {"stages": len(stages.partition), "exact": len(exact.partition)},
        "refused_for_a_cycle": {"stages": _cycles(stages), "exact": _cycles(exact)},
        "same_partition": stages.partition.owner == exact.partition.owner,
    }


def _cycles(clustering: Clustering) -> int:
    return sum(step.verdict is Verdict.CYCLE for step in clustering.steps)


def _neighbours(graph: OpGraph, partition) -> tuple[int, int]:
    """Two subgraphs in the middle that an edge joins."""
    owner = partition.owner
    middle = len(graph.edges) // 2
    return next((owner[u], owner[v]) for u, v in graph.edges[middle:] if owner[u] != owner[v])


def _median_seconds(work: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        gc.collect()
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _growth(rows: list[dict]) -> dict[str, float]:
    """For each family and rule the exponent of operators in the time, from the smallest to the largest size."""
    growth = {}
    for family in FAMILIES:
        for rule in RULES:
            mine = [row for row in rows if (row["family"], row["rule"]) == (family, rule)]
            if len(mine) > 1:
                first, last = mine[0], mine[-1]
                times = math.log(last["seconds"] / first["seconds"])
                growth[f"{family}, {rule}"] = times / math.log(last["operators"] / first["operators"])
    return growth


def table(results: dict) -> str:
    """The rows as Markdown."""
    lines = ["| family | rule | operators | seconds | an edit, ms | subgraphs |", "|---|---|--:|--:|--:|--:|"]
    for row in results["rows"]:
        cells = (row["family"], row["rule"], f"{row['operators']:,}", f"{row['seconds']:.3f}")
        lines.append("| " + " | ".join((*cells, f"{row['edit_seconds'] * 1e3:.1f}", f"{row['subgraphs']:,}")) + " |")
    exponents = ", ".join(f"{name} {exponent:.2f}" for name, exponent in results["growth"].items())
    where = results["environment"]
    same, networks = sum(row["same_partition"] for row in results["rules"]), len(results["rules"])
    lines += ["", f"Both rules give the same partition in {same} of {networks} comparisons on real networks."]
    lines += ["", f"Time grows as operators to the power: {exponents}.", f"{where['machine']}, {where['date']}."]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
