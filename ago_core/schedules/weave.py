"""Rows that weave several contiguous runs into one: the channel shuffle after a concatenation.

Each run is computed in vectors, and vectors are woven in registers:

    before: for c in 116: y[c] = x[c // 2] if c % 2 < 1 else max(z[c // 2], 0)
    after:  for v in 0, 16, 32, 42: a = x[v : v + 16]    b = max(z[v : v + 16], 0)
                                    y[2·v : 2·v + 32] = a₀ b₀ a₁ b₁ …

Read element by element, such a row takes ten times as long.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from tvm import s_tir, sym, tirx
from tvm.ir.expr import TensorLoad

from ago_core.schedules.machine import Machine
from ago_core.schedules.nest import calls_of, is_choice, loads_of
from ago_core.schedules.pointwise import UNROLLED, Bound, Row, along, bound, decided, nest_of_rows, read_row
from ago_core.schedules.rewrite import axis_of, index, simplified, substitute
from ago_core.schedules.tile import best_lanes

STRANDS = (2, 3, 4, 8)
"""Runs that are looked for in a row."""


def weave_rows(block: s_tir.SBlock, machine: Machine) -> tirx.Stmt | None:
    """The nest of a pointwise block whose rows are runs woven together; None where they are not."""
    row = read_row(block, machine) if isinstance(block.body, tirx.BufferStore) else None
    if row is None or len(row.inner) != 1:
        return None
    store = bound(row, block.body)
    if not store.indices[-1].same_as(row.inner[0].var) or _is_plain(store, row):
        return None
    for count in (count for count in STRANDS if row.length % count == 0):
        length = row.length // count
        lanes = best_lanes(length, machine.lanes)
        run = replace(row, inner=(axis_of("v_run", length),))
        strands = [_strand(row, run, store, count, first) for first in range(count)]
        if lanes > 1 and all(_is_plain(strand, run) for strand in strands):
            vectors = tirx.decl_buffer([index(count * lanes)], str(store.buffer.dtype), "strands", scope="local")
            weave = partial(_weave, run, strands, vectors, lanes)
            stmt = along(0, length, lanes, UNROLLED // count, weave)
            return nest_of_rows(block.name_hint, list(row.outer), row, store, stmt, [vectors])
    return None


def _strand(row: Row, run: Row, store: tirx.BufferStore, count: int, first: int) -> tirx.BufferStore:
    """One of so many elements of a row, by their number among these; choices taken that are the same for all."""
    place = run.inner[0].var * count + first
    strand = decided(run, substitute(store, {row.inner[0].var: place}), 0, run.length)
    return simplified(strand, (*run.outer, *run.inner))


def _is_plain(store: tirx.BufferStore, row: Row) -> bool:
    """Whether each load walks the row with stride 1 or not at all, whatever the place, and nothing is chosen."""
    (axis,) = row.inner
    return not any(map(is_choice, calls_of(store.value))) and all(
        _walks(load, axis.var) for load in loads_of(store.value)
    )


def _walks(load: TensorLoad, variable: tirx.Var) -> bool:
    """Whether a load's last index moves by 1 with a variable or not at all, and no other index does."""
    forms = [sym.detect_linear_equation(each, [variable]) for each in load.indices]
    steps = [int(form[0]) if form and isinstance(form[0], tirx.IntImm) else None for form in forms]
    return not any(steps[:-1]) and None not in steps and steps[-1:] in ([], [0], [1])


def _weave(run: Row, strands: list[tirx.BufferStore], vectors, lanes: int, start: Bound) -> tirx.Stmt:
    """So many vectors of the row, from those of its runs at one place."""
    count, start = len(strands), index(start) if isinstance(start, int) else start
    loads = [vectors[tirx.Ramp(index(k * lanes), index(1), lanes)] for k in range(count)]
    stmts = [_vector(run, strand, vectors, k, start, lanes) for k, strand in enumerate(strands)]
    *outer, _ = strands[0].indices
    for first in range(0, count * lanes, lanes):
        order = [index(place % count * lanes + place // count) for place in range(first, first + lanes)]
        along_row = tirx.Ramp(start * count + first, index(1), lanes)
        stmts.append(tirx.BufferStore(strands[0].buffer, tirx.Shuffle(loads, order), [*outer, along_row]))
    return tirx.SeqStmt(stmts)


def _vector(run: Row, strand: tirx.BufferStore, vectors, position: int, start, lanes: int) -> tirx.Stmt:
    """A vector of one run."""
    lane = tirx.Var("l", "int64")
    value = substitute(strand.value, {run.inner[0].var: start + lane})
    store = tirx.BufferStore(vectors, value, [lane + position * lanes])
    return tirx.For(lane, index(0), index(lanes), tirx.ForKind.VECTORIZED, store)
