"""What a user can choose about AGO's partition, in a popover; the picture follows."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from ago_core.partition.settings import Rule, Settings
from app.services.describe import settings_line
from app.services.study import Study

LIMITS, STEP = (10, 1200), 10
DEFAULT = Settings()
AWARE, PLAIN = "What fusion saves", "The paper's rule"
THRESHOLD_KEY, RULE_KEY, JOIN_KEY = "threshold", "rule", "join"


def settings_popover(study: Study) -> None:
    changed = settings_line(study.settings)
    about = f"Settings of AGO's partition: {changed or 'the defaults'}"
    with st.popover(
        "Settings", icon=":material/tune:", help=about, key="icon-settings", type="primary" if changed else "secondary"
    ):
        _show(study.settings)
        st.slider(
            "Weight limit of a subgraph",
            *LIMITS,
            step=STEP,
            key=THRESHOLD_KEY,
            on_change=lambda: _change(study, threshold=float(st.session_state[THRESHOLD_KEY])),
            format="%d trials",
            help="AGO joins only what together weighs no more. A weight is the trials that tuning is expected to need.",
        )
        if study.settings.threshold != st.session_state[THRESHOLD_KEY]:
            st.caption(f"The limit is {study.settings.threshold:g} trials, where the slider has no place.")
        st.segmented_control(
            "Test for cycles",
            list(Rule),
            format_func=lambda rule: {Rule.STAGES: "By stages", Rule.EXACT: "Exact"}[rule],
            required=True,
            key=RULE_KEY,
            on_change=lambda: _change(study, rule=st.session_state[RULE_KEY]),
            help="By stages: the paper's test of the neighbours alone, which may refuse needlessly. Exact: by search.",
        )
        st.segmented_control(
            "Joining convolutions and matmuls",
            (AWARE, PLAIN),
            required=True,
            key=JOIN_KEY,
            on_change=lambda: _change(study, aware=st.session_state[JOIN_KEY] == AWARE),
            help="By what fusion saves: only where reuse analysis finds less memory traffic, the most first. The "
            "paper's rule: any neighbour under the limit, the lightest first.",
        )
        if changed:
            st.button("Back to the defaults", on_click=study.set, args=(DEFAULT,))
        else:
            st.caption("These are the defaults.")


def _show(settings: Settings) -> None:
    """The widgets show what is set, also after another model or page; the slider its place next to it."""
    st.session_state[THRESHOLD_KEY] = round(min(max(settings.threshold, LIMITS[0]), LIMITS[1]) / STEP) * STEP
    st.session_state[RULE_KEY] = settings.rule
    st.session_state[JOIN_KEY] = AWARE if settings.aware else PLAIN


def _change(study: Study, **chosen: object) -> None:
    """Sets what was chosen; the rest stays as it is set, which the widgets may show only nearly."""
    study.set(replace(study.settings, **chosen))
