"""What differs between the panels, in words, while their colours say it."""

from __future__ import annotations

import streamlit as st

from ago_core.partition.compare import compare
from app import state
from app.components.text import plain
from app.services.colours import chosen
from app.services.describe import difference_line
from app.services.study import Study
from visualizers.colouring import Colour


def differences(study: Study) -> None:
    shown = tuple(state.method(side) for side in state.SIDES)
    if chosen(study, shown) is Colour.DIFFERENCES:
        st.caption(plain(difference_line(compare(study.graph, *(study.partitions[method] for method in shown)))))
