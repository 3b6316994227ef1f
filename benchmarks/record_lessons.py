"""Records the tuning sessions that the lessons replay.

    python -m benchmarks.record_lessons [--trials N] [--threads N]    record, and replace those that are shipped
    python -m benchmarks.record_lessons --kernels                     take timed kernels from benchmarks/results

One inverted residual of MobileNetV2 is tuned by divide and conquer (ago) and as one function from the start
(no-reformer), some minutes each. What their journals say goes to `sample_models/recorded/`, with the machine, the date
and how busy the machine was: figures of a busy machine scatter.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from ago_core.tuning.journal import read_journal
from benchmarks.environment import environment
from sample_models import recorded

ABLATIONS = ("ago", "no-reformer")
TRIALS = 128
NETWORK = "mobilenet_v2@224"
KERNELS = (
    *("conv2d_1", "depthwise_conv2d_1", "pointwise_conv2d_2", "clip_3", "depthwise_conv2d_2", "add_4"),
    *("pointwise_conv2d_28", "depthwise_conv2d_15", "matmul_1"),
)
RESULTS = Path(__file__).parent / "results" / "kernels.json"
META = ("name", "settings", "target", "method", "partition", "versions")
"""Entries of a journal that are kept; others name paths."""


def record(model: Path, ablation: str, trials: int, threads: int, folder: Path) -> dict[str, Any]:
    """Tunes in a session and returns what `sample_models.recorded.read` gives.

    Raises:
        SystemExit: the session failed; it has said why.
    """
    load = os.getloadavg()[0]
    command = [sys.executable, "-m", "ago_core", "tune", str(model), "--ablation", ablation, "--trials", str(trials)]
    done = subprocess.run([*command, "--threads", str(threads), "--session", str(folder)])
    if done.returncode:
        sys.exit(done.returncode)
    return exported(folder, ablation, threads, load)


def exported(folder: Path, ablation: str, threads: int, load: float) -> dict[str, Any]:
    """A session's journal as plain data, without the traces of its trials.

    Args:
        folder: of the session.
        ablation: its name.
        threads: that it measured with.
        load: processes that ran on the machine when it began (the load average of one minute).
    """
    with read_journal(folder) as journal:
        meta, tasks, events = journal.meta(), journal.tasks(), journal.events()
    where = environment()
    return {
        "ablation": ablation,
        "machine": where["machine"],
        "date": where["date"],
        "threads": threads,
        "load": round(load, 1),
        "command": "python -m benchmarks.record_lessons",
        "meta": {key: meta[key] for key in META if key in meta},
        "tasks": tasks,
        "events": [[e.id, round(e.at, 3), round(e.elapsed, 3), e.kind.value, dict(e.data)] for e in events],
    }


def write(name: str, data: dict[str, Any], folder: Path = recorded.FOLDER) -> Path:
    """The same data give the same bytes."""
    path = folder / f"{name}.json.gz"
    path.write_bytes(gzip.compress(json.dumps(data, separators=(",", ":")).encode(), mtime=0))
    return path


def kernels(results: Mapping[str, Any]) -> dict[str, Any]:
    """What the lesson on rooflines shows of `benchmarks/results/kernels.json`: one thread, operators of one network."""
    run = results["1"]
    where = run["environment"]
    rows = [run["kernels"][f"{NETWORK} {name}"] for name in KERNELS]
    return {
        "machine": where["machine"],
        "date": where["date"],
        "command": "python -m benchmarks.kernels",
        "roofline": run["roofline"],
        "kernels": [
            {
                "name": name,
                "shape": row["shape"],
                "flops": row["flops"],
                "bytes": row["bytes"],
                "seconds": row["ours"][0] / 1e6,
            }
            for name, row in zip(KERNELS, rows)
        ],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--kernels", action="store_true", help="only the kernels of benchmarks/results/kernels.json")
    chosen = parser.parse_args(arguments)
    if chosen.kernels:
        print(write("kernels", kernels(json.loads(RESULTS.read_text()))).name)
        return 0
    with tempfile.TemporaryDirectory(prefix="ago-record-") as temporary:
        model = Path(temporary) / f"{recorded.NAME}.onnx"
        onnx.save(recorded.build(), model)
        for ablation in ABLATIONS:
            data = record(model, ablation, chosen.trials, chosen.threads, Path(temporary) / ablation)
            path = write(ablation, data)
            print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
