"""Kept scores come back as they were written, or not at all."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from lrea_cli.errors import UserError
from lrea_cli.evaluation.kept import FACTS, TYPES, KeptScores, read_scores, scores_path, write_scores

REMEDY = "lrea eval --run a"


def kept(rows: int = 20) -> KeptScores:
    rng = np.random.default_rng(rows)
    return KeptScores(
        made_from="ab" * 32,
        run="a",
        method="lrea",
        split="test",
        served_from="float16 records",
        user=np.sort(rng.integers(5, size=rows)),
        request=np.arange(rows),
        item=rng.integers(2**31 - 1, size=rows),
        label=rng.integers(2, size=rows).astype(np.float32),
        trained=rng.normal(size=rows),
        served=rng.normal(size=rows),
    )


def assert_equal(found: KeptScores, wanted: KeptScores) -> None:
    assert found.facts == wanted.facts
    for name, dtype in TYPES.items():
        column = getattr(found, name)
        assert column.dtype == dtype, name
        np.testing.assert_array_equal(column, getattr(wanted, name))


def test_every_attribute_is_kept() -> None:
    assert {f.name for f in fields(KeptScores)} == {*FACTS, *TYPES}


@pytest.mark.parametrize("rows", [0, 1, 1000])
def test_what_is_written_is_read(tmp_path: Path, rows: int) -> None:
    path = write_scores(tmp_path, kept(rows))
    assert path == scores_path(tmp_path, "test") == tmp_path / "scores-test.parquet"
    found = read_scores(tmp_path, "test", REMEDY, "ab" * 32)
    assert_equal(found, kept(rows))
    np.testing.assert_array_equal(found.form("served"), kept(rows).served)
    np.testing.assert_array_equal(found.form("trained"), kept(rows).trained)


def test_writing_replaces_and_leaves_nothing_beside(tmp_path: Path) -> None:
    write_scores(tmp_path, kept(3))
    write_scores(tmp_path, kept(4))
    assert [p.name for p in tmp_path.iterdir()] == ["scores-test.parquet"]
    assert_equal(read_scores(tmp_path, "test", REMEDY), kept(4))


def test_nothing_half_written_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_scores(tmp_path, kept(3))

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_scores(tmp_path, kept(4))
    assert_equal(read_scores(tmp_path, "test", REMEDY), kept(3))


def test_missing_scores_name_the_command(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no kept scores of test") as error:
        read_scores(tmp_path, "test", REMEDY)
    assert REMEDY in error.value.remedy


def test_another_version_of_the_dataset_is_refused(tmp_path: Path) -> None:
    write_scores(tmp_path, kept())
    with pytest.raises(UserError, match="another version of the dataset") as error:
        read_scores(tmp_path, "test", REMEDY, "cd" * 32)
    assert REMEDY in error.value.remedy


def test_a_flipped_byte_is_refused_or_changes_nothing(tmp_path: Path) -> None:
    path = write_scores(tmp_path, kept())
    whole = path.read_bytes()
    refused = []
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x5A]) + whole[place + 1 :])
        try:
            found = read_scores(tmp_path, "test", REMEDY)
        except UserError as error:
            refused.append(error.message)
        else:
            assert_equal(found, kept())
    assert len(refused) > len(whole) / 7 / 3
    assert all("damaged" in message for message in refused)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no table at all"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    scores_path(tmp_path, "test").write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        read_scores(tmp_path, "test", REMEDY)


def test_a_file_of_another_split_is_refused(tmp_path: Path) -> None:
    write_scores(tmp_path, replace(kept(), split="valid")).rename(scores_path(tmp_path, "test"))
    with pytest.raises(UserError, match="damaged or was changed"):
        read_scores(tmp_path, "test", REMEDY)


def test_a_table_without_our_metadata_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(kept().columns), scores_path(tmp_path, "test"))
    with pytest.raises(UserError, match="damaged"):
        read_scores(tmp_path, "test", REMEDY)
