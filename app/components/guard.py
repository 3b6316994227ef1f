"""What is shown where the app itself fails."""

from __future__ import annotations

import logging
from collections.abc import Callable

import streamlit as st

logger = logging.getLogger(__name__)


def guarded(show: Callable[..., None], *args: object) -> None:
    """Calls `show`; a failure becomes one sentence on the page, and is logged."""
    try:
        show(*args)
    except Exception as error:
        logger.exception("%s failed", show.__name__)
        st.error(
            f"This part of the page could not be shown ({type(error).__name__}): a fault of the app, which the "
            "server's log describes.",
            icon=":material/error:",
        )
