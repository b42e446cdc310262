"""`--dry-run`: rows and bytes of each file about right, a wrong format said at once, nothing written."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from taobao_format import write_taobao_format

from lrea_cli.errors import UserError
from lrea_cli.prepare import estimate as estimate_module
from lrea_cli.prepare.estimate import estimate
from lrea_cli.prepare.options import PrepareOptions
from lrea_cli.prepare.sources.synthetic import Synthetic
from lrea_cli.prepare.sources.table import Table
from lrea_cli.prepare.sources.taobao import Taobao
from tests.prepare.test_taobao import pack


@pytest.mark.parametrize("form", ["csv", "gz", "zip"])
def test_rows_and_bytes_are_reckoned_from_the_start(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate_module, "SAMPLE_BYTES", 1 << 16)
    raw = tmp_path / "UserBehavior.csv"
    rows = write_taobao_format(raw, 40_000)
    path = raw if form == "csv" else pack(raw, form)
    before = set(tmp_path.iterdir())
    found = estimate(Taobao(), [path], PrepareOptions(threads=1))
    (file,) = found.files
    assert (file.name, file.bytes) == (path.name, path.stat().st_size)
    assert file.text_bytes == pytest.approx(raw.stat().st_size, rel=0.02 if form == "gz" else 0)
    assert found.files[0].rows == pytest.approx(rows, rel=0.03)
    assert found.sample_read < rows / 10
    assert "other_behavior" in found.sample_rejected
    assert found.scratch_bytes > found.dataset_bytes > 0
    assert found.seconds > 0
    assert set(tmp_path.iterdir()) == before


def test_twice_the_rows_take_twice_the_disk(tmp_path: Path) -> None:
    sizes = []
    for rows in (20_000, 40_000):
        raw = tmp_path / f"{rows}.csv"
        write_taobao_format(raw, rows)
        sizes.append(estimate(Taobao(), [raw], PrepareOptions(threads=1)).dataset_bytes)
    assert sizes[1] == pytest.approx(2 * sizes[0], rel=0.05)


def test_rows_of_parquet_are_exact(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"user": [1] * 50, "item": list(range(50)), "time": [0] * 50}), path)
    assert estimate(Table(), [path], PrepareOptions()).files[0].rows == 50


def test_only_the_start_of_parquet_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate_module, "LEAST_BYTES", 1)
    monkeypatch.setattr(estimate_module, "SAMPLE_BYTES", 20_000)
    path = tmp_path / "a.parquet"
    numbers = list(range(20_000))
    pq.write_table(pa.table({"user": numbers, "item": numbers, "time": numbers}), path, row_group_size=1_000)
    found = estimate(Table(), [path], PrepareOptions())
    assert found.files[0].rows == 20_000
    assert 0 < found.sample_read < 4_000


def test_files_of_one_name_are_told_apart_and_share_the_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate_module, "SAMPLE_BYTES", 1 << 18)
    paths = [tmp_path / day / "part.csv" for day in ("monday", "tuesday")]
    for number, path in enumerate(paths):
        path.parent.mkdir()
        lines = [f"u{number},i{n:05},{n:05}" for n in range(20_000 * (number + 1))]
        path.write_text("\n".join(["user,item,time", *lines]) + "\n")
    found = estimate(Table(), paths, PrepareOptions())
    assert [file.rows for file in found.files] == pytest.approx([20_000, 40_000], rel=0.01)
    assert found.sample_read == pytest.approx((1 << 18) / 16, rel=0.01)  # of 16 bytes each, header and all


def test_a_wrong_format_is_said_before_the_run(tmp_path: Path) -> None:
    path = tmp_path / "UserBehavior.csv.gz"
    path.write_bytes(gzip.compress(b"1511600000,1,2,3,pv\n" * 50_000))
    with pytest.raises(UserError, match=r"cannot be used: more than --max-rejected 1\.00%") as caught:
        estimate(Taobao(), [path], PrepareOptions())
    assert "user, item, category, behavior, time" in caught.value.remedy


def test_synthetic_has_nothing_to_reckon() -> None:
    with pytest.raises(UserError, match="reads no file"):
        estimate(Synthetic(), [], PrepareOptions())
