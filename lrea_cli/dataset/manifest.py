"""What `data.json` says of a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from lrea_cli.dataset.fields import EncodedField
from lrea_cli.workspace.kinds import BLOCKS, Kind, Manifest, NotIdentity


@dataclass(frozen=True)
class SplitTimes:
    """When each split begins, epoch seconds; `end` is the second after the last event."""

    __pydantic_config__: ClassVar = {"strict": True, "extra": "forbid"}

    train_from: int
    valid_from: int
    test_from: int
    end: int


@dataclass(frozen=True, kw_only=True)
class DatasetManifest(Manifest):
    """A dataset, as `lrea prepare` made it.

    Args:
        categories: how many; None where the log has none.
        rejected: reason -> rows.
        sampling: how negatives were drawn; None where labels are real.
        utc_offset_minutes: of its days and local times, east of UTC.
        samples: split -> rows.
        field_auc, look: what the look of `lrea prepare` saw; None where it took none.
    """

    dataset: str
    source: str
    source_options: dict[str, Any]
    options: dict[str, Any]
    fields: tuple[EncodedField, ...]
    items: int
    categories: int | None
    events_read: int
    events_kept: int
    rejected: dict[str, int]
    splits: SplitTimes
    labels: Literal["real", "sampled"]
    sampling: dict[str, Any] | None
    utc_offset_minutes: int
    facts: dict[str, Any]
    raw_files: NotIdentity[tuple[dict[str, Any], ...]]
    users: int
    samples: dict[str, int]
    split_facts: dict[str, dict[str, Any]]
    field_facts: dict[str, dict[str, Any]]
    unused_columns: tuple[str, ...]
    label_conflicts: int
    warnings: tuple[str, ...]
    dropped_pairs: int
    arguments: NotIdentity[tuple[str, ...] | None] = None
    field_auc: dict[str, float | None] | None = None
    look: dict[str, Any] | None = None

    @classmethod
    def some_options_of(cls, content: Mapping[str, Any]) -> list[str]:
        return [str(content.get("source"))]


DATASETS = Kind(
    "data",
    "data.json",
    "dataset",
    "lrea prepare",
    "--dataset",
    DatasetManifest,
    not_content=("look.html", "rejected.parquet", BLOCKS),
    needed=("SOURCE",),
    read_in_parts=True,
)
