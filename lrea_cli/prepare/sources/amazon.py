"""What both editions of the Amazon book reviews share: reviews as JSON or CSV, one a user and item, in a hashed order.

Times are whole days, so the reviews of a user on one day have no known order. Files list them in some order, and a
model must not learn from it: `source_row`, the order inside one second, is a hash of (a constant, user, item) instead
of the line. It is the same for any file, thread count and `--seed`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from lrea_cli.dataset.fields import Field
from lrea_cli.errors import UserError
from lrea_cli.prepare.reading.delimited import PLAIN_COMMAS, Delimited
from lrea_cli.prepare.reading.forms import unpacked
from lrea_cli.prepare.reading.intake import Intake, TextForm
from lrea_cli.prepare.reading.json_lines import JsonLines
from lrea_cli.prepare.reading.judge import Judge
from lrea_cli.prepare.sources.base import Extract, Sampling, Source
from lrea_cli.prepare.sql import (
    PRIME,
    count,
    drop,
    literal,
    mix,
    mix_sql,
    number_sql,
    residue_sql,
    spelled_sql,
    strict_integer,
)

if TYPE_CHECKING:
    import duckdb

META = "meta_"
REPEATED_REVIEW, REPEATED_PRODUCT = "repeated_review", "repeated_product"
UNKNOWN = "unknown"
EARLIEST, END = 788_918_400, 4_102_444_800  # 1995-01-01 and 2100-01-01
KEYS = "['$.reviewerID', '$.asin', '$.unixReviewTime']"
REVIEWER = "A[0-9A-Z]+"
SHARED_REASONS = {
    "missing_user": "_user IS NULL",
    "missing_item": "_item IS NULL",
    "not_a_time": "_time IS NULL",
    "time_out_of_range": f"_time < {EARLIEST} OR _time >= {END}",
}
VALUES = {"user": "_user", "item": "_item", "time": "_time"}
ORDER_SEED = 1995
"""Of the order of reviews inside one day; a constant, so that the order is a property of the data set."""


@dataclass(frozen=True)
class AmazonReviews(Source):
    """One edition.

    columns: of a CSV, which has no header: user, item, rating and time in the order of the edition.
    remedy, meta_remedy: what to do where reviews, or products, have a wrong form.
    product_form: how a line becomes a product: rows with `valid`, `item` and `category`.
    category, category_kind: of a product as it is read: SQL over the rows of `product_form`, and its type.
    no_product: the reason why a line that is not `valid` is no product.
    """

    companion_names: ClassVar[tuple[str, ...]] = ("meta_Books.json",)
    unused_options: ClassVar[tuple[str, ...]] = ("train_days", "test_days")
    columns: ClassVar[tuple[str, ...]]
    remedy: ClassVar[str]
    meta_remedy: ClassVar[str]
    category: ClassVar[str] = "category"
    category_kind: ClassVar[str]
    product_form: ClassVar[TextForm]
    no_product: ClassVar[str]
    sampling: ClassVar[Sampling]
    warnings: ClassVar[tuple[str, ...]] = ()

    def choose_categories(self, db: duckdb.DuckDBPyConnection) -> None:
        """Make a text of each category of `products`, where it is none yet."""

    def extract(self, intake: Intake, files: list[Path]) -> Extract:
        """Read reviews and products, keep each user's first review of an item, and give it the item's category."""
        reviews, metas = _told_apart(files)
        self._read_reviews(intake, reviews)
        catalog = intake.beside()
        self._read_products(catalog, metas)
        _make_events(intake)
        unknown = f"SELECT count(*) FROM raw_events WHERE category = {literal(UNKNOWN)}"
        return Extract(
            fields=(Field("item", "item"), Field("category", "item")),
            sampling=self.sampling,
            facts={
                "meta_rows": catalog.read,
                "meta_rejected": catalog.rejected.total(),
                "reviews_of_unknown_category": count(intake.db, unknown),
            },
            warnings=self.warnings,
        )

    def _read_reviews(self, intake: Intake, files: Sequence[Path]) -> None:
        """Make `reviews` (source_row, user, item, time) of files of JSON lines or, where so named, CSV."""
        intake.create("reviews", {"user": "VARCHAR", "item": "VARCHAR", "time": "BIGINT"})
        csv = Delimited(self.columns, separation=PLAIN_COMMAS)
        json = JsonLines({"fields": KEYS})
        for path in files:
            if unpacked(path).lower().endswith(".csv"):
                intake.take_text(path, csv, _rating(csv.columns, self.remedy), "reviews")
            else:
                intake.take_text(path, json, _review(self.remedy), "reviews")
        intake.require_some(files, self.remedy)

    def _read_products(self, catalog: Intake, metas: Sequence[Path]) -> None:
        """Make `products` (item, category): of an item that is there twice the first line stays."""
        db = catalog.db
        judge = Judge(
            cast={"_valid": "valid", "_item": spelled_sql("item", "VARCHAR"), "_category": self.category},
            reasons={self.no_product: "NOT _valid", "missing_item": "_item IS NULL"},
            values={"item": "_item", "category": "_category"},
            remedy=self.meta_remedy,
        )
        catalog.create("catalog", {"item": "VARCHAR", "category": self.category_kind})
        for path in metas:
            catalog.take_text(path, self.product_form, judge, "catalog")
        catalog.require_some(metas, self.meta_remedy)
        db.execute(
            "CREATE TABLE products AS SELECT item, arg_min(category, source_row) AS category FROM catalog GROUP BY 1"
        )
        repeated = catalog.kept - count(db, "SELECT count(*) FROM products")
        first = "FROM catalog QUALIFY row_number() OVER (PARTITION BY item ORDER BY source_row) > 1"
        catalog.reject_later(REPEATED_PRODUCT, repeated, f"SELECT source_row, item AS text {first}")
        drop(db, "catalog")
        if not count(db, "SELECT count(*) FROM products WHERE len(category) > 0"):
            raise UserError(f"No product of {metas[0]} has a category.", self.meta_remedy)
        self.choose_categories(db)


def _told_apart(files: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Return the files of reviews and those of products, whose names begin with `meta_`; neither may be missing."""
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


def _make_events(intake: Intake) -> None:
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


def _ordered(rows: str) -> str:
    """SQL for rows with `_order`: a hash of (constant, user, item), wide enough that no two of a user's are equal."""
    user, item, pair = (residue_sql(text, "VARCHAR") for text in ("user", "item", "concat_ws(' ', item, user)"))
    hashed = f"SELECT *, {mix(ORDER_SEED)} + {user} AS _user, {item} AS _item, {pair} AS _pair FROM {rows}"
    mixed = f"SELECT *, {mix_sql('_user')} + _item AS _mixed FROM ({hashed})"
    return f"SELECT *, {mix_sql('_mixed')} * {PRIME} + _pair AS _order FROM ({mixed})"


def _review(remedy: str) -> Judge:
    """Of a JSON line; a value of another type is taken as its text."""
    return Judge(
        cast={"_json": "valid"} | _cast("fields[1]", "fields[2]", "fields[3]"),
        reasons={"not_json": "NOT _json"} | SHARED_REASONS,
        values=VALUES,
        remedy=remedy,
    )


def _rating(columns: Mapping[str, str], remedy: str) -> Judge:
    """Of a CSV row; a user that is no reviewer's id betrays the columns of the other edition."""
    return Judge(
        cast=_cast(columns["user"], columns["item"], columns["time"]) | {"_rating": number_sql(columns["rating"])},
        reasons={
            "not_a_reviewer": f"NOT regexp_full_match(_user, '{REVIEWER}')",
            **SHARED_REASONS,
            "not_a_rating": "_rating IS NULL",
        },
        values=VALUES,
        remedy=remedy,
    )


def _cast(user: str, item: str, time: str) -> dict[str, str]:
    return {
        "_user": spelled_sql(user, "VARCHAR"),
        "_item": spelled_sql(item, "VARCHAR"),
        "_time": strict_integer(time),
    }
