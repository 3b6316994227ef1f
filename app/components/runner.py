"""Compile, verify and time the model under each partition."""

from __future__ import annotations

import streamlit as st

from app import state
from app.components.guard import guarded
from app.components.job_status import describe_job, progress, status
from app.components.loading import POLL_SECONDS
from app.components.text import facts, plain
from app.services import describe
from app.services.jobs import Job
from app.services.loaded import METHOD_NAMES
from app.services.study import Study
from app.services.tuning import results, session_store
from visualizers import charts

ALL, TUNED_KEY = "all", "run-tuned"


def runner(study: Study) -> None:
    busy = bool(state.active_jobs())
    methods = list(state.compilable())
    names = {ALL: "All" if len(methods) > 2 else "Both", **METHOD_NAMES}
    with st.container(horizontal=True, vertical_alignment="center"):
        chosen = st.segmented_control(
            "Partition",
            [ALL, *methods],
            format_func=names.get,
            default=ALL,
            required=True,
            label_visibility="collapsed",
        )
        if st.button("Compile and run", type="primary", icon=":material/play_arrow:", disabled=busy):
            for method in methods if chosen == ALL else (chosen,):
                state.start("run", method)
            st.rerun()
        _tuned_by(study)
    st.caption(
        "Every subgraph becomes one function with a default schedule, not tuned, or with the one that a tuning session "
        "found. The output is compared with ONNX Runtime's on the same random input and threads, then both are timed."
    )
    st.fragment(guarded, run_every=POLL_SECONDS if busy else None)(_cards, study, busy)


def _tuned_by(study: Study) -> None:
    """Which tuning session's functions can be compiled as well."""
    own = state.session()
    found = [row.key for row in results(session_store().rows(), study.graph.model_hash)]
    if not found:
        return
    st.session_state[TUNED_KEY] = own.tuned if own.tuned in found else None
    st.selectbox(
        "Tuned by session",
        found,
        key=TUNED_KEY,
        placeholder="Tuned by a session …",
        label_visibility="collapsed",
        width=300,
        on_change=lambda: setattr(own, "tuned", st.session_state[TUNED_KEY] or ""),
    )


def _cards(study: Study, was_busy: bool) -> None:
    """One card for each method; drawn again and again while something runs.

    Where that begins or ends, the whole page is drawn again, since only that starts or stops the refreshing.
    """
    active = state.active_jobs()
    if bool(active) != was_busy:
        st.rerun()
    for job in active:
        if job.work.kind != "run" or state.is_of_another(job):
            progress(job, describe_job(job))
    shown = state.compilable()
    for method, column in zip(shown, st.columns(len(shown))):
        with column.container(border=True, key=f"card-{method}"):
            _card(study, method, len(shown[method]))


def _card(study: Study, method: str, subgraphs: int) -> None:
    st.markdown(f"**{METHOD_NAMES[method]}**, {subgraphs} subgraphs")
    if method == state.TUNED:
        st.caption(f"By session {plain(state.session().tuned)}.")
    if method == "ago" and (line := describe.settings_line(study.settings)):
        st.caption(f"With {line}.")
    last, done = state.last_job("run", method), state.last_done("run", method)
    if last is None:
        st.caption("Not run yet.")
    elif last is not done:
        status(last)
    if done:
        _result(done)


def _result(job: Job) -> None:
    """What was verified and measured."""
    data = job.result
    error = f"relative error {data['max_rel_error']:.1e}, tolerance {data['tolerance']:.0e}"
    if data["correct"]:
        st.success(f"Output matches ONNX Runtime: {error}.", icon=":material/check_circle:")
    else:
        st.error(f"Output does not match ONNX Runtime: {error}.", icon=":material/error:")
    ours, theirs = data["latency_ms"], data["reference_ms"]
    help_text = f"The median over the runs; compiled code is {'tuned' if job.work.tuned else 'not tuned'}."
    for column, name, latency in zip(st.columns(2), ("Compiled", "ONNX Runtime"), (ours, theirs)):
        with column:
            st.metric(name, f"{latency['median']:.3g} ms", help=help_text)
            st.caption(f"quartiles {latency['q1']:.3g} to {latency['q3']:.3g} ms, {len(latency['runs'])} runs")
    runs = {"compiled": ours["runs"], "ONNX Runtime": theirs["runs"]}
    st.plotly_chart(
        charts.latency_runs(runs),
        height=240,
        config={"displaylogo": False},
        key=f"runs-{job.work.method}",
        alt=charts.latency_runs_text(runs),
    )
    versions = ", ".join(f"{name} {version}" for name, version in data["versions"].items())
    facts(
        [
            ("Measured", f"{job.finished_at:%Y-%m-%d %H:%M:%S}"),
            ("Built in", f"{data['build_seconds']:.1f} s"),
            ("Threads", str(data["threads"])),
            ("Machine", data["machine"]),
            ("Versions", versions),
        ],
        width="5.5rem",
    )
