"""Why two operators, or two subgraphs, are or are not together in a partition; and what a panel emphasises."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ago_core.errors import UserError
from ago_core.fusion.reuse import analyse
from ago_core.graph.opgraph import OpGraph
from ago_core.partition import edits
from ago_core.partition.compare import compare
from ago_core.partition.edits import EDITED, Refusal
from ago_core.partition.explain import explain_ago, explain_heuristic
from ago_core.partition.metrics import subgraph_weights
from ago_core.partition.partition import Partition
from ago_core.partition.trace import Edge, State, state_at
from app.services.study import Study
from visualizers import marks
from visualizers.marks import Marks

MAX_NAMES = 6


@dataclass(frozen=True)
class Answer:
    """For two operators of one partition.

    Attributes:
        operators: the two, ascending.
        together: whether they share a subgraph.
        sentences: why.
        cycle: edges that lead from subgraph to subgraph, and that merging the two would close into a cycle.
    """

    operators: tuple[int, int]
    together: bool
    sentences: tuple[str, ...]
    cycle: tuple[Edge, ...] = ()


def pair(graph: OpGraph, partition: Partition, operators: Iterable[int]) -> tuple[int, int] | None:
    """The two operators that a selection asks about: two that are selected, or of two subgraphs that it touches.

    Of two subgraphs those that an edge joins, else the first ones; None where the selection asks about no pair.
    """
    operators = sorted(operators)
    if len(operators) == 2:
        return operators[0], operators[1]
    owner = partition.owner
    touched = sorted({owner[op] for op in operators})
    if len(touched) != 2:
        return None
    a, b = (partition.subgraphs[index] for index in touched)
    inside = {*a, *b}
    joined = ((u, v) for u in sorted(inside) for v in graph.successors[u] if v in inside and owner[u] != owner[v])
    return next(joined, (min(a[0], b[0]), max(a[0], b[0])))


def answer(study: Study, method: str, operators: Iterable[int]) -> Answer | None:
    """Why the operators asked about are, or are not, together in the partition of a method; None: no pair is asked."""
    partition = study.partitions[method]
    asked = pair(study.graph, partition, operators)
    if asked is None:
        return None
    if method == EDITED:
        return _answer_edited(study.graph, partition, asked)
    if method == "ago":
        found = explain_ago(study.graph, study.clustering, *asked)
    else:
        found = explain_heuristic(study.graph, partition, *asked)
    return Answer(asked, found.together, found.sentences, found.detour)


def _answer_edited(graph: OpGraph, partition: Partition, asked: tuple[int, int]) -> Answer:
    owner = partition.owner
    a, b = (owner[op] for op in asked)
    if a == b:
        return Answer(asked, True, (f"Both are in S{a}.",))
    try:
        result = edits.merge(graph, partition, (a, b))
    except UserError as error:
        return Answer(asked, False, (str(error),))
    if isinstance(result, Refusal):
        along = names(graph, result.take_along)
        text = f"Merging S{a} and S{b} is not possible: {result.reason}."
        return Answer(asked, False, (text, f"It would be together with {along}."), result.cycle)
    weights = subgraph_weights(graph, partition)
    weight = f"{weights[a]:.0f} + {weights[b]:.0f} = {weights[a] + weights[b]:.0f} trials"
    return Answer(asked, False, (f"S{a} and S{b} can be merged; together they weigh {weight}.",))


def reuse_sentence(graph: OpGraph, u: int, v: int) -> str:
    """What reuse analysis says about fusing one of two operators into the other; "" where no edge joins them."""
    if v not in graph.successors[u]:
        return ""
    return f"Fusing {graph.operators[u].name} into {graph.operators[v].name}: {analyse(graph, u, v).reason}."


def names(graph: OpGraph, operators: Iterable[int]) -> str:
    """Names of operators, the first few of many."""
    found = [graph.operators[op].name for op in operators]
    more = len(found) - MAX_NAMES
    return ", ".join(found[:MAX_NAMES]) + (f" and {more} more" if more > 0 else "")


def current_step(study: Study) -> State | None:
    """The step of AGO's construction that is looked at."""
    if study.step is None or study.step >= len(study.clustering.steps):
        return None
    return state_at(study.graph, study.clustering, study.step)


def emphasis(
    study: Study, shown: tuple[str, str], side: int, operators: Iterable[int] = (), differences: bool = False
) -> Marks | None:
    """What one of two panels emphasises: a step, a refused edit, a cycle, or what differs, whichever comes first.

    Args:
        study: the session's work.
        shown: the methods of both panels.
        side: 0 for the left panel.
        operators: those selected, where it is asked why they are, or are not, together; else none.
        differences: whether what differs is wanted.
    """
    method = shown[side]
    if method == "ago" and (state := current_step(study)):
        return marks.step_marks(study.graph, state)
    if method == EDITED and study.refused:
        return marks.refusal_marks(study.graph, study.refused.group, study.refused.refusal)
    if operators and (found := answer(study, method, operators)) and found.cycle:
        return marks.cycle_marks(found.cycle)
    if differences and shown[0] != shown[1]:
        comparison = compare(study.graph, *(study.partitions[one] for one in shown))
        return marks.change_marks(comparison, after=side == 1)
    return None
