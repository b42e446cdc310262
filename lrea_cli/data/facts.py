"""What a preparation lost or could not know, field by field, for the manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lrea_cli.data.schema import EncodedField
from lrea_cli.data.sources.intake import Lost
from lrea_cli.data.vocabulary import quoted
from lrea_cli.ids import UNKNOWN_ID

if TYPE_CHECKING:
    import duckdb


def field_facts(
    db: duckdb.DuckDBPyConnection, fields: Sequence[EncodedField], lost: Mapping[str, Lost]
) -> dict[str, dict[str, Any]]:
    """For each field what share of its values is not known.

        missing: of all events, those without a value. lost: those whose value is there and could not be read.
        first_lost_values: some of these.
        unknown: of the valid and test samples, those whose value no event before the valid split has.

    Args:
        lost: of the rows that were taken, by field.
    """
    rows, *absent = _shares(db, "sorted", [f"{quoted(f)} = {UNKNOWN_ID}" for f in fields])
    later, *unknown = _shares(db, "samples WHERE _split > 0", [f"{quoted(f)} >= {f.size}" for f in fields])
    facts = {}
    for field, without, new in zip(fields, absent, unknown, strict=True):
        of_field = lost.get(field.name, Lost())
        unread = min(of_field.count, without)
        facts[field.name] = {
            "missing": (without - unread) / rows,
            "unknown": new / later,
            "lost": unread / rows,
            "first_lost_values": of_field.first_values,
        }
    return facts


def empty_fields(facts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Warnings of fields that no event has a value of."""
    return [
        f"The field '{name}' has no value in any event: it says nothing. Is its column the right one?"
        for name, of_field in facts.items()
        if of_field["missing"] + of_field["lost"] == 1
    ]


def _shares(db: duckdb.DuckDBPyConnection, rows: str, conditions: Sequence[str]) -> list[int]:
    """How many rows there are, and of how many of them each condition holds."""
    counts = ", ".join(f"count(*) FILTER ({condition})" for condition in conditions)
    return list(db.execute(f"SELECT count(*), {counts} FROM {rows}").fetchall()[0])
