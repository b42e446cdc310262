"""KuaiRand's files: the three layouts are found, packed or not; what is missing, mixed or cut is refused."""

from __future__ import annotations

import gzip
import re
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from lrea_cli.dataset.layout import SPLITS
from lrea_cli.errors import UserError
from lrea_cli.prepare.reading.blocks import Lines
from lrea_cli.prepare.reading.delimited import Delimited
from lrea_cli.prepare.reading.rawfile import RawFile
from lrea_cli.prepare.sources import find_files
from lrea_cli.prepare.sources.kuairand import KuaiRand
from tests.fixtures import kuairand_raw
from tests.fixtures.kuairand_raw import log_row, write_kuairand, write_lines
from tests.prepare.test_kuairand import DAY, archive, run


@pytest.mark.parametrize("layout", ["Pure", "1K", "27K"])
@pytest.mark.parametrize("packed", [False, True])
def test_layouts_are_found_from_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str, packed: bool
) -> None:
    home = tmp_path / "home"
    raw = write_kuairand(home / "raw" / "kuairand", layout, users=2)
    names = [*(path.name for path in raw.files), f"video_features_basic_{layout.lower()}.csv"]
    assert len(names) == (5 if layout == "27K" else 3)
    if packed:
        for path in [raw.folder / "data" / name for name in names]:
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
        names = [f"{name}.gz" for name in names]
    one = raw.folder / "data" / names[0]
    for place in (None, home / "raw" / "kuairand", raw.folder, raw.folder / "data", raw.folder / "data" / "log_st*"):
        assert [path.name for path in find_files(KuaiRand, place, home)] == names
    assert [path.name for path in find_files(KuaiRand, one, home)] == [names[0], names[-1]]
    monkeypatch.chdir(raw.folder.parent)
    assert [path.name for path in find_files(KuaiRand, None, tmp_path)] == names


def test_packed_parts_give_the_same_rows(tmp_path: Path) -> None:
    raw = write_kuairand(tmp_path, "27K", users=6)
    manifest, folder = run(raw.folder, tmp_path / "plain")
    for path in (raw.folder / "data").iterdir():
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    again, other = run(raw.folder, tmp_path / "packed")
    assert manifest.rejected == again.rejected == raw.rejected
    for split in SPLITS:
        assert (folder / f"{split}.parquet").read_bytes() == (other / f"{split}.parquet").read_bytes()
    last = raw.files[-1].with_name(raw.files[-1].name + ".gz")
    last.write_bytes(last.read_bytes()[:-200])
    with pytest.raises(UserError, match="cannot be read") as caught:
        run(raw.folder, tmp_path / "cut")
    assert "download it again" in caught.value.remedy


def test_two_layouts_at_once_are_refused(tmp_path: Path) -> None:
    pure, small = (write_kuairand(tmp_path, layout, users=2) for layout in ("Pure", "1K"))
    with pytest.raises(
        UserError, match=r"more than one layout.*KuaiRand-1K/data \(1k\).*KuaiRand-Pure/data \(pure\)"
    ) as e:
        run(tmp_path, tmp_path)
    assert "--raw" in e.value.remedy
    for path in (pure.folder / "data").iterdir():  # in one folder: the ids of one are not those of the other
        shutil.copy(path, small.folder / "data")
    with pytest.raises(UserError, match="more than one layout") as e:
        run(small.folder, tmp_path)
    proposed = re.search("'(.*)'", e.value.remedy)
    assert proposed
    names = [f["name"] for f in run(Path(proposed[1]), tmp_path)[0].raw_files]
    assert names == [*(p.name for p in small.files), "video_features_basic_1k.csv"]


def test_files_that_do_not_belong_are_refused(tmp_path: Path) -> None:
    data = write_kuairand(tmp_path, users=2).folder / "data"
    with pytest.raises(UserError, match=r"log_random_4_22_to_5_08_pure\.csv is neither"):
        run(data / "log_*.csv", tmp_path)
    with pytest.raises(UserError, match=r"video_features_basic_pure\.csv is no log"):
        run(data / "video_features_basic_pure.csv", tmp_path)
    (data / "video_features_basic_pure.csv").unlink()
    with pytest.raises(UserError, match=r"There is no video_features_basic_pure\.csv beside") as caught:
        run(data, tmp_path)
    assert "same archive" in caught.value.remedy


@pytest.mark.parametrize("column", ["user_id", "video_id", "time_ms", "is_click"])
def test_missing_column_of_the_log(tmp_path: Path, column: str) -> None:
    folder = archive(tmp_path, [], kuairand_raw.LOG_HEADER.replace(column, f"{column}s"))
    with pytest.raises(UserError, match=rf"no column '{column}' \(did you mean '{column}s'\?\). It has: ") as caught:
        run(folder, tmp_path)
    assert "no KuaiRand log" in caught.value.remedy


@pytest.mark.parametrize("column", ["video_id", "author_id", "video_duration", "tag"])
def test_missing_column_of_the_videos(tmp_path: Path, column: str) -> None:
    folder = archive(tmp_path, [])
    header = kuairand_raw.VIDEO_HEADER.replace(column, "other")
    write_lines(folder / "video_features_basic_pure.csv", [header])
    with pytest.raises(UserError, match=f"no column '{column}'") as caught:
        run(folder, tmp_path)
    assert "no list of KuaiRand's videos" in caught.value.remedy


def test_columns_may_stand_in_any_order_with_others_between(tmp_path: Path) -> None:
    noon = kuairand_raw.FIRST_MIDNIGHT + DAY // 2
    rows = [f"{label},Ä 1.5,{2130 - n},{noon + n * DAY}999,{n},{n + 7}" for n in range(3) for label in (0, 1)]
    folder = archive(tmp_path, rows, "is_click,note,hourmin,time_ms,video_id,user_id")
    write_lines(folder / "video_features_basic_pure.csv", ["tag,video_duration,video_id,author_id", "5,1.5,1,9"])
    manifest, dataset = run(folder, tmp_path)
    assert (manifest.events_kept, manifest.users, manifest.categories) == (6, 3, 1)
    assert pq.read_table(dataset / "vocab" / "hour.parquet")["value"].to_pylist() == [
        "12"
    ]  # of time_ms: hourmin is not read
    assert pq.read_table(dataset / "vocab" / "author.parquet")["value"].to_pylist() == ["9"]


def test_a_log_of_whole_numbers_is_parsed_the_fast_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow, parse = [], Delimited._parse

    def spy(form: Delimited, file: RawFile, lines: Lines, threads: int) -> Any:
        slow.append(file.path.name)
        return parse(form, file, lines, threads)

    monkeypatch.setattr(Delimited, "_parse", spy)
    noon = (kuairand_raw.FIRST_MIDNIGHT + DAY // 2) * 1000
    rows = [log_row(user, 1, noon + day * DAY * 1000, user % 2) for day in range(3) for user in range(9)]
    manifest, _ = run(archive(tmp_path, rows), tmp_path)
    assert manifest.events_kept == len(rows)
    assert slow == ["video_features_basic_pure.csv"]  # capitals and points
