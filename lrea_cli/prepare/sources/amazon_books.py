"""Amazon book reviews, edition of 2018: any rating counts, once a user and item. Traps: docs/data.md."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from lrea_cli.prepare.reading.intake import TextForm
from lrea_cli.prepare.reading.json_lines import JsonLines
from lrea_cli.prepare.sources.amazon import AmazonReviews
from lrea_cli.prepare.sources.base import Sampling
from lrea_cli.prepare.sql import drop, literal

if TYPE_CHECKING:
    import duckdb

EDGES = r"^[\s\pZ]+|[\s\pZ]+$"
MARKUP = "</?[A-Za-z!]"


@dataclass(frozen=True)
class AmazonBooks(AmazonReviews):
    """Amazon book reviews of 1996 to 2018: a user's last review is to be told from another of that month."""

    name: ClassVar[str] = "amazon-books"
    file_names: ClassVar[tuple[str, ...]] = ("Books_5.json", "Books.json", "Books.csv")
    where_to_get: ClassVar[str] = (
        "Books_5.json.gz (27,164,983 reviews), Books.json.gz (all, 11.8 GB) or Books.csv, and meta_Books.json.gz, from "
        "https://nijianmo.github.io/amazon/; they are read without unpacking"
    )
    columns: ClassVar[tuple[str, ...]] = ("item", "user", "rating", "time")
    remedy: ClassVar[str] = (
        "Reviews of 2018 are JSON lines with reviewerID, asin and unixReviewTime, or a CSV without header with the "
        "columns item, user, rating, timestamp; of 2014, with the columns user, item, rating, timestamp: "
        "`lrea prepare amazon-books-sim`."
    )
    meta_remedy: ClassVar[str] = (
        "Products of 2018 are JSON lines with asin and category; lines in single quotes are of 2014: "
        "`lrea prepare amazon-books-sim`."
    )
    category_kind: ClassVar[str] = "VARCHAR[]"
    product_form: ClassVar[TextForm] = JsonLines({"item": "'$.asin'", "category": "'$.category[*]'"})
    no_product: ClassVar[str] = "not_json"
    sampling: ClassVar[Sampling] = Sampling(negatives="same-month", targets="user", splits="shares")

    def choose_categories(self, db: duckdb.DuckDBPyConnection) -> None:
        """Take of each list the last element that, without entities and spaces around, is text alone; else NULL."""
        db.execute(
            "CREATE TABLE elements AS SELECT item, unnest(category) AS raw, generate_subscripts(category, 1) AS number "
            "FROM products"
        )
        _unescape(db)
        text = f"regexp_replace(coalesce(u.text, e.raw), {literal(EDGES)}, '', 'g')"
        db.execute(
            "CREATE OR REPLACE TABLE products AS SELECT item, arg_max(text, number) AS category FROM ("
            f"SELECT item, number, {text} AS text FROM elements AS e LEFT JOIN unescaped AS u ON e.raw = u.raw) "
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
