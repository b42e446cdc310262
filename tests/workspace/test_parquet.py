"""Our own Parquet: page checksums for others, hashes of blocks for us, footer included."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lrea_cli.dataset.layout import SPLITS, DatasetInfo
from lrea_cli.dataset.manifest import DATASETS
from lrea_cli.dataset.samples import read_samples
from lrea_cli.errors import DamagedArtifact
from lrea_cli.records.cache import dense_users
from lrea_cli.workspace.blocks import BLOCKS, open_files, write_blocks
from lrea_cli.workspace.home import Workspace
from lrea_cli.workspace.parquet import parquet_writer, read_parquet

TABLE = pa.table({"a": np.arange(300), "b": np.arange(300, dtype=np.int32) % 9, "s": [f"v{i % 7}" for i in range(300)]})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "x.parquet"
    with parquet_writer(path, TABLE.schema) as out:
        out.write_table(TABLE)
    write_blocks(tmp_path, [path.name])
    return path


def read(path: Path, size: int) -> pa.Table:
    sha256 = hashlib.sha256((path.parent / BLOCKS).read_bytes()).hexdigest()
    return read_parquet(open_files(path.parent, {path.name: size}, sha256, "again").blocks(path.name))


def test_every_flipped_byte_is_refused_in_the_footer_too(path: Path) -> None:
    whole = path.read_bytes()
    assert read(path, len(whole)).equals(TABLE)
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        with pytest.raises(DamagedArtifact, match=r"x\.parquet"):
            read(path, len(whole))


def test_other_engines_find_checksums_of_pages(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    column = pq.read_metadata(path).row_group(0).column(1)
    whole[column.data_page_offset + column.total_compressed_size - 1] ^= 1
    path.write_bytes(whole)
    with pytest.raises(OSError, match="CRC"):
        pq.read_table(path, page_checksum_verification=True)


def test_what_is_no_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(b"no table at all")
    write_blocks(tmp_path, [path.name])
    with pytest.raises(DamagedArtifact, match="no Parquet file") as error:
        read(path, 15)
    assert error.value.remedy == "again"


@pytest.mark.parametrize("split", SPLITS)
def test_one_changed_bit_of_a_split_is_refused(workspace_copy: Workspace, split: str) -> None:
    artifact = workspace_copy.open(DATASETS, "synthetic")
    dataset = DatasetInfo.of(artifact)
    path = artifact.path / f"{split}.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedArtifact, match=rf"{split}\.parquet") as error:
        read_samples(dataset, split)
    assert "lrea prepare" in error.value.remedy


def test_one_changed_bit_of_the_users_vocabulary_is_refused(workspace_copy: Workspace) -> None:
    artifact = workspace_copy.open(DATASETS, "synthetic")
    dataset = DatasetInfo.of(artifact)
    path = artifact.path / "vocab" / "user.parquet"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedArtifact, match=r"user\.parquet"):
        dense_users(dataset, ["1"])
