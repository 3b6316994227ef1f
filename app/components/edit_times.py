"""What an edit would give, estimated before it is made, and what it gave, measured after."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from app import state
from app.components.guard import guarded
from app.components.job_status import status
from app.components.loading import POLL_SECONDS
from app.components.text import plain
from app.components.tuning_start import WHAT_KEY
from app.components.tuning_view import NEW, view
from app.services import edit_times as times
from app.services.edit_times import Edit, TimingEdit
from app.services.study import MERGE, SPLIT, Study
from app.services.worker import Task
from visualizers.units import count

NAMES = {MERGE: "Merging", SPLIT: "Splitting out"}
KEPT = "edit-kept"
ESTIMATE = (
    "Computed, nothing is run: the estimate by which default schedules are chosen, for the subgraphs that would "
    "change. It does not know what starting a function costs."
)
MEASURE = (
    "Compiles only the subgraphs that the edit changed, before and after it, and runs them in turns, each by itself "
    "and with a cold second cache; not tuned."
)
TUNE = "Tune the edited partition; what an earlier session found for unchanged subgraphs is taken over."


def edit_times(study: Study, operators: tuple[int, ...]) -> None:
    """Below the buttons that edit: an estimate for the selection, and the last edit."""
    thought = times.thought_of(study, operators)
    last = times.last_edit(study)
    if last and st.session_state.get(KEPT) == last.key:
        last = None
    busy = _is_busy(thought, last)
    st.fragment(guarded, run_every=POLL_SECONDS if busy else None)(_lines, study, thought, last, busy)


def _is_busy(thought: Mapping[str, Edit], last: Edit | None) -> bool:
    tasks = [times.asked(edit) for edit in (*thought.values(), *([last] if last else []))]
    job = state.latest_job(_work(last)) if last else None
    return any(task and not task.done for task in tasks) or (job is not None and job.active)


def _work(edit: Edit) -> TimingEdit:
    return TimingEdit(state.session().choice, edit)


def _lines(study: Study, thought: Mapping[str, Edit], last: Edit | None, was_busy: bool) -> None:
    """Drawn again and again while something is on its way; the whole page where that begins or ends."""
    if _is_busy(thought, last) != was_busy:
        st.rerun()
    if thought:
        _thought(study, thought)
    if last:
        _last(study, last)


def _thought(study: Study, thought: Mapping[str, Edit]) -> None:
    tasks = {kind: times.asked(edit) for kind, edit in thought.items()}
    if not all(tasks.values()):
        st.button(
            "What would it give?",
            key="estimate-edit",
            icon=":material/calculate:",
            type="tertiary",
            help=ESTIMATE,
            on_click=lambda: [times.estimate(study.loaded, edit) for edit in thought.values()],
        )
        return
    for kind, task in tasks.items():
        st.markdown(f":small[:material/calculate: **{NAMES[kind]}, estimated:** {_estimated(task)}]", help=ESTIMATE)


def _estimated(task: Task) -> str:
    if not task.done:
        return "estimating …"
    return plain(task.error or times.estimate_text(task.result))


def _last(study: Study, edit: Edit) -> None:
    found, job, guess = times.measured_edit(edit), state.latest_job(_work(edit)), times.asked(edit)
    with st.container(border=True, gap="xsmall", key="last-edit"):
        if found:
            st.markdown(f":small[**The last edit, measured:** {plain(times.measured_text(found))}]", help=MEASURE)
        else:
            st.markdown(":small[**The last edit** was not measured yet.]")
        if guess:
            st.markdown(f":small[Estimated: {_estimated(guess)}]", help=ESTIMATE)
        if found:
            _parts(found)
        if job is not None and (job.active or job.error):
            status(job)
        _decide(study, edit, measurable=job is None or not job.active, again=found is not None)


def _parts(found) -> None:
    """How it was measured."""
    counts = f"{len(found.parts_before)} → {count(len(found.parts_after), 'subgraph')}"
    threads = count(found.threads, "thread")
    st.caption(f"{counts}, {found.turns} turns, {threads}, {plain(found.machine)}")


def _decide(study: Study, edit: Edit, measurable: bool, again: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="last-edit-row"):
        st.button(
            "Measure again" if again else "Measure this edit",
            key="measure-edit",
            icon=":material/timer:",
            type="secondary" if again else "primary",
            help=MEASURE,
            disabled=not measurable,
            on_click=_measure,
            args=(study, edit),
        )
        st.button("Keep", key="keep-edit", icon=":material/check:", help="Keep the edit.", on_click=_keep, args=(edit,))
        st.button("Undo", key="undo-edit", icon=":material/undo:", help="Take the edit back.", on_click=study.undo)
        if st.button("Tune it", key="tune-edit", icon=":material/tune:", type="tertiary", help=TUNE):
            view().page, st.session_state[WHAT_KEY] = NEW, ["custom"]
            st.switch_page("screens/tune.py")


def _measure(study: Study, edit: Edit) -> None:
    times.estimate(study.loaded, edit)
    state.submit(_work(edit))


def _keep(edit: Edit) -> None:
    """The edit is not asked about any more."""
    st.session_state[KEPT] = edit.key
