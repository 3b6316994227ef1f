"""The partitions of the model in figures and charts."""

from __future__ import annotations

import streamlit as st

from app.services.describe import metric_table
from app.services.models import Loaded
from visualizers import charts


def comparison(loaded: Loaded) -> None:
    views = list(loaded.views.values())
    st.table({key: [row[key] for row in metric_table(views)] for key in metric_table(views)[0]})
    sizes = {view.title: [len(members) for members in view.partition.subgraphs] for view in views}
    figures = (
        charts.weight_distribution({view.title: view.weights for view in views}),
        charts.complex_per_subgraph({view.title: view.complex_counts for view in views}),
        charts.subgraph_sizes(sizes),
        charts.operator_kinds(loaded.graph),
    )
    for row in (figures[:2], figures[2:]):
        for column, figure in zip(st.columns(2), row):
            with column.container(border=True):
                st.plotly_chart(figure, config={"displaylogo": False})
