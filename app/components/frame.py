"""What every page has around its own content: room, and the wait for the first model."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from app import state
from app.components.guard import guarded
from app.components.loading import first_time
from app.services.models import Loaded

# Streamlit leaves a seventh of a small screen empty.
_STYLE = """<style>
.stMainBlockContainer { padding: 4.25rem 1.5rem 2rem; }
[data-testid="stSidebarHeader"] { height: 1.25rem; }
</style>"""


def with_model(content: Callable[[Loaded], None]) -> None:
    """Shows `content` of the current model, once there is one."""
    st.html(_STYLE)
    loaded = state.session().loaded
    if loaded is None:
        first_time()
    else:
        guarded(content, loaded)
