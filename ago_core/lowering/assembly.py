"""Where generated assembly spends its time: the innermost loop with the most multiply-adds."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LABEL = re.compile(r"^(\.?L\w+):")
_BRANCH = re.compile(r"^\s+(?:j\w+|b|b\.\w+|cbn?z\s+\w+,|tbn?z\s+\w+,\s*#\d+,)\s+(\.?L\w+)\s*$")
_MULTIPLY_ADD = re.compile(r"^\s+(?:vfn?m(?:add|sub)\d+[ps]s|fml[as](?:\.\d[sd])?|fn?m(?:add|sub))\s")
_ARITHMETIC = re.compile(
    r"^\s+(?:v?(?:add|sub|mul|div|max|min)[ps]s|f(?:n?mul|add|sub|div|max|min)(?:nm)?(?:\.\d[sd])?)\s"
)
"""On Apple's systems a vector's shape follows the name: `fmla.4s v0, v1, v2`, elsewhere `fmla v0.4s, v1.4s, v2.4s`."""

OWN = 0.75
"""Part of its arithmetic that an innermost loop holds outside of what look like loops inside."""


@dataclass(frozen=True, slots=True)
class _Loop:
    first: int
    last: int

    def holds(self, other: _Loop) -> bool:
        return self != other and self.first <= other.first and other.last <= self.last


def hot_loop(assembly: str) -> str:
    """The innermost loop with the most float32 multiply-adds.

    A loop is what stands between a label and the last branch back to it. Branches back from what LLVM moved out of the
    way (the edges of an image) look the same: a loop is innermost if loops inside hold a part of its arithmetic only.
    Where two loops hold equally many multiply-adds (none at all in pooling, or before AVX2), the one with more other
    float32 arithmetic is taken.

    Args:
        assembly: of one or more functions, x86-64 in AT&T syntax or AArch64, as LLVM prints it.

    Returns:
        The lines from the label to the branch; empty if there is no loop with arithmetic.
    """
    lines = assembly.splitlines()
    loops = _loops(lines)
    innermost = ["\n".join(lines[loop.first : loop.last + 1]) for loop in loops if _is_innermost(loop, loops, lines)]
    return max((text for text in innermost if any(_work(text))), key=_work, default="")


def _is_innermost(loop: _Loop, loops: list[_Loop], lines: list[str]) -> bool:
    inside = [range(other.first, other.last + 1) for other in loops if loop.holds(other)]
    own = [lines[k] for k in range(loop.first, loop.last + 1) if not any(k in span for span in inside)]
    return sum(_work("\n".join(own))) >= OWN * sum(_work("\n".join(lines[loop.first : loop.last + 1])))


def _loops(lines: list[str]) -> list[_Loop]:
    labels: dict[str, int] = {}
    ends: dict[int, int] = {}
    for number, line in enumerate(lines):
        if label := _LABEL.match(line):
            labels[label[1]] = number
        elif (branch := _BRANCH.match(line)) and branch[1] in labels:
            ends[labels[branch[1]]] = number
    return [_Loop(first, last) for first, last in ends.items()]


def _work(loop: str) -> tuple[int, int]:
    """Multiply-adds, and other arithmetic."""
    lines = loop.splitlines()
    return sum(map(bool, map(_MULTIPLY_ADD.match, lines))), sum(map(bool, map(_ARITHMETIC.match, lines)))
