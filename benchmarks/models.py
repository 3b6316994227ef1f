"""Every sample and every light ONNX model through the whole command line: load, partition, compile, verify, time.

    python -m benchmarks.models            run all (some minutes), write benchmarks/results/models.json, print the table
    python -m benchmarks.models --report   print the table of the last run

The light models run with seeded weights (see benchmarks/light_models.py).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import onnx

from ago_core.cli.common import METHODS
from benchmarks.environment import environment
from benchmarks.light_models import LIGHT_MODELS, with_seeded_weights

RESULTS = Path(__file__).parent / "results" / "models.json"
SAMPLES = (
    "mobilenet_v2@224",
    "mnasnet@224",
    "squeezenet@224",
    "shufflenet_v2@224",
    "mobilevit_xs@224",
    "bert_tiny@128",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", action="store_true", help="print the table of the last run")
    args = parser.parse_args()
    if not args.report:
        rows = [_measure(name, spec) for name, spec in _models()]
        RESULTS.write_text(json.dumps({"environment": environment(), "rows": rows}, indent=1) + "\n")
    print(table(json.loads(RESULTS.read_text())))
    return 0


def _models() -> Iterator[tuple[str, str]]:
    """(name, MODEL for the command line)."""
    for spec in SAMPLES:
        yield spec, spec
    for path in LIGHT_MODELS:
        with tempfile.TemporaryDirectory() as folder:
            seeded = Path(folder) / path.name
            onnx.save(with_seeded_weights(path), seeded)
            yield path.stem, str(seeded)


def _measure(name: str, spec: str) -> dict:
    row = {"model": name}
    for method in METHODS:
        start = time.perf_counter()
        command = [sys.executable, "-m", "ago_core", "run", spec, "--method", method, "--runs", "15", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not done.stdout:
            sys.exit(f"{name}, {method}: {done.stderr.strip()}")
        row[method] = json.loads(done.stdout) | {"seconds": time.perf_counter() - start}
        print(f"{name:22s} {method:10s} {row[method]['seconds']:6.1f} s", file=sys.stderr, flush=True)
    return row


def table(results: dict) -> str:
    """The rows as Markdown."""
    heads = (
        *("model", "operators", "subgraphs, TVM", "subgraphs, AGO", "largest error"),
        *("ms, TVM", "ms, AGO", "ms, ONNX Runtime", "seconds, TVM", "seconds, AGO"),
    )
    lines = ["| " + " | ".join(heads) + " |", "|---" + "|--:" * (len(heads) - 1) + "|"]
    for row in results["rows"]:
        tvm, ago = row["heuristic"], row["ago"]
        cells = (
            row["model"],
            ago["operators"],
            tvm["subgraphs"],
            ago["subgraphs"],
            f"{max(tvm['max_rel_error'], ago['max_rel_error']):.1e}",
            f"{tvm['latency_ms']['median']:.1f}",
            f"{ago['latency_ms']['median']:.1f}",
            f"{min(tvm['reference_ms']['median'], ago['reference_ms']['median']):.1f}",
            f"{tvm['seconds']:.1f}",
            f"{ago['seconds']:.1f}",
        )
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    where = results["environment"]
    lines.append("")
    lines.append(f"{where['machine']}, {where['cores']} cores, {where['date']}, TVM {where['versions']['apache-tvm']}.")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
