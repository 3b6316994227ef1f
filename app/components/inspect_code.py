"""A subgraph's function: its TIR before and after scheduling, the schedule and its trace, its hot loop in assembly."""

from __future__ import annotations

import streamlit as st

from app.components.code_view import code_view
from app.components.inspect_wait import when_done
from app.components.text import fact_line, plain, table
from app.services.inspect_schedule import WHY, nest_texts, trace_sentence
from app.services.inspect_tuned import Tuned, tuned_parts
from app.services.inspection import HOST, TARGETS, HotLoop, hot_loop, inspection, tuned_inspection, tuned_loop
from app.services.loaded import View
from app.services.study import Study
from app.services.tuning import session_store
from app.services.worker import Task
from visualizers.code import assembly_marks, shared_nests, tir_marks
from visualizers.units import count

BEFORE, AFTER = "Before scheduling", "After scheduling"
ANALYTIC = "Analytic schedule, no trial"
TRACE_HEIGHT, LOOP_HEIGHT = 300, 380
COUNT_HELPS = {
    "Spills": "Reads and writes of the stack: sums or addresses that found no register. None is best.",
    "Vector multiply-adds": "Instructions that multiply and add a whole vector: what the loop is for.",
    "Loads": "Instructions that read memory, multiply-adds with a factor from memory included.",
}


def code(study: Study, view: View, index: int) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        stage = st.segmented_control(
            "Stage", (BEFORE, AFTER), default=AFTER, required=True, key="stage", label_visibility="collapsed"
        )
        tuned = _source(study, view, index)
    when_done(_inspection(study, view, index, tuned), _code, stage, index)


def _source(study: Study, view: View, index: int) -> Tuned | None:
    """Whose schedule is looked at: one that a session found, or None for the analytic one."""
    found = tuned_parts(session_store(), study.graph, view.partition.subgraphs[index])
    if not found:
        return None
    titles = {ANALYTIC: None} | {one.title(study.graph): one for one in found}
    chosen = st.selectbox(
        "Schedule",
        list(titles),
        key=f"schedule-of-{view.partition.model_hash[:8]}-{view.method}-{index}",
        label_visibility="collapsed",
        width=420,
    )
    return titles[chosen]


def _inspection(study: Study, view: View, index: int, tuned: Tuned | None) -> Task:
    if tuned:
        return tuned_inspection(study.loaded, tuned)
    return inspection(study.loaded, view.partition, index)


def _code(found, stage: str, index: int) -> None:
    text = found.after if stage == AFTER else found.before
    blocks = dict(found.complex_blocks)
    marks, places = tir_marks(text, blocks)
    nests = shared_nests(text, blocks)
    if nests:
        st.caption(
            f"{count(len(nests), 'nest')} {'holds' if len(nests) == 1 else 'hold'} several complex operators: "
            "the loops that they share are marked in orange, their nest in blue."
        )
    elif len(blocks) > 1 and stage == AFTER:
        st.caption("No loop is shared by two complex operators: the estimate found nests of their own faster.")
    label = f"TIR of S{index}, {stage.lower()}"
    code_view(text, key=f"tir-{stage == AFTER}", label=label, marks=marks, places=places)


def schedule(study: Study, view: View, index: int) -> None:
    tuned = _source(study, view, index)
    when_done(_inspection(study, view, index, tuned), _found if tuned else _estimated, index)


def _found(found, index: int) -> None:
    """A schedule that a session found: its trace."""
    st.caption(plain(trace_sentence(found.trace)))
    code_view(found.trace, key="trace", label=f"Trace of S{index}")


def _estimated(found, index: int) -> None:
    """The analytic schedule: what it decided, and why; its trace."""
    st.caption(
        f"The analytic schedule, chosen with no trial, for vectors of {found.processor.lanes}, "
        f"{found.processor.registers} registers and {count(found.processor.cores, 'core')}. All figures are estimates."
    )
    if not found.nests:
        st.caption("Nothing is reduced here: blocks go along their rows in vectors, in parallel where they are large.")
    for nest in nest_texts(found):
        badge = " :blue-badge[intensive fusion]" if nest.fused else ""
        st.markdown(f"**{plain(nest.title)}**{badge}  \n:small[{plain(nest.sentence)}]")
        table(nest.rows, wide=WHY)
    with st.expander("The schedule's trace", icon=":material/format_list_numbered:"):
        st.caption(plain(trace_sentence(found.trace)))
        code_view(found.trace, key="trace", label=f"Trace of S{index}", height=TRACE_HEIGHT)


def assembly(study: Study, view: View, index: int) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        tuned = _source(study, view, index)
        target = None if tuned else _target()
    if tuned:
        when_done(tuned_loop(study.loaded, tuned), _loop, "the session's target", index)
    else:
        when_done(hot_loop(study.loaded, view.partition, index, target), _loop, TARGETS[target], index)


def _target() -> str:
    return st.segmented_control(
        "For",
        list(TARGETS),
        format_func=TARGETS.get,
        default=HOST,
        required=True,
        key="assembly-target",
        label_visibility="collapsed",
    )


def _loop(found: HotLoop, target: str, index: int) -> None:
    if not found.text:
        st.caption(
            f"None of this function's {found.lines:,} lines of assembly is a loop with floating-point arithmetic: "
            "it only moves data."
        )
        return
    counts = found.counts
    fact_line(
        [
            ("Vector multiply-adds", f"{counts.vector_fmas} ({counts.lanes} values)"),
            ("Scalar ones", str(counts.scalar_fmas)),
            ("Loads", str(counts.loads)),
            ("Stores", str(counts.stores)),
            ("Spills", str(counts.spills)),
            ("Instructions", str(counts.instructions)),
        ],
        COUNT_HELPS,
    )
    st.caption(
        f"One pass of the innermost loop with the most multiply-adds, of {found.lines:,} lines of assembly. Blue "
        "computes, green reads, pink writes, red is the stack."
    )
    label = f"Hot loop of S{index} for {target}"
    code_view(
        found.text, key="assembly", label=label, marks=assembly_marks(found.text), language="asm", height=LOOP_HEIGHT
    )
