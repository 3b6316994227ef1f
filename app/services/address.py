"""The state of the work as an address: short plain query parameters, so that a link or a reload opens it again.

An address names things, it does not hold them: an upload by its content's hash, an edited partition by the key under
which it is kept (`app.services.edit_store`), sessions by their folders. Whether they are there shows when it is opened.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ago_core.partition.settings import Rule, Settings

DEFAULT = Settings()
PLAIN_JOIN = "plain"
FILE_DIGITS = 16
"""Of an upload's SHA-256: enough to name it, and short."""
MAX_OPERATOR, MAX_SIZE, MAX_SHOWN = 99_999, 2**40, 40
KEY = re.compile(r"[0-9a-f]{1,64}")
Indices = tuple[str, tuple[int, ...]]
"""Some subgraphs of a method's partition: its name, and their indices, ascending."""


@dataclass(frozen=True)
class Address:
    """What one tab looks at.

    Attributes:
        model: a sample such as "squeezenet@56", or "".
        file: first digits of an upload's SHA-256, or "".
        dims: (symbol, size) of the symbolic dimensions, sorted.
        left, right: the partitions in the panels; "" for what a panel shows at first.
        settings: of AGO's partition.
        edited: key of the edited partition with what came before it, or "".
        redo: key of the last of the edits that were undone, or "".
        operators: that are selected, ascending; empty where a whole subgraph is.
        subgraph: method and index of the selected subgraph, or None.
        step: index of the step of AGO's construction that is shown, or None.
        folded: (method, indices) of the subgraphs that are drawn as one node where all others are not.
        unfolded: (method, indices) of the subgraphs that are drawn by their operators where all others are one node.
        colour: what the panels' colours say; "" for what they say at first.
        before, after: the plans that are compared; "" for those that are at first.
        tuned: the session whose result can be compiled, or "".
        sessions: that are watched.
        runs: key of what was compiled and run, or "".
    """

    model: str = ""
    file: str = ""
    dims: tuple[tuple[str, int], ...] = ()
    left: str = ""
    right: str = ""
    settings: Settings = DEFAULT
    edited: str = ""
    redo: str = ""
    operators: tuple[int, ...] = ()
    subgraph: tuple[str, int] | None = None
    step: int | None = None
    folded: tuple[Indices, ...] = ()
    unfolded: tuple[Indices, ...] = ()
    colour: str = ""
    before: str = ""
    after: str = ""
    tuned: str = ""
    sessions: tuple[str, ...] = ()
    runs: str = ""

    def parameters(self) -> dict[str, list[str]]:
        """The query parameters; what is as it is at first is left out."""
        limit = repr(self.settings.threshold).removesuffix(".0")
        values = {
            "model": [self.model],
            "file": [self.file],
            "dim": [f"{symbol}={size}" for symbol, size in self.dims],
            "left": [self.left],
            "right": [self.right],
            "limit": [limit if self.settings.threshold != DEFAULT.threshold else ""],
            "cycles": [self.settings.rule.value if self.settings.rule is not DEFAULT.rule else ""],
            "join": ["" if self.settings.aware else PLAIN_JOIN],
            "edited": [self.edited],
            "redo": [self.redo],
            "operators": [_ranges(self.operators)],
            "subgraph": ["{}:{}".format(*self.subgraph) if self.subgraph else ""],
            "step": ["" if self.step is None else str(self.step + 1)],
            "folded": [f"{method}:{_ranges(indices)}" for method, indices in self.folded],
            "unfolded": [f"{method}:{_ranges(indices)}" for method, indices in self.unfolded],
            "colour": [self.colour],
            "before": [self.before],
            "after": [self.after],
            "tuned": [self.tuned],
            "session": list(self.sessions),
            "runs": [self.runs],
        }
        return {name: kept for name, found in values.items() if (kept := [value for value in found if value])}


def read_address(parameters: Mapping[str, Sequence[str]]) -> tuple[Address, tuple[str, ...]]:
    """Reads query parameters; those of others are left alone.

    Returns:
        The address without what makes no sense, and a sentence for each such parameter.
    """
    found: dict[str, object] = {}
    settings: dict[str, object] = {}
    lost = []
    for name, values in parameters.items():
        if name not in _READERS or not any(values):
            continue
        field, read = _READERS[name]
        try:
            (settings if field in ("threshold", "rule", "aware") else found)[field] = read(list(values))
        except ValueError:
            lost.append(f"The address's {name} ({values[-1][:MAX_SHOWN]!r}) makes no sense and was left out.")
    return Address(**found, settings=Settings(**settings)), tuple(lost)


def _ranges(numbers: Iterable[int]) -> str:
    """Ascending numbers, such as "3,5-9"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def _numbers(text: str) -> tuple[int, ...]:
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        low = _count(first)
        high = _count(last) if dash else low
        if low > high:
            raise ValueError(part)
        found.update(range(low, high + 1))
    return tuple(sorted(found))


def _count(text: str, most: int = MAX_OPERATOR) -> int:
    """A number from 0 to `most`, in plain digits."""
    if not re.fullmatch(r"[0-9]{1,16}", text) or int(text) > most:
        raise ValueError(text)
    return int(text)


def _dims(values: list[str]) -> tuple[tuple[str, int], ...]:
    pairs = {symbol: _count(size, MAX_SIZE) for symbol, _, size in (value.rpartition("=") for value in values)}
    if "" in pairs:
        raise ValueError(values)
    return tuple(sorted(pairs.items()))


def _limit(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise ValueError(text)
    return value


def _join(text: str) -> bool:
    if text != PLAIN_JOIN:
        raise ValueError(text)
    return False


def _subgraph(text: str) -> tuple[str, int]:
    method, _, index = text.rpartition(":")
    if not method:
        raise ValueError(text)
    return method, _count(index)


def _indices(values: list[str]) -> tuple[Indices, ...]:
    found = {}
    for value in values:
        method, _, indices = value.rpartition(":")
        if not method:
            raise ValueError(value)
        found[method] = _numbers(indices) if indices else ()
    return tuple(sorted(found.items()))


def _step(text: str) -> int:
    """People count from 1."""
    number = _count(text, 10 * MAX_OPERATOR)
    if number == 0:
        raise ValueError(text)
    return number - 1


def _key(text: str) -> str:
    if not KEY.fullmatch(text):
        raise ValueError(text)
    return text


def _last(read: Callable[[str], object]) -> Callable[[list[str]], object]:
    """Of a parameter that stands there more than once the last one counts."""
    return lambda values: read(values[-1])


_READERS: dict[str, tuple[str, Callable[[list[str]], object]]] = {
    "model": ("model", _last(str)),
    "file": ("file", _last(_key)),
    "dim": ("dims", _dims),
    "left": ("left", _last(str)),
    "right": ("right", _last(str)),
    "limit": ("threshold", _last(_limit)),
    "cycles": ("rule", _last(Rule)),
    "join": ("aware", _last(_join)),
    "edited": ("edited", _last(_key)),
    "redo": ("redo", _last(_key)),
    "operators": ("operators", _last(_numbers)),
    "subgraph": ("subgraph", _last(_subgraph)),
    "step": ("step", _last(_step)),
    "folded": ("folded", _indices),
    "unfolded": ("unfolded", _indices),
    "colour": ("colour", _last(str)),
    "before": ("before", _last(str)),
    "after": ("after", _last(str)),
    "tuned": ("tuned", _last(str)),
    "session": ("sessions", lambda values: tuple(dict.fromkeys(filter(None, values)))),
    "runs": ("runs", _last(_key)),
}
PARAMETERS = frozenset(_READERS)
"""Names of the parameters that are ours."""
