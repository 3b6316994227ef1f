"""Begins tuning sessions of the current model."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from ago_core.partition.partition import Partition
from ago_core.tuning.settings import Device
from app import state
from app.components.loading import first_time
from app.components.text import plain
from app.components.tuning_devices import choose_device
from app.components.tuning_view import attempt, watch
from app.services.describe import settings_line
from app.services.earlier import Earlier, earlier_sessions, reuse_text
from app.services.study import EDITED, Study
from app.services.tuning import ABLATION_HELPS, ABLATION_NAMES, Wish, default_name, session_store, typical_rate
from app.services.tuning_text import plan_text

WHAT_KEY, TRIALS_KEY, REUSE_KEY = "tuning-what", "tuning-trials", "tuning-reuse"
METHOD_OF = {"heuristic": "heuristic", "stock": "heuristic", "custom": EDITED}
"""The partition that a setting tunes; AGO's where it is not named."""
DEFAULT_TRIALS, MOST_TRIALS = 200, 100_000


def start() -> None:
    if state.session().loaded is None:
        first_time()
        return
    study = state.study()
    choice = state.session().choice
    form, about = st.columns((3, 2), gap="medium")
    with form:
        chosen = _what(study)
        device = choose_device()
        with st.container(horizontal=True, gap="small"):
            trials = st.number_input(
                "Trials of each session",
                1,
                MOST_TRIALS,
                DEFAULT_TRIALS,
                step=50,
                key=TRIALS_KEY,
                width=180,
                help="Schedules that are measured. More can be added while it runs.",
            )
            suggested = default_name(choice, chosen or ["ago"], session_store().folders())
            name = st.text_input(
                "Name",
                key=f"tuning-name-{suggested}",
                placeholder=suggested,
                width=280,
                help=f"Of its folder in {session_store().root}; an absolute path puts it elsewhere.",
            )
        edited = study.partitions[EDITED] if "custom" in chosen else None
        earlier = _earlier(study, edited, device) if edited and device else None
        wish = None
        if device is not None and chosen:
            reuse = earlier and earlier.folder
            wish = Wish(choice, tuple(chosen), device, trials, name or suggested, study.settings, edited, reuse)
        if st.button("Start tuning", type="primary", icon=":material/play_arrow:", disabled=wish is None):
            _launch(wish)
    with about.container(border=True):
        _about(study, chosen, device, trials, earlier)


def _what(study: Study) -> list[str]:
    names = [name for name in ABLATION_NAMES if name != "custom" or EDITED in study.partitions]
    if EDITED not in study.partitions and "custom" in st.session_state.get(WHAT_KEY, ()):
        st.session_state[WHAT_KEY] = [name for name in st.session_state[WHAT_KEY] if name != "custom"]
    return st.pills(
        "What to tune",
        names,
        selection_mode="multi",
        default=["ago"],
        format_func=ABLATION_NAMES.get,
        key=WHAT_KEY,
        wrap=True,
        help="Several are tuned in sessions of their own and drawn in one plot.",
    )


def _earlier(study: Study, edited: Partition, device: Device) -> Earlier | None:
    """The session whose schedules the edited partition takes over: the one most alike, unless the user says else."""
    found = earlier_sessions(session_store().rows(), study.graph.model_hash, edited, device)
    if not found:
        return None
    return st.selectbox(
        "Edited: take over schedules from",
        [*found, None],
        format_func=lambda earlier: earlier.title if earlier else "No session: tune all of it",
        key=REUSE_KEY,
        help="Subgraphs that the edit left as they were keep what that session found; only the others are searched.",
    )


def _about(study: Study, chosen: list[str], device: Device | None, trials: int, earlier: Earlier | None) -> None:
    """What will happen."""
    st.markdown(f"**{plain(state.session().choice.name)}**")
    if not chosen:
        st.caption("Choose at least one setting.")
        return
    for name in chosen:
        partition = study.partitions[METHOD_OF.get(name, "ago")]
        with_settings = settings_line(study.settings) if partition.method == "ago" else ""
        line = f"**{ABLATION_NAMES[name]}**, {len(partition)} subgraphs" + (
            f", {with_settings}" if with_settings else ""
        )
        st.markdown(f":small[{line}. {plain(ABLATION_HELPS[name])}]")
    if earlier is not None:
        st.markdown(f":small[:material/recycling: {plain(reuse_text(earlier))}]")
    if device is None:
        st.caption("Choose devices.")
        return
    threads = getattr(device, "threads", 0)
    speed = typical_rate(session_store().rows(), device.name, threads, state.session().choice.name)
    st.markdown(f":small[:material/schedule: {plain(plan_text(len(chosen), trials, speed))}]")
    st.caption("Sessions are processes of their own: they go on when this page, or the server behind it, is closed.")


def _launch(wish: Wish) -> None:
    own = state.session()
    upload: Path | None = own.choice.path
    keys: list[str] = []
    if attempt(lambda: keys.extend(session_store().launch(wish, upload))):
        watch(*keys)
    st.rerun()
