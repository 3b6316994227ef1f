"""Numbers with units, as people read them."""

from __future__ import annotations


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
