"""What every page does before its own content: show what is loading, and wait for the first model."""

from __future__ import annotations

from collections.abc import Callable

from app import state
from app.components.loading import first_time, loading
from app.services.models import Loaded


def with_model(content: Callable[[Loaded], None]) -> None:
    """Shows `content` of the current model, once there is one."""
    loading()
    loaded = state.session().loaded
    if loaded is None:
        first_time()
    else:
        content(loaded)
