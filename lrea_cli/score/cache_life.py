"""How old may a cache be: requests scored from records that were built earlier, with a live short sequence."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lrea_cli.console.progress import Reporter
from lrea_cli.dataset.batches import BatchReader
from lrea_cli.errors import UserError
from lrea_cli.records.maker import RecordMaker
from lrea_cli.score.cached import missing_behaviors, score_split_cached
from lrea_cli.stats.bootstrap import auc_difference
from lrea_cli.stats.estimates import Interval
from lrea_cli.stats.metrics.auc import auc

OLDEST_DAYS = 36_500
DIGITS = 13
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True)
class Age:
    """An age as the user wrote it, and in seconds."""

    text: str
    seconds: int


@dataclass(frozen=True)
class CacheAge:
    """What records of one age cost.

    Args:
        difference: AUC at this age minus that of records built at the request; ci: its 95% interval, paired.
        missing: mean behaviors a request that are in neither sequence: they have left the short one since the record
            was built. requests_missing: share of the requests that miss any.
    """

    age: str
    auc: float | None
    difference: float | None
    ci: Interval | None
    missing: float
    requests_missing: float


def parse_ages(text: str) -> tuple[Age, ...]:
    """`0,90m,1d` -> ages; units are s, m, h and d.

    Raises:
        UserError: an age that cannot be read, a negative one, or one of more than a hundred years.
    """
    ages = []
    for part in (p.strip() for p in text.split(",")):
        age = re.fullmatch(r"([0-9]+)([smhd])|0", part)
        if age is None:
            raise UserError(f"--cache-age '{part}' is no age.", "Use numbers with s, m, h or d, such as 0,90m,1d,3d.")
        number, unit = age.groups()
        if len(part) > DIGITS or (number and int(number) * UNITS[unit] > OLDEST_DAYS * UNITS["d"]):
            raise UserError(f"--cache-age '{part}' is too old.", f"Use at most {OLDEST_DAYS:,}d.")
        ages.append(Age(part, int(number) * UNITS[unit] if number else 0))
    return tuple(ages)


def cache_life(
    maker: RecordMaker, reader: BatchReader, fresh: np.ndarray, ages: Sequence[Age], reporter: Reporter
) -> list[CacheAge]:
    """Score a split at each age.

    Args:
        maker: what makes the records.
        fresh: (rows,) logits from records that were built at the request.
    """
    samples = reader.samples
    users = samples.user[samples.row_request]
    rows = []
    for age in ages:
        built = samples.time - age.seconds
        logits = fresh
        if age.seconds:
            with reporter.task(f"records of age {age.text}", samples.rows, "samples") as progress:
                logits = score_split_cached(maker, reader, progress, built)
        difference = auc_difference(fresh, logits, samples.label, users)
        missing = missing_behaviors(reader, built)
        value = auc(logits, samples.label)
        share = float((missing > 0).mean())
        rows.append(CacheAge(age.text, value, difference.value, difference.ci, float(missing.mean()), share))
    return rows
