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
blocks.xxh3              uint64: an xxh3-64 for each 64 KiB of every .npy and .parquet file, in the order of their names

What is hashed where: data.json holds a SHA-256 of itself (`sealed.py`) and the SHA-256 and size of every other file;
each block of a .npy or .parquet file is compared with its hash when it is first touched (`blocks.py`), headers and
footers included; Parquet has a CRC-32 for each page as well, for other engines. `lrea verify` reads and compares all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lrea_cli.dataset.fields import EncodedField, Role
from lrea_cli.errors import DamagedArtifact, UserError
from lrea_cli.recipe.values import read_section
from lrea_cli.workspace.blocks import DatasetFiles, open_files
from lrea_cli.workspace.kinds import BLOCKS
from lrea_cli.workspace.remake import remedy_of

HISTORIES = "histories"
Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = ("train", "valid", "test")


@dataclass(frozen=True)
class DatasetInfo:
    """The part of a dataset's manifest that models, batches and commands read.

    Args:
        valid_from, test_from, end: epoch seconds. utc_offset_minutes: of its days and local times, east of UTC.
    """

    name: str
    path: Path
    fields: tuple[EncodedField, ...]
    users: int
    valid_from: int
    test_from: int
    end: int
    utc_offset_minutes: int
    files: DatasetFiles = field(compare=False, repr=False)

    @classmethod
    def from_manifest(cls, path: Path, manifest: dict[str, Any]) -> DatasetInfo:
        """Read what `data.json` says, or will say, of fields, splits and files; times are epoch seconds.

        Raises:
            DamagedArtifact: a field or an instant has not the form that this version reads, or the hashes of the
                files' blocks are not as they were written.
        """
        origin, remedy = f"{path / 'data.json'}", remedy_of("data", path, manifest)
        try:
            fields = tuple(read_section(EncodedField, f, f"{origin} field") for f in manifest["fields"])
            valid_from, test_from, end = (int(manifest["splits"][key]) for key in ("valid_from", "test_from", "end"))
        except (UserError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise DamagedArtifact(f"{origin}: another version of lrea wrote it: {error}", remedy) from error
        finished = "files" in manifest
        files = open_files(path, manifest["bytes"], manifest["files"].get(BLOCKS, ""), remedy) if finished else None
        return cls(
            manifest["dataset"],
            path,
            fields,
            manifest["users"],
            valid_from,
            test_from,
            end,
            manifest["utc_offset_minutes"],
            files or DatasetFiles(path),
        )

    def of_role(self, role: Role) -> tuple[EncodedField, ...]:
        """The fields of one role, in their declared order."""
        return tuple(f for f in self.fields if f.role == role)

    @property
    def has_category(self) -> bool:
        return any(f.name == "category" and f.role == "item" for f in self.fields)

    def split_file(self, split: Split) -> str:
        """The name of a split's file among `files`."""
        return f"{split}.parquet"
