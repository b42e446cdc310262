"""Numbers as the tables of the terminal show them; None is `n/a`. Tables of pages have theirs in `reporting/`."""

from __future__ import annotations

Interval = tuple[float, float]
NONE = "n/a"
UNITS = ("", "k", "M", "G", "T", "P")


def number(value: float | None, digits: int = 4) -> str:
    """`0.7123`: a metric."""
    return NONE if value is None else f"{value:.{digits}f}"


def whole(value: float | None, digits: int = 0) -> str:
    """`20,664`: a mean of bytes, rows or FLOPs."""
    return NONE if value is None else f"{value:,.{digits}f}"


def change(value: float | None, digits: int = 5) -> str:
    """`+0.00123`: a difference."""
    return NONE if value is None else f"{value:+.{digits}f}"


def rough(value: float, digits: int = 2) -> str:
    """`0.0012`: a size of which only the first digits count."""
    return f"{value:.{digits}g}"


def interval(ci: Interval | None, digits: int = 4) -> str:
    """`0.7012 to 0.7234`."""
    return NONE if ci is None else f"{ci[0]:.{digits}f} to {ci[1]:.{digits}f}"


def change_interval(ci: Interval | None, digits: int = 5) -> str:
    """`-0.00012 to +0.00234`: of a difference."""
    return NONE if ci is None else f"{ci[0]:+.{digits}f} to {ci[1]:+.{digits}f}"


def span(ci: Interval | None, digits: int = 4) -> str:
    """`0.7012-0.7234`: an interval in a narrow column."""
    return NONE if ci is None else f"{ci[0]:.{digits}f}-{ci[1]:.{digits}f}"


def ratio(value: float | None, ci: Interval | None) -> str:
    """`1.55 (1.50-1.61)`."""
    return NONE if value is None or ci is None else f"{number(value, 2)} ({span(ci, 2)})"


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
