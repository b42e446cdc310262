"""What to do about rejected rows, as it follows from their values and from the options given; it sees no file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lrea_cli.console.counts import counted
from lrea_cli.console.terminal import clean
from lrea_cli.prepare.reading.delimited import DELIMITERS, SPELLED
from lrea_cli.prepare.reading.times import MOST, NUMBER, UNIT_NAMES, TimeUnit, formats_of_most, unit_of, unit_of_most
from lrea_cli.prepare.sql import CLICKED, NOT_CLICKED

AT_MOST = 2
"""Hints in one remedy, of the reasons with the most rows."""

SHOWN, LONGEST = 3, 40
"""Values in one hint, and characters of each."""


@dataclass(frozen=True)
class Refused:
    """Rows that were rejected for one reason.

    Args:
        read: all rows so far.
        values: the first different ones that the reason is about; whole lines where it is about no column.
    """

    count: int
    read: int
    values: Sequence[str] = ()

    def and_also(self, other: Refused) -> Refused:
        """These rows and others, of the same column."""
        return Refused(self.count + other.count, self.read, [*self.values, *other.values])

    @property
    def rows(self) -> str:
        return f"{self.count:,} of {counted(self.read, 'row')}"

    @property
    def some(self) -> str:
        """The first values, quoted."""
        short = (value if len(value) <= LONGEST else f"{value[:LONGEST]}.." for value in self.values[:SHOWN])
        return ", ".join(map(repr, short))


Hint = Callable[[Refused], str]
"""Rows of one reason -> what to do, or nothing where their values do not tell."""


def advice(hints: Mapping[str, Hint], refused: Mapping[str, Refused]) -> str:
    """The hints for the reasons with the most rows, or nothing; reasons with one hint are looked at together."""
    together: dict[Hint, Refused] = {}
    for reason in sorted(refused, key=lambda reason: -refused[reason].count):
        if (hint := hints.get(reason)) is not None:
            together[hint] = together[hint].and_also(refused[reason]) if hint in together else refused[reason]
    texts = (hint(rows) for hint, rows in together.items())
    return " ".join([text for text in texts if text][:AT_MOST])


def of_missing(what: str, column: str, option: str, refused: Refused) -> str:
    """Of rows whose user, item or time is missing."""
    text = f"{refused.rows} have no {what}: column '{column}' is empty there"
    text += f", or holds {refused.some}; --missing lists what means that a value is missing" if refused.values else ""
    return f"{text}. Name another column with {option}." if refused.count == refused.read else f"{text}."


def of_inexact(refused: Refused) -> str:
    """Of rows with an id that a floating-point number has rounded."""
    return f"Ids such as {refused.some} were rounded before they came here: export their column as text."


def of_times(column: str, unit: TimeUnit, pattern: str | None, refused: Refused) -> str:
    """Of rows whose time was not read, or lies out of range; unit and pattern are those of the options."""
    if not refused.values:
        return of_missing("time", column, "--time-column", refused)
    known = unit_of_most(refused.values)
    if known and (pattern or known != unit):
        leave = "leave --time-format out, and add " if pattern else ""
        return f"Times such as {refused.values[0]} look like {UNIT_NAMES[known]}: {leave}--time-unit {known}."
    formats = [f"'{known}'" for known in formats_of_most(refused.values) if known != pattern]
    if len(formats) == 2:
        either = f"--time-format {' or '.join(formats)}"
        return f"Times such as {refused.some} are read by {either}: day and month could be either one."
    if formats:
        return f"Times such as {refused.some} are read by --time-format {formats[0]}."
    return (
        f"Times such as {refused.some} are read by no format that is known here: describe them with --time-format, "
        "such as '%d.%m.%Y %H:%M', or name another --time-column."
    )


def of_labels(column: str, threshold: float | None, refused: Refused) -> str:
    """Of rows whose label is none."""
    accepted = f"{', '.join(CLICKED)} (clicked) and {', '.join(NOT_CLICKED)} (not)"
    if not refused.values:
        return of_missing("label", column, "--label-column", refused)
    if threshold is not None:
        words = {value.lower() for value in refused.values} <= {*CLICKED, *NOT_CLICKED}
        mend = "Leave --label-threshold out" if words else "Write them as numbers, or name another --label-column"
        return f"Labels such as {refused.some} are no numbers. {mend}: without a threshold {accepted} are labels."
    text = f"Labels such as {refused.some} are not among those that are known: {accepted}."
    numbers = sorted(float(value) for value in refused.values if re.fullmatch(f"-?{NUMBER.pattern}", value))
    if len(numbers) < MOST * len(refused.values):
        return f"{text} Write them so, or as numbers with --label-threshold."
    least = max(1.0, numbers[len(numbers) // 2])
    return f"{text} Of numbers, --label-threshold {least:g} takes those from {least:g} on as clicks."


def of_late(refused: Refused) -> str:
    """Of rows that lie after the last day that counts."""
    return f"{refused.rows} lie after the day of --until: name a later one, or leave it out."


def of_lines(delimiter: str, columns: int, named: bool, refused: Refused) -> str:
    """Of lines that were cut at `delimiter` into a wrong number of values; `named`: `--columns` names the columns."""
    lines = refused.values
    for other in (*DELIMITERS, " "):
        if other != delimiter and sum(line.count(other) + 1 == columns for line in lines) >= MOST * len(lines):
            spelled = _spelled(other)
            return f"Cut at {spelled}, these lines have {counted(columns, 'value')}: --delimiter {spelled}."
    values, count = Counter(line.count(delimiter) + 1 for line in lines).most_common(1)[0]
    if count < MOST * len(lines) or values == columns:
        return f"A value that holds {_spelled(delimiter)} must stand in double quotes."
    if named:
        return f"--columns has {counted(columns, 'name')} and these lines have {counted(values, 'value')}: name all."
    return (
        f"The first line has {counted(columns, 'value')} and these lines have {values:,}: delete a title above the "
        f"header, or name all {values:,} columns with --columns."
    )


def of_header(names: Sequence[str], wanted: Sequence[str]) -> str:
    """Of a first line with these names, which lacks one of the wanted columns; the last of these is the time's."""
    hints = []
    if len(names) == 1:
        cuts = {other: names[0].split(other) for other in (*DELIMITERS, " ")}
        other = max(cuts, key=lambda other: len(cuts[other]))
        in_words = other == " " and not _are_values(cuts[other]) and not {*wanted} <= {*cuts[other]}
        if len(cuts[other]) < len(wanted) or in_words:
            return (
                "The file was read as one column. Delete what stands above the header, or name what stands between "
                "values with --delimiter."
            )
        names = cuts[other]
        hints.append(
            f"The first line was read as one name, and holds {_spelled(other)}: --delimiter {_spelled(other)}."
        )
    if _are_values(names):
        hints.append(
            f"The first line looks like values, not names. Where there is no header, name all "
            f"{counted(len(names), 'column')} in their order: --columns {','.join(_as_names(names, wanted))}"
        )
    return " ".join(hints)


def _are_values(names: Sequence[str]) -> bool:
    """Whether a first line holds a time, or more numbers than other texts."""
    numbers = [name for name in names if NUMBER.fullmatch(name.strip())]
    return 2 * len(numbers) >= len(names) or any(_is_time(name.strip()) for name in names)


def _as_names(values: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """A name for each value: the time's where a value looks like one, the others in the order of `wanted`."""
    times = [index for index, value in enumerate(values) if _is_time(value.strip())]
    others = list(wanted[:-1] if times else wanted)
    spare = (f"c{index + 1}" for index in range(len(values)))
    return [
        wanted[-1] if [index] == times[-1:] else others.pop(0) if others else name for index, name in enumerate(spare)
    ]


def _is_time(text: str) -> bool:
    number = NUMBER.fullmatch(text)
    return unit_of(float(text)) is not None if number else bool(formats_of_most([text]))


def _spelled(delimiter: str) -> str:
    """A delimiter as `--delimiter` takes it."""
    words = {sign: word for word, sign in SPELLED.items()}
    return words.get(delimiter, f"'{clean(delimiter)}'")
