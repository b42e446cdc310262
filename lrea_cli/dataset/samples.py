"""Samples of a split, in memory or counted in parts: which rows are scored, and how much history each may see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lrea_cli.dataset.column import concatenated
from lrea_cli.dataset.fields import EncodedField
from lrea_cli.dataset.layout import SPLITS, DatasetInfo, Split
from lrea_cli.errors import UserError
from lrea_cli.workspace.parquet import parquet_batches, read_parquet

ROWS_AT_ONCE = 1 << 18
"""Of a split that is read in parts."""


@dataclass(frozen=True)
class Samples:
    """One split in memory, grouped by request; requests[i] owns rows offsets[i] : offsets[i + 1].

    Args:
        offsets: (requests + 1,). user, time, history_length: (requests,). label: (rows,) float32.
        ids: for each item field (rows,) int32. profile: for each user and context field (rows,) int32.
    """

    offsets: np.ndarray
    user: np.ndarray
    time: np.ndarray
    history_length: np.ndarray
    label: np.ndarray
    ids: dict[str, np.ndarray]
    profile: dict[str, np.ndarray]

    @property
    def requests(self) -> int:
        return len(self.user)

    @property
    def rows(self) -> int:
        return len(self.label)

    @property
    def row_request(self) -> np.ndarray:
        """(rows,) the request of each row."""
        return np.repeat(np.arange(self.requests), np.diff(self.offsets))

    def of_requests(self, requests: np.ndarray) -> Samples:
        """Only these requests, in this order."""
        sizes = np.diff(self.offsets)[requests]
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        _, rows = concatenated(self.offsets[requests], sizes)
        return Samples(
            offsets,
            self.user[requests],
            self.time[requests],
            self.history_length[requests],
            self.label[rows],
            {name: column[rows] for name, column in self.ids.items()},
            {name: column[rows] for name, column in self.profile.items()},
        )

    def of_share(self, share: float, seed: int) -> Samples:
        """The samples of this share of the users, in the order of the split; of one user at least.

        The seed alone gives each user id a uniform number, and the users of the smallest numbers are kept: a smaller
        share's users are among a larger one's, and every method has the same.
        """
        if share == 1:
            return self
        users = np.unique(self.user)
        number = np.random.default_rng([seed, 0, 1]).random(int(users[-1]) + 1)[users]  # [seed, n]: epoch n's order
        kept = users[np.argsort(number, kind="stable")[: max(1, round(share * len(users)))]]
        return self.of_requests(np.flatnonzero(np.isin(self.user, kept)))


def read_samples(dataset: DatasetInfo, split: Split) -> Samples:
    """Read a split; a request's rows are neighbors on disk.

    Raises:
        DamagedArtifact: the file is not as it was written.
    """
    blocks = dataset.files.blocks(f"{split}.parquet")
    table = read_parquet(blocks)
    blocks.release()
    column = {name: table.column(name).to_numpy() for name in table.column_names}
    first = np.flatnonzero(np.diff(column["request_id"], prepend=-1))
    return Samples(
        offsets=np.append(first, table.num_rows),
        user=column["user"][first].astype(np.int64),
        time=column["time"][first].astype(np.int64),
        history_length=column["history_length"][first].astype(np.int64),
        label=column["label"].astype(np.float32),
        ids={name: column[name] for name in dataset.names_of("item")},
        profile={name: column[name] for name in dataset.names_of("user", "context")},
    )


class ByValue(NamedTuple):
    """(size + 1,) int32 by id: how often a value was shown and clicked; last, all values first seen after training."""

    rows: np.ndarray
    clicked: np.ndarray


def by_value(dataset: DatasetInfo, split: Split, field: EncodedField) -> ByValue:
    """Count the rows and the clicks of each value of a field, in memory that only the number of its values decides."""
    counts = ByValue(np.zeros(field.size + 1, np.int32), np.zeros(field.size + 1, np.int32))
    for ids, label in read_in_parts(dataset, split, (field.name, "label")):
        ids = np.minimum(ids, field.size)
        np.add.at(counts.rows, ids, 1)
        np.add.at(counts.clicked, ids[label > 0], 1)
    return counts


def require_both_labels(dataset: DatasetInfo, splits: Sequence[Split] = SPLITS) -> None:
    """Raise a `UserError` for a split whose samples all have one label: it has no AUC, and nothing to learn from."""
    for split in splits:
        seen: set[int] = set()
        for (label,) in read_in_parts(dataset, split, ("label",)):
            seen.update(np.unique(label).tolist())
            if len(seen) > 1:
                break
        else:
            raise UserError(
                f"All samples of the {split} split of '{dataset.manifest.dataset}' have label "
                f"{' and '.join(map(str, seen))}: its AUC is undefined.",
                "Prepare a log in which both labels stand on each of these days: lrea prepare --help",
            )


def read_in_parts(dataset: DatasetInfo, split: Split, columns: Sequence[str]) -> Iterator[tuple[np.ndarray, ...]]:
    """Columns of a split, some rows after others."""
    import pyarrow as pa

    blocks = dataset.files.blocks(f"{split}.parquet")
    for batch in parquet_batches(blocks, ROWS_AT_ONCE, columns):
        if batch.num_rows:
            yield tuple(batch.column(name).to_numpy() for name in columns)
    blocks.release()
    pa.default_memory_pool().release_unused()
