"""Kept scores come back as they were written, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from lrea_cli.dataset.layout import Split
from lrea_cli.errors import DamagedArtifact, UserError
from lrea_cli.score.kept_scores import (
    DIGEST,
    FACTS,
    TYPES,
    KeptScores,
    evaluation_path,
    read_scores,
    scores_path,
    write_evaluation,
)
from lrea_cli.workspace.home import sha256_of
from lrea_cli.workspace.sealed import read_json, write_json
from tests.changed import change_json

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


def write(folder: Path, scores: KeptScores) -> Path:
    return write_evaluation(folder, scores, {"auc": 0.5})


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
    path = write(tmp_path, kept(rows))
    assert path == scores_path(tmp_path, "test") == tmp_path / "scores-test.parquet"
    found = read_scores(tmp_path, "test", REMEDY, "ab" * 32)
    assert_equal(found, kept(rows))
    np.testing.assert_array_equal(found.form("served"), kept(rows).served)
    np.testing.assert_array_equal(found.form("trained"), kept(rows).trained)


def test_writing_replaces_and_leaves_nothing_beside(tmp_path: Path) -> None:
    write(tmp_path, kept(3))
    write(tmp_path, kept(4))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["eval-test.json", "scores-test.parquet"]
    assert_equal(read_scores(tmp_path, "test", REMEDY), kept(4))


def test_nothing_half_written_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, kept(3))

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write(tmp_path, kept(4))
    assert_equal(read_scores(tmp_path, "test", REMEDY), kept(3))


def test_missing_scores_name_the_command(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no kept scores of test") as error:
        read_scores(tmp_path, "test", REMEDY)
    assert REMEDY in error.value.remedy


def test_another_version_of_the_dataset_is_refused(tmp_path: Path) -> None:
    write(tmp_path, kept())
    with pytest.raises(UserError, match="another version of the dataset") as error:
        read_scores(tmp_path, "test", REMEDY, "cd" * 32)
    assert REMEDY in error.value.remedy


@pytest.mark.parametrize("which", [scores_path, evaluation_path])
def test_a_flipped_byte_anywhere_in_either_file_is_refused(
    tmp_path: Path, which: Callable[[Path, Split], Path]
) -> None:
    write(tmp_path, kept())
    path = which(tmp_path, "test")
    whole = path.read_bytes()
    for place in range(0, len(whole), 7 if len(whole) > 1000 else 1):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x04]) + whole[place + 1 :])
        with pytest.raises(DamagedArtifact) as error:
            read_scores(tmp_path, "test", REMEDY)
        assert REMEDY in error.value.remedy


def test_scores_beside_the_numbers_of_another_evaluation_are_refused(tmp_path: Path) -> None:
    """As a fault between the two writes leaves them."""
    write(tmp_path, kept(4))
    old = evaluation_path(tmp_path, "test").read_bytes()
    write(tmp_path, kept(5))
    assert read_json(evaluation_path(tmp_path, "test"), "")["auc"] == 0.5
    evaluation_path(tmp_path, "test").write_bytes(old)
    with pytest.raises(DamagedArtifact, match=r"eval-test\.json is of another evaluation") as error:
        read_scores(tmp_path, "test", REMEDY)
    assert REMEDY in error.value.remedy


def test_a_fault_between_scores_and_numbers_leaves_nothing_that_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, kept(4))

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("lrea_cli.score.kept_scores.write_json", fail)
    with pytest.raises(OSError, match="disk full"):
        write(tmp_path, kept(5))
    with pytest.raises(DamagedArtifact, match="another evaluation"):
        read_scores(tmp_path, "test", REMEDY)


def test_numbers_that_do_not_name_their_scores_are_refused(tmp_path: Path) -> None:
    write_json(evaluation_path(tmp_path, "test"), {"auc": 0.5, "scores": write(tmp_path, kept()).name})
    with pytest.raises(DamagedArtifact, match="another evaluation"):
        read_scores(tmp_path, "test", REMEDY)
    evaluation_path(tmp_path, "test").unlink()
    with pytest.raises(DamagedArtifact, match=r"eval-test\.json cannot be read"):
        read_scores(tmp_path, "test", REMEDY)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no table at all"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    write(tmp_path, kept())
    scores_path(tmp_path, "test").write_bytes(content)
    with pytest.raises(DamagedArtifact, match="damaged"):
        read_scores(tmp_path, "test", REMEDY)
    change_json(evaluation_path(tmp_path, "test"), **{DIGEST: sha256_of(scores_path(tmp_path, "test"))})
    with pytest.raises(DamagedArtifact, match="does not hold the scores of test"):
        read_scores(tmp_path, "test", REMEDY)


def test_a_file_of_another_split_is_refused(tmp_path: Path) -> None:
    write(tmp_path, replace(kept(), split="valid")).rename(scores_path(tmp_path, "test"))
    evaluation_path(tmp_path, "valid").rename(evaluation_path(tmp_path, "test"))
    with pytest.raises(DamagedArtifact, match="does not hold the scores of test"):
        read_scores(tmp_path, "test", REMEDY)


def test_a_table_without_our_metadata_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = scores_path(tmp_path, "test")
    pq.write_table(pa.table(kept().columns), path)
    write_json(evaluation_path(tmp_path, "test"), {DIGEST: sha256_of(path)})
    with pytest.raises(DamagedArtifact, match="does not hold the scores of test"):
        read_scores(tmp_path, "test", REMEDY)
