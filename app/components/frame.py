"""What every page has around its own content: room, and the wait for the first model."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from app import state
from app.components import link
from app.components.guard import guarded
from app.components.header import header
from app.components.loading import first_time
from app.services.study import Study

# Streamlit leaves a seventh of a small screen empty. Widgets whose key begins with "icon-" show their icon alone; the
# label is for the tooltip's reader and for screen readers. What a key gave the focus shows it, on dark too.
_STYLE = """<style>
.stMainBlockContainer { padding: 3.75rem 1.5rem 2rem; }
.st-key-header { margin-bottom: -0.5rem; }
[data-testid="stSidebarHeader"] { height: 1.25rem; }
[class*="st-key-icon-"] button { padding: 0 0.6rem; }
[class*="st-key-icon-"] button :is([data-testid="stMarkdownContainer"], kbd) {
  position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
}
[class*="st-key-icon-"] [data-testid="stPopoverButton"] > div > div[aria-hidden] { display: none; }
.st-key-step-sentence { min-height: 3.25rem; }
.stMain:focus-visible { outline: 2px solid; outline-offset: -2px; }
.js-plotly-plot .plotly .modebar .modebar-btn:focus-visible { outline: 2px solid; outline-offset: -1px; }
</style>"""


def roomy() -> None:
    """Gives the page the room that Streamlit leaves empty."""
    st.html(_STYLE)


def with_model(content: Callable[[Study], None]) -> None:
    """Shows `content` of the current model, once there is one."""
    roomy()
    guarded(header)
    if state.session().loaded is None:
        first_time()
    else:
        guarded(content, state.study())


def without_model(content: Callable[[], None]) -> None:
    """Shows `content`, which says itself what it needs."""
    roomy()
    guarded(header)
    guarded(content)


@st.fragment
def alone(content: Callable[[Study], None]) -> None:
    """A page as a fragment: what is clicked in it draws again the page without the sidebar, and writes the address."""
    with_model(content)
    link.write()
