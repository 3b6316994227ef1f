"""Two plans of the model as they were measured, and below them the partitions in figures and charts."""

from __future__ import annotations

import plotly.graph_objects as go
import streamlit as st

from app.components.compare_plans import compare_plans
from app.components.guard import guarded
from app.components.loading import POLL_SECONDS
from app.components.terms import REGIONS
from app.components.text import plain, table
from app.services.describe import EXPLANATION, change_table, metric_table, regions_row, settings_line
from app.services.loaded import View
from app.services.study import Study
from visualizers import charts

CHART_HEIGHT = 320


def comparison(study: Study) -> None:
    guarded(compare_plans, study)
    st.markdown("#### The partitions")
    guarded(_partitions, study)


def _partitions(study: Study) -> None:
    """Computed from the model, nothing is run."""
    views = list(study.views.values())
    counting = any(not study.loaded.regions(view.partition).done for view in views)
    st.fragment(guarded, run_every=POLL_SECONDS if counting else None)(_figures, study, counting)
    if line := settings_line(study.settings):
        st.caption(f"AGO with {line}.")
    table(change_table(study.graph, list(study.partitions.values())), wide="Crossing")
    with st.expander("Charts of the partitions", icon=":material/bar_chart:"):
        _charts(study, views)


def _charts(study: Study, views: list[View]) -> None:
    sizes = {view.title: [len(members) for members in view.partition.subgraphs] for view in views}
    weights = {view.title: view.weights for view in views}
    complex_counts = {view.title: view.complex_counts for view in views}
    left, right = st.columns(2)
    with left:
        _chart(charts.weight_distribution(weights), charts.weight_distribution_text(weights))
        _chart(charts.subgraph_sizes(sizes), charts.subgraph_sizes_text(sizes))
    with right:
        _chart(charts.complex_per_subgraph(complex_counts), charts.complex_per_subgraph_text(complex_counts))
        _chart(charts.operator_kinds(study.graph), charts.operator_kinds_text(study.graph))


def _figures(study: Study, was_counting: bool) -> None:
    """The table of figures, drawn again and again until the last one is there, which takes lowering."""
    tasks = {view.title: study.loaded.regions(view.partition) for view in study.views.values()}
    if was_counting and all(task.done for task in tasks.values()):
        st.rerun()  # only the whole page's run stops the refreshing
    table([*metric_table(study.views.values()), regions_row(tasks) | {EXPLANATION: REGIONS}], wide=EXPLANATION)
    for title, task in tasks.items():
        if task.error:
            st.caption(f":material/error: The parallel regions of {title} are not known: {plain(task.error)}")


def _chart(figure: go.Figure, text: str) -> None:
    height = figure.layout.height or 0
    with st.container(border=True):
        st.plotly_chart(figure, height=max(CHART_HEIGHT, height), config={"displaylogo": False}, alt=text)
