"""What both editions of the Amazon book reviews share: reviews as JSON or CSV, one a user and item, in a hashed order.

Times are whole days, so the reviews of a user on one day have no known order. Files list them in some order, and a
model must not learn from it: `source_row`, the order inside one second, is a hash of (a constant, user, item) instead
of the line. It is the same for any file, thread count and `--seed`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lrea_cli.errors import UserError
from lrea_cli.prepare.sources.columns import number_sql
from lrea_cli.prepare.sources.csv_rows import PLAIN_COMMAS
from lrea_cli.prepare.sources.delimited import Delimited, strict_integer
from lrea_cli.prepare.sources.intake import Intake, Judge
from lrea_cli.prepare.sources.json_lines import JsonLines
from lrea_cli.prepare.sources.rawfile import unpacked_name
from lrea_cli.prepare.spelling_sql import spelled_sql
from lrea_cli.prepare.sql import PRIME, count, drop, literal, mix, mix_sql, residue_sql

if TYPE_CHECKING:
    import duckdb

META = "meta_"
REPEATED_REVIEW, REPEATED_PRODUCT = "repeated_review", "repeated_product"
UNKNOWN = "unknown"
EARLIEST = 788_918_400  # 1995-01-01
END = 4_102_444_800  # 2100-01-01
KEYS = {"user": "$.reviewerID", "item": "$.asin", "time": "$.unixReviewTime"}
REVIEWER = "A[0-9A-Z]+"
ORDER_SEED = 1995
"""Of the order of reviews inside one day; a constant, so that the order is a property of the data set."""


def read_log(
    intake: Intake,
    files: Sequence[Path],
    columns: tuple[str, ...],
    remedy: str,
    read_products: Callable[[Intake, Sequence[Path]], None],
) -> dict[str, float | str]:
    """Make `raw_events`: each user's first review of an item, with the item's category; return facts.

    Args:
        columns: of a CSV, which has no header: user, item, rating and time in the order of the edition.
        remedy: what to do where reviews have a wrong form.
        read_products: makes `products` (item, category) of an intake of its own and the files of products.

    Raises:
        UserError: a file is missing, empty, damaged, or has no usable row.
    """
    reviews, metas = _told_apart(files)
    _read_reviews(intake, reviews, columns, remedy)
    catalog = intake.beside()
    read_products(catalog, metas)
    return _make_events(intake, catalog)


def _told_apart(files: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Return the files of reviews and those of products, whose names begin with `meta_`.

    Raises:
        UserError: one kind is missing.
    """
    metas = [path for path in files if path.name.lower().startswith(META)]
    reviews = [path for path in files if path not in metas]
    if not reviews:
        raise UserError(f"{metas[0]} describes the products; there is no file of reviews.", "Name that with --raw.")
    if not metas:
        raise UserError(
            f"There is no meta_Books.json.gz beside {reviews[0]}: the books' categories are in it.",
            f"Download it from the same page and put it into {reviews[0].absolute().parent}.",
        )
    return reviews, metas


def _read_reviews(intake: Intake, files: Sequence[Path], columns: tuple[str, ...], remedy: str) -> None:
    """Make `reviews` (source_row, user, item, time) of files of JSON lines or, where so named, CSV."""
    intake.create("reviews", {"user": "VARCHAR", "item": "VARCHAR", "time": "BIGINT"})
    csv = Delimited(columns, separation=PLAIN_COMMAS, threads=intake.threads)
    json = JsonLines(KEYS, intake.threads)
    for path in files:
        if unpacked_name(path).lower().endswith(".csv"):
            intake.take_text(path, csv, _rating(csv.columns, remedy), "reviews")
        else:
            intake.take_text(path, json, _review(remedy), "reviews")
    intake.require_some(files, remedy)


def make_products(catalog: Intake, metas: Sequence[Path], remedy: str) -> None:
    """Make `products` (item, category) of `catalog`: of an item that is there twice the first line stays.

    Raises:
        UserError: no product has a category.
    """
    db = catalog.db
    catalog.require_some(metas, remedy)
    db.execute(
        "CREATE TABLE products AS SELECT item, arg_min(category, source_row) AS category FROM catalog GROUP BY 1"
    )
    repeated = catalog.kept - count(db, "SELECT count(*) FROM products")
    first = "FROM catalog QUALIFY row_number() OVER (PARTITION BY item ORDER BY source_row) > 1"
    catalog.reject_later(REPEATED_PRODUCT, repeated, f"SELECT source_row, item AS text {first}")
    drop(db, "catalog")
    if not count(db, "SELECT count(*) FROM products WHERE len(category) > 0"):
        raise UserError(f"No product of {metas[0]} has a category.", remedy)


def _make_events(intake: Intake, catalog: Intake) -> dict[str, float | str]:
    """Make `raw_events` of `reviews` and `products`."""
    db = intake.db
    db.execute(
        "CREATE TABLE firsts AS SELECT user, item, min(time) AS time, count(*) AS _reviews FROM reviews GROUP BY ALL"
    )
    repeated = intake.kept - count(db, "SELECT count(*) FROM firsts")
    first = (
        "SELECT source_row, concat_ws(',', user, item, time) AS text FROM reviews "
        "SEMI JOIN (FROM firsts WHERE _reviews > 1) USING (user, item) "
        "QUALIFY row_number() OVER (PARTITION BY user, item ORDER BY time, source_row) > 1"
    )
    intake.reject_later(REPEATED_REVIEW, repeated, first)
    db.execute(
        f"CREATE TABLE raw_events AS SELECT _order AS source_row, user, time, "
        f"item, coalesce({spelled_sql('category', 'VARCHAR')}, {literal(UNKNOWN)}) AS category "
        f"FROM ({_ordered('firsts')}) LEFT JOIN products USING (item)"
    )
    drop(db, "reviews", "firsts", "products")
    return {
        "meta_rows": catalog.read,
        "meta_rejected": catalog.rejected.total(),
        "reviews_of_unknown_category": _count_unknown(db),
    }


def _ordered(rows: str) -> str:
    """SQL for rows with `_order`: a hash of (constant, user, item), wide enough that no two of a user's are equal."""
    user, item, pair = (residue_sql(text, "VARCHAR") for text in ("user", "item", "concat_ws(' ', item, user)"))
    hashed = f"SELECT *, {mix(ORDER_SEED)} + {user} AS _user, {item} AS _item, {pair} AS _pair FROM {rows}"
    mixed = f"SELECT *, {mix_sql('_user')} + _item AS _mixed FROM ({hashed})"
    return f"SELECT *, {mix_sql('_mixed')} * {PRIME} + _pair AS _order FROM ({mixed})"


def _count_unknown(db: duckdb.DuckDBPyConnection) -> int:
    return count(db, f"SELECT count(*) FROM raw_events WHERE category = {literal(UNKNOWN)}")


def _review(remedy: str) -> Judge:
    """Of a JSON line; a value of another type is taken as its text."""
    return Judge(
        cast={
            "_json": "is_json",
            "_user": spelled_sql("user", "VARCHAR"),
            "_item": spelled_sql("item", "VARCHAR"),
            "_time": strict_integer("time"),
        },
        reason=f"CASE WHEN NOT _json THEN 'not_json' {_SHARED_REASONS} END",
        values=_VALUES,
        remedy=remedy,
    )


def _rating(columns: Mapping[str, str], remedy: str) -> Judge:
    """Of a CSV row; a user that is no reviewer's id betrays the columns of the other edition."""
    return Judge(
        cast={
            "_user": spelled_sql(columns["user"], "VARCHAR"),
            "_item": spelled_sql(columns["item"], "VARCHAR"),
            "_time": strict_integer(columns["time"]),
            "_rating": number_sql(columns["rating"]),
        },
        reason=(
            f"CASE WHEN NOT regexp_full_match(_user, '{REVIEWER}') THEN 'not_a_reviewer' {_SHARED_REASONS} "
            "WHEN _rating IS NULL THEN 'not_a_rating' END"
        ),
        values=_VALUES,
        remedy=remedy,
    )


_SHARED_REASONS = (
    "WHEN _user IS NULL THEN 'missing_user' WHEN _item IS NULL THEN 'missing_item' "
    "WHEN _time IS NULL THEN 'not_a_time' "
    f"WHEN _time < {EARLIEST} OR _time >= {END} THEN 'time_out_of_range'"
)
_VALUES = {"user": "_user", "item": "_item", "time": "_time"}
