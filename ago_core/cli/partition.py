"""Commands about partitions: partition, explain, edit, diff."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from ago_core.cli.common import (
    chosen_partition,
    clustering,
    load,
    operator_id,
    partition_named,
    read_json,
    show,
    write,
)
from ago_core.errors import UserError


def partition_command(args: argparse.Namespace) -> int:
    from ago_core.graph.transposes import count_transposes
    from ago_core.lowering.regions import parallel_regions
    from ago_core.partition.metrics import complex_per_subgraph, measure, subgraph_weights

    model = load(args)
    partition = chosen_partition(model, args)
    graph = model.graph
    metrics = measure(graph, partition)
    rows = zip(partition.subgraphs, complex_per_subgraph(graph, partition), subgraph_weights(graph, partition))
    report = {
        "model": graph.name,
        "model_hash": graph.model_hash,
        "method": partition.method,
        "operators": len(graph),
        "totals": asdict(graph.totals),
        "transposes": asdict(count_transposes(graph)),
        "subgraphs": [
            {"operators": [graph.operators[op].name for op in members], "complex_operators": count, "weight": weight}
            for members, count, weight in rows
        ],
        "acyclic": metrics.acyclic,
        "metrics": asdict(metrics),
    }
    if args.json:  # takes lowering, which the text does not need
        report["metrics"]["parallel_regions"] = parallel_regions(model, partition)
    if args.save:
        write(args.save, json.dumps(partition.to_json()))
    show(args, report, _partition_text)
    return 0


def _partition_text(data: dict) -> str:
    metrics = data["metrics"]
    lines = [
        f"{data['model']}: {data['operators']} operators in {metrics['subgraphs']} subgraphs ({data['method']})",
        f"  trivial {metrics['trivial']}, largest {metrics['largest']} operators, fairness {metrics['fairness']:.2f}, "
        f"{metrics['crossing_bytes'] / 1e6:.1f} MB cross subgraphs, {'acyclic' if data['acyclic'] else 'CYCLIC'}",
    ]
    for index, row in enumerate(data["subgraphs"]):
        complexity = f"{row['complex_operators']} complex, weight {row['weight']:.0f}"
        lines.append(f"  {index:4d}  {complexity:24s}  {' '.join(row['operators'])}")
    return "\n".join(lines)


def explain_command(args: argparse.Namespace) -> int:
    from ago_core.partition.explain import explain_ago, explain_heuristic
    from ago_core.partition.heuristic import heuristic_partition

    model = load(args)
    u, v = operator_id(model, args.u), operator_id(model, args.v)
    names = [op.name for op in model.graph.operators]
    answers = {
        "heuristic": explain_heuristic(model.graph, heuristic_partition(model), u, v),
        "ago": explain_ago(model.graph, clustering(model, args), u, v),
    }
    data = {"model": model.name, "operators": [names[u], names[v]]}
    for method, answer in answers.items():
        data[method] = {
            "together": answer.together,
            "verdict": answer.verdict.value if answer.verdict else None,
            "reasons": list(answer.sentences),
            "path": [names[op] for op in answer.path],
        }
    show(args, data, _explain_text)
    return 0


def _explain_text(data: dict) -> str:
    lines = [" and ".join(data["operators"])]
    for method in ("heuristic", "ago"):
        answer = data[method]
        lines.append(f"  {method}: {'together' if answer['together'] else 'apart'}")
        lines.extend(f"    {reason}" for reason in answer["reasons"])
    return "\n".join(lines)


def edit_command(args: argparse.Namespace) -> int:
    from ago_core.partition.metrics import measure

    model = load(args)
    partition = chosen_partition(model, args)
    script = read_json(args.script, "script of edits")
    if not isinstance(script, list):
        raise UserError(f"The script {args.script} must be a JSON list of edits.")
    before = len(partition)
    for number, step in enumerate(script, start=1):
        partition = _edited(model, partition, number, step)
    if args.save:
        write(args.save, json.dumps(partition.to_json()))
    data = {
        "model": model.name,
        "edits": len(script),
        "subgraphs_before": before,
        "metrics": asdict(measure(model.graph, partition)),
        "saved": args.save,
    }
    show(args, data, lambda d: f"{d['edits']} edits made: {before} subgraphs are now {d['metrics']['subgraphs']}.")
    return 0


def _edited(model, partition, number: int, step: object):
    """Carries out one edit. Raises UserError with the witness where it is refused."""
    from ago_core.partition.edits import Refusal, merge, move, split

    def ids(names) -> list[int]:
        return [operator_id(model, name) for name in names]

    match step:
        case {"merge": [*names]}:
            result = merge(model.graph, partition, {partition.owner[op] for op in ids(names)})
        case {"split": [*names]}:
            result = split(model.graph, partition, ids(names))
        case {"move": [*names], "to": target}:
            result = move(model.graph, partition, ids(names), partition.owner[operator_id(model, target)])
        case _:
            known = '{"merge": [OPERATORS]}, {"split": [OPERATORS]} or {"move": [OPERATORS], "to": OPERATOR}'
            raise UserError(f"Edit {number} is not understood; it must be {known}.")
    if not isinstance(result, Refusal):
        return result
    names = [op.name for op in model.graph.operators]
    cycle = ", ".join(f"{names[u]} → {names[v]}" for u, v in result.cycle)
    along = ", ".join(names[op] for op in result.take_along)
    raise UserError(
        f"Edit {number} is refused: {result.reason} (edges {cycle}). It would be legal together with {along}."
    )


def diff_command(args: argparse.Namespace) -> int:
    from ago_core.partition.compare import Change, compare

    model = load(args)
    before, after = (partition_named(model, name, args) for name in (args.a, args.b))
    comparison = compare(model.graph, before, after)
    names = [op.name for op in model.graph.operators]
    blocks = [
        asdict(block) | {"change": block.change.value, "operators": [names[op] for op in block.operators]}
        for block in comparison.blocks
    ]
    data = {
        "model": model.name,
        "a": args.a,
        "b": args.b,
        "subgraphs": [len(before), len(after)],
        "bytes_saved": comparison.bytes_saved,
        "changes": {change.value: comparison.count(change) for change in Change},
        "blocks": blocks,
    }
    show(args, data, _diff_text)
    return 0


def _diff_text(data: dict) -> str:
    counts = ", ".join(f"{count} {change}" for change, count in data["changes"].items())
    lines = [
        f"{data['a']} ({data['subgraphs'][0]} subgraphs) → {data['b']} ({data['subgraphs'][1]}): {counts}; "
        f"{data['bytes_saved'] / 1e6:+.1f} MB less cross subgraphs"
    ]
    for block in data["blocks"]:
        if block["change"] != "same":
            lines.append(f"  {block['change']:7s} {block['before']} → {block['after']}: {' '.join(block['operators'])}")
    return "\n".join(lines)


def tasks_command(args: argparse.Namespace) -> int:
    from ago_core.tuning.split import split_subgraphs
    from ago_core.tuning.tasks import tasks_of

    model = load(args)
    partition = chosen_partition(model, args)
    minis = split_subgraphs(model.graph, partition)
    tasks = tasks_of(model, minis)
    names = [op.name for op in model.graph.operators]
    rows = [
        {
            "operators": [names[op] for op in minis.subgraphs[task.subgraphs[0]]],
            "times": len(task.subgraphs),
            "weight": task.weight,
        }
        for task in tasks
    ]
    data = {"model": model.name, "subgraphs": len(partition), "minis": len(minis), "tasks": rows}
    show(args, data, _tasks_text)
    return 0


def _tasks_text(data: dict) -> str:
    head = (
        f"{data['model']}: {data['subgraphs']} subgraphs, {data['minis']} minis, {len(data['tasks'])} different tasks"
    )
    rows = (f"  {row['times']:3d}×  weight {row['weight']:4.0f}  {' '.join(row['operators'])}" for row in data["tasks"])
    return "\n".join((head, *rows))
