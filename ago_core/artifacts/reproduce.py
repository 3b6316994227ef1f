"""The commands that make an artifact again, from what its manifest says."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from ago_core.artifacts.layout import BEGUN, PARTITION, TUNED

PROGRAM = "python -m ago_core"
AGAIN = "again.zip"


def commands(manifest: Mapping[str, Any], session: Mapping[str, Any] | None = None) -> list[str]:
    """Command lines, to be given in the unpacked artifact's folder, in order.

    Args:
        manifest: of the artifact.
        session: what `records.session_record` says of the tuning session; None where it was not tuned.
    """
    source = manifest["source"]
    model = [source["spec"], *_dims(source["dims"])]
    made_with = ["--tuned", TUNED] if session else ["--partition", PARTITION]
    target = [] if manifest["preset"] == "host" else ["--preset", manifest["preset"]]
    threads = ["--threads", str(manifest["threads"])] if not target and not session else []
    export = _line("export", *model, *made_with, *target, *threads, "--output", AGAIN)
    return [*([tune_command(session)] if session else []), export]


def tune_command(session: Mapping[str, Any]) -> str:
    """The command line that begins such a session anew; another search may find other schedules."""
    settings = session["settings"]
    device, clustering, ablation = settings["device"], settings["clustering"], session["ablation"]
    words = ["tune", session["model"], *_dims(session["dims"]), "--trials", str(settings["trials"])]
    if device["kind"] == "local":
        words += ["--threads", str(device["threads"])]
    else:
        tracker = f"{device['host']}:{device['port']}"
        words += ["--device", device["key"], "--tracker", tracker, "--preset", device["preset"]]
    if settings["ablation"]["partition"] == "edited":
        words += ["--partition", BEGUN]
    else:
        words += ["--ablation", ablation]
    words += ["--threshold", f"{clustering['threshold']:g}", "--rule", clustering["rule"]]
    words += [] if clustering["aware"] else ["--plain"]
    return _line(*words, "--batch", str(settings["batch"]), "--seed", str(settings["seed"]), "--session", "tuned-again")


def _dims(dims: Mapping[str, int]) -> list[str]:
    return [part for name, size in dims.items() for part in ("--dim", f"{name}={size}")]


def _line(*words: str) -> str:
    return f"{PROGRAM} {shlex.join(words)}"
