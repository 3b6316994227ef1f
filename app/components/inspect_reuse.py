"""Loops and reuse of a subgraph as tables: which loop re-reads what, and what a tile keeps in cache."""

from __future__ import annotations

import html
from collections.abc import Iterable

import streamlit as st

from ago_core.graph.opgraph import Operator, OpGraph
from app.components.terms import REUSE_HELPS
from app.components.text import fact_line, plain
from app.services.inspect_reuse import (
    Cell,
    LoopTable,
    intermediate_facts,
    intermediates,
    loop_table,
    reuse_sentence_of,
)
from visualizers.palette import BLUE, GREEN, NEUTRAL, ORANGE

_HUES = {"moves": BLUE, "window": GREEN, "rereads": ORANGE, "unknown": NEUTRAL}
_SIGNS = {"moves": "→", "window": "⇶", "rereads": "↻", "unknown": "?"}
_TD = (
    '<td style="padding:.25rem .4rem;border:2px solid transparent;background-clip:padding-box;border-radius:6px;'
    'background-color:color-mix(in srgb, {hue} {share}%, transparent);white-space:nowrap">{text}</td>'
)
_TH = (
    '<th scope="{scope}" style="text-align:left;font-weight:400;padding:.25rem .6rem .25rem 0;white-space:nowrap">'
    "{text}</th>"
)
LEGEND = (
    "→ each iteration is at another place · ⇶ windows of neighbouring iterations overlap · "
    "↻ every iteration reads the same again, which is free while it stays in cache. Loops of one step are left out. "
    "Computed from the operators' index expressions."
)


def reuse(graph: OpGraph, members: Iterable[int]) -> None:
    """For a subgraph: a table for each complex operator, then the intermediates between them."""
    heavy = [graph.operators[op] for op in members if graph.operators[op].is_complex]
    if not heavy:
        st.caption("No operator here multiplies and adds over a reduction, so every loop passes its data once.")
        return
    left, right = st.columns([6, 5])
    with left:
        loops(graph, _chosen(graph, heavy))
    with right:
        _intermediates(graph, members)
    st.caption(LEGEND)


def _chosen(graph: OpGraph, heavy: list[Operator]) -> Operator:
    if len(heavy) == 1:
        return heavy[0]
    name = st.selectbox(
        "Operator",
        [op.name for op in heavy],
        key=f"reuse-{graph.model_hash[:8]}-{heavy[0].id}-{len(heavy)}",
        label_visibility="collapsed",
    )
    return next(op for op in heavy if op.name == name)


def loops(graph: OpGraph, op: Operator) -> None:
    """The loops of one operator against what it reads and writes."""
    if not op.loops:
        st.caption("It has no loops.")
        return
    found = loop_table(graph, op)
    st.html(_matrix(found))
    st.caption(plain(reuse_sentence_of(found)))


def _matrix(found: LoopTable) -> str:
    heads = "".join(
        _TH.format(scope="col", text=f"{html.escape(name)}<br><small>{html.escape(shape)}</small>")
        for name, shape in found.tensors
    )
    rows = [f"<tr>{_TH.format(scope='col', text='Loop')}{heads}</tr>"]
    for loop, cells in zip(found.loops, found.cells):
        name = f"<b>{html.escape(loop.name)}</b> {loop.extent:,} <small>{loop.kind}</small>"
        rows.append(f"<tr>{_TH.format(scope='row', text=name)}{''.join(map(_cell, cells))}</tr>")
    totals = "".join(
        _TD.format(hue=NEUTRAL, share=0, text="–" if times is None else f"<b>{times:,.4g}×</b>")
        for times in found.reads
    )
    rows.append(f"<tr>{_TH.format(scope='row', text='Each is used')}{totals}</tr>")
    return f'<div style="overflow-x:auto"><table style="font-size:.875rem">{"".join(rows)}</table></div>'


def _cell(cell: Cell) -> str:
    share = 0 if cell.kind == "unknown" else 28 if cell.kind == "rereads" else 14
    text = f"{_SIGNS[cell.kind]} {html.escape(cell.text)}".strip()
    return _TD.format(hue=_HUES[cell.kind], share=share, text=text)


def _intermediates(graph: OpGraph, members: Iterable[int]) -> None:
    found = intermediates(graph, members)
    if not found:
        st.caption("No complex operator here reads what another operator of the subgraph writes.")
        return
    for kept in found:
        st.markdown(f"**{plain(kept.producer)} → {plain(kept.consumer)}**")
        fact_line(intermediate_facts(kept), REUSE_HELPS)
        st.caption(plain(f"Fused: {kept.reuse.reason}."))
