"""The panels with the inspector below them."""

from __future__ import annotations

import streamlit as st

from app.components.guard import guarded
from app.components.inspector import inspector
from app.components.panels import panels
from app.services.models import Loaded


@st.fragment
def explorer(loaded: Loaded) -> None:
    """A fragment: selecting draws only this part again."""
    guarded(panels, loaded)
    guarded(inspector, loaded)
