"""How well each declared field alone tells the labels: nearly without error where it was recorded afterwards.

A model that is given such a field (how long the item was watched) scores far better offline than it ever will online.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lrea_cli.dataset.fields import Field
from lrea_cli.dataset.layout import DatasetInfo
from lrea_cli.dataset.samples import ByValue, by_value

PRIOR_ROWS = 10
"""Rows of the mean label that each value is given beside its own, so that a rare value stays near the mean."""

TELLING = 0.9
"""A field or a counter alone with an AUC above this, or below 1 - this, separates the labels."""

MARGIN = 0.2
"""A field alone that is above the best trivial counter by more than this is suspicious, too.

On a real log (KuaiRand, counter .56) the identities of user and item, known in advance, are above it by .18 and
.14; `long_view` and the time played, which are known only afterwards, by .28 and .41.
"""


def measure_fields(dataset: DatasetInfo) -> dict[str, float | None]:
    """The AUC on the valid split of every declared field, scored by the mean label of its values on the train split.

    Returns:
        None for a field where the split has one label, or where labels were drawn and both labels of a request have
        one value of it (user and context fields).
    """
    drawn = dataset.manifest.labels == "sampled"
    return {
        field.name: None
        if drawn and field.role != "item"
        else auc_of_value(by_value(dataset, "train", field), by_value(dataset, "valid", field))
        for field in dataset.manifest.fields
    }


def auc_of_value(train: ByValue, valid: ByValue) -> float | None:
    """AUC on valid of the score

        s(v) = (clicks of v + k p) / (rows of v + k)        of the train split, p = its mean label, k = `PRIOR_ROWS`

    A missing value is one more value; one that was not seen in training has s = p.

    Returns:
        None where a class is missing.
    """
    seen = np.flatnonzero(valid.rows)
    rows, clicked = (counts[seen].astype(np.float64) for counts in (train.rows, train.clicked))
    mean = train.clicked.sum(dtype=np.int64) / max(1, train.rows.sum(dtype=np.int64))
    scores = (clicked + PRIOR_ROWS * mean) / (rows + PRIOR_ROWS)
    positives = valid.clicked[seen].astype(np.int64)
    return auc_of_counts(scores, positives, valid.rows[seen] - positives)


def auc_of_counts(scores: np.ndarray, positives: np.ndarray, negatives: np.ndarray) -> float | None:
    """AUC of rows that are given as counts for each score; equal scores count half.

    Args:
        scores, positives, negatives: (values,); the counts int64.

    Returns:
        In [0, 1]; None where a class is missing.
    """
    _, rank = np.unique(scores, return_inverse=True)
    above, below = (np.bincount(rank, counts) for counts in (positives, negatives))
    pairs = above.sum() * below.sum()
    beaten = np.cumsum(below) - below / 2
    return float(above @ beaten / pairs) if pairs else None


def warnings_of(fields: Sequence[Field], aucs: Mapping[str, float | None], best_counter: float) -> list[str]:
    """A sentence for each field that knows more of the label than is known before an exposure."""
    return [
        f"The {field.role} field '{field.name}' alone has AUC {auc:.3f} on the valid split (the best trivial "
        f"counter: {best_counter:.3f}). Such a field is mostly recorded after the exposure, and knows the label: "
        "declare only what is known before it."
        for field in fields
        if (auc := aucs[field.name]) is not None and (not 1 - TELLING <= auc <= TELLING or auc > best_counter + MARGIN)
    ]
