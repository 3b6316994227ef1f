"""Writes a report of what was done with the model in this tab."""

from __future__ import annotations

import shlex

import streamlit as st

from ago_core.artifacts.inspect import open_artifact
from ago_core.artifacts.records import session_record
from ago_core.artifacts.reproduce import tune_command
from app import state
from app.services.exports import Export
from app.services.jobs import Job, State, Work
from app.services.loaded import METHOD_NAMES
from app.services.report import Plan, merged, plan_of, plan_of_run, report
from app.services.study import Study
from app.services.tuning import session_store
from app.services.tuning_feed import feed

PLANS_KEY, SESSIONS_KEY = "report-plans", "report-sessions"


def reporting(study: Study) -> None:
    st.caption(
        "One HTML file that needs no network: the model, pictures of the partitions, what was measured of them and "
        "how, the tuning sessions' plots, the machine, the versions, and the commands that do it again."
    )
    plans = _plans()
    sessions = _sessions(study)
    names = st.multiselect(
        "Plans",
        list(plans),
        default=list(plans),
        format_func=lambda name: f"{name} ({_measured(plans[name])})",
        key=PLANS_KEY,
        help="What was run on the page Results, or exported, comes with its measurements.",
    )
    none = "Choose sessions" if sessions else "This model has none yet"
    chosen = st.multiselect("Tuning sessions", sessions, key=SESSIONS_KEY, disabled=not sessions, placeholder=none)
    if not any(plan.timings for plan in plans.values()):
        st.caption("Nothing was measured in this tab yet: the report then holds the partitions alone.")
    if not names:
        st.caption("Choose at least one plan.")
        return
    st.download_button(
        "Download the report",
        data=lambda: report(
            study.graph, [plans[name] for name in names], {key: feed(session_store().folder(key)) for key in chosen}
        ),
        file_name=f"{study.graph.name}-report.html",
        mime="text/html",
        type="primary",
        icon=":material/download:",
        on_click="ignore",
    )


def _measured(plan: Plan) -> str:
    return f"{len(plan.timings)} measurements" if plan.timings else "not run"


def _sessions(study: Study) -> list[str]:
    """Of the model, as far as they have begun."""
    found = [row.key for row in session_store().rows() if row.status and row.model_hash == study.graph.model_hash]
    return [key for key in found if feed(session_store().folder(key)).planned]


def _plans() -> dict[str, Plan]:
    """By name: every partition, with what this tab measured of it."""
    found: dict[str, Plan] = {}
    for method, partition in state.compilable().items():
        name = f"Tuned by {state.session().tuned}" if method == state.TUNED else METHOD_NAMES[method]
        plan = Plan(name, partition)
        if job := state.last_done("run", method):
            plan = _of_run(name, job)
        found[name] = merged(plan, [_of_export(name, one) for one in _exports(state.work("export", method))])
    return found


def _exports(work: Work) -> list[Job]:
    """Those of the same plan that are done, for whatever target."""
    done = (jobs[-1] for wanted, jobs in state.session().jobs.items() if _is_export_of(wanted, work))
    return [job for job in done if job.state is State.DONE]


def _is_export_of(wanted: Work, work: Work) -> bool:
    return isinstance(wanted, Export) and (wanted.choice, wanted.partition, wanted.tuned) == (
        work.choice,
        work.partition,
        work.tuned,
    )


def _of_export(name: str, job: Job) -> Plan:
    return plan_of(open_artifact(job.output), name)


def _of_run(name: str, job: Job) -> Plan:
    work, result = job.work, job.result
    dims = [part for symbol, size in work.choice.dims for part in ("--dim", f"{symbol}={size}")]
    words = ["run", work.choice.name, *dims, "--threads", str(result["threads"])]
    before = [tune_command(session_record(work.tuned[0]))] if work.tuned else []
    how = ["--tuned", "tuned-again"] if work.tuned else ["--partition", Plan(name, work.partition).file]
    command = f"python -m ago_core {shlex.join([*words, *how])}"
    when = f"{job.finished_at:%Y-%m-%d %H:%M:%S}"
    return plan_of_run(name, work.partition, result, when, (*before, command))
