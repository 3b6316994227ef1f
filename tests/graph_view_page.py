"""The page that `test_graph_view_browser.py` drives: two linked panels, sizes and networks by query parameters."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import streamlit as st

from ago_core.partition.partition import Partition, make_partition
from app.components.graph_view import MenuEntry, Request, Selection, graph_view, send_file, tell_colours, tell_panel
from app.services.pictures import Picture, draw
from benchmarks.synthetic import attention_graph, block_groups, fused_groups, inception_graph, residual_graph
from visualizers.colouring import Shown, by_flops, by_weight
from visualizers.dot import partition_dot
from visualizers.scene import Folding

NETWORKS = {"residual": residual_graph, "inception": inception_graph, "attention": attention_graph}
MENU = [MenuEntry("subgraph", "Subgraph"), MenuEntry("flops", "FLOPs"), MenuEntry("weight", "Weight")]
MENU += [MenuEntry("latency", "Latency (not measured yet)", enabled=False)]
PAINTERS = {"flops": by_flops, "weight": by_weight}


@st.cache_data
def partitioned(network: str, size: int, method: str, block: int) -> Partition:
    graph = NETWORKS[network](size)
    groups = fused_groups(graph) if method == "heuristic" else block_groups(graph, block)
    return make_partition(graph, groups, method)


@st.cache_data
def drawn(network: str, size: int, method: str, block: int, folded: tuple[int, ...]) -> Picture:
    return draw(NETWORKS[network](size), partitioned(network, size, method, block), folded)


def store(selection: Selection) -> None:
    st.session_state.shared = selection


def answer(request: Request, method: str, partition: Partition) -> None:
    folding = st.session_state.folding[method]
    if request.kind == "colour":
        st.session_state.colour = request.colour
    elif request.kind == "dot":
        st.session_state.dot = method
    elif request.subgraph is None:
        st.session_state.folding[method] = Folding(request.closed)
    else:
        st.session_state.folding[method] = folding.toggled(partition.subgraphs[request.subgraph])


st.set_page_config(layout="wide")
network = st.query_params.get("network", "residual")
size = int(st.query_params.get("n", "150"))
graph = NETWORKS[network](size)
st.session_state.setdefault("shared", Selection())
st.session_state.setdefault("block", 9)
st.session_state.setdefault("colour", "subgraph")
st.session_state.setdefault("folding", dict.fromkeys(("heuristic", "ago"), Folding.at_first(graph)))
if st.button("Regroup"):
    st.session_state.block += 3
if st.button("Clear"):
    st.session_state.shared = Selection()
st.button("Rerun")
shared, block, colour = (st.session_state[name] for name in ("shared", "block", "colour"))
st.text(f"selected {list(shared.operators)[:20]} count {len(shared.operators)} subgraph {shared.subgraph}")
partitions = {method: partitioned(network, size, method, block) for method in ("heuristic", "ago")}
shown = [Shown(own, st.session_state.folding[method].folded(own)) for method, own in partitions.items()]
paints = PAINTERS[colour](graph, shown) if colour in PAINTERS else [None, None]
returned = []
for (method, partition), own, paint, column in zip(partitions.items(), shown, paints, st.columns(2)):
    with column:
        selection = graph_view(
            drawn(network, size, method, block if method == "ago" else 0, own.folded),
            key=f"panel-{method}",
            model=f"{network}-{size}",
            label=f"{method} partition",
            on_select=store,
            on_request=lambda request, method=method, partition=partition: answer(request, method, partition),
        )
        returned.append(selection)
        tell_panel(f"panel-{method}", shared.operators)
        tell_colours(f"panel-{method}", MENU, colour, paint)
        if st.session_state.pop("dot", None) == method:
            send_file(f"panel-{method}", f"{method}.dot", partition_dot(graph, partition))
st.text(f"returned {[len(selection.operators) for selection in returned]}")
