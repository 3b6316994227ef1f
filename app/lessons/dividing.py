"""Lesson 7: divide and conquer against tuning at once, on two recorded sessions."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from ago_core.tuning.events import Kind
from app.components.text import plain, table
from app.lessons import ask
from app.lessons.lesson import Exercise, Lesson, Outcome, Scene, Step
from app.lessons.recorded import AGO, AT_ONCE, NAMES, Session, session
from app.services.loaded import Loaded
from visualizers import tuning
from visualizers.tuning_history import JOIN, Run, Task, efforts, runs, summed, task_titles, verdicts
from visualizers.tuning_words import budget_text, lines_text

HALF = 0.5
RATIO_TOLERANCE = 0.011
"""Of a ratio that is given with two digits."""
QUIET = {"displayModeBar": False}


def join_of(found: Session) -> Task:
    return next(task for task in found.tasks if task.kind == JOIN)


def _source(*names: str) -> None:
    for name in names:
        st.caption(f":material/history: {NAMES[name].capitalize()}: {session(name).source}")


def _show_tasks(scene: Scene) -> None:
    one = session(AGO)
    parts = {part for task in one.tasks for part in task.parts}
    table(
        [
            {
                "Task": str(task.id),
                "Kind": task.kind + (" (of the join)" if task.id in parts else ""),
                "Weight": f"{task.weight:.0f}",
                "Operators": ", ".join(task.operators),
            }
            for task in one.tasks
        ],
        "Operators",
    )
    _source(AGO)


def _parts(loaded: Loaded | None, answer: float) -> Outcome:
    one = session(AGO)
    join = join_of(one)
    if answer == len(join.parts):
        return Outcome(
            True, f"Tasks {', '.join(map(str, join.parts))}. The last mini is a subgraph by itself: no join."
        )
    return Outcome(False, "Count the minis whose operators are in the join.")


def _show_budget(scene: Scene) -> None:
    one = session(AGO)
    past = one.after(int(ask.slid(scene, 1)))
    names = [f"{task.id} join" if task.kind == JOIN else name for task, name in zip(one.tasks, task_titles(one.tasks))]
    found, key = efforts(one.tasks, past), f"{scene.key}-budget"
    st.plotly_chart(tuning.budget(one.tasks, found, names, key), key=key, config=QUIET, alt=budget_text(found, names))
    st.caption("Trials of each task so far. A join's bar is hatched.")
    _source(AGO)


def first_join_trial(found: Session) -> int:
    """Number of the first trial of the join."""
    join = join_of(found).id
    return next(n for n, event in enumerate(found.history.of(Kind.TRIAL), 1) if event.data["task"] == join)


def _join_begins(loaded: Loaded | None, answer: float) -> Outcome:
    one = session(AGO)
    found = first_join_trial(one)
    if answer == found:
        shares = ", ".join(
            f"{effort.trials} trials for task {task.id}"
            for task, effort in zip(one.tasks, efforts(one.tasks, one.after(found)))
            if task.id in join_of(one).parts
        )
        return Outcome(True, f"Before it: {shares}. The join starts from the best schedules of these parts.")
    return Outcome(
        False, f"After {answer:g} trials the join has " + ("more than one." if answer > found else "none yet.")
    )


def _show_verdict(scene: Scene) -> None:
    one = session(AGO)
    verdict = verdicts(one.history)[join_of(one).id]
    table(
        [
            {
                "What": "its parts, one after the other",
                "µs a call": f"{verdict['parts'] * 1e6:.1f}",
                "Trials": str(verdict["parts_trials"]),
            },
            {
                "What": "joined, as one function",
                "µs a call": f"{verdict['joined'] * 1e6:.1f}",
                "Trials": str(verdict["trials"]),
            },
        ],
        "What",
    )
    st.caption("Medians of the session's last check, in which the best schedules of both ran in turns.")
    _source(AGO)


def _kept(loaded: Loaded | None, answer: float) -> Outcome:
    one = session(AGO)
    verdict = verdicts(one.history)[join_of(one).id]
    ratio = verdict["parts"] / verdict["joined"]
    if abs(answer - ratio) <= RATIO_TOLERANCE:
        return Outcome(True, f"So it was {'kept' if verdict['kept'] else 'dropped'}: {plain(verdict['reason'])}")
    return Outcome(False, "Divide the time of the parts by the time of the join.")


def _lines(names: Sequence[str]) -> dict[str, tuning.Line]:
    return {
        NAMES[n]: tuning.Line(runs(session(n).history), summed(session(n).units, session(n).history)) for n in names
    }


def _show_both(scene: Scene) -> None:
    lines, key = _lines((AGO, AT_ONCE)), f"{scene.key}-both"
    figure = tuning.end_to_end(lines, tuning.TRIALS, key).update_layout(height=380)
    st.plotly_chart(figure, key=key, config=QUIET, alt=lines_text(lines))
    st.caption("Marks: the whole network, measured. Thin dotted lines: the sum of its functions' best times.")
    _source(AGO, AT_ONCE)


def sum_at(name: str, trials: int) -> float | None:
    """Seconds of the sum of the best functions after so many trials; None where a function has none yet."""
    past = [point.seconds for point in summed(session(name).units, session(name).history) if point.trials <= trials]
    return past[-1] if past else None


def half() -> int:
    return int(HALF * session(AGO).trials)


def _ahead(loaded: Loaded | None, answer: int) -> Outcome:
    names = (AGO, AT_ONCE)
    sums = [sum_at(name, half()) for name in names]
    ahead = min(range(2), key=lambda index: sums[index])
    figures = " and ".join(f"{seconds * 1e6:.1f} µs ({NAMES[name]})" for name, seconds in zip(names, sums))
    if answer == ahead:
        return Outcome(True, f"The sums after {half()} trials are {figures}.")
    return Outcome(False, f"Follow both dotted lines to {half()} trials. The lower one is ahead.")


def last_runs() -> list[Run]:
    return [runs(session(name).history)[-1] for name in (AGO, AT_ONCE)]


def _show_last(scene: Scene) -> None:
    table(
        [
            {
                "Session": NAMES[name],
                "25 %, µs": f"{run.low * 1e6:.1f}",
                "Median, µs": f"{run.median * 1e6:.1f}",
                "75 %, µs": f"{run.high * 1e6:.1f}",
                "Runs": str(len(run.runs)),
                "Kept": run.chosen,
            }
            for name, run in zip((AGO, AT_ONCE), last_runs())
        ],
        "Kept",
    )
    st.caption(
        "The whole network at the end of each session: quartiles and median of all runs, and which plan was kept."
    )
    _source(AGO, AT_ONCE)


def _overlap(loaded: Loaded | None, answer: int) -> Outcome:
    first, second = last_runs()
    overlap = first.low <= second.high and second.low <= first.high
    if answer == (0 if overlap else 1):
        if overlap:
            return Outcome(True, "So the difference between the medians may well be chance.")
        return Outcome(
            True,
            "Within the sessions the difference is larger than the scatter. But it is one session of each kind, with "
            "one seed, on one machine: to say which way is better you would repeat both, on the network that "
            "you care about.",
        )
    return Outcome(False, "Two ranges overlap if each begins before the other ends. Compare first and third quartiles.")


LESSON = Lesson(
    key="dividing",
    title="Divide and conquer, or at once?",
    about="Two recorded tuning sessions of one block: its parts first, then joined; and all of it from the start.",
    model="mobilenet_v2@224",
    loads=False,
    steps=(
        Step(
            "Divide: minis and a join",
            "Tuning means: try a schedule, measure it, learn, try another. The more complex operators a function "
            "holds, the more schedules there are. So AGO divides: it splits a subgraph into *minis* of at most one "
            "complex operator each, tunes these, and then *joins* their best schedules into a first schedule of the "
            "whole. The table lists the tasks of a recorded session: one inverted residual of MobileNetV2, in two "
            "subgraphs.",
            _show_tasks,
            Exercise("How many minis does the join put together?", ask.number(), _parts),
        ),
        Step(
            "Conquer: when the join begins",
            "Trials go to the task where the largest gain is expected. A join waits until its minis have stopped "
            "improving, or until half of all trials are spent. Move the slider through the session and watch where "
            "the trials go.",
            _show_budget,
            Exercise(
                "Stop at the first trial of the join.",
                ask.slide("", lambda loaded: range(1, session(AGO).trials + 1)),
                _join_begins,
            ),
        ),
        Step(
            "Never worse than the parts",
            "As one function a subgraph can keep its intermediate results in cache. But that may not be worth it, or "
            "tuning may not have found a good schedule of the whole yet. So at the end the join is compared with its "
            "parts, called one after the other, and is kept only if it is faster.",
            _show_verdict,
            Exercise("How many times as fast as its parts is the join? Two digits.", ask.number(decimals=2), _kept),
        ),
        Step(
            "At once",
            "The other session tuned each subgraph whole from the first trial. It needs no parts before it has a "
            "first schedule of the whole; but in a larger space a good schedule is harder to hit, and this block is "
            "small. Steps up at the end are the last check: the best of many figures is partly luck, and is measured "
            "again.",
            _show_both,
            Exercise(
                lambda: f"After {half()} of {session(AGO).trials} trials, which session's sum is lower?",
                ask.choose(lambda loaded: [NAMES[AGO].capitalize(), NAMES[AT_ONCE].capitalize()]),
                _ahead,
            ),
        ),
        Step(
            "Is the difference real?",
            "At the end each session measured the whole network many times. Half of these runs lie between the first "
            "and the third quartile. If the ranges of two plans overlap, the difference of their medians may be "
            "chance.",
            _show_last,
            Exercise(
                "Do the ranges of the two sessions overlap?",
                ask.choose(lambda loaded: ["Yes", "No"]),
                _overlap,
            ),
        ),
    ),
)
