"""What each split holds and what is not known of each field, from a dataset's samples, as the manifest has it."""

from __future__ import annotations

from typing import Any

import numpy as np

from lrea_cli.data.layout import SPLITS, DatasetInfo, Split
from lrea_cli.data.schema import SECONDS_PER_DAY
from lrea_cli.data.tallies import by_value, read_in_parts
from lrea_cli.ids import UNKNOWN_ID


def split_facts(dataset: DatasetInfo, utc_offset_hours: int) -> dict[Split, dict[str, Any]]:
    """First and last local day, rows, users, requests and click rate of each split."""
    return {split: _facts_of(dataset, split, utc_offset_hours * 3600) for split in SPLITS}


def field_facts(dataset: DatasetInfo) -> dict[str, dict[str, float]]:
    """For each field two shares.

    missing: of all samples, those without a value. unknown: of the valid and test samples, those whose value was first
        seen after training.
    """
    found = {}
    for field in dataset.fields:
        train, *later = (by_value(dataset, split, field).rows for split in SPLITS)
        rows = [int(counts.sum(dtype=np.int64)) for counts in (train, *later)]
        missing = sum(int(counts[UNKNOWN_ID]) for counts in (train, *later))
        unknown = sum(int(counts[-1]) for counts in later)
        found[field.name] = {"missing": missing / sum(rows), "unknown": unknown / sum(rows[1:])}
    return found


def _facts_of(dataset: DatasetInfo, split: Split, offset: int) -> dict[str, Any]:
    users = np.zeros(dataset.users, bool)
    rows = requests = clicked = 0
    first, last, before = np.iinfo(np.int64).max, np.iinfo(np.int64).min, -1
    for request, user, time, label in read_in_parts(dataset, split, ("request_id", "user", "time", "label")):
        users[user] = True
        rows, clicked = rows + len(label), clicked + int(label.sum(dtype=np.int64))
        requests += int((np.diff(request, prepend=before) != 0).sum())
        first, last, before = min(first, int(time.min())), max(last, int(time.max())), int(request[-1])
    first_day, last_day = (str(np.datetime64((t + offset) // SECONDS_PER_DAY, "D")) for t in (first, last))
    return {
        "first_day": first_day,
        "last_day": last_day,
        "rows": rows,
        "users": int(users.sum()),
        "requests": requests,
        "click_rate": clicked / rows,
    }
