"""What an artifact's manifest says, as the page shows it: after an export, and when one is opened again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import streamlit as st

from ago_core.artifacts.inspect import target_text
from ago_core.artifacts.layout import ABOUT, MANIFEST
from app.components.text import facts, plain, table
from app.services.loaded import METHOD_NAMES
from visualizers import charts
from visualizers.units import nbytes

ROW_HEIGHT = 50
HELPS = {
    "Compiled": "Measured in the process that compiled it.",
    "On the device": "Measured on the device that it is for.",
    "Clean process": "Measured by the artifact's own run.py, in a process with TVM's runtime and numpy alone.",
    "ONNX Runtime": "On the same input with as many threads, right afterwards.",
}


def verdict(manifest: Mapping[str, Any]) -> None:
    """Whether it was seen to be right, and where."""
    found = manifest["reloaded"] or manifest
    if found["latency_ms"] is None:
        st.warning(
            "Compiled, but not run: nothing here can run it. Unpack it on the device and start run.py there.",
            icon=":material/help:",
        )
        return
    where = "Loaded in a clean process" if manifest["reloaded"] else "Run on the device"
    error = f"relative error {found['max_rel_error']:.1e}, tolerance {manifest['tolerance']:.0e}"
    st.success(f"{where}: its outputs match ONNX Runtime's ({error}).", icon=":material/check_circle:")


def figures(manifest: Mapping[str, Any]) -> None:
    """Every latency with its spread; nothing where nothing was measured."""
    found = latencies(manifest)
    for column, (name, latency) in zip(st.columns(len(found) or 1), found.items()):
        with column:
            st.metric(name, f"{latency['median']:.3g} ms", help=f"{HELPS[name]} The median over the runs.")
            spread = f"quartiles {latency['q1']:.3g} to {latency['q3']:.3g} ms"
            st.caption(f"{spread}, {len(latency['runs'])} runs")


def runs(manifest: Mapping[str, Any], key: str) -> None:
    """Every run of every latency as a plot."""
    found = latencies(manifest)
    if not found:
        st.caption("Nothing was measured.")
        return
    each = {name: latency["runs"] for name, latency in found.items()}
    st.plotly_chart(
        charts.latency_runs(each),
        height=110 + ROW_HEIGHT * len(found),
        config={"displaylogo": False},
        key=f"latencies-{key}",
        alt=charts.latency_runs_text(each),
    )


def latencies(manifest: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What was measured, by the name that the page gives it."""
    here = "Compiled" if manifest["preset"] == "host" else "On the device"
    found = {
        here: manifest["latency_ms"],
        "Clean process": (manifest["reloaded"] or {}).get("latency_ms"),
        "ONNX Runtime": manifest["reference_ms"],
    }
    return {name: latency for name, latency in found.items() if latency}


def about(manifest: Mapping[str, Any]) -> None:
    """What it was made of, for what, with what."""
    versions = ", ".join(f"{name} {version}" for name, version in manifest["versions"].items())
    made = f"tuned by the session {manifest['tuned']}" if manifest["tuned"] else "not tuned"
    facts(
        [
            ("Model", str(manifest["model"])),
            ("Plan", f"{METHOD_NAMES.get(manifest['method'], manifest['method'])}, {made}"),
            ("Target", f"{manifest['preset']}: {target_text(manifest['target'])}"),
            ("Threads", str(manifest["threads"])),
            ("Machine", manifest["machine"] or "none: it was not run"),
            ("Exported", manifest["exported_at"].replace("T", " ").replace("+00:00", " UTC")),
            ("Versions", versions),
        ],
        width="5.5rem",
    )


def contents(names: Iterable[str], sizes: Mapping[str, int]) -> None:
    """The parts of an artifact: what each is, and how large, where that is known."""
    rows = []
    for name in names:
        of = [size for file, size in sizes.items() if file.split("/")[0] == name]
        rows.append({"Part": name, **({"Size": nbytes(sum(of)) if of else ""} if sizes else {}), "What": ABOUT[name]})
    table(rows, wide="What")


def parts_of(manifest: Mapping[str, Any]) -> None:
    """The parts that an artifact has."""
    sizes = {name: int(described["bytes"]) for name, described in manifest["files"].items()}
    held = {name.split("/")[0] for name in sizes} | {MANIFEST}
    contents([name for name in ABOUT if name in held], sizes)


def how_to_run() -> None:
    """What to do with an unpacked artifact."""
    st.markdown(plain("In the folder that it unpacks to, with the packages of the versions above:"))
    st.code(
        "python run.py                 # checks the outputs, measures\npython run.py INPUTS.npz OUTPUTS.npz", "bash"
    )
    st.markdown("From C++, see `example/README.md`, which holds the line that compiles `example/main.cc`.")
