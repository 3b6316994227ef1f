"""Lessons: short guided tours of what a compiler does to a graph, each step with an exercise that the core checks."""

from app.lessons import partitions

LESSONS = (partitions.LESSON,)
"""In the order in which they build on each other."""
