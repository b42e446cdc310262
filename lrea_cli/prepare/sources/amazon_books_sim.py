"""Amazon book reviews, edition of 2014, as MIMN and SIM prepared them. Traps: docs/data.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from lrea_cli.dataset.fields import Field
from lrea_cli.prepare.sources.amazon import make_products, read_log
from lrea_cli.prepare.sources.base import Extract, Sampling, Source
from lrea_cli.prepare.sources.intake import Intake, Judge
from lrea_cli.prepare.sources.python_literals import LiteralProducts
from lrea_cli.prepare.spelling_sql import spelled_sql

COLUMNS = ("user", "item", "rating", "time")
REMEDY = (
    "Reviews of 2014 are JSON lines with reviewerID, asin and unixReviewTime, or a CSV without header with the columns "
    "user, item, rating, timestamp; of 2018, with the columns item, user, rating, timestamp: "
    "`lrea prepare amazon-books`."
)
META_REMEDY = (
    "Products of 2014 are lines in Python's notation with 'asin' and 'categories', a list of lists; lines with a flat "
    '"category" are of 2018: `lrea prepare amazon-books`.'
)
WARNING = (
    "Splits are random by user, as published: reviews written after a test request train, and vocabularies and "
    "counters see the test period. Compare these numbers with published ones, not with those of a split by time."
)


@dataclass(frozen=True)
class AmazonBooksSim(Source):
    """Amazon book reviews of 1996 to 2014, split by user as MIMN and SIM published it."""

    name: ClassVar[str] = "amazon-books-sim"
    file_names: ClassVar[tuple[str, ...]] = ("reviews_Books_5.json", "reviews_Books.json", "ratings_Books.csv")
    companion_names: ClassVar[tuple[str, ...]] = ("meta_Books.json",)
    unused_options: ClassVar[tuple[str, ...]] = ("train_days", "test_days")
    where_to_get: ClassVar[str] = (
        "reviews_Books_5.json.gz (8,898,041 reviews), reviews_Books.json.gz (22,507,155) or ratings_Books.csv, and "
        "meta_Books.json.gz, from https://jmcauley.ucsd.edu/data/amazon/; they are read without unpacking"
    )

    def extract(self, intake: Intake, files: list[Path]) -> Extract:
        """Read reviews and products, keep each user's first review of an item, and give it the item's category.

        Negatives are drawn from all reviews up to the end of the target's day; the published code draws from those of
        all time, which lets a popularity that is still to come tell a negative.

        Raises:
            UserError: a file is missing, empty, damaged, or has no usable row.
        """
        return Extract(
            fields=(Field("item", "item"), Field("category", "item")),
            sampling=Sampling(negatives="popularity", targets="user", splits="users"),
            facts=read_log(intake, files, COLUMNS, REMEDY, _read_products),
            warnings=(WARNING,),
        )


def _read_products(catalog: Intake, metas: Sequence[Path]) -> None:
    """Make `products` (item, category) of `categories[0][-1]`."""
    catalog.create("catalog", {"item": "VARCHAR", "category": "VARCHAR"})
    judge = Judge(
        cast={"_literal": "is_literal", "_item": spelled_sql("item", "VARCHAR"), "_category": "coalesce(category, '')"},
        reason="CASE WHEN NOT _literal THEN 'not_a_python_literal' WHEN _item IS NULL THEN 'missing_item' END",
        values={"item": "_item", "category": "_category"},
        remedy=META_REMEDY,
    )
    for path in metas:
        catalog.take_text(path, LiteralProducts(catalog.threads), judge, "catalog")
    make_products(catalog, metas, META_REMEDY)
