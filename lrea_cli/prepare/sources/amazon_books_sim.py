"""Amazon book reviews, edition of 2014, as MIMN and SIM prepared them. Traps: docs/data.md.

Negatives are drawn from all reviews up to the end of the target's day; the published code draws from those of all time,
which lets a popularity that is still to come tell a negative.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lrea_cli.prepare.sources.amazon import AmazonReviews
from lrea_cli.prepare.sources.base import Sampling
from lrea_cli.prepare.sources.python_literals import LiteralProducts


@dataclass(frozen=True)
class AmazonBooksSim(AmazonReviews):
    """Amazon book reviews of 1996 to 2014, split by user as MIMN and SIM published it."""

    name: ClassVar[str] = "amazon-books-sim"
    file_names: ClassVar[tuple[str, ...]] = ("reviews_Books_5.json", "reviews_Books.json", "ratings_Books.csv")
    where_to_get: ClassVar[str] = (
        "reviews_Books_5.json.gz (8,898,041 reviews), reviews_Books.json.gz (22,507,155) or ratings_Books.csv, and "
        "meta_Books.json.gz, from https://jmcauley.ucsd.edu/data/amazon/; they are read without unpacking"
    )
    columns: ClassVar[tuple[str, ...]] = ("user", "item", "rating", "time")
    remedy: ClassVar[str] = (
        "Reviews of 2014 are JSON lines with reviewerID, asin and unixReviewTime, or a CSV without header with the "
        "columns user, item, rating, timestamp; of 2018, with the columns item, user, rating, timestamp: "
        "`lrea prepare amazon-books`."
    )
    meta_remedy: ClassVar[str] = (
        "Products of 2014 are lines in Python's notation with 'asin' and 'categories', a list of lists; lines with a "
        'flat "category" are of 2018: `lrea prepare amazon-books`.'
    )
    category: ClassVar[str] = "coalesce(category, '')"  # so that the first line of an item stays, whatever it says
    category_kind: ClassVar[str] = "VARCHAR"
    no_product: ClassVar[str] = "not_a_python_literal"
    sampling: ClassVar[Sampling] = Sampling(negatives="popularity", targets="user", splits="users")
    warnings: ClassVar[tuple[str, ...]] = (
        "Splits are random by user, as published: reviews written after a test request train, and vocabularies and "
        "counters see the test period. Compare these numbers with published ones, not with those of a split by time.",
    )

    def product_form(self, threads: int) -> LiteralProducts:
        """A Python literal with `asin` and `categories[0][-1]`."""
        return LiteralProducts(threads)
