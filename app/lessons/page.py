"""The list of lessons, and one lesson at a time."""

from __future__ import annotations

import streamlit as st

from app import state
from app.components.guard import guarded
from app.components.text import plain
from app.lessons import LESSONS
from app.lessons.lesson import Lesson, Outcome, Progress, Scene, told
from app.services.loaded import Loaded
from app.services.models import Choice, model_store
from app.services.worker import Task

KEY, TASK_KEY = "lessons", "lesson-model"
PARAMETER, SOLVED = "lesson", "solved"
EXPLORER = "screens/explore.py"
POLL_SECONDS = 0.4
_STYLE = "<style>[class*='st-key-step-'] kbd { display: none; }</style>"
"""The keys stand in the tooltips."""
COLUMNS = 2


def progress() -> Progress:
    """This session's; at first what the address says: the lesson that is open, and what is solved."""
    if KEY not in st.session_state:
        st.session_state[KEY] = Progress()
        st.session_state[KEY].read(st.query_params.get(SOLVED, ""), LESSONS)
        wanted = st.query_params.get(PARAMETER)
        if lesson := next((one for one in LESSONS if one.key == wanted), None):
            st.session_state[KEY].go(lesson, st.session_state[KEY].step(lesson))
    return st.session_state[KEY]


def lessons() -> None:
    """The page: the list, or the lesson that is open."""
    own = progress()
    lesson = next((one for one in LESSONS if one.key == own.lesson), None)
    _write_address(own)
    if lesson is None:
        _overview(own)
    else:
        _lesson(own, lesson)


def _write_address(own: Progress) -> None:
    """So that a reload or a link opens the same."""
    for name, value in ((PARAMETER, own.lesson), (SOLVED, own.to_text())):
        if value:
            st.query_params[name] = value
        elif name in st.query_params:
            del st.query_params[name]


# The list


def _overview(own: Progress) -> None:
    finished = sum(own.finished(lesson) for lesson in LESSONS)
    suggested = next((lesson for lesson in LESSONS if not own.finished(lesson)), None)
    st.markdown("#### Lessons")
    st.caption(
        f"{finished} of {len(LESSONS)} finished. Each is a few steps on real models; nothing needs tuning. "
        "What you have solved stands in the address: a bookmark or a reload of this page keeps it."
    )
    for start in range(0, len(LESSONS), COLUMNS):
        for offset, column in enumerate(st.columns(COLUMNS)):
            if start + offset < len(LESSONS):
                with column:
                    _card(own, start + offset, LESSONS[start + offset] is suggested)


def _card(own: Progress, index: int, suggested: bool) -> None:
    """A lesson in the list; one that is suggested has the button that stands out."""
    lesson = LESSONS[index]
    total, solved, finished = len(lesson.steps), own.count(lesson), own.finished(lesson)
    with st.container(border=True, gap="xsmall", key=f"card-{lesson.key}"):
        with st.container(horizontal=True, vertical_alignment="center", wrap=False):
            with st.container(width="stretch", gap=None):
                st.markdown(f"**{index + 1}. {lesson.title}**")
            st.button(
                "Look again" if finished else "Go on" if own.begun(lesson) else "Begin",
                key=f"open-{lesson.key}",
                type="primary" if suggested else "secondary",
                help=f"Lesson {index + 1}: {lesson.title}",
                on_click=own.go,
                args=(lesson, 0 if finished else own.step(lesson)),
            )
        mark = ":material/check_circle:" if finished else ":material/radio_button_unchecked:"
        st.caption(f"{lesson.about}  \n{mark} {solved} of {total} exercises solved")
        if 0 < solved < total:
            st.progress(solved / total)


# One lesson


def _lesson(own: Progress, lesson: Lesson) -> None:
    st.html(_STYLE)
    _head(own, lesson)
    _step(own, lesson, _task(lesson) if lesson.loads else None)


def _head(own: Progress, lesson: Lesson) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            "All lessons",
            key="all-lessons",
            icon=":material/apps:",
            type="tertiary",
            on_click=lambda: setattr(own, "lesson", ""),
        )
        with st.container(width="stretch"):
            st.markdown(f"##### {LESSONS.index(lesson) + 1}. {lesson.title}")
        if st.button(
            "See it in the explorer",
            key="to-explorer",
            icon=":material/account_tree:",
            type="tertiary",
            help=f"Opens {plain(lesson.model)}, the model of this lesson.",
        ):
            state.request_sample(lesson.model)
            st.switch_page(EXPLORER)


def _task(lesson: Lesson) -> Task:
    """Kept by the session, so that other models do not push it out."""
    kept = st.session_state.get(TASK_KEY)
    if kept is None or kept[0] != lesson.model:
        kept = (lesson.model, model_store().request(Choice.sample(lesson.model)))
        st.session_state[TASK_KEY] = kept
    return kept[1]


def _coming(task: Task, model: str) -> None:
    """Until the lesson's model is there: how far it is, or why it will not come."""
    if not task.done:
        _wait(task, model)
        return
    st.error(plain(task.error), icon=":material/error:")
    if st.button("Try again", key="load-again"):
        del st.session_state[TASK_KEY]
        st.rerun()


@st.fragment(run_every=POLL_SECONDS)
def _wait(task: Task, model: str) -> None:
    if task.done:
        st.rerun()
    progress = task.progress
    st.info(
        f"Loading **{plain(model)}**  \n{plain(progress.current)} … {progress.seconds:.0f} s",
        icon=":material/hourglass_top:",
    )


@st.fragment
def _step(own: Progress, lesson: Lesson, task: Task | None) -> None:
    """A fragment: what is done in a step draws only the step again. `task` loads the model that the lesson needs."""
    guarded(_step_content, own, lesson, task)


def _step_content(own: Progress, lesson: Lesson, task: Task | None) -> None:
    """Its text at once; the picture and the exercise once there is the model that they need."""
    _write_address(own)
    loaded = task.result if task else None
    missing = task is not None and loaded is None
    index = own.step(lesson)
    step, place = lesson.steps[index], (lesson.key, index)
    scene = Scene(loaded, f"{lesson.key}-{index}", own.answers.get(place), own.outcomes.get(place))
    left, right = st.columns([5, 6], gap="medium")
    with left:
        _steps(own, lesson, index)
        st.markdown(f"**{step.title}**")
        st.markdown(step.text)
        with st.container(border=True, gap="small", key="exercise"):
            st.markdown(f":material/edit_note: {told(step.exercise.question)}")
            if not missing:
                _exercise(own, lesson, loaded, scene)
        if index == len(lesson.steps) - 1 and own.finished(lesson):
            _finished(own, lesson)
    with right:
        if missing:
            _coming(task, lesson.model)
        else:
            step.show(scene)


def _steps(own: Progress, lesson: Lesson, index: int) -> None:
    """Which step this is, and the way to the others; above the text, where it stays in sight."""
    solved = [(lesson.key, step) in own.solved for step in range(len(lesson.steps))]
    dots = "".join(":material/check_circle:" if one else ":material/radio_button_unchecked:" for one in solved)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        with st.container(width="stretch", gap=None):
            st.caption(f"Step {index + 1} of {len(lesson.steps)} {dots}")
        _turn(own, lesson, index - 1, "Back", "Left")
        _turn(own, lesson, index + 1, "Next", "Right", stands_out=solved[index])


def _turn(own: Progress, lesson: Lesson, to: int, label: str, arrow: str, stands_out: bool = False) -> None:
    possible = 0 <= to < len(lesson.steps)
    st.button(
        label,
        key=f"step-{label.lower()}",
        icon=f":material/{'arrow_back' if label == 'Back' else 'arrow_forward'}:",
        icon_position="left" if label == "Back" else "right",
        shortcut=f"Ctrl+{arrow}",
        help=f"Ctrl+{arrow}",
        type="primary" if stands_out and possible else "secondary",
        disabled=not possible,
        on_click=own.go,
        args=(lesson, to),
    )


def _exercise(own: Progress, lesson: Lesson, loaded: Loaded | None, scene: Scene) -> None:
    answer = lesson.steps[own.step(lesson)].exercise.ask(scene)
    checked = st.button(
        "Check",
        key=f"{scene.key}-check",
        type="primary",
        disabled=answer is None,
        help="Choose an answer first." if answer is None else None,
        shortcut="Ctrl+Enter",
        on_click=own.check,
        args=(lesson, loaded, answer),
    )
    outcome = scene.outcome
    if outcome is not None and (checked or answer == scene.before):
        _said(outcome)


def _said(outcome: Outcome) -> None:
    if outcome.right:
        st.success(f"**Right.** {outcome.why}", icon=":material/check_circle:")
    else:
        st.warning(f"**Not yet.** {outcome.why}", icon=":material/lightbulb:")


def _finished(own: Progress, lesson: Lesson) -> None:
    following = next((one for one in LESSONS if not own.finished(one)), None)
    st.success("Lesson finished.", icon=":material/school:")
    if following is not None and st.button(
        f"Next lesson: {following.title}", key="next-lesson", icon=":material/arrow_forward:", type="primary"
    ):
        own.go(following, own.step(following))
        st.rerun()
