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
from typing import Literal

from lrea_cli.dataset.fields import Role
from lrea_cli.dataset.manifest import DatasetManifest
from lrea_cli.workspace.blocks import DatasetFiles, open_files
from lrea_cli.workspace.home import Artifact
from lrea_cli.workspace.kinds import BLOCKS

HISTORIES = "histories"
Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = ("train", "valid", "test")


@dataclass(frozen=True)
class DatasetInfo:
    """A dataset to read: what its manifest says, or will say, and its files."""

    manifest: DatasetManifest
    files: DatasetFiles = field(compare=False, repr=False)

    @classmethod
    def of(cls, artifact: Artifact[DatasetManifest]) -> DatasetInfo:
        """A finished dataset.

        Raises:
            DamagedArtifact: the hashes of the files' blocks are not as they were written.
        """
        inventory = artifact.inventory
        sha256 = inventory.files.get(BLOCKS, "")
        return cls(artifact.manifest, open_files(artifact.path, inventory.bytes, sha256, artifact.remedy))

    def names_of(self, *roles: Role) -> list[str]:
        """The names of the fields of these roles, in their declared order."""
        return [f.name for f in self.manifest.fields if f.role in roles]
