"""KuaiRand: every trap under its reason; splits and histories against the loops; nothing of the future."""

from __future__ import annotations

import gzip
import json
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lrea_cli.dataset.layout import SPLITS, DatasetInfo
from lrea_cli.dataset.samples import read_samples
from lrea_cli.prepare.prepare import PrepareOptions, prepare
from lrea_cli.prepare.reading.blocks import ROWS_AT_MOST
from lrea_cli.prepare.reading.intake import Intake
from lrea_cli.prepare.sources import find_files
from lrea_cli.prepare.sources.kuairand import KuaiRand
from lrea_cli.workspace.blocks import DatasetFiles
from lrea_cli.workspace.home import Workspace
from tests.fixtures import kuairand_raw
from tests.fixtures.kuairand_raw import KuaiRandRaw, log_row, write_kuairand, write_lines
from tests.prepare.loops import kuairand as loops
from tests.prepare.loops.kuairand import FIELDS, Exposure
from tests.prepare.loops.prepare import number
from tests.selection import examples

KUAIRAND = Path(__file__).parents[2].parent / "shared" / "data" / "kuairand"
DAY = 86_400
REQUEST = ("user", "time", "history_length")
ITEM_FIELDS = FIELDS[:-1]


def run(raw: Path, home: Path, threads: int = 2) -> tuple[dict[str, Any], Path]:
    """The manifest and the folder of the dataset."""
    files = find_files(KuaiRand, raw, home)
    manifest = prepare(KuaiRand(), files, "k", Workspace(home), PrepareOptions(threads=threads))
    return manifest, home / "data" / "k"


@pytest.fixture(scope="module", params=[25, pytest.param(1_250, marks=pytest.mark.slow)], ids=lambda n: f"{n} users")
def raw(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> KuaiRandRaw:
    """A few rows, and fifty thousand."""
    raw = write_kuairand(tmp_path_factory.mktemp("raw"), users=request.param)
    assert 35 < sum(map(len, raw.logs)) / request.param < 45
    return raw


@pytest.fixture(scope="module")
def prepared(raw: KuaiRandRaw, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    return run(raw.folder, tmp_path_factory.mktemp("home"))


@pytest.mark.parametrize(("newline", "bom"), [("\n", False), ("\r\n", True)])
def test_every_trap_is_counted_under_its_reason(tmp_path: Path, newline: str, bom: bool) -> None:
    raw = write_kuairand(tmp_path, newline=newline, bom=bom)
    with duckdb.connect(config={"threads": 1}) as db:
        intake = Intake(db)
        found = KuaiRand().extract(intake, find_files(KuaiRand, raw.folder, tmp_path))
        in_file = f"source_row % {ROWS_AT_MOST}"
        time_ms = f"time * 1000 + source_row // {ROWS_AT_MOST} // 1000000"
        rows = db.sql(f"SELECT *, {time_ms} AS time_ms FROM raw_events ORDER BY {in_file}")
        events = rows.to_arrow_table().to_pylist()
        assert [name for (name,) in db.sql("SHOW TABLES").fetchall()] == ["raw_events"]
    assert dict(intake.rejected) == raw.rejected
    assert intake.read == sum(len(log) - 1 for log in raw.logs) == intake.kept + intake.rejected.total()
    kept, rejected = loops.read_kuairand(raw.logs, raw.videos)
    assert rejected == raw.rejected
    assert [Exposure(**{name: e[name] for name in Exposure._fields}) for e in events] == kept
    assert all(e["is_behavior"] == (e["label"] == 1) for e in events)
    lines = {path.name: log for path, log in zip(raw.files, raw.logs, strict=True)} | {"videos": raw.videos}
    for file, line, _, text in intake.examples:
        assert text == lines.get(file, raw.videos)[line - 1]
    assert (found.sampling, found.utc_offset_minutes, found.unique) == (None, 480, ())
    assert found.facts == {
        "video_rows": len(raw.videos) - 1,
        "video_rejected": len(kuairand_raw.BAD_VIDEOS),
        "video_repeats": 3,
        "exposures_without_video": sum(e.item >= 120 for e in kept),
    }
    assert found.facts["exposures_without_video"]


def test_splits_agree_with_the_loops(raw: KuaiRandRaw, prepared: tuple[dict[str, Any], Path]) -> None:
    manifest, folder = prepared
    exposures, _ = loops.read_kuairand(raw.logs, raw.videos)
    users, encode = encoder(exposures, manifest.splits.valid_from)
    first = 0
    for split, rows in loops.splits(exposures).items():
        expected = sorted((users[e.user], e.time, length, *encode(e), e.label) for e, length in rows)
        table = pq.read_table(folder / f"{split}.parquet")
        found = [table[name].to_pylist() for name in (*REQUEST, *FIELDS, "label")]
        assert list(zip(*found, strict=True)) == expected
        sizes = [len(list(rows)) for _, rows in groupby(expected, key=lambda row: row[:2])]
        assert table["request_id"].to_pylist() == (first + np.repeat(np.arange(len(sizes)), sizes)).tolist()
        first += len(sizes)


def test_histories_agree_with_the_loops(raw: KuaiRandRaw, prepared: tuple[dict[str, Any], Path]) -> None:
    manifest, folder = prepared
    exposures, _ = loops.read_kuairand(raw.logs, raw.videos)
    _, encode = encoder(exposures, manifest.splits.valid_from)
    histories = loops.histories(exposures)
    clicks = [click for own in histories.values() for click in own]
    found = {path.stem: np.load(path).tolist() for path in (folder / "histories").iterdir()}
    assert found.pop("offsets") == [0, *np.cumsum([len(own) for own in histories.values()])]
    assert found.pop("time") == [click.time for click in clicks]
    columns = zip(*(encode(click)[: len(ITEM_FIELDS)] for click in clicks), strict=True)
    assert found == {name: list(column) for name, column in zip(ITEM_FIELDS, columns, strict=True)}


def encoder(exposures: list[Exposure], valid_from: int) -> tuple[dict[int, int], Any]:
    """Users' numbers, and what gives the ids of an exposure's fields."""
    users = {user: n for n, user in enumerate(sorted({e.user for e in exposures}))}
    ids = {name: number(((getattr(e, name), e.time) for e in exposures), valid_from) for name in FIELDS}
    edges = loops.quantile_edges(e.duration for e in exposures if e.time < valid_from)

    def encode(e: Exposure) -> tuple[int, ...]:
        return tuple(
            loops.quantile(e.duration, edges) if name == "duration" else ids[name][getattr(e, name)] for name in FIELDS
        )

    return users, encode


def test_threads_change_no_byte(raw: KuaiRandRaw, prepared: tuple[dict[str, Any], Path], tmp_path: Path) -> None:
    assert hashes(run(raw.folder, tmp_path, threads=1)[1]) == hashes(prepared[1])


def test_manifest_says_what_was_read(raw: KuaiRandRaw, prepared: tuple[dict[str, Any], Path]) -> None:
    manifest, folder = prepared
    assert manifest.events_read == manifest.events_kept + sum(manifest.rejected.values())
    assert manifest.labels == "real"
    assert manifest.facts["video_repeats"] == 3
    assert [f["name"] for f in manifest.raw_files] == [*(p.name for p in raw.files), "video_features_basic_pure.csv"]
    assert [(f.name, f.role, f.numeric) for f in manifest.fields] == [
        ("item", "item", False),
        ("category", "item", False),
        ("author", "item", False),
        ("duration", "item", True),
        ("hour", "context", False),
    ]
    rejected = pq.read_table(folder / "rejected.parquet")
    assert rejected.num_rows == sum(raw.rejected.values()) + len(kuairand_raw.BAD_VIDEOS)


def test_requests_come_back_with_their_own_numbers_of_candidates(
    raw: KuaiRandRaw, prepared: tuple[dict[str, Any], Path]
) -> None:
    manifest, folder = prepared
    exposures, _ = loops.read_kuairand(raw.logs, raw.videos)
    info = DatasetInfo(manifest, DatasetFiles(folder))
    seen: set[int] = set()
    for split in SPLITS:
        samples = read_samples(info, split)
        rows = sorted((e.user, e.time) for e, _ in loops.splits(exposures)[split])
        sizes = [len(list(same)) for _, same in groupby(rows)]
        assert np.diff(samples.offsets).tolist() == sizes
        assert samples.time.tolist() == [time for (_, time), _ in groupby(rows)]
        seen |= set(sizes)
    assert {1, 2, 3, 5} <= seen


def test_clicks_of_the_same_second_are_not_yet_history(tmp_path: Path) -> None:
    """The first request sees nothing, the second one the click of the first, whatever its milliseconds."""
    noon = kuairand_raw.FIRST_MIDNIGHT * 1000 + DAY * 500
    rows = [
        log_row(1, v, noon + day * DAY * 1000 + ms, int(v < 4))
        for day in range(3)
        for v, ms in ((1, 0), (2, 999), (3, 1000), (4, 2000))
    ]
    _, folder = run(archive(tmp_path, rows), tmp_path)
    lengths = [pq.read_table(folder / f"{split}.parquet")["history_length"].to_pylist() for split in SPLITS]
    assert lengths == [[0, 0, 2, 3], [3, 3, 5, 6], [6, 6, 8, 9]]


@pytest.mark.slow
def test_real_excerpt_agrees_with_the_loops(tmp_path: Path) -> None:
    """Its log is real; the videos' features are not in it."""
    packed = KUAIRAND / "kuairand_kcore15.tsv.gz"
    if not packed.is_file():
        pytest.skip(f"the KuaiRand excerpt is not in {KUAIRAND}: put shared/ beside the repository")
    header, *rows = gzip.decompress(packed.read_bytes()).decode().replace("\t", ",").splitlines()
    manifest, folder = run(archive(tmp_path, rows, header), tmp_path)
    assert manifest.events_kept == manifest.events_read == len(rows) == 41_828
    exposures, _ = loops.read_kuairand([(header, *rows)], [kuairand_raw.VIDEO_HEADER])
    for split, expected in loops.splits(exposures).items():
        table = pq.read_table(folder / f"{split}.parquet")
        found = zip(*(table[name].to_pylist() for name in ("time", "history_length", "label")), strict=True)
        assert sorted(found) == sorted((e.time, length, e.label) for e, length in expected)


def archive(folder: Path, rows: list[str], header: str = kuairand_raw.LOG_HEADER) -> Path:
    """One log with the given lines, and videos 0 to 2."""
    write_lines(folder / "log_standard_4_08_to_4_21_pure.csv", [header, *rows])
    videos = [f"{v},{v},NORMAL,2022-04-01,Web,0.0,{v}000.0,1,1,1,4.0,{v}" for v in range(3)]
    write_lines(folder / "video_features_basic_pure.csv", [kuairand_raw.VIDEO_HEADER, *videos])
    return folder


# Few users, videos and seconds, so that nearly everything ties; five days that always have an exposure.
exposures = st.lists(
    st.tuples(st.integers(1, 3), st.integers(0, 3), st.integers(0, 4), st.integers(0, 3999), st.integers(0, 1)),
    min_size=5,
    max_size=40,
).map(lambda rows: [*rows, *((1, 0, day, ms, label) for day in range(5) for ms in (0, 3000) for label in (0, 1))])


@settings(max_examples=examples(6), suppress_health_check=[HealthCheck.too_slow])
@given(exposures)
def test_nothing_of_the_future_and_threads_change_no_byte(tmp_path_factory: Any, drawn: list[tuple[int, ...]]) -> None:
    home = tmp_path_factory.mktemp("k")
    start = (kuairand_raw.FIRST_MIDNIGHT + DAY - 2) * 1000  # both sides of midnight
    rows = [log_row(u, v, start + day * DAY * 1000 + ms, label) for u, v, day, ms, label in drawn]
    folder = archive(home, rows)
    manifest, dataset = run(folder, home / "one", threads=1)
    _, other = run(folder, home / "two", threads=2)
    assert hashes(dataset) == hashes(other)
    with duckdb.connect(config={"threads": 1}) as db:
        db.execute(
            "CREATE TABLE log AS SELECT user_id::VARCHAR AS user, time_ms // 1000 AS second, is_click AS click "
            f"FROM read_csv('{folder}/log_standard_*.csv')"
        )
        shown = db.execute("SELECT count(*) FROM log").fetchall()[0][0]
        for split in SPLITS:
            db.execute(
                f"CREATE TABLE {split} AS SELECT v.value AS user, time, history_length "
                f"FROM '{dataset}/{split}.parquet' AS s JOIN '{dataset}/vocab/user.parquet' AS v ON s.user = v.user"
            )
            wrong = db.execute(
                f"SELECT * FROM {split} AS s WHERE history_length <> (SELECT count(*) FROM log "
                "WHERE log.user = s.user AND click = 1 AND second < s.time)"
            ).fetchall()
            assert wrong == []
        days = {s: set(db.execute(f"SELECT DISTINCT (time + 28800) // 86400 FROM {s}").fetchall()) for s in SPLITS}
    check_histories(dataset)
    assert sum(manifest.samples.values()) == shown
    assert len(days["valid"]) == len(days["test"]) == 1
    assert max(days["train"]) < min(days["valid"]) < min(days["test"])


def hashes(dataset: Path) -> dict[str, Any]:
    """What the manifest says of each file."""
    return json.loads((dataset / "data.json").read_text())["files"]


def check_histories(dataset: Path) -> None:
    """What a request may see is strictly before it, and everything else is not."""
    offsets, time = (np.load(dataset / "histories" / f"{name}.npy") for name in ("offsets", "time"))
    for split in SPLITS:
        for row in pq.read_table(dataset / f"{split}.parquet").to_pylist():
            own = time[offsets[row["user"]] : offsets[row["user"] + 1]]
            assert (own[: row["history_length"]] < row["time"]).all()
            assert (own[row["history_length"] :] >= row["time"]).all()
