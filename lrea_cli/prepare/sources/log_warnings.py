"""What to tell of a log that was read: times and numbers that look wrong, and columns that may be the label."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace

from lrea_cli.console.progress import ignore
from lrea_cli.dataset.fields import SECONDS_PER_DAY
from lrea_cli.errors import UserError
from lrea_cli.prepare.sources.blocks import ROWS_AT_MOST
from lrea_cli.prepare.sources.columns import label_sql
from lrea_cli.prepare.sources.header import TextLayout
from lrea_cli.prepare.sources.intake import Intake
from lrea_cli.prepare.sources.judge import INCOMING
from lrea_cli.prepare.sources.reconcile import ReadFile, unused_columns
from lrea_cli.prepare.sources.tabular import TabularFile, open_table
from lrea_cli.prepare.sources.time_guess import misread
from lrea_cli.prepare.sources.times import TimeForm
from lrea_cli.prepare.spelling_sql import spelled_sql
from lrea_cli.prepare.sql import count, identifier

LOST_AT_MOST = 0.5
"""A numeric field of whose values more are no numbers is refused."""

START_BYTES = 1 << 18
FILES_READ = 4
"""So many first bytes of so many first files are looked at for a label: it has both values there."""

NAMES_SHOWN = 3


def time_hint(intake: Intake, times: TimeForm) -> str:
    """What to do where the times look as if they were read as something else, or nothing."""
    first, last = intake.db.execute("SELECT min(time), max(time) FROM raw_events").fetchall()[0]
    return misread(first, last, times.unit) if times.pattern is None else ""


def value_warnings(intake: Intake, offset_seconds: int) -> Iterator[str]:
    """Warnings of coarse times, and of numbers that could not be read.

    Args:
        offset_seconds: of local time, east of UTC.

    Raises:
        UserError: most values of a numeric field are no numbers.
    """
    whole = (
        " OR ".join(f"bool_and((time + {offset}) % {seconds} = 0)" for offset in (offset_seconds, 0))
        for seconds in (SECONDS_PER_DAY, 3600)
    )
    several, days, hours = intake.db.execute(
        f"SELECT bool_and(source_row < {ROWS_AT_MOST}) AND min(time) < max(time), {', '.join(whole)} FROM raw_events"
    ).fetchall()[0]
    if several and (days or hours):
        one, unit = ("a day", "day") if days else ("an hour", "hour")
        yield (
            f"Every time is a whole {unit}: the order of events inside {one} is not known. Events of the same time "
            f"are not in each other's history, so a request sees only behaviors of earlier {unit}s. If the log has "
            "a finer time, name its column with --time-column."
        )
    for name, lost in intake.lost.items():
        if not lost.count:
            continue
        share = lost.count / (lost.count + count(intake.db, f"SELECT count({identifier(name)}) FROM raw_events"))
        some = ", ".join(map(repr, lost.first_values))
        message = f"--numeric {name}: {share:.1%} of its values are no numbers and count as missing, such as {some}."
        if share > LOST_AT_MOST:
            mend = "Write numbers as 4.50, name a spelling of no value with --missing, or leave --numeric out."
            raise UserError(message, mend)
        yield message


def label_warnings(intake: Intake, files: Sequence[ReadFile], layout: TextLayout) -> list[str]:
    """A warning that names the unused columns that hold 0 and 1 and nothing else; no warning where there is none.

    Args:
        files: that were read. layout: of those that are delimited text.
    """
    start = replace(intake.beside(), progress=ignore, first_bytes=START_BYTES)
    tables = [open_table(file.path, start, layout) for file in files[:FILES_READ]]
    names = [
        name
        for name in unused_columns(files[:FILES_READ])
        if {value for table in tables if name in table.names for value in _values(start, table, name)} == {0, 1}
    ]
    if not names:
        return []
    listed = ", ".join(map(repr, names[:NAMES_SHOWN])) + (", .." if len(names) > NAMES_SHOWN else "")
    return [
        "No --label-column is given: every row counts as a click, and negatives are drawn. Unused columns that hold "
        f"only 0 and 1 (or yes and no) at the start of the log: {listed}. If one says which rows were clicked, add "
        f"--label-column {shlex.quote(names[0]) if len(names) == 1 else 'NAME'}."
    ]


def _values(intake: Intake, table: TabularFile, name: str) -> set[int | None]:
    """0 and 1 where a column has them, None for anything else but a missing value."""
    try:
        chosen = table.choose([name])
        block = next(chosen.blocks, None)
    except UserError:  # it holds no single values
        return {None}
    if block is None:
        return set()
    x, kind = chosen.values[name]
    intake.db.register(INCOMING, block.rows)
    try:
        labels = intake.db.execute(
            f"SELECT DISTINCT {label_sql(x, kind)} FROM {INCOMING} WHERE {spelled_sql(x, kind)} IS NOT NULL"
        ).fetchall()
    finally:
        intake.db.unregister(INCOMING)
    return {value for (value,) in labels}
