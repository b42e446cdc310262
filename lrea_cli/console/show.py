"""Numbers as the tables of the terminal and of pages show them; None is `n/a` on a terminal."""

from __future__ import annotations

Interval = tuple[float, float]
NONE = "n/a"
WHOLE, CHANGE = ",.0f", "+.5f"
"""Formats of a mean of bytes or FLOPs, `20,664`, and of a difference, `+0.00123`."""
UNITS = ("", "k", "M", "G", "T", "P")


def number(value: float | None, form: str = ".4f", none: str = NONE) -> str:
    """`0.7123`: a metric, or another number in a format of its own."""
    return none if value is None else f"{value:{form}}"


def interval(ci: Interval | None, form: str = ".4f", between: str = " to ", none: str = NONE) -> str:
    """`0.7012 to 0.7234`."""
    return none if ci is None else f"{ci[0]:{form}}{between}{ci[1]:{form}}"


def ratio(value: float | None, ci: Interval | None) -> str:
    """`1.55 (1.50-1.61)`."""
    return NONE if value is None or ci is None else f"{value:.2f} ({interval(ci, '.2f', '-')})"


def spread(value: float, ci: Interval | None) -> str:
    """`1.23 ±2.1%`: half the width of the interval, over the value."""
    return f"{value:.3g}" if ci is None else f"{value:.3g} ±{50 * (ci[1] - ci[0]) / value:.1f}%"


def milliseconds(value: float | None) -> str:
    """`0.0123`, `9.88`, `123`: a latency to three digits."""
    return NONE if value is None else f"{value:.3g}" if value < 100 else f"{value:.0f}"


def unclear(resolved: bool) -> str:
    """`~` where no difference is shown."""
    return "" if resolved else "~"


def size(count: float) -> str:
    """`24 B`, `18.7 kB`, `1.20 MB`, `3.57 GB`."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count:.0f} B"


def age(seconds: float) -> str:
    """`12 s`, `5 min`, `3 h`, `9 d`: a time that has gone by."""
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:,.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def short(value: float | None) -> str:
    """`12.3M`: three digits and a power of a thousand, right-aligned."""
    if value is None:
        return f"{NONE:>5}"
    power = 0
    while value >= 999.5:
        value, power = value / 1000, power + 1
    return f"{f'{value:.3g}{UNITS[power]}':>5}"
