"""Counts of a dataset's samples, read in parts: how often each value of a field was shown and clicked.

Memory is bounded by the number of a field's values, whatever the number of samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lrea_cli.dataset.fields import EncodedField
from lrea_cli.dataset.layout import SPLITS, DatasetInfo, Split
from lrea_cli.errors import UserError
from lrea_cli.workspace.parquet import parquet_batches

ROWS_AT_ONCE = 1 << 18


@dataclass(frozen=True)
class ByValue:
    """How often each value of a field was shown, and clicked, in one split.

    Args:
        rows, clicked: (size + 1,) int32, by id; the last entry is of all values first seen after training.
    """

    rows: np.ndarray
    clicked: np.ndarray


def by_value(dataset: DatasetInfo, split: Split, field: EncodedField) -> ByValue:
    """Count the rows and the clicks of each value of a field."""
    found = ByValue(np.zeros(field.size + 1, np.int32), np.zeros(field.size + 1, np.int32))
    for ids, label in read_in_parts(dataset, split, (field.name, "label")):
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
