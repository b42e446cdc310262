"""Samples: which rows are scored, with what label, and how much of its user's history each may see.

Everything is SQL over tables on disk. In: `events` and the vocabulary. Out: `samples` (_split, user_id, time,
history_length, an id for each field, label), sorted by all of these, so that a request's rows are neighbors. Columns of
our own begin with `_`: no field of a log does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lrea_cli.dataset.layout import SPLITS, Split
from lrea_cli.errors import UserError
from lrea_cli.prepare.calendar import TEST_SHARE, VALID_SHARE, Calendar, day_name, day_of
from lrea_cli.prepare.events import among, history_lengths, user_parts
from lrea_cli.prepare.negatives import draw_negatives
from lrea_cli.prepare.options import PrepareOptions
from lrea_cli.prepare.sources.base import Extract, Sampling
from lrea_cli.prepare.sql import PRIME, count, drop, kinds_of, mix, mix_sql, residue_sql, store
from lrea_cli.prepare.vocabulary import ITEM, ITEM_FIELD, names, table

if TYPE_CHECKING:
    import duckdb


def make_samples(db: duckdb.DuckDBPyConnection, extract: Extract, calendar: Calendar, options: PrepareOptions) -> int:
    """Make `samples`; return how many negatives could not be drawn (always 0 for real labels)."""
    fields, dropped = extract.fields, 0
    parts = user_parts(db, "sorted", options.database_mb)
    if (sampling := extract.sampling) is None:
        for part in parts:  # every labelled row is a candidate; a request is one user at one second
            db.execute(
                f"CREATE TABLE shown AS SELECT user_id, time, _day, {names(fields)}, label "
                f"FROM events WHERE label IS NOT NULL AND {calendar.within_sql()} AND {among(part)}"
            )
            query = f"SELECT * FROM shown JOIN ({history_lengths('shown', part)}) USING (user_id, time)"
            store(db, "candidates", query, part is parts[0])
            drop(db, "shown")
    else:
        _make_positives(db, extract, sampling, calendar, options, parts)
        per_positive = options.negatives_per_positive
        dropped = draw_negatives(db, fields, calendar, sampling.negatives, per_positive, parts)
    columns = f"user_id, time, history_length, {names(fields)}, label"
    rows = f"candidates JOIN ({_drawn(db, options.seed)}) USING (user_id)" if calendar.by_user else "candidates"
    db.execute(
        f"CREATE TABLE samples AS SELECT {_split_sql(calendar)} AS _split, {columns} FROM {rows} "
        f"ORDER BY _split, {columns}"
    )
    drop(db, "candidates")
    return dropped


def check_samples(
    db: duckdb.DuckDBPyConnection, extract: Extract, calendar: Calendar, min_history: int, odd: Sequence[str]
) -> dict[Split, dict[str, Any]]:
    """Refuse splits that nothing can be measured on, and return the facts of each.

    Args:
        odd: warnings of the log's days and users, which may be the reason.

    Raises:
        UserError: a split has no sample, or is not train and has samples of one label alone.
    """
    same_user = " AND ".join(f"{name} = lag({name}) OVER ()" for name in ("_split", "user_id"))
    of_splits = db.execute(
        "SELECT _split, min(time), max(time), count(*), sum(_user), sum(_request), avg(label) FROM ("
        f"SELECT _split, time, label, CASE WHEN {same_user} THEN 0 ELSE 1 END AS _user, "
        f"CASE WHEN {same_user} AND time = lag(time) OVER () THEN 0 ELSE 1 END AS _request FROM samples) "
        "GROUP BY _split"
    ).fetchall()
    measured = {SPLITS[number]: row for number, *row in of_splits}
    offset, facts = calendar.utc_offset_minutes, {}
    for split in SPLITS:
        if split not in measured:
            raise _no_samples(split, extract, calendar, min_history, odd)
        first, last, rows, users, requests, click_rate = measured[split]
        if split != "train" and click_rate in (0, 1):
            raise _one_class(split, rows, click_rate, calendar, odd)
        days = {"first_day": day_name(day_of(first, offset)), "last_day": day_name(day_of(last, offset))}
        counts = {"rows": rows, "users": int(users), "requests": int(requests), "click_rate": click_rate}
        facts[split] = days | counts
    return facts


def label_conflicts(db: duckdb.DuckDBPyConnection) -> int:
    """How often one user has an item in one second with label 1 and with label 0, from the order of `samples`."""
    key = ("_split", "user_id", "time", ITEM)
    same = " AND ".join(f"{name} = lag({name}) OVER ()" for name in key)
    differs = f"SELECT *, {same} AND label <> lag(label) OVER () AS _differs FROM samples"
    return count(db, f"SELECT count(DISTINCT ({', '.join(key)})) FROM ({differs}) WHERE _differs")


def _make_positives(
    db: duckdb.DuckDBPyConnection,
    extract: Extract,
    sampling: Sampling,
    calendar: Calendar,
    options: PrepareOptions,
    parts: Sequence[range],
) -> None:
    """Make `positives` (user_id, time, _day, history_length, _key, an id for each field).

    They are the last behavior of each user's day, or of each user, with enough history before it. `_key` is a hash of
    (seed, raw user, time, raw item): negatives are drawn by it, and of several behaviors in the last second it chooses
    one.
    """
    target = "user_id, _day" if sampling.targets == "day" else "user_id"
    fields = names(extract.fields)
    for part in parts:
        db.execute(
            f"CREATE TABLE eligible AS SELECT user_id, time, _day, {fields} "
            f"FROM events WHERE is_behavior AND {calendar.within_sql()} AND {among(part)}"
        )
        if sampling.positives == "first-time":  # of a user's behaviors on one item, those of the first second stay
            db.execute(
                "CREATE OR REPLACE TABLE eligible AS SELECT e.* FROM eligible AS e JOIN ("
                f"SELECT user_id, {ITEM}, min(time) AS time FROM events "
                f"WHERE is_behavior AND {among(part)} GROUP BY user_id, {ITEM}) USING (user_id, {ITEM}, time)"
            )
        db.execute(
            "CREATE TABLE lasts AS SELECT e.* FROM eligible AS e JOIN ("
            f"SELECT {target}, max(time) AS time FROM eligible GROUP BY {target}) USING ({target}, time)"
        )
        query = (
            f"SELECT * FROM ({_keyed(db, options.seed)}) JOIN ({history_lengths('lasts', part)}) USING (user_id, time) "
            f"WHERE history_length >= {options.min_history} "
            f"QUALIFY row_number() OVER (PARTITION BY {target} ORDER BY _key, {fields}) = 1"
        )
        store(db, "positives", query, part is parts[0])
        drop(db, "eligible", "lasts")


def _keyed(db: duckdb.DuckDBPyConnection, seed: int) -> str:
    """SQL for `lasts` with `_key`, of raw values: no numbering changes it."""
    parts = ("_user", residue_sql("time", "BIGINT"), "_item")
    raw = (
        f"SELECT l.*, {residue_sql('u.user', kinds_of(db, 'users')['user'])} AS _user, "
        f"{residue_sql('v.value', kinds_of(db, table(ITEM_FIELD))['value'])} AS _item "
        f"FROM lasts AS l JOIN users AS u USING (user_id) JOIN {table(ITEM_FIELD)} AS v ON l.{ITEM} = v.id"
    )
    keyed = f"SELECT *, {mix(seed)} AS _key FROM ({raw})"
    for part in parts:
        keyed = f"SELECT * REPLACE ({mix_sql(f'_key + {part}')} AS _key) FROM ({keyed})"
    return f"SELECT * EXCLUDE (_user, _item) FROM ({keyed})"


def _split_sql(calendar: Calendar) -> str:
    """The number of a candidate's split: by its day, or by a hash of its user."""
    if calendar.by_user:
        test, valid = round(PRIME * TEST_SHARE), round(PRIME * (TEST_SHARE + VALID_SHARE))
        return f"CASE WHEN _drawn < {test} THEN 2 WHEN _drawn < {valid} THEN 1 ELSE 0 END"
    cases = " ".join(
        f"WHEN _day BETWEEN {first} AND {last} THEN {SPLITS.index(split)}"
        for split, (first, last) in calendar.days.items()
    )
    return f"CASE {cases} END"


def _drawn(db: duckdb.DuckDBPyConnection, seed: int) -> str:
    """SQL: a hash of (seed, raw user) for each user, from 0 to PRIME - 1."""
    user = residue_sql("user", kinds_of(db, "users")["user"])
    return f"SELECT user_id, {mix_sql(f'{mix(seed)} + {user}')} AS _drawn FROM users"


def _one_class(split: Split, rows: int, label: float, calendar: Calendar, odd: Sequence[str]) -> UserError:
    said = f"All samples of the {split} split ({rows:,}; {_when(split, calendar)}) have label {label:.0f}"
    return UserError(
        " ".join([f"{said}: nothing can be measured there.", *odd]),
        "Widen the test split with --test-days, end the log earlier with --until, or name another --label-column.",
    )


def _no_samples(split: Split, extract: Extract, calendar: Calendar, min_history: int, odd: Sequence[str]) -> UserError:
    lacking = f"The {split} split ({_when(split, calendar)}) has no"
    if extract.sampling is None:
        lacking += " labelled row."
        remedy = "Give a log without such gaps, end it earlier with --until, or widen the test split with --test-days."
    else:
        lacking += (
            f" sample: no user has a behavior on such a day with {min_history} or more strictly before it, and an item "
            "of another user to set against it."
        )
        remedy = "Give a longer log, or lower --min-history."
    return UserError(" ".join([lacking, *odd]), extract.time_hint or remedy)


def _when(split: Split, calendar: Calendar) -> str:
    """The days of a split and their zone, such as UTC+8 or UTC-3:30."""
    first, last = map(day_name, calendar.days[split])
    hours, minutes = divmod(abs(calendar.utc_offset_minutes), 60)
    zone = f"UTC{'-' if calendar.utc_offset_minutes < 0 else '+'}{hours}" + (f":{minutes:02d}" if minutes else "")
    return f"{first if first == last else f'{first} to {last}'}, {zone}"
