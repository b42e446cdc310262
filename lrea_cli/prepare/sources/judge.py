"""How the rows of a block become rows of a table: what each value is, and why a row cannot be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lrea_cli.prepare.sources.blocks import LINE
from lrea_cli.prepare.sources.hints import Hint
from lrea_cli.prepare.sql import literal

INCOMING = "incoming"
"""The table of a block's rows."""


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
