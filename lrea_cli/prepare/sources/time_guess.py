"""What times look like that could not be read, or were read as something else; it sees values alone, no file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from itertools import product
from typing import Literal

TimeUnit = Literal["s", "ms", "us", "ns"]
UNITS_PER_SECOND: dict[TimeUnit, int] = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
UNIT_NAMES: dict[TimeUnit, str] = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}

LOG_FROM, LOG_UNTIL = 631_152_000, 4_102_444_800  # 1990 and 2100, in seconds since 1970
"""Between these a log lies: a number is a time in one unit at most."""

FIRST_DAYS, FIRST_YEAR = 3 * 86_400, 365 * 86_400
"""Seconds since 1970 that a log hardly lies in, as a whole."""

NUMBER = re.compile(r"[0-9]+(?:\.[0-9]*)?")
DIGITS = {8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
"""Formats of digits alone, by their number."""

DATES = (
    *("%Y-%m-%d", "%Y.%m.%d", "%Y/%m/%d"),
    *("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y"),
    *("%d.%m.%y", "%d/%m/%y", "%m/%d/%y"),
    *("%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y"),
)
CLOCKS = ("", *map("".join, product((" ", ", ", "T"), ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p"))))
FORMATS = (*map("".join, product(DATES, CLOCKS)), "%d/%b/%Y:%H:%M:%S %z", "%a %b %d %H:%M:%S %Y")
"""Formats that are proposed; that `try_strptime` of DuckDB reads them alike is tested."""

MOST = 0.9
"""So many of the values must look alike: a line of another kind may stand among them."""

SEEN_FIRST = 10
"""Values, one of which at least is of the format that most have."""


def unit_of(number: float) -> TimeUnit | None:
    """The unit in which a number since 1970 is a time between 1990 and 2100, if there is one."""
    return next((unit for unit, per in UNITS_PER_SECOND.items() if LOG_FROM <= number / per < LOG_UNTIL), None)


def unit_of_most(values: Sequence[str]) -> TimeUnit | None:
    """The unit that most texts have as numbers, if they have one."""
    units = [unit_of(float(value)) for value in values if NUMBER.fullmatch(value)]
    return next((unit for unit in UNITS_PER_SECOND if 0 < MOST * len(values) <= units.count(unit)), None)


def formats_of_most(values: Sequence[str]) -> list[str]:
    """The formats that most texts have, and none has more: two where day and month could be either one."""
    known = [pattern for pattern in (*DIGITS.values(), *FORMATS) if any(_is(v, pattern) for v in values[:SEEN_FIRST])]
    counts = {pattern: sum(_is(value, pattern) for value in values) for pattern in known}
    most = max(counts.values(), default=0)
    return [pattern for pattern, count in counts.items() if count == most >= MOST * len(values)]


def looks_like_a_date(first: int, last: int) -> str | None:
    """The format that both ends of a log of numbers suggest, such as 2016010100 to 2016013123, or None."""
    return next((pattern for pattern in DIGITS.values() if all(_is(str(end), pattern) for end in (first, last))), None)


def misread(first: int, last: int, unit: TimeUnit) -> str:
    """What to say of the times of a whole log that look wrong, or nothing.

    Args:
        first, last: of its times, in seconds since 1970.
        unit: in which numbers were read.
    """
    per = UNITS_PER_SECOND[unit]
    read_as = f"read as {UNIT_NAMES[unit]} since 1970"
    if guess := looks_like_a_date(first * per, last * per):
        return f"The times {first * per} to {last * per} were {read_as}; they look like dates: --time-format '{guess}'."
    if not 0 <= first <= last < FIRST_YEAR:
        return ""
    other = unit_of((last + 1) * per)
    if other and other != unit:
        return (
            f"The times were {read_as}, and all lie in 1970; they look like {UNIT_NAMES[other]}: --time-unit {other}."
        )
    if last < FIRST_DAYS:
        return (
            "All times lie in the first days of 1970: their unit looks wrong here, or was when the file was written. "
            "See --time-unit and --time-format, or name another --time-column."
        )
    return ""


def _is(text: str, pattern: str) -> bool:
    """Whether a text is a time of that format in a year that a log may have."""
    if text.isdigit() != (pattern in DIGITS.values()) or (text.isdigit() and DIGITS.get(len(text)) != pattern):
        return False
    try:
        year = datetime.strptime(text, pattern).year
    except ValueError:
        return False
    return 1990 <= year <= 2100
