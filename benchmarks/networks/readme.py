"""The README's section on networks, written from the results, so that its figures are those of the last measurement."""

from __future__ import annotations

import textwrap

from benchmarks.networks import report
from benchmarks.networks.summary import summary

BEGIN = "<!-- written by: python -m benchmarks.networks --report --readme -->"
END = "<!-- end of what it writes -->"
WIDTH = 125
ABOUT = (
    "`python -m benchmarks.networks` lets each network's peers take turns, in processes of their own on the same "
    "cores; outputs are compared with ONNX Runtime's. "
)


def section(results: dict) -> str:
    """Means, goals, the headline's picture, and where it was measured; as Markdown."""
    headline = summary(results)
    picture = f"networks-{headline['threads']}-threads-{headline['trials']}-trials.svg"
    parts = [
        textwrap.fill(ABOUT + report.MEANING, WIDTH),
        report.summary_table(results),
        report.goals(results),
        f"![Speed of each peer relative to AGO, by network](benchmarks/results/{picture})",
        textwrap.fill(report.footer(results), WIDTH),
    ]
    return "\n\n".join(parts)


def updated(text: str, results: dict) -> str:
    """A README with the section between its markers written anew.

    Raises:
        ValueError: it has not both markers.
    """
    before, found, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        raise ValueError(f"The README has no line {BEGIN!r} with {END!r} below it: put them where the section belongs.")
    return f"{before}{BEGIN}\n{section(results)}\n{END}{after}"
