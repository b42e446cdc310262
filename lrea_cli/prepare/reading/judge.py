"""How raw rows are judged, and the account of them: read = kept + rejected, always."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lrea_cli.console.counts import counted
from lrea_cli.console.terminal import clean
from lrea_cli.errors import LreaError, UserError
from lrea_cli.prepare.options import PrepareOptions
from lrea_cli.prepare.reading.blocks import LINE
from lrea_cli.prepare.reading.hints import Hint, Refused, advice
from lrea_cli.prepare.sql import literal

if TYPE_CHECKING:
    import pyarrow as pa

INCOMING = "incoming"
"""The table of a block's rows."""

REJECTED_PER_REASON = 1_000
TEXT_CAP = 500
FEW = 100
"""So many rows of a wrong form stop no run, unless none is allowed: in a small file they are no share to speak of."""

QUOTED = 3
LOST_SHOWN = 3


@dataclass(frozen=True)
class Judge:
    """SQL that keeps or rejects each row.

    Args:
        cast: name -> SQL over the block's columns.
        reasons: reason -> SQL condition over those names; the first one that holds rejects the row.
        values: column of the table -> SQL over those names.
        remedy: what to do where rows have a wrong form.
        unwanted: reasons that say nothing against the form of the file: the protocol leaves such rows out.
        nanoseconds: SQL over those names: the time beyond the whole second, which orders events inside it.
        lost: field -> one of those names: the text of a value that is there and could not be read, else NULL.
        hints: reason -> what to do, as the rejected values tell; where none does, the remedy. Before it stands one of
            those names, the text of the value that the reason is about, or nothing where it is about the whole row.
    """

    cast: Mapping[str, str]
    reasons: Mapping[str, str]
    values: Mapping[str, str]
    remedy: str
    unwanted: frozenset[str] = frozenset()
    nanoseconds: str = "0"
    lost: Mapping[str, str] = field(default_factory=dict)
    hints: Mapping[str, tuple[str, Hint]] = field(default_factory=dict)

    @property
    def judged(self) -> str:
        """SQL for the block's rows: what was cast, and `_reason`, NULL where the row is kept."""
        cast = ", ".join(f"{sql} AS {name}" for name, sql in self.cast.items())
        cases = " ".join(f"WHEN {condition} THEN {literal(reason)}" for reason, condition in self.reasons.items())
        return f"(SELECT *, CASE {cases} END AS _reason FROM (SELECT {LINE}, {cast} FROM {INCOMING}))"

    @property
    def shown_sql(self) -> str:
        """SQL over `judged`: the text of the value that a row was rejected for, or NULL."""
        cases = " ".join(f"WHEN {literal(reason)} THEN {name}" for reason, (name, _) in self.hints.items() if name)
        return f"CASE _reason {cases} END" if cases else "CAST(NULL AS VARCHAR)"


class Rejected(NamedTuple):
    """A row that cannot be used."""

    file: str
    line: int
    reason: str
    text: str


@dataclass
class Lost:
    """Values of a field that are there and could not be read: how many, and some of the first."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    @property
    def first_values(self) -> list[str]:
        return list(dict.fromkeys(self.first))[:LOST_SHOWN]


@dataclass(kw_only=True)
class Account:
    """The rows of one table.

    Attributes:
        read: rows so far.
        wrong: rows with a wrong form.
        rejected: count by reason.
        examples: of rejected rows the first of each reason.
        began: file that gave rows -> lines of the files before it.
        lost: of kept rows, by field.
        refused: of rejected rows the first values, by reason.
        hints: of all files, by reason.
    """

    options: PrepareOptions = field(default_factory=PrepareOptions)
    read: int = 0
    wrong: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    examples: list[Rejected] = field(default_factory=list)
    began: dict[str, int] = field(default_factory=dict)
    lost: dict[str, Lost] = field(default_factory=dict)
    refused: dict[str, list[str]] = field(default_factory=dict)
    hints: dict[str, Hint] = field(default_factory=dict)

    @property
    def kept(self) -> int:
        return self.read - self.rejected.total()

    def require_some(self, files: Iterable[Path], remedy: str) -> None:
        """Raise a UserError where no row was kept: it has the first rejected row, and what its values tell to do."""
        if not self.kept:
            names = ", ".join(clean(path) for path in list(files)[:3])
            message = f"No row of {names} can be used.{_quote(self._own_examples()[:1])}"
            raise UserError(message, self._advice(self.rejected) or remedy)

    def check_wrong(self, judge: Judge) -> None:
        """Raise a UserError as soon as too many rows have a wrong form: it has the first ones, and what to do."""
        share = self.options.rejected_share
        few = self.read <= FEW and not self.kept  # of a small file without a usable row `require_some` tells
        if few or self.wrong <= max(share * self.read, FEW if share else 0):
            return
        bad = [r for r in self._own_examples() if r.reason not in judge.unwanted]
        what_to_do = self._advice(r for r in self.rejected if r not in judge.unwanted) or judge.remedy
        without = f" To leave such rows out: --max-rejected {ceil(100 * self.wrong / self.read)}%."
        raise UserError(
            f"{self.wrong:,} of the first {counted(self.read, 'row')} cannot be used: more than --max-rejected "
            f"{share:.2%}.{_quote(bad[:QUOTED])}",
            what_to_do + (without if self.kept else ""),
        )

    def check_published(self, published: Mapping[str, int]) -> None:
        """Raise a LreaError where counts differ from those that are known of the file."""
        counts = {name: self.kept if name == "kept" else self.rejected[name] for name in published}
        if counts != dict(published):
            raise LreaError(
                f"The file is the published one, yet counts differ: found {counts}, expected {dict(published)}.",
                "This is a defect of lrea: please report it.",
            )

    def rejected_table(self) -> pa.Table:
        """file, line, reason and text of the examples, in this order."""
        import pyarrow as pa

        schema = pa.schema({"file": pa.string(), "line": pa.int64(), "reason": pa.string(), "text": pa.string()})
        return pa.Table.from_pylist([row._asdict() for row in sorted(self.examples)], schema)

    def _own_examples(self) -> list[Rejected]:
        """Those of this table's files, which are shared with other tables."""
        return sorted(row for row in self.examples if row.file in self.began)

    def _advice(self, reasons: Iterable[str]) -> str:
        values = {reason: list(dict.fromkeys(self.refused.get(reason, ()))) for reason in reasons}
        return advice(self.hints, {r: Refused(self.rejected[r], self.read, some) for r, some in values.items()})


def _quote(rows: Iterable[Rejected]) -> str:
    return "".join(f" {clean(file)}, line {line}: {reason}: {text!r}." for file, line, reason, text in rows)
