"""What the panels' colours can say, why some of it cannot be said yet, and the colours themselves."""

from __future__ import annotations

from dataclasses import dataclass

from app.services.loaded import METHOD_NAMES
from app.services.measured import measured
from app.services.study import Study
from visualizers import colouring
from visualizers.colouring import Colour, Paint

NAMES = {
    Colour.SUBGRAPH: "Subgraph",
    Colour.KIND: "Kind of operator",
    Colour.FLOPS: "FLOPs",
    Colour.BYTES: "Bytes",
    Colour.WEIGHT: "Weight",
    Colour.LATENCY: "Measured latency",
    Colour.SPEEDUP: "Speed-up, left to right",
    Colour.DIFFERENCES: "What differs",
}


@dataclass(frozen=True)
class Entry:
    """One entry of the menu.

    Attributes:
        colour: what it stands for.
        obstacle: a clause that says why it cannot be chosen now, or "".
    """

    colour: Colour
    obstacle: str = ""

    @property
    def text(self) -> str:
        return NAMES[self.colour] + (f" ({self.obstacle})" if self.obstacle else "")


def menu(study: Study, shown: tuple[str, str]) -> tuple[Entry, ...]:
    """All entries, those included that cannot be chosen for the methods that the panels show."""
    return tuple(Entry(colour, _obstacle(study, shown, colour)) for colour in Colour)


def chosen(study: Study, shown: tuple[str, str]) -> Colour:
    """What the colours say: what was chosen, or subgraphs where that is not possible now."""
    return Colour.SUBGRAPH if _obstacle(study, shown, study.colour) else study.colour


def paints(study: Study, shown: tuple[str, str]) -> list[Paint | None]:
    """The colours of both panels, on one scale; None where a panel has those of its drawing."""
    colour = chosen(study, shown)
    both = tuple(study.shown(method) for method in shown)
    if colour is Colour.LATENCY:
        return colouring.by_latency([_seconds(study, method) for method in shown])
    if colour is Colour.SPEEDUP:
        seconds = tuple(_seconds(study, method) for method in shown)
        return colouring.by_speedup(study.graph, both, seconds, [METHOD_NAMES[method] for method in shown])
    makers = {
        Colour.KIND: colouring.by_kind,
        Colour.FLOPS: colouring.by_flops,
        Colour.BYTES: colouring.by_bytes,
        Colour.WEIGHT: colouring.by_weight,
    }
    return makers[colour](study.graph, both) if colour in makers else [None, None]


def _obstacle(study: Study, shown: tuple[str, str], colour: Colour) -> str:
    if colour in (Colour.DIFFERENCES, Colour.SPEEDUP) and shown[0] == shown[1]:
        return "both panels show the same"
    if colour not in (Colour.LATENCY, Colour.SPEEDUP):
        return ""
    missing = [METHOD_NAMES[method] for method in dict.fromkeys(shown) if _seconds(study, method) is None]
    enough = not missing if colour is Colour.SPEEDUP else len(missing) < len(set(shown))
    return "" if enough else f"{' and '.join(missing)} not measured yet: see Compare"


def _seconds(study: Study, method: str) -> tuple[float, ...] | None:
    """Measured median seconds of each subgraph; None before the plan was measured."""
    found = measured(study, method)
    return found.subgraphs if found else None
