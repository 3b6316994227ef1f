"""Facts about operators and subgraphs as rows of text, for the inspector and the tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import mean

from ago_core.fusion.reuse import analyse
from ago_core.graph.opgraph import Access, Operator, OpGraph, Tensor, Term
from ago_core.partition.compare import Change, Comparison, compare
from ago_core.partition.partition import Partition
from ago_core.partition.settings import Rule, Settings
from app.services.loaded import METHOD_NAMES, View
from app.services.worker import Task
from visualizers.units import flops, nbytes, quantity

Row = tuple[str, str]
EXPLANATION = "What it says"
INDEX, FUSING = "Indexed by", "Fused into this operator"
CHANGE_COLUMN = "From → to"


@dataclass(frozen=True)
class Boundary:
    """What a subgraph exchanges with the rest, in bytes: activations in, weights in, results out."""

    activations: int
    weights: int
    results: int


def boundary(graph: OpGraph, members: Iterable[int]) -> Boundary:
    """Each tensor counts once, however many members read it; model inputs and outputs count."""
    inside = set(members)
    producers = {u for op in inside for u in graph.predecessors[op] if u not in inside}
    from_model = {tensor for op in inside for tensor in _from_model(graph.operators[op])}
    written = [op for op in inside if op in graph.results or not inside.issuperset(graph.successors[op])]
    return Boundary(
        activations=sum(graph.operators[u].bytes_written for u in producers) + sum(t.nbytes for t in from_model),
        weights=sum(tensor.nbytes for op in inside for tensor in graph.operators[op].weights),
        results=sum(graph.operators[op].bytes_written for op in written),
    )


def _from_model(op: Operator) -> list[Tensor]:
    return [tensor for source, tensor in zip(op.sources, op.inputs) if source is None]


def model_rows(graph: OpGraph) -> list[Row]:
    """Totals and inputs of a model."""
    totals = graph.totals
    complex_count = sum(op.is_complex for op in graph.operators)
    rows = [
        ("Parameters", quantity(totals.parameters, "")),
        ("Multiply-adds", quantity(totals.multiply_adds, "")),
        ("Activations", nbytes(totals.activation_bytes)),
        ("Operators", f"{len(graph)}, {complex_count} complex"),
    ]
    return rows + [("Input", f"{name} {tensor}") for name, tensor in graph.inputs]


def operator_rows(op: Operator) -> list[Row]:
    rows = [
        ("Kind", op.kind + (" (library call)" if op.extern else "")),
        ("Complex", "yes" if op.is_complex else "no"),
        ("TVM pattern", op.pattern.value),
        ("Work", flops(op.flops)),
        ("Reads", nbytes(op.bytes_read)),
        ("Writes", nbytes(op.bytes_written)),
        ("Inputs", _tensors(op.inputs)),
        ("Weights", _tensors(op.weights)),
        ("Outputs", _tensors(op.outputs)),
        ("ONNX nodes", ", ".join(op.origin) or "none: the importer added it"),
    ]
    return [(label, value) for label, value in rows if value]


def input_rows(graph: OpGraph, op: Operator) -> list[dict[str, str]]:
    """For each input who writes it and how the loops index it; for a complex operator also what fusing would give."""
    rows = []
    for source, tensor, access in zip(op.sources, op.inputs, op.access):
        row = {"Input": "model input" if source is None else graph.operators[source].name}
        row[INDEX] = index_text(tensor, access)
        if op.is_complex:
            row[FUSING] = "" if source is None else analyse(graph, source, op.id).reason
        rows.append(row)
    return rows


def index_text(tensor: Tensor, access: Access | None) -> str:
    """How an input is indexed, axis by axis, such as "[0, 2·yy + ry, 2·xx + rx, rc]"."""
    if access is None:
        return "not known"
    axes = zip(tensor.shape, access)
    return (
        f"[{', '.join(' + '.join(map(_term, terms)) or ('0' if extent == 1 else 'const') for extent, terms in axes)}]"
    )


def _term(term: Term) -> str:
    if term.stride is None:
        return f"f({term.loop})"
    return term.loop if term.stride == 1 else f"{term.stride}·{term.loop}"


def subgraph_rows(graph: OpGraph, view: View, index: int) -> list[Row]:
    members = view.partition.subgraphs[index]
    edge = boundary(graph, members)
    return [
        ("Operators", str(len(members))),
        ("Complex", str(view.complex_counts[index])),
        ("Weight", f"{view.weights[index]:.1f} trials"),
        ("Work", flops(sum(graph.operators[op].flops for op in members))),
        ("Bytes in", f"{nbytes(edge.activations)} + {nbytes(edge.weights)} weights"),
        ("Bytes out", nbytes(edge.results)),
    ]


def operator_table(graph: OpGraph, views: Iterable[View], members: Iterable[int]) -> list[dict]:
    """One row for each operator, with the subgraph that holds it in each view."""
    owners = [(view.title, view.partition.owner) for view in views]
    return [
        {
            "Operator": op.name,
            "Complex": "yes" if op.is_complex else "",
            "Output": _tensors(op.outputs),
            "Work": flops(op.flops),
            "Reads": nbytes(op.bytes_read),
            "Writes": nbytes(op.bytes_written),
            **{title: f"S{owner[op.id]}" for title, owner in owners},
            "ONNX nodes": ", ".join(op.origin),
        }
        for op in (graph.operators[i] for i in members)
    ]


def selection_rows(graph: OpGraph, members: tuple[int, ...]) -> list[Row]:
    """Sums over several operators."""
    operators = [graph.operators[op] for op in members]
    kinds = Counter(op.kind for op in operators).most_common()
    return [
        ("Operators", str(len(members))),
        ("Complex", str(sum(op.is_complex for op in operators))),
        ("Work", flops(sum(op.flops for op in operators))),
        ("Kinds", ", ".join(f"{count} {kind}" for kind, count in kinds)),
    ]


def holders(view: View, members: Iterable[int]) -> dict[int, int]:
    """The subgraphs that hold some of the operators: index → how many, in the partition's order."""
    owner = view.partition.owner
    return dict(sorted(Counter(owner[op] for op in members).items()))


def complex_histogram(view: View) -> str:
    """How many subgraphs hold how many complex operators, such as "3 × 0, 53 × 1"."""
    return ", ".join(f"{subgraphs} × {count}" for count, subgraphs in sorted(Counter(view.complex_counts).items()))


METRICS: tuple[tuple[str, str, Callable[[View], str]], ...] = (
    ("Subgraphs", "Groups of operators, each compiled into one function.", lambda v: str(v.metrics.subgraphs)),
    (
        "Trivial",
        "Subgraphs without a convolution or matmul: they only move data, so a call is spent on little.",
        lambda v: str(v.metrics.trivial),
    ),
    (
        "Complex operators",
        "Subgraphs × convolutions or matmuls in each. A heuristic allows one; AGO any number.",
        complex_histogram,
    ),
    ("Largest", "Operators in the largest subgraph.", lambda v: str(v.metrics.largest)),
    (
        "Mean weight",
        "Weight: how hard a subgraph is to tune, in trials that it is expected to need.",
        lambda v: _mean_text(v.weights),
    ),
    ("Largest weight", "The hardest subgraph; AGO keeps it under a threshold.", lambda v: f"{max(v.weights):.1f}"),
    (
        "Fairness",
        "Jain's index of the weights: 1 if all subgraphs are equally hard, 1/n if one has it all.",
        lambda v: f"{v.metrics.fairness:.3f}",
    ),
    (
        "Crossing",
        "Bytes that one subgraph writes to memory for another to read. Less is better.",
        lambda v: nbytes(v.metrics.crossing_bytes),
    ),
    (
        "Kept out of memory",
        "Bytes that only their own subgraph reads: fused, they need not reach main memory. More is better.",
        lambda v: nbytes(v.metrics.kept_bytes),
    ),
    (
        "Acyclic",
        "Whether the subgraphs can be called in some order. They must.",
        lambda v: "yes" if v.metrics.acyclic else "NO",
    ),
)
"""Label, one line of explanation, and the figure as text, of all that two partitions are compared by."""


def metric_table(views: Iterable[View]) -> list[dict[str, str]]:
    """One row for each of `METRICS`, a column for each view."""
    views = list(views)
    return [
        {"Figure": label, **{view.title: text(view) for view in views}, EXPLANATION: explanation}
        for label, explanation, text in METRICS
    ]


def regions_row(tasks: Mapping[str, Task]) -> dict[str, str]:
    """The row of `metric_table` that takes long: for each view's title the task that counts, which may be at it."""
    return {"Figure": "Parallel regions", **{title: _regions_text(task) for title, task in tasks.items()}}


def _regions_text(task: Task) -> str:
    if not task.done:
        return f"counting … {task.progress.seconds:.0f} s" if task.progress.steps else "waiting …"
    return "not known" if task.error else str(task.result)


def change_table(graph: OpGraph, partitions: Sequence[Partition]) -> list[dict[str, str]]:
    """One row for each two partitions: what became of the first one's subgraphs in the second."""
    rows = []
    for before, after in combinations(partitions, 2):
        found = compare(graph, before, after)
        row = {CHANGE_COLUMN: f"{METHOD_NAMES[before.method]} → {METHOD_NAMES[after.method]}"}
        row |= {change.value.capitalize(): str(found.count(change)) for change in Change}
        rows.append(row | {"Crossing": _traffic(found)})
    return rows


def difference_line(comparison: Comparison) -> str:
    """Counts of each change and the traffic, as one line."""
    counts = ", ".join(f"{comparison.count(change)} {change.value}" for change in Change)
    return f"Left to right: {counts}; {_traffic(comparison)} crosses subgraphs."


def _traffic(comparison: Comparison) -> str:
    saved = comparison.bytes_saved
    if saved == 0:
        return "no less"
    return f"{nbytes(abs(saved))} {'less' if saved > 0 else 'more'}"


def settings_line(settings: Settings) -> str:
    """What is not as by default, such as "limit 80, exact test"; "" where all is."""
    default = Settings()
    parts = []
    if settings.threshold != default.threshold:
        parts.append(f"limit {settings.threshold:g}")
    if settings.rule is Rule.EXACT:
        parts.append("exact test")
    if not settings.aware:
        parts.append("the paper's rule")
    return ", ".join(parts)


def panel_line(view: View) -> str:
    """What a panel shows, beside its name."""
    return f"{view.metrics.subgraphs} subgraphs, {view.metrics.trivial} trivial"


def target_line(graph: OpGraph, partition: Partition, target: int, operators: Iterable[int]) -> str:
    """A subgraph that operators could be moved to."""
    members = partition.subgraphs[target]
    kept = [op for op in members if op not in set(operators)] or members
    return f"S{target}: {graph.operators[kept[0]].name}" + (f" and {len(members) - 1} more" if len(members) > 1 else "")


def member_line(graph: OpGraph, partition: Partition, subgraph: int) -> str:
    """A subgraph with the names of all its operators, to be searched."""
    return f"S{subgraph}: " + ", ".join(graph.operators[op].name for op in partition.subgraphs[subgraph])


def _mean_text(weights: Iterable[float]) -> str:
    return f"{mean(weights):.1f}"


def _tensors(tensors: Iterable[Tensor]) -> str:
    return ", ".join(str(tensor) for tensor in tensors)
