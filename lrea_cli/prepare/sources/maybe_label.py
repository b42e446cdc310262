"""A log that is read without a label: columns that no option names and that may hold it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace

from lrea_cli.console.progress import ignore
from lrea_cli.errors import UserError
from lrea_cli.prepare.sources.columns import label_sql
from lrea_cli.prepare.sources.header import TextLayout
from lrea_cli.prepare.sources.intake import Intake
from lrea_cli.prepare.sources.judge import INCOMING
from lrea_cli.prepare.sources.reconcile import ReadFile, unused_columns
from lrea_cli.prepare.sources.tabular import TabularFile, open_table
from lrea_cli.prepare.spelling_sql import spelled_sql

START_BYTES = 1 << 18
FILES_READ = 4
"""So many first bytes of so many first files are looked at: a label has both values there."""

NAMES_SHOWN = 3


def label_warnings(intake: Intake, files: Sequence[ReadFile], layout: TextLayout) -> list[str]:
    """A warning that names the unused columns that hold 0 and 1 and nothing else; no warning where there is none.

    Args:
        files: that were read. layout: of those that are delimited text.
    """
    names = list(_labels_among(intake, files, layout))
    if not names:
        return []
    listed = ", ".join(map(repr, names[:NAMES_SHOWN])) + (", .." if len(names) > NAMES_SHOWN else "")
    return [
        "No --label-column is given: every row counts as a click, and negatives are drawn. Unused columns that hold "
        f"only 0 and 1 (or yes and no) at the start of the log: {listed}. If one says which rows were clicked, add "
        f"--label-column {shlex.quote(names[0]) if len(names) == 1 else 'NAME'}."
    ]


def _labels_among(intake: Intake, files: Sequence[ReadFile], layout: TextLayout) -> Iterator[str]:
    """The unused columns whose values, at the start of the first files, are 0 and 1 in any spelling of a label."""
    start = replace(intake.beside(), progress=ignore, first_bytes=START_BYTES)
    tables = [open_table(file.path, start, layout) for file in files[:FILES_READ]]
    for name in unused_columns(files[:FILES_READ]):
        having = (table for table in tables if name in table.names)  # none where the column has no name
        if {value for table in having for value in _values(start, table, name)} == {0, 1}:
            yield name


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
