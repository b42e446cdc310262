"""Which raw files are found: folders, globs, names in capitals, one file in two forms, columns in folders' names."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lrea_cli.errors import UserError
from lrea_cli.prepare.estimate import estimate
from lrea_cli.prepare.options import PrepareOptions
from lrea_cli.prepare.reading.intake import Intake, common_folder
from lrea_cli.prepare.sources import find_files
from lrea_cli.prepare.sources.amazon_books import AmazonBooks
from lrea_cli.prepare.sources.base import Source
from lrea_cli.prepare.sources.kuairand import KuaiRand
from lrea_cli.prepare.sources.table import Table
from lrea_cli.prepare.sources.taobao import Taobao
from lrea_cli.prepare.sql import count
from tests.fixtures.amazon_raw import write_amazon
from tests.fixtures.kuairand_raw import write_kuairand
from tests.prepare.found import Found
from tests.prepare.test_table import NOON, extract

HEADER = "user,item,time\n"


def write(path: Path, *users: str, header: str = HEADER) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(header + "".join(f"{user},9,{NOON + n}\n" for n, user in enumerate(users)))
    return path


def write_parquet(path: Path, *users: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"user": users, "item": ["9"] * len(users), "time": [NOON] * len(users)}), path)
    return path


def found_in(raw: Path, source: Table | None = None) -> tuple[Found, list[str]]:
    told: list[str] = []
    files = find_files(source or Table(), raw, raw, told.append)
    return extract(source or Table(), *files, folder=common_folder(files)), told


def names_in(raw: Path) -> list[str]:
    return [path.relative_to(raw).as_posix() for path in find_files(Table, raw, raw)]


def test_a_folder_is_searched_with_its_folders_in_capitals_too(tmp_path: Path) -> None:
    for name in ("A.CSV", "b.Tsv.GZ", "deep/er/c.jsonl", "deep/d.ndjson.bz2", "deep/e.PARQUET", "f.json.xz", "g.pq"):
        write(tmp_path / name, "x")
    for name in ("notes.txt", "_SUCCESS", "_temporary/h.csv", ".i.csv", "deep/.j/k.csv", "deep/_l.parquet", "csv"):
        write(tmp_path / name, "x")
    assert names_in(tmp_path) == [
        "A.CSV",
        "b.Tsv.GZ",
        "deep/d.ndjson.bz2",
        "deep/e.PARQUET",
        "deep/er/c.jsonl",
        "f.json.xz",
        "g.pq",
    ]


def test_names_of_other_sources_match_in_capitals(tmp_path: Path) -> None:
    write(tmp_path / "USERBEHAVIOR.CSV", "x")
    assert [path.name for path in find_files(Taobao, tmp_path, tmp_path)] == ["USERBEHAVIOR.CSV"]
    write(tmp_path / "kuairand-1k" / "data" / "LOG_standard_x_1k.csv.GZ")
    assert [path.name for path in find_files(KuaiRand, tmp_path, tmp_path)] == ["LOG_standard_x_1k.csv.GZ"]


@pytest.mark.parametrize("glob", [False, True])
def test_of_a_file_that_lies_packed_and_unpacked_one_is_taken_and_said(tmp_path: Path, glob: bool) -> None:
    path = write(tmp_path / "raw" / "x.csv", "a", "b")
    (tmp_path / "raw" / "x.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    found, told = found_in(tmp_path / "raw" / "*" if glob else tmp_path / "raw")
    assert len(found.events) == 2
    assert told == [f"{path}.gz is left out: {path} is taken."]


@pytest.mark.parametrize("other", ["log.parquet", "LOG.TSV", "log.jsonl", "log.tsv.gz"])
def test_a_log_in_two_forms_is_refused(tmp_path: Path, other: str) -> None:
    write(tmp_path / "log.csv", "a")
    write(tmp_path / other, "a")
    for raw in (tmp_path, tmp_path / "*"):
        with pytest.raises(UserError, match=r"(?i)log\..* and .*log\..* have one name and two forms") as caught:
            find_files(Table, raw, tmp_path)
        assert "--raw" in caught.value.remedy
    (tmp_path / other).unlink()
    write(tmp_path / "next" / other, "a")  # another folder's
    assert len(find_files(Table, tmp_path, tmp_path)) == 2


@pytest.mark.parametrize("form", ["csv", "gz", "parquet"])
def test_files_of_the_same_rows_are_refused(tmp_path: Path, form: str) -> None:
    first, second = tmp_path / "one" / "a.x", tmp_path / "two" / "a.x"
    if form == "parquet":
        write_parquet(first, "a", "b")
    else:
        write(first, "a", "b")
    second.parent.mkdir()
    content = first.read_bytes()
    second.write_bytes(gzip.compress(content) if form == "gz" else content)
    with pytest.raises(UserError, match=r"one/a\.x and two/a\.x hold the same rows"):
        extract(Table(), first, second, folder=tmp_path)
    write(second, "a", "c")
    assert len(extract(Table(), first, second).events) == 4


def test_files_without_a_row_are_not_the_same_rows(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{n}.csv", *(["a"] if n == 2 else [])) for n in range(3)]
    assert len(extract(Table(), *paths).events) == 1


def test_folders_of_hive_give_columns(tmp_path: Path) -> None:
    for day, user in (("2024-01-01", "a"), ("2024-01-02", "b"), ("__HIVE_DEFAULT_PARTITION__", "c")):
        write_parquet(tmp_path / f"day={day}" / "city=a%20b" / "part-0.parquet", user)
    source = Table(context_field=["day", "where=city"])
    found, _ = found_in(tmp_path, source)
    assert [(e["user"], e["day"], e["where"]) for e in found.events] == [
        ("a", "2024-01-01", "a b"),
        ("b", "2024-01-02", "a b"),
        ("c", None, "a b"),
    ]
    assert found.intake.files[0].name == "day=2024-01-01/city=a%20b/part-0.parquet"
    estimated = estimate(source, find_files(source, tmp_path, tmp_path), PrepareOptions())
    assert sum(file.rows for file in estimated.files) == 3


def test_equal_files_in_folders_of_other_values_are_other_rows(tmp_path: Path) -> None:
    for day in ("2024-01-01", "2024-01-02"):
        path = tmp_path / f"time={day}" / "a.csv"
        path.parent.mkdir()
        path.write_text("user,item\n1,2\n")
    assert [e["time"] for e in found_in(tmp_path)[0].events] == [1_704_067_200, 1_704_153_600]
    shutil.copytree(tmp_path / "time=2024-01-01", tmp_path / "copy" / "time=2024-01-01")
    with pytest.raises(UserError, match="hold the same rows"):
        found_in(tmp_path)


def test_a_column_in_the_file_and_in_the_name_of_its_folder(tmp_path: Path) -> None:
    path = write(tmp_path / "time=5" / "item=x" / "user=7" / "a.csv", "a")
    with pytest.raises(UserError, match="has a column 'user', and so has the name of its folder"):
        extract(Table(), path)
    other = write(tmp_path / "run=5" / "a.csv", "a")  # a name that nobody asks for
    assert len(extract(Table(), other).events) == 1


def test_what_is_no_part_of_the_log_is_passed_over_and_told(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", "a", "b")
    items = write(tmp_path / "items.csv", header="item,category\n")
    empty = tmp_path / "empty.csv"
    empty.touch()
    (tmp_path / "empty.parquet.csv.gz").write_bytes(gzip.compress(b""))
    (tmp_path / "settings.json").write_text('{\n  "user": 1\n}\n')
    (tmp_path / "empty.tsv.pq").touch()
    found, _ = found_in(tmp_path)
    assert len(found.events) == 2
    (told,) = found.extract.warnings
    assert "5 of 6 files were passed over" in told
    assert f"{empty} is empty." in told
    assert [f.name for f in found.intake.files] == ["a.csv"]
    reckoned = estimate(Table(), find_files(Table, tmp_path, tmp_path), PrepareOptions())
    assert (reckoned.warnings, [file.rows for file in reckoned.files]) == (found.extract.warnings, [3])
    for path, message in ((items, "has no column 'user'"), (empty, "is empty")):
        with pytest.raises(UserError, match=message):  # named alone
            found_in(path)
    (tmp_path / "a.csv").unlink()
    with pytest.raises(UserError, match=r"items\.csv has no column 'user'"):
        found_in(tmp_path)


def test_files_whose_names_end_otherwise_are_told_of(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", "a")
    for name in ("b.log", "part-00000", "logs.zip"):
        write(tmp_path / name, "b")
    (tmp_path / "_SUCCESS").touch()
    told: list[str] = []
    assert [path.name for path in find_files(Table, tmp_path, tmp_path, told.append)] == ["a.csv"]
    (line,) = told
    assert "3 files" in line
    assert all(name in line for name in ("b.log", "part-00000", "logs.zip", f"--raw '{tmp_path}/*'"))


def test_a_part_of_the_log_with_a_name_in_other_letters_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", "a")
    write(tmp_path / "b.csv", "b", header="User,item,time\n")
    with pytest.raises(UserError, match=r"b\.csv has no column 'user' \(did you mean 'User'\?\)"):
        found_in(tmp_path)


def test_a_file_of_the_log_that_lacks_a_field_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", "a,1", header="user,label,item,time\n")
    write(tmp_path / "b.csv", "a", "b")
    with pytest.raises(UserError, match=r"b\.csv has no column 'label'"):
        found_in(tmp_path, Table(label_column="label"))


def test_rejected_rows_name_files_of_one_name_apart(tmp_path: Path) -> None:
    for day in ("monday", "tuesday"):
        write(tmp_path / day / "part.csv", day, "")
    found, _ = found_in(tmp_path)
    assert [(r.file, r.line, r.reason) for r in found.examples] == [
        ("monday/part.csv", 3, "missing_user"),
        ("tuesday/part.csv", 3, "missing_user"),
    ]


def test_errors_of_a_dry_run_name_the_file_itself(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv.gz", "a")
    path.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(UserError) as caught:
        estimate(Table(user_column="who"), [path], PrepareOptions())
    assert caught.value.message.startswith(f"{path} has no column 'who'")


def test_a_folder_tells_what_it_leaves_out_and_of_several_forms(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", "a")
    write(tmp_path / "in" / "b.csv.zst", "a")
    write(tmp_path / "c.XLSX", "a")
    told: list[str] = []
    assert len(find_files(Table, tmp_path, tmp_path, told.append)) == 1
    assert [line.split(" ", 1)[0] for line in told] == [f"{tmp_path}/c.XLSX", f"{tmp_path}/in/b.csv.zst"]
    write_parquet(tmp_path / "d.parquet", "a")
    write(tmp_path / "e.csv.gz", "a")
    find_files(Table, tmp_path, tmp_path, told.append)
    assert "(2 .csv, 1 .parquet)" in told[-1]


def test_names_of_files_may_be_any_bytes(tmp_path: Path) -> None:
    path = write(tmp_path / "caf\udce9\x1b.csv", "a", "")
    found, _ = found_in(path)
    assert found.intake.rejected_table()["file"].to_pylist() == [r"caf\udce9\x1b.csv"]


def test_companions_are_found_packed_and_in_capitals(tmp_path: Path) -> None:
    raw = write_amazon(tmp_path, 2018, csv=True)
    plain = facts_of(AmazonBooks(), raw.reviews, raw.meta)
    raw.reviews.rename(tmp_path / "BOOKS.CSV")
    raw.meta.rename(tmp_path / "META_BOOKS.JSON.GZ")
    files = find_files(AmazonBooks, tmp_path, tmp_path)
    assert [path.name for path in files] == ["BOOKS.CSV", "META_BOOKS.JSON.GZ"]
    assert facts_of(AmazonBooks(), *files) == plain


def test_logs_of_kuairand_in_capitals(tmp_path: Path) -> None:
    folder = write_kuairand(tmp_path, users=4).folder
    plain = facts_of(KuaiRand(), *find_files(KuaiRand, folder, tmp_path))
    for path in list((folder / "data").iterdir()):
        path.rename(path.with_name(path.name.upper()))
    assert facts_of(KuaiRand(), *find_files(KuaiRand, folder, tmp_path)) == plain


def facts_of(source: Source, *files: Path) -> tuple[int, dict[str, Any], dict[str, int]]:
    """How many events a source makes of files, and its account of the others."""
    with duckdb.connect() as db:
        intake = Intake(db)
        facts = source.extract(intake, list(files)).facts
        return count(db, "SELECT count(*) FROM raw_events"), facts, dict(intake.rejected)
