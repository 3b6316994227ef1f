"""Two plans of the model, measured in turns: end to end, where the time went, one inference of each, and traffic."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go
import streamlit as st

from app import state
from app.components import compare_view
from app.components.guard import guarded
from app.components.job_status import status
from app.components.loading import POLL_SECONDS
from app.components.text import plain, table
from app.services import comparing
from app.services.measured import Measured, Measuring, Plan, measured_plan
from app.services.study import Study
from app.services.tuning import session_store
from visualizers.gantt import gantt, gantt_text
from visualizers.units import milliseconds
from visualizers.waterfall import waterfall, waterfall_text

PLAN_WIDTH = 330
NOTHING = (
    "**Not measured yet.** Measuring compiles both plans and runs them in turns, which takes half a minute for small "
    "models. It shows end to end how long each takes, what every subgraph gained or lost, and one inference of each."
)


def compare_plans(study: Study) -> None:
    offered = comparing.plans(study, session_store())
    chosen = compare_view.compared(offered)
    plans = {side: offered[key] for side, key in chosen.items()}
    work = Measuring(state.session().choice, tuple(dict.fromkeys(plans.values())))
    job = state.latest_job(work)
    _choice(offered, chosen, work, busy=job is not None and job.active)
    if job is not None and job.active:
        st.fragment(guarded, run_every=POLL_SECONDS)(_follow, work)
    elif job is not None and job.error:
        status(job)
    titles = {side: comparing.plan_title(key) for side, key in chosen.items()}
    found = {side: measured_plan(plan) for side, plan in plans.items()}
    if chosen["before"] == chosen["after"]:
        st.info("Choose two different plans.", icon=":material/balance:")
    elif all(found.values()):
        _results(study, plans, titles, found)
    elif job is None or not job.active:
        _missing(found, titles)


def _choice(offered: Mapping[str, Plan], chosen: Mapping[str, str], work: Measuring, busy: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="compare-choice"):
        _plan("Compare", "before", list(offered), chosen)
        st.button("Swap", key="icon-swap", icon=":material/swap_horiz:", help="Swap", on_click=compare_view.swap)
        _plan("with", "after", list(offered), chosen)
        st.button(
            "Measure both",
            key="measure-both",
            type="primary",
            icon=":material/timer:",
            disabled=busy or len(work.plans) < 2,
            on_click=state.submit,
            args=(work,),
            help="Compiles both and runs them in turns on this machine, so that its other work meets both alike.",
        )


def _plan(label: str, side: str, keys: list[str], chosen: Mapping[str, str]) -> None:
    key = f"compare-{side}"
    st.session_state[key] = chosen[side]
    st.selectbox(
        label,
        keys,
        format_func=comparing.plan_title,
        key=key,
        on_change=lambda: compare_view.choose(side, st.session_state[key]),
        width=PLAN_WIDTH,
    )


def _follow(work: Measuring) -> None:
    """Drawn again and again; the whole page once the job has ended."""
    job = state.latest_job(work)
    if job is None or not job.active:
        st.rerun()
    status(job)


def _missing(found: Mapping[str, Measured | None], titles: Mapping[str, str]) -> None:
    known = [side for side, one in found.items() if one]
    if not known:
        st.info(NOTHING, icon=":material/timer:")
        return
    (side,) = known
    (other,) = set(titles) - {side}
    whole = milliseconds(found[side].total)
    st.info(
        f"{plain(titles[side])} took {whole} when it was measured; {plain(titles[other])} was **not measured yet**.",
        icon=":material/timer:",
    )


def _results(study: Study, plans: Mapping[str, Plan], titles: Mapping[str, str], found: Mapping[str, Measured]) -> None:
    before, after = found["before"], found["after"]
    difference = comparing.difference_of(before, after)
    _ends(found, titles)
    for sentence in comparing.doubts(before, after):
        st.warning(plain(sentence), icon=":material/info:")
    title = "What each part gained or lost"
    rows = comparing.steps(study.graph, difference, plans["before"])
    total = "Whole inference"
    _chart(waterfall(rows, title, total), "compare-waterfall", waterfall_text(rows, total))
    st.caption(
        "Measured, each row the medians of the same operators in both plans. A row with several subgraphs on a side "
        "cannot be told apart further: they hold the same operators, cut otherwise."
    )
    lanes = {
        title: comparing.bars(study.graph, difference, found[side].profile, after=side == "after")
        for side, title in titles.items()
    }
    _chart(gantt(lanes, "The kernels of one inference"), "compare-gantt", gantt_text(lanes))
    st.caption(
        "Measured: the inference whose kernels' sum was the median, drawn without the gaps, which are mostly the "
        "clock's. Bars of the same look hold the same operators."
    )
    columns = {titles[side]: (plans[side], found[side]) for side in titles}
    table(comparing.figure_rows(study.graph, columns), wide=comparing.ABOUT)


def _ends(found: Mapping[str, Measured], titles: Mapping[str, str]) -> None:
    """End to end, with the spread, and whether the output was right."""
    columns = st.columns([1, 1, 1.4])
    for column, (side, one) in zip(columns, found.items()):
        spread = one.profile.whole
        with column.container(border=True, height="stretch"):
            st.metric(plain(titles[side]), milliseconds(spread.median), help="End to end, measured: the median.")
            st.caption(f"quartiles {milliseconds(spread.q1)} to {milliseconds(spread.q3)}")
            if not one.profile.correct:
                st.error(f"Its output is wrong: relative error {one.profile.max_rel_error:.1e}.")
    with columns[2].container(border=True, height="stretch"):
        st.markdown(f"**{plain(comparing.verdict(found['before'], found['after'], list(titles.values())))}**")
        st.caption(f"Measured {plain(comparing.when(found['after'].profile))}.")


def _chart(figure: go.Figure, key: str, text: str) -> None:
    config = {"displaylogo": False}
    with st.container(border=True):
        st.plotly_chart(figure, height=int(figure.layout.height), config=config, key=key, alt=text)
