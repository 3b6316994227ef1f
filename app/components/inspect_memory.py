"""Memory traffic of a subgraph before and after fusion."""

from __future__ import annotations

import streamlit as st

from app.components.inspect_wait import when_done
from app.components.text import plain, table
from app.services.inspect_memory import (
    Traffic,
    as_scheduled,
    each_by_itself,
    fused_ideally,
    held_rows,
    held_sentence,
    traffic_rows,
)
from app.services.inspection import inspection
from app.services.loaded import View
from app.services.study import Study
from visualizers.traffic import traffic
from visualizers.units import nbytes

HEIGHT = 210


def memory(study: Study, view: View, index: int) -> None:
    """What can be counted at once, then what the schedule says."""
    members = view.partition.subgraphs[index]
    ways = [each_by_itself(study.graph, members), fused_ideally(study.graph, members)]
    task = inspection(study.loaded, view.partition, index)
    if task.done and not task.error:
        ways.append(as_scheduled(study.graph, members, task.result.held))
    _ways(ways, f"{view.method}-{index}")
    when_done(task, _held)


def _ways(ways: list[Traffic], key: str) -> None:
    figure = traffic([(way.name, (way.inputs, way.weights, way.between, way.results)) for way in ways])
    first, last = ways[0], ways[-1]
    text = (
        f"{last.name} moves {nbytes(last.total)}; {first.name[0].lower()}{first.name[1:]} would move "
        f"{nbytes(first.total)}. Computed from shapes and from the scheduled code, not measured."
    )
    st.plotly_chart(figure, height=HEIGHT, config={"displaylogo": False}, key=f"traffic-{key}", alt=text)
    st.caption(plain(text))
    table(traffic_rows(ways), wide="Way")


def _held(found) -> None:
    st.caption(plain(held_sentence(found.held)))
    if rows := held_rows(found.held):
        table(rows, wide="Intermediate")
