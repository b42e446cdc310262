"""Manifests with values for all that their classes require, for tests that look at something else."""

from __future__ import annotations

from typing import Any

from lrea_cli.dataset.manifest import SplitTimes
from lrea_cli.workspace.kinds import Kind, M

VALUES: dict[str, dict[str, Any]] = {
    "data": {
        "dataset": "taobao",
        "source": "taobao",
        "source_options": {},
        "options": {},
        "fields": (),
        "items": 1,
        "categories": None,
        "events_read": 1,
        "events_kept": 1,
        "rejected": {},
        "splits": SplitTimes(train_from=0, valid_from=1, test_from=2, end=3),
        "labels": "real",
        "sampling": None,
        "utc_offset_minutes": 0,
        "facts": {},
        "raw_files": (),
        "users": 1,
        "samples": {},
        "split_facts": {},
        "field_facts": {},
        "unused_columns": (),
        "label_conflicts": 0,
        "warnings": (),
        "dropped_pairs": 0,
    },
    "runs": {
        "run": "one",
        "method": "din",
        "dataset": "taobao",
        "made_from": "",
        "recipe": {},
        "best_valid_auc": 0.5,
        "best_epoch": 1,
        "epochs": 1,
        "stopped_early": None,
        "column_entropy": None,
        "seconds": 1.0,
        "threads": 1,
        "versions": {},
    },
    "caches": {
        "run": "one",
        "cache": "some",
        "compressor": None,
        "users": 1,
        "rank": 1,
        "dtype": "float32",
        "as_of": 0,
        "bytes_per_user": 1.0,
        "ms_per_user": 1.0,
        "seconds": 1.0,
        "made_from": "",
        "layout": {},
        "compression": None,
        "device": "cpu",
    },
}


def manifest_of(kind: Kind[M], **values: Any) -> M:
    """One with these values."""
    return kind.manifest(**{**VALUES[kind.folder], **values})
