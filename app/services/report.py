"""One HTML file about a model, its partitions and what was measured of them: to be sent, printed, kept with a paper.

It needs no network and nothing of this project. Every figure stands with how it was measured, and with the commands
that measure it again.
"""

from __future__ import annotations

import base64
import html
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ago_core.artifacts.inspect import Opened, target_text
from ago_core.graph.opgraph import OpGraph
from ago_core.partition.metrics import complex_per_subgraph, measure, subgraph_weights
from ago_core.partition.partition import Partition
from app.services import describe, tuning_report
from app.services.loaded import METHOD_NAMES, View
from app.services.report_html import code, facts, figure, heading, note, page, table
from app.services.tuning_feed import Feed
from visualizers import charts
from visualizers.layout import layout
from visualizers.partition_svg import partition_svg

Json = Mapping[str, Any]
ASPECT = 1.5
HEIGHT = 260
ON_EXPORT, CLEAN, REFERENCE = "when exported", "in a clean process", "ONNX Runtime"
HOW = (
    "Each latency is the median over runs of the whole model, one after the other after one that does not count, with "
    "each thread on a core of its own. The error is max |got − expected| / max |expected| against ONNX Runtime on the "
    "same random input. ONNX Runtime ran right afterwards with as many threads."
)
HOW_CLEAN = (
    "In a clean process: the exported artifact's own run.py, in a process that loads TVM's runtime and numpy alone, "
    "compared with the outputs that ONNX Runtime gave when it was exported."
)


@dataclass(frozen=True)
class Timing:
    """One measurement of a compiled plan.

    Attributes:
        name: where it was made, such as "in a clean process".
        latency: as `Latency.to_json` writes it, in milliseconds.
        error: relative, against ONNX Runtime; None where the latency is ONNX Runtime's own.
        threads: that it ran on.
        machine: that it ran on.
        when: date and time.
    """

    name: str
    latency: Json
    error: float | None
    threads: int
    machine: str
    when: str


@dataclass(frozen=True)
class Plan:
    """A partition of the model with what was measured of it.

    Attributes:
        name: such as "AGO"; unique in a report.
        partition: which operators are fused.
        timings: none where it was not run.
        versions: of the packages that compiled and ran it, by name.
        commands: that measure it again.
        place: where they are to be given, as a clause.
        target: that it was compiled for, or "".
    """

    name: str
    partition: Partition
    timings: tuple[Timing, ...] = ()
    versions: tuple[tuple[str, str], ...] = ()
    commands: tuple[str, ...] = ()
    place: str = "beside the partition's file"
    target: str = ""

    @property
    def file(self) -> str:
        """What the partition's file is called in the commands."""
        return f"{self.name.lower().replace(' ', '-')}.json"


def plan_of(opened: Opened, name: str = "") -> Plan:
    """What an artifact says of itself; it is called what it is, unless another name is given."""
    manifest = opened.manifest
    own_name = METHOD_NAMES.get(manifest["method"], manifest["method"])
    name = name or (f"Tuned by {manifest['tuned']}" if manifest["tuned"] else own_name)
    when = manifest["exported_at"].replace("T", " ").replace("+00:00", " UTC")
    common = (int(manifest["threads"]), manifest["machine"] or "", when)
    place = f"in the folder that {opened.name} unpacks to"
    timings = []
    if manifest["latency_ms"]:
        timings.append(Timing(ON_EXPORT, manifest["latency_ms"], manifest["max_rel_error"], *common))
    if found := manifest["reloaded"]:
        timings.append(Timing(CLEAN, found["latency_ms"], found["max_rel_error"], *common))
    if manifest["reference_ms"]:
        timings.append(Timing(REFERENCE, manifest["reference_ms"], None, *common))
    versions = _pairs(manifest["versions"])
    return Plan(name, opened.partition, tuple(timings), versions, opened.commands, place, manifest["target"])


def plan_of_run(name: str, partition: Partition, result: Json, when: str, commands: tuple[str, ...]) -> Plan:
    """What the command `run` reported at `when`."""
    common = (result["threads"], result["machine"], when)
    ours = Timing("compiled and run", result["latency_ms"], result["max_rel_error"], *common)
    theirs = Timing(REFERENCE, result["reference_ms"], None, *common)
    versions = _pairs(result["versions"])
    return Plan(name, partition, (ours, theirs), versions, commands, target=result["target"])


def merged(plan: Plan, others: Sequence[Plan]) -> Plan:
    """One plan with what was measured of it in several ways."""
    every = [plan, *others]
    timings = tuple(timing for one in every for timing in one.timings)
    commands = tuple(f"# {one.place}\n{command}" for one in every for command in one.commands)
    last = every[-1]
    return Plan(plan.name, plan.partition, timings, last.versions, commands, "where each line says", last.target)


def _pairs(versions: Json) -> tuple[tuple[str, str], ...]:
    return tuple((str(name), str(version)) for name, version in versions.items())


def report(graph: OpGraph, plans: Sequence[Plan], feeds: Mapping[str, Feed]) -> bytes:
    """The page, UTF-8.

    Args:
        graph: the model.
        plans: of it, at least one.
        feeds: planned tuning sessions of it, by name.
    """
    views = {plan.name: _view(graph, plan.partition) for plan in plans}
    parts = [
        heading(f"{graph.name}: {', '.join(plan.name for plan in plans)}", 1),
        note(f"Written by AGO Explorer, {time.strftime('%Y-%m-%d %H:%M')}."),
        heading("Model"),
        facts([*describe.model_rows(graph), ("Hash", graph.model_hash)]),
        *_latencies(plans),
        heading("Partitions"),
        table(_metrics(views)),
        *_distributions(views),
    ]
    for plan in plans:
        parts += _plan(graph, plan)
    if feeds:
        parts += [heading("Tuning", 1), *tuning_report.sections(feeds)]
    return page(f"{graph.name}: report", parts)


def _view(graph: OpGraph, partition: Partition) -> View:
    weights, counts = subgraph_weights(graph, partition), complex_per_subgraph(graph, partition)
    return View(partition, measure(graph, partition), weights, counts)


def _latencies(plans: Sequence[Plan]) -> list[str]:
    rows = [(plan.name, timing) for plan in plans for timing in plan.timings]
    if not rows:
        return [heading("Latency"), note("Nothing was measured of these plans.")]
    runs = {f"{name}, {timing.name}": timing.latency["runs"] for name, timing in rows}
    drawn = figure(charts.latency_runs(runs), charts.latency_runs_text(runs), HEIGHT // 3 * (1 + len(runs)))
    clean = any(timing.name == CLEAN for _, timing in rows)
    parts = [heading("Latency"), table([_row(*row) for row in rows]), drawn, note(HOW)]
    return [*parts, note(HOW_CLEAN)] if clean else parts


def _row(name: str, timing: Timing) -> dict[str, str]:
    latency = timing.latency
    return {
        "Plan": name,
        "Measured": timing.name,
        "Median": f"{latency['median']:.3g} ms",
        "Quartiles": f"{latency['q1']:.3g} to {latency['q3']:.3g} ms",
        "Runs": str(len(latency["runs"])),
        "Error": "" if timing.error is None else f"{timing.error:.1e}",
        "Threads": str(timing.threads),
        "When": timing.when,
        "Machine": timing.machine,
    }


def _metrics(views: Mapping[str, View]) -> list[dict[str, str]]:
    return [
        {"Figure": label, **{name: text(view) for name, view in views.items()}, "What it says": explanation}
        for label, explanation, text in describe.METRICS
    ]


def _distributions(views: Mapping[str, View]) -> list[str]:
    sizes = {name: [len(members) for members in view.partition.subgraphs] for name, view in views.items()}
    counts = {name: view.complex_counts for name, view in views.items()}
    weights = {name: view.weights for name, view in views.items()}
    drawn = (
        (charts.subgraph_sizes(sizes), charts.subgraph_sizes_text(sizes)),
        (charts.complex_per_subgraph(counts), charts.complex_per_subgraph_text(counts)),
        (charts.weight_distribution(weights), charts.weight_distribution_text(weights)),
    )
    return [figure(one, text, HEIGHT) for one, text in drawn]


def _plan(graph: OpGraph, plan: Plan) -> list[str]:
    arranged = layout(graph, plan.partition, ASPECT)
    parts = [heading(f"{plan.name}: {len(plan.partition)} subgraphs")]
    parts += [f'<div class="picture">{partition_svg(graph, plan.partition, arranged)}</div>']
    parts += [note(arranged.note)] if arranged.note else []
    parts += [f"<p>{_download(plan)}</p>"]
    if plan.commands:
        parts += [note(f"Measured again, {plan.place}, by:"), code(plan.commands)]
    made = [
        ("Target", target_text(plan.target)),
        ("Versions", ", ".join(f"{name} {version}" for name, version in plan.versions)),
    ]
    rows = [row for row in made if row[1]]
    return [*parts, facts(rows)] if rows else parts


def _download(plan: Plan) -> str:
    """A link to the partition, which is in the page itself."""
    data = base64.b64encode(json.dumps(plan.partition.to_json()).encode()).decode()
    address = f"data:application/json;base64,{data}"
    return f'<a download="{html.escape(plan.file)}" href="{address}">The partition as {html.escape(plan.file)}</a>'
