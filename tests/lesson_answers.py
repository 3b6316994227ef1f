"""Answers to try in the lessons' exercises: all that can be given, or numbers of which some are right."""

from __future__ import annotations

from functools import cache
from itertools import combinations

from app.lessons import LESSONS, affix, recorded, reuse, roofline
from app.lessons.excerpts import residual
from app.services.models import Choice, load


@cache
def lesson_models():
    """Each model that a lesson loads, by its name."""
    return {name: load(Choice.sample(name), lambda step: None) for name in {one.model for one in LESSONS if one.loads}}


def subsets(count):
    return [chosen for size in range(count + 1) for chosen in combinations(range(count), size)]


@cache
def answers():
    """For each exercise, by lesson and step, the answers to try: wrong ones and right ones."""
    squeezenet, mobilenet = (lesson_models()[name] for name in ("squeezenet@56", "mobilenet_v2@56"))
    quarters = [step / 4 for step in range(1, 2000)]
    hundredths = [step / 100 for step in range(1, 2000)]
    small = list(range(40))
    return {
        ("partition", 0): small,
        ("partition", 1): range(3),
        ("partition", 2): quarters,
        ("partition", 3): subsets(4),
        ("patterns", 0): range(6),
        ("patterns", 1): small,
        ("patterns", 2): subsets(5),
        ("patterns", 3): small,
        ("cycles", 0): subsets(4),
        ("cycles", 1): subsets(4),
        ("cycles", 2): subsets(2),
        ("cycles", 3): small,
        ("affix", 0): subsets(len(affix.neighbours(residual(mobilenet)))),
        ("affix", 1): range(1, len(affix.built(mobilenet).steps) + 1),
        ("affix", 2): affix.THRESHOLDS,
        ("reuse", 0): subsets(len(reuse.loop_names(squeezenet))),
        ("reuse", 1): small,
        ("reuse", 2): hundredths,
        ("reuse", 3): [cache / 1024 for cache in reuse.CACHES],
        ("fusing", 0): quarters,
        ("fusing", 1): subsets(3),
        ("fusing", 2): subsets(3),
        ("fusing", 3): small,
        ("fusing", 4): quarters,
        ("dividing", 0): small,
        ("dividing", 1): range(1, recorded.session(recorded.AGO).trials + 1),
        ("dividing", 2): hundredths,
        ("dividing", 3): range(2),
        ("dividing", 4): range(2),
        ("roofline", 0): hundredths,
        ("roofline", 1): hundredths,
        ("roofline", 2): subsets(len(roofline.names())),
        ("roofline", 3): range(len(roofline.names())),
    }
