"""The partitions of the model in figures and charts."""

from __future__ import annotations

import plotly.graph_objects as go
import streamlit as st

from app.components.text import table
from app.services.describe import EXPLANATION, change_table, metric_table, settings_line
from app.services.study import Study
from visualizers import charts

CHART_HEIGHT = 320


def comparison(study: Study) -> None:
    views = list(study.views.values())
    table(metric_table(views), wide=EXPLANATION)
    if line := settings_line(study.settings):
        st.caption(f"AGO with {line}.")
    table(change_table(study.graph, list(study.partitions.values())), wide="Crossing")
    sizes = {view.title: [len(members) for members in view.partition.subgraphs] for view in views}
    left, right = st.columns(2)
    with left:
        _chart(charts.weight_distribution({view.title: view.weights for view in views}))
        _chart(charts.subgraph_sizes(sizes))
    with right:
        _chart(charts.complex_per_subgraph({view.title: view.complex_counts for view in views}))
        _chart(charts.operator_kinds(study.graph))


def _chart(figure: go.Figure) -> None:
    height = figure.layout.height or 0
    with st.container(border=True):
        st.plotly_chart(figure, height=max(CHART_HEIGHT, height), config={"displaylogo": False})
