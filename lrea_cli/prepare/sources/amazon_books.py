"""Amazon book reviews, edition of 2018: any rating counts, once a user and item. Traps: docs/data.md."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from lrea_cli.dataset.fields import Field
from lrea_cli.prepare.sources.amazon import make_products, read_log
from lrea_cli.prepare.sources.base import Extract, Sampling, Source
from lrea_cli.prepare.sources.intake import Intake, Judge
from lrea_cli.prepare.sources.json_lines import JsonLines
from lrea_cli.prepare.spelling_sql import spelled_sql
from lrea_cli.prepare.sql import drop, literal

if TYPE_CHECKING:
    import duckdb

COLUMNS = ("item", "user", "rating", "time")
KEYS = {"item": "'$.asin'", "category": "'$.category[*]'"}
REMEDY = (
    "Reviews of 2018 are JSON lines with reviewerID, asin and unixReviewTime, or a CSV without header with the columns "
    "item, user, rating, timestamp; of 2014, with the columns user, item, rating, timestamp: "
    "`lrea prepare amazon-books-sim`."
)
META_REMEDY = (
    "Products of 2018 are JSON lines with asin and category; lines in single quotes are of 2014: "
    "`lrea prepare amazon-books-sim`."
)
EDGES = r"^[\s\pZ]+|[\s\pZ]+$"
MARKUP = "</?[A-Za-z!]"


@dataclass(frozen=True)
class AmazonBooks(Source):
    """Amazon book reviews of 1996 to 2018: a user's last review is to be told from another of that month."""

    name: ClassVar[str] = "amazon-books"
    file_names: ClassVar[tuple[str, ...]] = ("Books_5.json", "Books.json", "Books.csv")
    companion_names: ClassVar[tuple[str, ...]] = ("meta_Books.json",)
    unused_options: ClassVar[tuple[str, ...]] = ("train_days", "test_days")
    where_to_get: ClassVar[str] = (
        "Books_5.json.gz (27,164,983 reviews), Books.json.gz (all, 11.8 GB) or Books.csv, and meta_Books.json.gz, from "
        "https://nijianmo.github.io/amazon/; they are read without unpacking"
    )

    def extract(self, intake: Intake, files: list[Path]) -> Extract:
        """Read reviews and products, keep each user's first review of an item, and give it the item's category.

        Raises:
            UserError: a file is missing, empty, damaged, or has no usable row.
        """
        return Extract(
            fields=(Field("item", "item"), Field("category", "item")),
            sampling=Sampling(negatives="same-month", targets="user", splits="shares"),
            facts=read_log(intake, files, COLUMNS, REMEDY, _read_products),
        )


def _read_products(catalog: Intake, metas: Sequence[Path]) -> None:
    """Make `products` (item, category): the last clean element of each product's list, NULL where there is none."""
    catalog.create("catalog", {"item": "VARCHAR", "category": "VARCHAR[]"})
    for path in metas:
        catalog.take_text(path, JsonLines(KEYS, catalog.threads), _product(), "catalog")
    make_products(catalog, metas, META_REMEDY)
    _choose_categories(catalog.db)


def _product() -> Judge:
    return Judge(
        cast={"_json": "is_json", "_item": spelled_sql("item", "VARCHAR"), "_category": "category"},
        reason="CASE WHEN NOT _json THEN 'not_json' WHEN _item IS NULL THEN 'missing_item' END",
        values={"item": "_item", "category": "_category"},
        remedy=META_REMEDY,
    )


def _choose_categories(db: duckdb.DuckDBPyConnection) -> None:
    """Replace each product's list by its last element that, without entities and spaces around, is text alone."""
    db.execute(
        "CREATE TABLE elements AS SELECT item, unnest(category) AS raw, generate_subscripts(category, 1) AS place "
        "FROM products"
    )
    _unescape(db)
    text = f"regexp_replace(coalesce(u.text, e.raw), {literal(EDGES)}, '', 'g')"
    db.execute(
        "CREATE OR REPLACE TABLE products AS SELECT item, arg_max(text, place) AS category FROM ("
        f"SELECT item, place, {text} AS text FROM elements AS e LEFT JOIN unescaped AS u ON e.raw = u.raw) "
        f"WHERE text <> '' AND NOT regexp_matches(text, {literal(MARKUP)}) GROUP BY item"
    )
    drop(db, "elements", "unescaped")


def _unescape(db: duckdb.DuckDBPyConnection) -> None:
    """Make `unescaped` (raw, text) of the few different elements with an entity."""
    import pyarrow as pa

    raw = db.sql("SELECT DISTINCT raw FROM elements WHERE contains(raw, '&') ORDER BY raw").to_arrow_table()["raw"]
    text = pa.array(map(html.unescape, raw.to_pylist()), pa.string())
    db.register("texts", pa.table({"raw": raw, "text": text}))
    db.execute("CREATE TABLE unescaped AS FROM texts")
    db.unregister("texts")
