"""Makes an artifact: of which plan, for which target, checked where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from ago_core.artifacts.layout import ABOUT, MODEL, TUNED
from ago_core.devices.tracker import Address, list_devices, parse_address
from ago_core.errors import UserError
from app import state
from app.components.export_figures import about, contents, figures, how_to_run, parts_of, runs, verdict
from app.components.guard import guarded
from app.components.job_status import describe_job, progress, status
from app.components.loading import POLL_SECONDS
from app.components.text import plain
from app.services import describe
from app.services.exports import HOST, Export, obstacle, shelf, targets, tuned_preset
from app.services.jobs import Job, State
from app.services.loaded import METHOD_NAMES
from app.services.study import Study
from app.services.tuning import results, session_store

ASK_SECONDS = 1.0
"""In which a tracker must answer: the page waits for it."""
PLAN_KEY, TARGET_KEY, MODEL_KEY, DEVICE_KEY, TRACKER_KEY, NAME_KEY = (
    f"export-{name}" for name in ("plan", "target", "model", "device", "tracker", "name")
)
Open = Callable[[str], None]


@dataclass
class Choices:
    """What a tab last chose, also after it was on another page.

    Attributes:
        plan: a method; `state.TUNED` is what the chosen session found.
        target: name of a preset.
        model: whether the ONNX model goes with it.
        checked: whether a device checks it, where it is for another machine.
        tracker: of that device, as text.
    """

    plan: str = "ago"
    target: str = HOST
    model: bool = False
    checked: bool = False
    tracker: str = "127.0.0.1:9190"


def new(study: Study, choices: Choices, show: Open) -> None:
    """`show` turns the page to the artifact of a key."""
    busy = bool(state.active_jobs())
    chosen, outcome = st.columns((4, 7), gap="medium")
    with chosen:
        wanted = _choose(study, choices)
        if wanted is not None:
            _button(wanted, busy)
    with outcome:
        st.fragment(guarded, run_every=POLL_SECONDS if busy else None)(_outcome, wanted, busy, show)


def _button(wanted: Export, busy: bool) -> None:
    made = state.done_job(wanted) is not None
    label, look = ("Make it again", "secondary") if made else ("Make the artifact", "primary")
    if st.button(label, type=look, icon=":material/package_2:", disabled=busy):
        state.submit(wanted)
        st.rerun()


def _choose(study: Study, choices: Choices) -> Export | None:
    """What is chosen; None where it cannot be made, which the page says."""
    _plan(study, choices)
    if choices.plan not in state.compilable():
        return None
    work = state.work("export", choices.plan)
    try:
        only = tuned_preset(work.tuned[0]) if work.tuned else None
    except UserError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return None
    target = _target(choices, only)
    if why := obstacle(target):
        st.warning(plain(why), icon=":material/link_off:")
        return None
    device = _device(choices) if target != HOST else None
    if target != HOST and choices.checked and device is None:
        return None
    wanted = Export.of(work, target, device, _with_model(study, choices))
    with st.expander("The same on the command line", icon=":material/terminal:"):
        st.code(wanted.command(), "bash", wrap_lines=True)
        if not work.tuned:
            st.caption(f"With the partition saved as {plain(choices.plan)}.json.")
    return wanted


def _plan(study: Study, choices: Choices) -> None:
    own = state.session()
    sessions = [row.key for row in results(session_store().rows(), study.graph.model_hash)]
    options = [*study.partitions, *(f"{state.TUNED}:{key}" for key in sessions)]
    present = f"{state.TUNED}:{own.tuned}" if choices.plan == state.TUNED else choices.plan
    st.session_state[PLAN_KEY] = present if present in options else "ago"
    _take_plan(choices)
    st.selectbox(
        "Plan",
        options,
        format_func=lambda option: _title(study, option),
        key=PLAN_KEY,
        on_change=_take_plan,
        args=(choices,),
        help="What is compiled: a partition with default schedules, or what a tuning session of this model found.",
    )
    if choices.plan == "ago" and (line := describe.settings_line(study.settings)):
        st.caption(f"With {line}.")


def _title(study: Study, option: str) -> str:
    method, _, key = option.partition(":")
    return f"Tuned by {key}" if key else f"{METHOD_NAMES[method]}, {len(study.partitions[method])} subgraphs"


def _take_plan(choices: Choices) -> None:
    method, _, key = st.session_state[PLAN_KEY].partition(":")
    choices.plan = method
    if key:
        state.session().tuned = key


def _target(choices: Choices, only: str | None) -> str:
    """`only`: the target that the session's schedules are for."""
    known = targets()
    st.session_state[TARGET_KEY] = only or choices.target
    chosen = st.selectbox(
        "Target",
        list(known),
        format_func=known.get,
        key=TARGET_KEY,
        disabled=only is not None,
        on_change=lambda: setattr(choices, "target", st.session_state[TARGET_KEY]),
        help="The machine that the code is for. What a session tuned is for the machine that it was tuned on.",
    )
    return only or chosen


def _with_model(study: Study, choices: Choices) -> bool:
    path = state.session().choice.path or study.loaded.model.source.path
    size = f" ({path.stat().st_size / 1e6:.1f} MB)" if path.exists() else ""
    st.session_state[MODEL_KEY] = choices.model
    return st.checkbox(
        f"Include the ONNX model{size}",
        key=MODEL_KEY,
        on_change=lambda: setattr(choices, "model", st.session_state[MODEL_KEY]),
        help="Whoever opens the artifact can then compile the model again.",
    )


def _device(choices: Choices) -> tuple[str, Address] | None:
    """The device that is to check it; None where none is, or none can be had, which the page says."""
    st.session_state[DEVICE_KEY] = choices.checked
    st.checkbox(
        "Check and time it on a device",
        key=DEVICE_KEY,
        on_change=lambda: setattr(choices, "checked", st.session_state[DEVICE_KEY]),
        help="A device of the target's kind, behind a TVM tracker.",
    )
    if not choices.checked:
        st.caption("Nothing is run then: run.py checks the artifact where it is unpacked.")
        return None
    st.session_state[TRACKER_KEY] = choices.tracker
    st.text_input(
        "Tracker (host:port)",
        key=TRACKER_KEY,
        on_change=lambda: setattr(choices, "tracker", st.session_state[TRACKER_KEY]),
    )
    try:
        address = parse_address(choices.tracker)
        keys = sorted({device.key for device in list_devices(address, ASK_SECONDS)})
    except UserError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return None
    if not keys:
        st.warning("The tracker has no devices yet.", icon=":material/devices_off:")
        return None
    return st.selectbox("Device", keys, key=NAME_KEY), address


def _outcome(wanted: Export | None, was_busy: bool, show: Open) -> None:
    """Drawn again and again while something runs; where that begins or ends, the whole page is drawn."""
    active = state.active_jobs()
    if bool(active) != was_busy:
        st.rerun()
    last = state.latest_job(wanted) if wanted else None
    for job in active:
        if job is not last:
            progress(job, describe_job(job))
    if last is None:
        _before(wanted)
        return
    if last.state is not State.DONE:
        with st.container(border=True):
            status(last)
    done = state.done_job(wanted)
    if done:
        _made(done, show)


def _before(wanted: Export | None) -> None:
    with st.container(border=True):
        st.markdown("**What the artifact will hold**")
        left_out = set() if wanted and wanted.with_model else {MODEL}
        left_out |= set() if wanted and wanted.tuned else {TUNED}
        contents([name for name in ABOUT if name not in left_out], {})
        if wanted is None or wanted.preset == HOST:
            st.caption(
                "Before it is handed out, it is loaded in a clean process with TVM's runtime and numpy alone, run, "
                "compared with ONNX Runtime's outputs, and timed."
            )


def _made(job: Job, show: Open) -> None:
    manifest = job.result["manifest"]
    with st.container(border=True):
        verdict(manifest)
        with st.container(horizontal=True):
            _download(job)
            if st.button("Look inside", icon=":material/folder_open:", key=f"inspect-{id(job)}"):
                show(shelf().take_file(job.output))
                st.rerun()
        figures(manifest)
        parts, every, what, how = st.tabs(["Parts", "Runs", "About", "How to run it"])
        with parts:
            parts_of(manifest)
        with every:
            runs(manifest, f"made-{id(job)}")
        with what:
            about(manifest)
        with how:
            how_to_run()


def _download(job: Job) -> None:
    size = job.output.stat().st_size
    st.download_button(
        f"Download {job.work.file_name} ({size / 1e6:.1f} MB)",
        data=job.output.read_bytes,
        file_name=job.work.file_name,
        mime="application/zip",
        type="primary",
        key=f"download-{id(job)}",
        icon=":material/download:",
        on_click="ignore",
    )
