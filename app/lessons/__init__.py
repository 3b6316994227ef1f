"""Lessons: short guided tours of what a compiler does to a graph, each step with an exercise that the core checks."""

from app.lessons import affix, cycles, dividing, fusing, partitions, patterns, reuse, roofline

LESSONS = tuple(module.LESSON for module in (partitions, patterns, cycles, affix, reuse, fusing, dividing, roofline))
"""In the order in which they build on each other."""
