"""What a preparation lost or could not know, field by field, for the manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lrea_cli.console.counts import counted
from lrea_cli.dataset.fields import EncodedField
from lrea_cli.dataset.spelling import UNSEEN
from lrea_cli.ids import UNKNOWN_ID
from lrea_cli.prepare.reading.judge import Lost
from lrea_cli.prepare.sql import kinds_of, literal
from lrea_cli.prepare.vocabulary import quoted, table

if TYPE_CHECKING:
    import duckdb

MANY_USERS, MOST_ROWS = 10, 0.5
"""In a log of so many users, one who has a larger share of the rows is warned of."""


def field_facts(
    db: duckdb.DuckDBPyConnection, fields: Sequence[EncodedField], lost: Mapping[str, Lost]
) -> dict[str, dict[str, Any]]:
    """What share of each field's values is not known, by the field's name.

    Args:
        lost: the values that could not be read, of the rows that were kept.

    Returns:
        `missing`, `lost`: the shares of all events that have no value, or one that could not be read.
        `first_lost_values`: some of the latter.
        `unknown`: the share of the valid and test samples whose value no event before the valid split has.
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


def user_of_most_rows(db: duckdb.DuckDBPyConnection) -> list[str]:
    """A warning of a user who has all rows, or over half of those of many users: it may stand for unknown ones."""
    user, rows, total, users = db.execute(
        "SELECT CAST(user AS VARCHAR), rows, total, users FROM (SELECT arg_max(user_id, rows) AS user_id, "
        "max(rows) AS rows, CAST(sum(rows) AS BIGINT) AS total, count(*) AS users FROM starts) "
        "JOIN users USING (user_id)"
    ).fetchall()[0]
    if users == 1:
        return [
            f"All {total:,} rows are of one user, {user!r}: nothing is learnt of any other. Is the column of the user "
            "the right one?"
        ]
    if users < MANY_USERS or rows <= MOST_ROWS * total:
        return []
    return [
        f"The user {user!r} has {rows:,} of {total:,} rows ({rows / total:.0%}), the other {users - 1:,} users the "
        "rest. If this stands for users who are not known, their behaviors make one history that is nobody's. "
        "With `table`, name it in --missing and add --max-rejected 100%: its rows are then left out."
    ]


def unseen_signs(db: duckdb.DuckDBPyConnection, fields: Sequence[EncodedField]) -> list[str]:
    """Warnings of users and values with signs that nobody sees, such as NUL: they differ from those without."""
    columns = [("user", "users", "user"), *((f.name, table(f), "value") for f in fields if not f.numeric)]
    warnings = []
    for name, vocabulary, column in columns:
        if kinds_of(db, vocabulary)[column] != "VARCHAR":
            continue
        number, first = db.execute(
            f'SELECT count(*), min("{column}") FROM {vocabulary} WHERE regexp_matches("{column}", {literal(UNSEEN)})'
        ).fetchall()[0]
        if number:
            hold = counted(number, f"value of '{name}' holds", f"values of '{name}' hold")
            warnings.append(
                f"{hold} control characters or signs without a width, such as {first!r}: each counts as another one "
                "than the same value without them. Is the export damaged?"
            )
    return warnings


def _shares(db: duckdb.DuckDBPyConnection, rows: str, conditions: Sequence[str]) -> list[int]:
    """How many rows there are, and of how many of them each condition holds."""
    counts = ", ".join(f"count(*) FILTER ({condition})" for condition in conditions)
    return list(db.execute(f"SELECT count(*), {counts} FROM {rows}").fetchall()[0])
