"""What a lesson is made of, and how far a reader has come. Nothing here needs a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from app.services.loaded import Loaded
from visualizers.marks import Marks


@dataclass(frozen=True)
class Outcome:
    """What came of a check.

    Attributes:
        right: whether the answer was right.
        why: why, in Markdown.
        marks: what the step's drawing emphasises with it.
    """

    right: bool
    why: str
    marks: Marks | None = None


@dataclass(frozen=True)
class Scene:
    """What a step's parts are given.

    Attributes:
        loaded: the lesson's model; None in a lesson that needs none.
        key: prefix of the step's widgets.
        before: the answer that was checked last, or None.
        outcome: what came of it, or None.
    """

    loaded: Loaded | None
    key: str
    before: Any = None
    outcome: Outcome | None = None


Text = str | Callable[[], str]
"""Markdown; where figures are in it, they are computed from what was recorded."""


def told(text: Text) -> str:
    return text if isinstance(text, str) else text()


@dataclass(frozen=True)
class Exercise:
    """Something to do.

    Attributes:
        question: what is asked.
        ask: shows the widgets; returns the answer, or None where there is none yet.
        check: computes the right answer from the model, and says why the given one is right or wrong.
    """

    question: Text
    ask: Callable[[Scene], Any]
    check: Callable[[Loaded | None, Any], Outcome]


@dataclass(frozen=True)
class Step:
    """One page of a lesson.

    Attributes:
        title: a few words.
        text: a paragraph, Markdown; it is read while the model loads, so it holds no figure of it.
        show: the picture or table beside it.
        exercise: below the text.
    """

    title: str
    text: str
    show: Callable[[Scene], None]
    exercise: Exercise


@dataclass(frozen=True)
class Lesson:
    """A guided lesson.

    Attributes:
        key: its name in the address.
        title: for people.
        about: one sentence for the list of lessons.
        model: the sample that it is about, such as "squeezenet@56".
        steps: its pages.
        loads: whether it needs the model loaded; a lesson on recorded measurements does not.
    """

    key: str
    title: str
    about: str
    model: str
    steps: tuple[Step, ...]
    loads: bool = True


Place = tuple[str, int]
"""A lesson's key and the index of a step."""


@dataclass
class Progress:
    """How far one browser session has come.

    Attributes:
        lesson: key of the open lesson, or "" for the list.
        steps: the step that is open, by lesson.
        answers: the last one that was checked.
        outcomes: what came of it.
        solved: steps whose exercise was answered rightly once.
    """

    lesson: str = ""
    steps: dict[str, int] = field(default_factory=dict)
    answers: dict[Place, Any] = field(default_factory=dict)
    outcomes: dict[Place, Outcome] = field(default_factory=dict)
    solved: set[Place] = field(default_factory=set)

    def to_text(self) -> str:
        """What is solved, for the address: each lesson's key with the number of a step, such as "cycles2.reuse1"."""
        return ".".join(f"{key}{step + 1}" for key, step in sorted(self.solved))

    def read(self, text: str, lessons: Iterable[Lesson]) -> None:
        """Takes over what `to_text` wrote; what names no step of a lesson is left aside."""
        wanted = set(text.split("."))
        places = ((lesson.key, step) for lesson in lessons for step in range(len(lesson.steps)))
        self.solved |= {(key, step) for key, step in places if f"{key}{step + 1}" in wanted}

    def step(self, lesson: Lesson) -> int:
        """Index of the step that is open; at first the first that is not solved."""
        unsolved = (step for step in range(len(lesson.steps)) if (lesson.key, step) not in self.solved)
        return self.steps.get(lesson.key, next(unsolved, 0))

    def go(self, lesson: Lesson, step: int) -> None:
        """Opens a step of a lesson."""
        self.lesson = lesson.key
        self.steps[lesson.key] = max(0, min(step, len(lesson.steps) - 1))

    def count(self, lesson: Lesson) -> int:
        """Exercises of a lesson that are solved."""
        return sum((lesson.key, index) in self.solved for index in range(len(lesson.steps)))

    def begun(self, lesson: Lesson) -> bool:
        return lesson.key in self.steps or self.count(lesson) > 0

    def finished(self, lesson: Lesson) -> bool:
        return self.count(lesson) == len(lesson.steps)

    def check(self, lesson: Lesson, loaded: Loaded | None, answer: Any) -> Outcome:
        """Checks an answer to the open step's exercise and remembers what came of it."""
        place = (lesson.key, self.step(lesson))
        outcome = lesson.steps[place[1]].exercise.check(loaded, answer)
        self.answers[place], self.outcomes[place] = answer, outcome
        if outcome.right:
            self.solved.add(place)
        return outcome
