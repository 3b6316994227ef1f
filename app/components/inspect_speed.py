"""How fast a subgraph is: its place under the roofline, and what tuning sessions found."""

from __future__ import annotations

import streamlit as st

from app.components.inspect_wait import when_done
from app.components.text import plain, table
from app.services.inspect_memory import each_by_itself
from app.services.inspect_speed import (
    latency,
    measured_points,
    point,
    position_sentence,
    tuned_points,
    tuned_rows,
)
from app.services.inspection import inspection, limits
from app.services.loaded import View
from app.services.study import Study
from app.services.tuning import session_store
from visualizers.roofline import roofline
from visualizers.units import count

HEIGHT = 340


def speed(study: Study, view: View, index: int) -> None:
    _sessions(study, view, index)
    when_done(inspection(study.loaded, view.partition, index), _measured_limits, study, view, index)


def _sessions(study: Study, view: View, index: int) -> None:
    rows = tuned_rows(session_store(), study.graph, view.partition.subgraphs[index])
    if rows:
        table(rows, wide="Device")
        st.caption("Each is the best of a session's trials, measured one call at a time with a cold second cache.")
    else:
        st.caption("No tuning session has tried these operators. Start one on the Tune page; its results appear here.")


def _measured_limits(found, study: Study, view: View, index: int) -> None:
    task = limits()
    when_done(task, _roofline, found, study, view, index)
    if task.done and task.error:
        st.button("Measure again", icon=":material/refresh:", on_click=limits.cache_clear)


def _roofline(known, found, study: Study, view: View, index: int) -> None:
    members = view.partition.subgraphs[index]
    own = latency(study, view, index, known, found)
    if own is None:
        st.caption(
            "It was not measured, and the estimate knows no function without a reduction: measure the plan on the "
            "Compare page to see where it stands."
        )
        return
    chosen = point(study.graph, f"S{index}", members, own.seconds, own.measured)
    text = position_sentence(chosen, known, own.how)
    if chosen.flops:
        others = [each for each in measured_points(study, view) if each.name != chosen.name]
        others += tuned_points(session_store(), study.graph, members)
        before = each_by_itself(study.graph, members).total
        figure = roofline(known.peak, known.footprints, known.bandwidths, chosen, others, before)
        key = f"roofline-{view.method}-{index}"
        st.plotly_chart(figure, height=HEIGHT, config={"displaylogo": False}, key=key, alt=text)
    st.caption(plain(text))
    st.caption(
        f"Peak and bandwidths: measured on this machine with {count(known.threads, 'thread')} when this was first "
        "asked; what else runs makes them worse. Filled points are measured, open ones estimated."
    )
