"""What a prepared dataset holds on disk, under `<home>/data/<dataset>/`; the writer and the readers share these names.

data.json                manifest: source, options, fields, splits, counts, rejected, facts, hashes
vocab/<field>.parquet    id int32, value VARCHAR (of a numeric field "smallest to largest")
vocab/user.parquet       user int32 (dense, from 0), value VARCHAR
events/*.parquet         behaviors with raw values sorted by (user, time, source_row), a user in one file: what other
                         engines read; of a numeric field the number of its quantile
                         (source_row int64: nanoseconds inside the second x 2^33 + the row's number)
histories/offsets.npy    int64 (users + 1): user u's behaviors are rows offsets[u] : offsets[u + 1], oldest first
histories/time.npy       int64 epoch seconds
histories/<field>.npy    int32 ids, one file for each item field
<split>.parquet          request_id int64, user int32, time int64, history_length int32, one int32 column for each
                         field of any role, label int8; sorted by (request_id, item): a request's rows are neighbors
rejected.parquet         file, line, reason, text (capped; counted in full in the manifest)
look.html                a table and plots of the data, where `lrea prepare` made it
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lrea_cli.data.schema import EncodedField, Role

Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = ("train", "valid", "test")


@dataclass(frozen=True)
class DatasetInfo:
    """The part of a dataset's manifest that models and batches read."""

    name: str
    path: Path
    fields: tuple[EncodedField, ...]
    users: int
    valid_from: int
    test_from: int
    end: int

    @classmethod
    def from_manifest(cls, path: Path, manifest: dict[str, Any]) -> DatasetInfo:
        """Read what `data.json` says of fields and splits; times are epoch seconds."""
        fields = tuple(EncodedField(**f) for f in manifest["fields"])
        splits = manifest["splits"]
        return cls(
            manifest["dataset"],
            path,
            fields,
            manifest["users"],
            splits["valid_from"],
            splits["test_from"],
            splits["end"],
        )

    def of_role(self, role: Role) -> tuple[EncodedField, ...]:
        """The fields of one role, in their declared order."""
        return tuple(f for f in self.fields if f.role == role)

    @property
    def has_category(self) -> bool:
        return any(f.name == "category" and f.role == "item" for f in self.fields)

    def split_path(self, split: Split) -> Path:
        return self.path / f"{split}.parquet"

    @property
    def histories(self) -> Path:
        return self.path / "histories"
