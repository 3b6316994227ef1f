"""The Export page: make an artifact, open one again, write a report."""

from __future__ import annotations

from dataclasses import dataclass, field

import streamlit as st

from app.components.export_new import Choices, new
from app.components.export_opened import opened
from app.components.export_report import reporting
from app.components.guard import guarded
from app.services.study import Study

NEW, OPEN, REPORT = "new", "open", "report"
NAMES = {
    NEW: ":material/package_2: Make an artifact",
    OPEN: ":material/folder_zip: Open an artifact",
    REPORT: ":material/description: Report",
}
_STYLE = """<style>
[data-testid="stMetricValue"] { font-size: 1.6rem; }
[data-testid="stMetric"] { line-height: 1.3; }
</style>"""
KEY, PAGE_KEY, PARAMETER = "export", "export-page", "artifact"


@dataclass
class View:
    """One tab.

    Attributes:
        page: `NEW`, `OPEN` or `REPORT`.
        artifact: key of the one that is open, or "".
        choices: of what to make.
    """

    page: str = NEW
    artifact: str = ""
    choices: Choices = field(default_factory=Choices)


def export(study: Study) -> None:
    st.html(_STYLE)
    own = _view()
    st.session_state[PAGE_KEY] = own.page
    st.segmented_control(
        "Show",
        list(NAMES),
        format_func=NAMES.get,
        required=True,
        key=PAGE_KEY,
        label_visibility="collapsed",
        on_change=lambda: setattr(own, "page", st.session_state[PAGE_KEY]),
    )
    _write_address(own)
    if own.page == NEW:
        guarded(new, study, own.choices, lambda key: _open(own, key))
    elif own.page == OPEN:
        guarded(opened, study, own.artifact, lambda key: _open(own, key))
    else:
        guarded(reporting, study)


def _view() -> View:
    """This tab's; at first what the address names."""
    if KEY not in st.session_state:
        artifact = st.query_params.get(PARAMETER, "")
        st.session_state[KEY] = View(OPEN if artifact else NEW, artifact)
    return st.session_state[KEY]


def _open(own: View, key: str) -> None:
    """Turns the page to an artifact."""
    own.page, own.artifact = OPEN, key


def _write_address(own: View) -> None:
    """So that a reload shows the same."""
    wanted = own.artifact if own.page == OPEN else ""
    if wanted and st.query_params.get(PARAMETER) != wanted:
        st.query_params[PARAMETER] = wanted
    elif not wanted and PARAMETER in st.query_params:
        del st.query_params[PARAMETER]
