"""How a column becomes a time: seconds, and what orders events inside one; and what unread times look like.

A time without a zone (text, or a Parquet timestamp that is not adjusted to UTC) is the local time of `--utc-offset`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import product
from typing import TYPE_CHECKING, Literal, NamedTuple

from lrea_cli.errors import UserError
from lrea_cli.prepare.sql import family, literal, spelled_sql, trimmed_sql

if TYPE_CHECKING:
    import duckdb

NANOSECONDS = 1_000_000_000
FRACTION = "(:[0-9]{2})[.,]([0-9]+)"
ZONE = ":[0-9.,]+ *[-+A-Za-z]"
"""After the minutes or seconds of a clock: an offset, Z, or the name of a zone."""

TimeUnit = Literal["s", "ms", "us", "ns"]
UNITS_PER_SECOND: dict[TimeUnit, int] = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
UNIT_NAMES: dict[TimeUnit, str] = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
LOG_FROM, LOG_UNTIL = 631_152_000, 4_102_444_800  # 1990 and 2100, in seconds since 1970
"""Between these a log lies: a number is a time in one unit at most."""

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


class Instant(NamedTuple):
    """SQL for a time: whole seconds since 1970, UTC, rounded down, or NULL; and the nanoseconds beyond them, from 0."""

    seconds: str
    nanoseconds: str


@dataclass(frozen=True)
class TimeForm:
    """How times are written.

    Args:
        unit: of a number. pattern: of a text or number that is no count of units, as `strptime` has it, or None.
        offset_seconds: of local time, east of UTC.
    """

    unit: TimeUnit = "s"
    pattern: str | None = None
    offset_seconds: int = 0

    def check(self, db: duckdb.DuckDBPyConnection) -> None:
        """Raise a UserError where the pattern is none."""
        import duckdb

        if self.pattern is None:
            return
        try:
            db.execute(f"SELECT try_strptime('', {literal(self.pattern)})")
        except duckdb.Error as error:
            reason = str(error).splitlines()[0].rpartition(": ")[2]
            raise UserError(
                f"--time-format '{self.pattern}' is no format of times: {reason}.",
                "Use the letters of strptime, such as '%Y%m%d%H' for 2016010100 or '%d/%m/%Y %H:%M:%S'.",
            ) from error

    def instant(self, x: str, kind: str, column: str) -> Instant:
        """SQL for the time in a column.

        Args:
            x: SQL of the value. kind: its SQL type. column: what messages call it.

        Raises:
            UserError: the type holds no time, or none of this form.
        """
        holds = family(kind)
        if self.pattern is not None and holds in ("text", "binary", "whole", "float", "decimal"):
            return self._by_pattern(spelled_sql(x, kind), self.pattern)
        if self.pattern is not None or holds in ("boolean", "other"):
            wanted = "times in --time-format" if self.pattern else "times"
            raise UserError(
                f"Column '{column}' is of type {kind}, which holds no {wanted}.",
                "Name the column of the time with --time-column: a number, text, a date or a timestamp.",
            )
        if holds == "time":
            nano = kind.endswith("_NS")
            ticks = f"epoch_ns({x})" if nano else f"CASE WHEN isfinite({x}) THEN epoch_us({x}) END"
            zoned = "TIME ZONE" in kind or kind.startswith("TIMESTAMPTZ")
            return self._local(_counted(ticks, NANOSECONDS if nano else 1_000_000), zoned)
        if holds == "whole":
            return self._of_whole(x)
        if holds in ("float", "decimal"):
            return self._of_double(x)
        return self._of_text(trimmed_sql(x, kind))

    def _of_whole(self, x: str) -> Instant:
        return _counted(f"TRY_CAST({x} AS BIGINT)", UNITS_PER_SECOND[self.unit])

    def _of_double(self, x: str) -> Instant:
        number = f"TRY_CAST({x} AS DOUBLE)"
        in_seconds = f"({number} / {UNITS_PER_SECOND[self.unit]})"
        rest = f"CAST(floor(({in_seconds} - floor({in_seconds})) * {NANOSECONDS}) AS BIGINT)"
        return Instant(f"TRY_CAST(floor({in_seconds}) AS BIGINT)", f"CASE WHEN isfinite({number}) THEN {rest} END")

    def _of_text(self, x: str) -> Instant:
        """A count of units, or ISO 8601."""
        stamp = f"TRY_CAST(regexp_replace({x}, {literal(FRACTION)}, '\\1') AS TIMESTAMPTZ)"
        seconds = f"CASE WHEN isfinite({stamp}) THEN CAST(floor(epoch({stamp})) AS BIGINT) END"
        fraction = f"CAST(rpad(regexp_extract({x}, {literal(FRACTION)}, 2), 9, '0') AS BIGINT)"
        iso = self._local(Instant(seconds, fraction), f"regexp_matches({x}, {literal(ZONE)})")
        by_form = zip(self._of_whole(x), self._of_double(x), iso, strict=True)
        return Instant(
            *(
                f"CASE WHEN regexp_full_match({x}, '[-+]?[0-9]+') THEN {of_whole} "
                f"WHEN regexp_full_match({x}, '[-+]?[0-9]+[.][0-9]*') THEN {of_decimal} ELSE {of_iso} END"
                for of_whole, of_decimal, of_iso in by_form
            )
        )

    def _by_pattern(self, text: str, pattern: str) -> Instant:
        nano = "%n" in pattern
        ticks = f"TRY({'epoch_ns' if nano else 'epoch_us'}(try_strptime({text}, {literal(pattern)})))"
        return self._local(_counted(ticks, NANOSECONDS if nano else 1_000_000), bool(re.search("%[zZ]", pattern)))

    def _local(self, instant: Instant, zoned: bool | str) -> Instant:
        """Take the offset off where the time has no zone of its own; `zoned` may be SQL."""
        if zoned is True or not self.offset_seconds:
            return instant
        shift = f"CASE WHEN {zoned} THEN 0 ELSE {self.offset_seconds} END" if zoned else str(self.offset_seconds)
        return Instant(f"({instant.seconds} - {shift})", instant.nanoseconds)


def parse_offset(text: str) -> int:
    """Minutes east of UTC of `8`, `-3.5`, `5.75`, `+05:30` or `UTC+8`; UserError: not whole, or beyond 14 hours."""
    clock = re.fullmatch(r"(?:UTC)?([-+]?)(\d{1,2}):([0-5]\d)", text.strip())
    hours = re.fullmatch(r"(?:UTC)?([-+]?\d{1,2}(?:\.\d+)?)", text.strip())
    if clock:
        minutes: float = (int(clock[2]) * 60 + int(clock[3])) * (-1 if clock[1] == "-" else 1)
    else:
        minutes = float(hours[1]) * 60 if hours else float("inf")
    if abs(minutes) > 14 * 60 or minutes != int(minutes):
        raise UserError(f"--utc-offset is {text}.", "Use hours from -14 to 14, such as 8, -3.5 or +05:30.")
    return int(minutes)


def parse_day(option: str, text: str) -> int:
    """A day that an option names, numbered since 1970-01-01; UserError: it is no date."""
    try:
        return (date.fromisoformat(text) - date(1970, 1, 1)).days
    except ValueError as error:
        which = "first" if option == "--since" else "last"
        raise UserError(
            f"{option} is '{text}'.", f"Use a day, such as 2017-12-03: the {which} one that counts."
        ) from error


def _counted(number: str, per_second: int) -> Instant:
    """Of a count of units: division rounds down for times before 1970, too (that of SQL goes towards zero)."""
    if per_second == 1:
        return Instant(number, f"CASE WHEN {number} IS NOT NULL THEN 0 END")
    rest = f"(({number}) % {per_second} + {per_second}) % {per_second}"
    return Instant(f"(({number}) - {rest}) // {per_second}", f"({rest}) * {NANOSECONDS // per_second}")


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


def _is(text: str, pattern: str) -> bool:
    """Whether a text is a time of that format in a year that a log may have."""
    if text.isdigit() != (pattern in DIGITS.values()) or (text.isdigit() and DIGITS.get(len(text)) != pattern):
        return False
    try:
        year = datetime.strptime(text, pattern).year
    except ValueError:
        return False
    return 1990 <= year <= 2100
