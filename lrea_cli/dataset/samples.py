"""One split in memory: which rows are scored, and how much of its user's history each may see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lrea_cli.dataset.histories import concatenated
from lrea_cli.dataset.layout import DatasetInfo, Split
from lrea_cli.workspace.parquet import read_parquet


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
