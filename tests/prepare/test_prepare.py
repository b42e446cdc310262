"""`prepare` as a whole: what lies on disk is what layout.py says, or nothing; raw files are found."""

from __future__ import annotations

import gzip
import json
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from lrea_cli.cli import app
from lrea_cli.console.progress import Progress, Silent
from lrea_cli.dataset.layout import SPLITS, DatasetInfo
from lrea_cli.dataset.manifest import DATASETS
from lrea_cli.errors import UserError
from lrea_cli.ids import FIRST_ID
from lrea_cli.prepare.prepare import PrepareOptions, Surroundings, prepare
from lrea_cli.prepare.sources import SOURCES, find_files
from lrea_cli.prepare.sources.base import Source
from lrea_cli.prepare.sources.kuairand import KuaiRand
from lrea_cli.prepare.sources.synthetic import Synthetic
from lrea_cli.prepare.sources.table import Table
from lrea_cli.prepare.sources.taobao import Taobao
from lrea_cli.workspace.blocks import DatasetFiles
from lrea_cli.workspace.claims import FINISHED
from lrea_cli.workspace.home import Workspace, require_intact
from lrea_cli.workspace.kinds import BLOCKS
from tests.fixtures.taobao_raw import write_taobao


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with `taobao`, prepared once."""
    home = tmp_path_factory.mktemp("home")
    (home / "raw" / "taobao").mkdir(parents=True)
    write_taobao(home / "raw" / "taobao" / "UserBehavior.csv")
    prepare(Taobao(), find_files(Taobao, None, home), "taobao", Workspace(home), PrepareOptions(threads=2))
    return home


def test_files_on_disk_are_those_of_the_layout(home: Path) -> None:
    artifact = Workspace(home).open(DATASETS, "taobao")
    require_intact(artifact)
    files = {str(p.relative_to(artifact.path)) for p in artifact.path.rglob("*") if p.is_file()}
    assert files == {
        "data.json",
        BLOCKS,
        FINISHED,
        *(f"vocab/{name}.parquet" for name in ("user", "item", "category")),
        "events/part-00000.parquet",
        *(f"histories/{name}.npy" for name in ("offsets", "time", "item", "category")),
        *(f"{split}.parquet" for split in SPLITS),
        "rejected.parquet",
    }
    assert [p.name for p in (home / "data").iterdir()] == ["taobao"]  # no database, no temporary sibling


def test_types_are_those_of_the_layout(home: Path) -> None:
    folder = home / "data" / "taobao"
    for split in SPLITS:
        types = {field.name: str(field.type) for field in pq.read_schema(folder / f"{split}.parquet")}
        assert types == {
            "request_id": "int64",
            "user": "int32",
            "time": "int64",
            "history_length": "int32",
            "item": "int32",
            "category": "int32",
            "label": "int8",
        }
    kinds = {p.stem: np.load(p, mmap_mode="r").dtype.name for p in (folder / "histories").iterdir()}
    assert kinds == {"offsets": "int64", "time": "int64", "item": "int32", "category": "int32"}
    vocab = {p.stem: [str(f.type) for f in pq.read_schema(p)] for p in (folder / "vocab").iterdir()}
    assert vocab == {name: ["int32", "string"] for name in ("item", "category", "user")}
    assert pq.read_schema(folder / "rejected.parquet").names == ["file", "line", "reason", "text"]
    assert pq.ParquetFile(folder / "test.parquet").metadata.row_group(0).column(0).compression == "ZSTD"


def test_manifest_says_what_was_done(home: Path) -> None:
    manifest = Workspace(home).open(DATASETS, "taobao").manifest
    assert manifest.source == "taobao"
    assert manifest.source_options == {"behaviors": "pv", "negatives": "same-day", "positives": "all"}
    assert manifest.options == {
        "seed": 2025,
        "min_history": 20,
        "negatives_per_positive": 1,
        "train_days": 1,
        "test_days": 1,
        "encoding": "utf-8",
    }
    assert asdict(manifest.splits) == {
        "train_from": 1_512_057_600,
        "valid_from": 1_512_144_000,
        "test_from": 1_512_230_400,
        "end": 1_512_316_800,
    }
    assert manifest.events_read == manifest.events_kept + sum(manifest.rejected.values())
    assert manifest.labels == "sampled"
    assert [f["name"] for f in manifest.raw_files] == ["UserBehavior.csv"]
    for split in SPLITS:
        table = pq.read_table(home / "data" / "taobao" / f"{split}.parquet")
        assert manifest.samples[split] == table.num_rows
    info = DatasetInfo(manifest, DatasetFiles(home / "data" / "taobao"))
    assert info.names_of("item") == ["item", "category"]
    assert info.manifest.splits.end == 1_512_316_800
    assert str(home) not in json.dumps(manifest.to_dict())  # no machine paths


def test_vocabulary_and_events_lead_back_to_raw_values(home: Path) -> None:
    folder = home / "data" / "taobao"
    manifest = Workspace(home).open(DATASETS, "taobao").manifest
    events = pq.read_table(folder / "events")
    assert events.column_names == ["user", "item", "category", "time", "source_row"]
    keys = list(zip(*(events[name].to_pylist() for name in ("user", "time", "source_row")), strict=True))
    assert keys == sorted(keys)
    for field in manifest.fields:
        vocab = pq.read_table(folder / "vocab" / f"{field.name}.parquet")
        ids, values = vocab["id"].to_numpy(), [int(v) for v in vocab["value"].to_pylist()]
        early = field.size - FIRST_ID
        assert ids.tolist() == list(range(FIRST_ID, FIRST_ID + len(values)))
        assert field.late == len(values) - early
        assert values[:early] == sorted(values[:early])
        assert values[early:] == sorted(values[early:])
        back = dict(zip(ids.tolist(), values, strict=True))
        column = np.load(folder / "histories" / f"{field.name}.npy")
        assert [back[i] for i in column.tolist()] == events[field.name].to_pylist()
    users = pq.read_table(folder / "vocab" / "user.parquet")["value"].to_pylist()
    assert [int(u) for u in users] == sorted(set(events["user"].to_pylist()))


def test_same_seed_same_bytes_other_seed_other_negatives(home: Path) -> None:
    workspace = Workspace(home)
    files = find_files(Taobao, None, home)
    first = workspace.open(DATASETS, "taobao").inventory.files
    prepare(Taobao(), files, "again", workspace, PrepareOptions(threads=1, memory="1GB"))
    assert workspace.open(DATASETS, "again").inventory.files == first
    prepare(Taobao(), files, "again", workspace, PrepareOptions(threads=1, seed=1), Surroundings(replace=True))
    other = workspace.open(DATASETS, "again").inventory.files
    assert other["test.parquet"] != first["test.parquet"]
    assert other["histories/item.npy"] == first["histories/item.npy"]
    shutil.rmtree(home / "data" / "again")


class Told(Silent):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.total = self.done = 0

    def say(self, line: str) -> None:
        self.lines.append(line)

    @contextmanager
    def task(self, description: str, total: int, unit: str) -> Iterator[Progress]:
        def advance(count: int) -> None:
            self.done += count

        self.total = total
        yield advance


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.csv.zip", "a.parquet"])
def test_progress_of_reading_ends_at_the_size_of_the_file(tmp_path: Path, name: str) -> None:
    rows = [(f"u{n % 7}", f"i{n % 450}", 17_500 * 86_400 + n * 977) for n in range(500)]
    path = tmp_path / name
    if path.suffix == ".parquet":
        columns = dict(zip(("user", "item", "time"), map(list, zip(*rows, strict=True)), strict=True))
        pq.write_table(pa.table(columns), path, row_group_size=100)
    else:
        text = "user,item,time\n" + "".join(f"{u},{i},{t}\n" for u, i, t in rows)
        plain = tmp_path / "plain"
        plain.write_text(text)
        if path.suffix == ".gz":
            path.write_bytes(gzip.compress(text.encode()))
        elif path.suffix == ".zip":
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.write(plain, "a.csv")
        else:
            plain.rename(path)
    told = Told()
    prepare(Table(), [path], "d", Workspace(tmp_path), PrepareOptions(min_history=2), Surroundings(told))
    assert told.total == path.stat().st_size
    assert 0.9 * told.total <= told.done <= told.total


def test_progress_names_the_steps(tmp_path: Path) -> None:
    reporter = Told()
    manifest = prepare(
        Synthetic(users=40), [], "s", Workspace(tmp_path), PrepareOptions(threads=2), Surroundings(reporter)
    )
    assert reporter.lines == [
        "reading synthetic ...",
        "numbering users and values ...",
        "sorting events ...",
        "making samples ...",
        "writing histories ...",
        "hashing what was written ...",
    ]
    assert manifest.labels == "real"
    assert manifest.source_options["users"] == 40
    assert "bayes_auc" in manifest.facts


def test_failure_leaves_the_old_dataset(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    good = write_taobao(tmp_path / "UserBehavior.csv", users=20).path
    prepare(Taobao(), [good], "d", workspace, PrepareOptions(threads=2))
    before = workspace.open(DATASETS, "d").manifest
    good.write_text("1,2,3,pv,1511600000\n")
    with pytest.raises(UserError):
        prepare(Taobao(), [good], "d", workspace, PrepareOptions(threads=2), Surroundings(replace=True))
    assert workspace.open(DATASETS, "d").manifest == before
    assert [p.name for p in (tmp_path / "data").iterdir()] == ["d"]


def test_a_taken_name_is_refused_and_equal_data_have_an_equal_identity(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    raw = write_taobao(tmp_path / "UserBehavior.csv", users=20).path
    prepare(Taobao(), [raw], "d", workspace, PrepareOptions(threads=1))
    before = workspace.open(DATASETS, "d")
    with pytest.raises(UserError, match="The dataset 'd' exists already") as caught:
        prepare(Taobao(), [raw], "d", workspace, PrepareOptions(threads=1))
    assert "--replace" in caught.value.remedy
    assert workspace.open(DATASETS, "d") == before
    elsewhere = raw.rename(tmp_path / "the-same-under-another-name.csv")
    prepare(Taobao(), [elsewhere], "d", workspace, PrepareOptions(threads=2, memory="1GB"), Surroundings(replace=True))
    again = workspace.open(DATASETS, "d")
    assert again.manifest != before.manifest
    assert again.identity == before.identity
    elsewhere.write_bytes(elsewhere.read_bytes().replace(b",pv,", b",buy,", 1))
    prepare(Taobao(), [elsewhere], "d", workspace, PrepareOptions(threads=2), Surroundings(replace=True))
    assert workspace.open(DATASETS, "d").identity != before.identity


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_history": 0}, "--min-history is 0"),
        ({"negatives_per_positive": 0}, "--negatives-per-positive is 0"),
        ({"train_days": 0}, "--train-days is 0"),
        ({"test_days": 0}, "--test-days is 0"),
        ({"threads": 0}, "--threads is 0"),
        ({"threads": 100_000}, "--threads is 100000"),
        ({"seed": -1}, "--seed is -1"),
        ({"seed": 2**63}, "--seed is 9223372036854775808"),
        ({"memory": "9" * 400 + "GB"}, "--memory is"),
        ({"memory": "lots"}, "--memory is 'lots'"),
        ({"memory": "3MB"}, "--memory is '3MB'; it must be at least 500MB"),
        ({"max_rejected": "0.01"}, "--max-rejected is '0.01'"),
        ({"max_rejected": "101%"}, "--max-rejected is '101%'"),
    ],
)
def test_impossible_options(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        PrepareOptions(**options)


def test_too_little_memory_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PrepareOptions, "database_mb", 3)
    raw = write_taobao(tmp_path / "UserBehavior.csv", users=20).path
    with pytest.raises(UserError, match="of memory") as caught:
        prepare(Taobao(), [raw], "d", Workspace(tmp_path), PrepareOptions(threads=2))
    assert "--memory" in caught.value.remedy


def test_raw_files_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, here = tmp_path / "home", tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    with pytest.raises(UserError) as caught:
        find_files(Taobao, None, home)
    assert str(home / "raw" / "taobao") in caught.value.message
    assert str(here) in caught.value.message
    assert "tianchi.aliyun.com" in caught.value.remedy
    assert "lrea prepare synthetic" in caught.value.remedy

    (here / "UserBehavior.csv.zip").write_bytes(b"PK")
    assert find_files(Taobao, None, home) == [Path("UserBehavior.csv.zip")]
    folder = home / "raw" / "taobao"
    folder.mkdir(parents=True)
    for name in ("UserBehavior.csv.zip", "UserBehavior.csv"):
        (folder / name).write_bytes(b"PK")
        assert find_files(Taobao, None, home) == [folder / name]  # one of them, the unpacked one first
    assert find_files(Taobao, folder / "*.zip", home) == [folder / "UserBehavior.csv.zip"]
    with pytest.raises(UserError, match="no raw file of 'taobao' at nowhere"):
        find_files(Taobao, Path("nowhere"), home)


def test_logs_are_taken_packed_where_they_do_not_lie_unpacked(tmp_path: Path) -> None:
    names = (
        "log_standard_a.csv",
        "log_standard_a.csv.gz",
        "log_standard_b.csv.gz",
        "video_features_basic_pure.csv.zip",
    )
    for name in (*names, "log_standard_b.csv.bak"):
        (tmp_path / name).write_bytes(b"")
    taken = [tmp_path / names[number] for number in (0, 2, 3)]
    assert find_files(KuaiRand, tmp_path, tmp_path) == taken
    assert [path.name for path in find_files(Table, tmp_path, tmp_path)] == ["log_standard_a.csv", *names[2:]]


def test_table_must_be_told_its_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'table' reads files that you name") as caught:
        find_files(Table(), None, tmp_path)
    assert "--raw" in caught.value.remedy


@pytest.mark.parametrize("source", SOURCES)
def test_the_help_says_where_files_are_looked_for(source: type[Source], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = " ".join(CliRunner().invoke(app, ["prepare", source.name, "--help"]).stdout.split())
    wanted = "required." if source is Table else f"default: <home>/raw/{source.name}, then here."
    assert f"Raw file, folder or quoted glob; {wanted}" in shown or (source is Synthetic and "--raw" not in shown)


def test_synthetic_needs_no_file(tmp_path: Path) -> None:
    assert find_files(Synthetic(), None, tmp_path) == []
