"""Facts of a prepared dataset, read from its samples in parts: what a split holds, and how often a value was clicked.

Memory is bounded by the number of users and of a field's values, whatever the number of samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lrea_cli.data.layout import SPLITS, DatasetInfo, Split
from lrea_cli.data.schema import SECONDS_PER_DAY, EncodedField
from lrea_cli.errors import UserError
from lrea_cli.parquet import open_parquet

ROWS_AT_ONCE = 1 << 18


@dataclass(frozen=True)
class SplitFacts:
    """What one split holds.

    Args:
        first_day, last_day: local days of its requests, such as 2017-12-03.
        click_rate: share of rows with label 1.
    """

    first_day: str
    last_day: str
    rows: int
    users: int
    requests: int
    click_rate: float


@dataclass(frozen=True)
class ByValue:
    """How often each value of a field was shown, and clicked, in one split.

    Args:
        rows, clicked: (size + 1,) int32, by id; the last entry is of all values first seen after training.
    """

    rows: np.ndarray
    clicked: np.ndarray


def split_facts(dataset: DatasetInfo, split: Split, utc_offset_hours: int) -> SplitFacts:
    """Read the facts of a split that has samples."""
    users = np.zeros(dataset.users, bool)
    rows = requests = clicked = 0
    first, last, before = np.iinfo(np.int64).max, np.iinfo(np.int64).min, -1
    for request, user, time, label in _parts(dataset, split, ("request_id", "user", "time", "label")):
        users[user] = True
        rows, clicked = rows + len(label), clicked + int(label.sum(dtype=np.int64))
        requests += int((np.diff(request, prepend=before) != 0).sum())
        first, last, before = min(first, int(time.min())), max(last, int(time.max())), int(request[-1])
    days = [_day(instant + utc_offset_hours * 3600) for instant in (first, last)]
    return SplitFacts(days[0], days[1], rows, int(users.sum()), requests, clicked / rows)


def by_value(dataset: DatasetInfo, split: Split, field: EncodedField) -> ByValue:
    """Count the rows and the clicks of each value of a field."""
    found = ByValue(np.zeros(field.size + 1, np.int32), np.zeros(field.size + 1, np.int32))
    for ids, label in _parts(dataset, split, (field.name, "label")):
        ids = np.minimum(ids, field.size)
        np.add.at(found.rows, ids, 1)
        np.add.at(found.clicked, ids[label > 0], 1)
    return found


def require_both_labels(dataset: DatasetInfo, splits: Sequence[Split] = SPLITS) -> None:
    """Refuse a split whose samples all have one label: no AUC is defined there, and nothing is learnt from it.

    Raises:
        UserError: naming the split and its label.
    """
    for split in splits:
        seen: set[int] = set()
        for (label,) in _parts(dataset, split, ("label",)):
            seen.update(np.unique(label).tolist())
            if len(seen) > 1:
                break
        else:
            raise UserError(
                f"All samples of the {split} split of '{dataset.name}' have label {' and '.join(map(str, seen))}: "
                "its AUC is undefined.",
                "Prepare a log in which both labels stand on each of these days: lrea prepare --help",
            )


def _parts(dataset: DatasetInfo, split: Split, columns: Sequence[str]) -> Iterator[tuple[np.ndarray, ...]]:
    """Columns of a split, some rows after others."""
    import pyarrow as pa

    blocks = dataset.files.blocks(dataset.split_file(split))
    with open_parquet(blocks) as file:
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=list(columns)):
            if batch.num_rows:
                yield tuple(batch.column(name).to_numpy() for name in columns)
    blocks.release()
    pa.default_memory_pool().release_unused()


def _day(local_second: int) -> str:
    return str(np.datetime64(local_second // SECONDS_PER_DAY, "D"))
