"""The Streamlit page that `browser_app_graph.py` drives: two linked panels, sizes and networks by query parameters."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import streamlit as st

from ago_core.partition.partition import make_partition
from app.components.graph_view import Selection, graph_view, tell_panel
from benchmarks.synthetic import attention_graph, block_groups, fused_groups, inception_graph, residual_graph
from visualizers.elements import elements
from visualizers.layout import layout

NETWORKS = {"residual": residual_graph, "inception": inception_graph, "attention": attention_graph}


@st.cache_data
def drawn(network: str, size: int, method: str, block: int) -> list[dict]:
    graph = NETWORKS[network](size)
    groups = fused_groups(graph) if method == "heuristic" else block_groups(graph, block)
    partition = make_partition(graph, groups, method)
    return elements(graph, partition, layout(graph, partition, aspect=0.95))


def store(selection: Selection) -> None:
    st.session_state.shared = selection


st.set_page_config(layout="wide")
network = st.query_params.get("network", "residual")
size = int(st.query_params.get("n", "150"))
st.session_state.setdefault("shared", Selection())
st.session_state.setdefault("block", 9)
if st.button("Regroup"):
    st.session_state.block += 3
if st.button("Clear"):
    st.session_state.shared = Selection()
st.button("Rerun")
shared = st.session_state.shared
st.text(f"selected {list(shared.operators)[:20]} count {len(shared.operators)} subgraph {shared.subgraph}")
block = st.session_state.block
returned = []
for method, column in zip(("heuristic", "ago"), st.columns(2)):
    with column:
        returned.append(
            graph_view(
                drawn(network, size, method, block),
                revision=f"{network}-{size}-{method}-{block if method == 'ago' else 0}",
                key=f"panel-{method}",
                label=f"{method} partition",
                on_select=store,
            )
        )
        tell_panel(f"panel-{method}", shared.operators)
st.text(f"returned {[len(selection.operators) for selection in returned]}")
