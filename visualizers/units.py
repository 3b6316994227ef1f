"""Numbers with units, as people read them."""

from __future__ import annotations

from collections.abc import Sequence


def quantity(value: float, unit: str, base: int = 1000) -> str:
    """`value` with three digits and a prefix: (1234567, "FLOP") → "1.23 MFLOP", (2048, "B", 1024) → "2 KiB"."""
    prefixes = ["", "k", "M", "G", "T"] if base == 1000 else ["", "Ki", "Mi", "Gi", "Ti"]
    power = 0
    while abs(value) >= base and power < len(prefixes) - 1:
        value /= base
        power += 1
    digits = 0 if abs(value) >= 100 or power == 0 else 1 if abs(value) >= 10 else 2
    text = f"{value:.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return f"{text} {prefixes[power]}{unit}"


def count(number: int, noun: str) -> str:
    """A number with its noun: 1 operator, 2 operators."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def flops(value: float) -> str:
    """Floating-point operations, such as "1.23 GFLOP"."""
    return quantity(value, "FLOP")


def nbytes(value: float) -> str:
    """Bytes with binary prefixes, such as "1.5 MiB"."""
    return quantity(value, "B", base=1024)


def milliseconds(seconds: float) -> str:
    """Three digits: 0.00123 → "1.23 ms", 0.0000456 → "45.6 µs"."""
    value, unit = (seconds * 1e3, "ms") if seconds >= 0.9995e-3 else (seconds * 1e6, "µs")
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{digits}f} {unit}"


def duration(seconds: float) -> str:
    """Such as "45 s", "3 min 20 s", "2 h 5 min"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def time_axis(seconds: float) -> tuple[float, str]:
    """Seconds of one unit of an axis that goes so far, and the unit."""
    return (3600.0, "h") if seconds > 3 * 3600 else (60.0, "min") if seconds > 180 else (1.0, "s")


def latency_axis(seconds: Sequence[float]) -> tuple[float, str]:
    """What to multiply seconds by on an axis that shows these, and the unit."""
    return (1e6, "µs") if seconds and min(seconds) < 1e-3 else (1e3, "ms")
