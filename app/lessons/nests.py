"""Loop nests of a model's functions, shortened for reading, and the nest that holds several complex operators."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from app.services.kept import Kept
from app.services.loaded import Loaded

CORES = 2
"""That the fused nest is scheduled for, on every machine."""
KEPT_NESTS = 8
_LOOP = re.compile(
    r"for (?P<names>[\w, ]+) in (?P<how>T\.grid|T\.parallel|T\.unroll|T\.vectorized|range)\((?P<extents>[^)]*)\)"
)
_BLOCK = re.compile(r'with T\.sblock\("(?P<name>\w+)"\)')
_WORDS = {"T.parallel": "parallel for", "T.unroll": "unrolled for", "T.vectorized": "vector for"}


@dataclass(frozen=True)
class FusedNest:
    """Operators of a model in one loop nest.

    Attributes:
        before: the loops as the operators come, shortened.
        after: the loops of the nest.
        tasks: independent parts, which the cores share.
        intermediate_bytes: of what the complex operators pass to each other, all tasks together.
        cache_bytes: of a core's second cache.
    """

    before: str
    after: str
    tasks: int
    intermediate_bytes: int
    cache_bytes: int


@cache
def _nests() -> Kept[tuple, FusedNest]:
    return Kept(KEPT_NESTS)


def fused_nest(loaded: Loaded, operators: Iterable[int]) -> FusedNest:
    """The operators of one subgraph in one nest, with the task that is estimated to take least time; under a second.

    Args:
        loaded: the model.
        operators: their numbers in the model; they must make a legal subgraph.

    Raises:
        ValueError: they cannot go into one nest.
    """
    operators = tuple(operators)
    return _nests().get((loaded.graph.model_hash, operators), lambda: _fuse(loaded, operators))


def _fuse(loaded: Loaded, operators: tuple[int, ...]) -> FusedNest:
    from tvm.s_tir import Schedule  # importing TVM takes more than a second: the model's loading has done it

    from ago_core.devices.local import host_target
    from ago_core.lowering.regroup import regroup_one
    from ago_core.partition.edits import split
    from ago_core.schedules.analytic import schedule_groups, variants
    from ago_core.schedules.knobs import Estimated
    from ago_core.schedules.machine import machine_of
    from ago_core.schedules.stages import count_of

    partition = split(loaded.graph, loaded.heuristic, operators)
    function = regroup_one(loaded.model, partition, partition.owner[operators[0]])
    machine = machine_of(host_target(CORES))
    found = [one for one in variants(function, machine) if len(one.groups) == 1 and one.groups[0].task is not None]
    if not found:
        raise ValueError("these operators cannot go into one nest")
    group = found[0].groups[0]
    scheduled = schedule_groups(Schedule(found[0].module), found[0].groups, machine, Estimated()).mod["main"]
    return FusedNest(
        before=skeleton(function.script()),
        after=skeleton(scheduled.script()),
        tasks=count_of(group.task, group.stages[-1].nest),
        intermediate_bytes=sum(stage.bytes for stage in group.stages[:-1]),
        cache_bytes=machine.l2_bytes,
    )


def skeleton(script: str) -> str:
    """TVMScript's loops and blocks without anything else; loops of one iteration are left out."""
    script = re.sub(r"T\.int64\((-?\d+)\)", r"\1", script)
    lines: list[str] = []
    depths: list[tuple[int, int]] = []
    for line in script.splitlines():
        indent = len(line) - len(line.lstrip())
        while depths and depths[-1][0] >= indent:
            depths.pop()
        depth = depths[-1][1] if depths else 0
        if loop := _LOOP.search(line):
            text = _loop_text(loop)
            if text:
                lines.append("  " * depth + text)
            depths.append((indent, depth + bool(text)))
        elif (block := _BLOCK.search(line)) and block["name"] != "root":
            lines.append("  " * depth + block["name"])
    return "\n".join(lines)


def _loop_text(loop: re.Match) -> str:
    """Such as "parallel for i1_0: 2"; "" where all of its loops have one iteration."""
    names = loop["names"].split(", ")
    sizes = loop["extents"].split(", ")
    kept = [f"{name}: {size}" for name, size in zip(names, sizes) if size != "1"]
    return f"{_WORDS.get(loop['how'], 'for')} {', '.join(kept)}" if kept else ""
