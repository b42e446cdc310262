"""Samples against their slow twin, row for row; nothing of the future; row order and threads are moot."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lrea_cli.dataset.layout import SPLITS
from lrea_cli.dataset.manifest import DatasetManifest
from lrea_cli.errors import UserError
from lrea_cli.prepare.prepare import PrepareOptions, prepare
from lrea_cli.prepare.sources.table import Table
from lrea_cli.prepare.sources.taobao import LAST_DAY, Taobao
from lrea_cli.prepare.sql import mix, mix_sql
from lrea_cli.workspace.home import Workspace
from tests.fixtures.exposures_raw import write_exposures
from tests.fixtures.taobao_raw import write_taobao
from tests.prepare.loops.prepare import Event, Sample, make_samples, number, read_taobao, without_repeats
from tests.selection import examples

DAY = 86_400
CLICKS = Table(category_column="category")
SHOWN = Table(category_column="category", label_column="label")
quick = settings(max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.too_slow])


def test_taobao_agrees_with_the_loops(tmp_path: Path) -> None:
    raw = write_taobao(tmp_path / "UserBehavior.csv")
    events, rejected = read_taobao(raw.lines)
    manifest = prepare(Taobao(), [raw.path], "t", Workspace(tmp_path), PrepareOptions(threads=2))
    assert manifest.rejected == rejected
    expected, dropped = make_samples(events, 8, LAST_DAY)
    assert manifest.dropped_pairs == dropped
    assert_same_rows(tmp_path / "data" / "t", manifest, events, expected)


@pytest.mark.parametrize("options", [{"negatives_per_positive": 3, "min_history": 5}, {"train_days": 4, "seed": 1}])
def test_options_agree_with_the_loops(tmp_path: Path, options: dict[str, Any]) -> None:
    raw = write_taobao(tmp_path / "UserBehavior.csv", users=25)
    events, _ = read_taobao(raw.lines)
    manifest = prepare(Taobao(), [raw.path], "t", Workspace(tmp_path), PrepareOptions(threads=1, **options))
    expected, dropped = make_samples(events, 8, LAST_DAY, **options)
    assert manifest.dropped_pairs == dropped
    assert_same_rows(tmp_path / "data" / "t", manifest, events, expected)


@pytest.mark.parametrize("users", [60, pytest.param(1_400, marks=pytest.mark.slow)])
@pytest.mark.parametrize("label", ["is_click", None])
def test_a_table_agrees_with_the_loops(tmp_path: Path, users: int, label: str | None) -> None:
    """Of some and of fifty thousand rows, with real labels and with drawn ones."""
    path = tmp_path / "shown.tsv"
    rows = write_exposures(path, users)
    assert 30 < rows / users < 50
    source = Table("user_id", "video_id", time_column="time_ms", time_unit="ms", label_column=label, utc_offset="8")
    manifest = prepare(source, [path], "k", Workspace(tmp_path), PrepareOptions(threads=2))
    lines = [line.split("\t") for line in path.read_text().splitlines()[1:]]
    used = dict.fromkeys((c[0], c[1], int(c[4]), int(c[5]) if label else None) for c in lines)  # each row once
    events = [Event(user, ms // 1000, item, None, clicked, ms % 1000) for user, item, ms, clicked in used]
    assert len({e.nanoseconds for e in events}) > 100
    assert manifest.events_read == rows == len(lines)
    assert manifest.events_kept == len(events) == rows - manifest.rejected.get("duplicate", 0)
    expected, dropped = make_samples(events, 8)
    assert manifest.dropped_pairs == dropped
    assert_same_rows(tmp_path / "data" / "k", manifest, events, expected)


# Few users, items and seconds, so that nearly everything ties; five days that always have an event.
seconds = st.builds(lambda day, second: 17_500 * DAY + day * DAY + second, st.integers(0, 4), st.integers(0, 3))
texts = st.sampled_from(["a", "b", "c", "d", "é", "B"])
small_events = st.lists(
    st.builds(
        Event,
        texts,
        seconds,
        texts,
        st.sampled_from(["x", "y", None]),
        st.integers(0, 1),
        st.sampled_from([0, 5 * 10**8]),
    ),
    min_size=8,
    max_size=60,
).map(lambda events: [*events, *(Event("a", 17_500 * DAY + d * DAY, "a", "x", 1) for d in range(5))])


@quick
@given(small_events)
def test_ties_agree_with_the_loops_for_sampled_labels(tmp_path_factory: Any, events: list[Event]) -> None:
    check_against_loops(tmp_path_factory.mktemp("p"), CLICKS, [e._replace(label=None) for e in events])


@quick
@given(small_events)
def test_ties_agree_with_the_loops_for_real_labels(tmp_path_factory: Any, events: list[Event]) -> None:
    check_against_loops(tmp_path_factory.mktemp("p"), SHOWN, events)


@settings(quick, max_examples=examples(6))
@given(small_events, st.integers(1, 4), st.randoms(use_true_random=False))
def test_row_order_and_threads_change_nothing(
    tmp_path_factory: Any, events: list[Event], threads: int, rng: random.Random
) -> None:
    events = [e._replace(label=None) for e in events]
    shuffled = rng.sample(events, len(events))
    one = run(tmp_path_factory.mktemp("p"), CLICKS, events, PrepareOptions(min_history=1, threads=1))
    two = run(tmp_path_factory.mktemp("p"), CLICKS, shuffled, PrepareOptions(min_history=1, threads=threads))
    assert (one is None) == (two is None)
    if one is not None and two is not None:
        for name in [f"{split}.parquet" for split in SPLITS]:
            assert (one / name).read_bytes() == (two / name).read_bytes()


def test_row_order_and_threads_change_no_byte_of_taobao(tmp_path: Path) -> None:
    raw = write_taobao(tmp_path / "UserBehavior.csv")
    rows = list(raw.lines)
    random.Random(3).shuffle(rows)
    (tmp_path / "shuffled.csv").write_text("\n".join(rows) + "\n")
    for name, path, threads in (("one", raw.path, 1), ("two", tmp_path / "shuffled.csv", 3)):
        prepare(Taobao(), [path], name, Workspace(tmp_path), PrepareOptions(threads=threads))
    for split in SPLITS:
        one, two = (tmp_path / "data" / name / f"{split}.parquet" for name in ("one", "two"))
        assert pq.read_table(one).equals(pq.read_table(two))


def test_history_ends_strictly_before_the_request_and_negatives_were_never_touched(tmp_path: Path) -> None:
    raw = write_taobao(tmp_path / "UserBehavior.csv")
    prepare(Taobao(), [raw.path], "t", Workspace(tmp_path), PrepareOptions(threads=2))
    folder = tmp_path / "data" / "t"
    offsets, time, item = (np.load(folder / "histories" / f"{name}.npy") for name in ("offsets", "time", "item"))
    for split in SPLITS:
        for row in pq.read_table(folder / f"{split}.parquet").to_pylist():
            start, stop = offsets[row["user"]], offsets[row["user"] + 1]
            cut = start + row["history_length"]
            assert row["history_length"] >= 20
            assert (time[start:cut] < row["time"]).all()
            assert (time[cut:stop] >= row["time"]).all()
            assert (row["item"] in item[start:stop]) == (row["label"] == 1)


def test_negative_is_dropped_and_counted_when_everything_was_touched(tmp_path: Path) -> None:
    """Both users click all items: 100 draws find nothing. A third one leaves a way out for one of them."""
    events = [Event(u, day * DAY + n, n, None) for u in ("p", "q") for day in range(4) for n in range(3)]
    outsider = [Event("r", day * DAY + 9, 77 if day else 1, None) for day in range(4)]
    only_p = [Event("q", 1, 77, None)]
    events = [e._replace(item=str(e.item)) for e in [*events, *outsider, *only_p]]
    folder = tmp_path / "home"
    manifest = prepare(
        Table(), [write(tmp_path, events)], "d", Workspace(folder), PrepareOptions(min_history=2, threads=2)
    )
    expected, dropped = make_samples(events, 0, min_history=2)
    assert dropped == manifest.dropped_pairs == 3  # q, one target a day
    assert_same_rows(folder / "data" / "d", manifest, events, expected)


def test_late_draws_agree_with_the_loops(tmp_path: Path) -> None:
    """Five rows of 155 are free to each of six users: most pairs need over ten draws, some over 100."""
    events = [
        Event(f"u{user}", day * DAY + n, f"all-{n}", None)
        for day in range(4)
        for user in range(6)
        for n in range(5, 30)
    ] + [Event("other", day * DAY + 40 + n, f"free-{n}", None) for day in range(4) for n in range(5)]
    options: dict[str, Any] = {"min_history": 1, "negatives_per_positive": 4}
    manifest = prepare(
        Table(), [write(tmp_path, events)], "d", Workspace(tmp_path), PrepareOptions(threads=2, **options)
    )
    expected, dropped = make_samples(events, 0, **options)
    assert 0 < dropped == manifest.dropped_pairs < 40
    assert_same_rows(tmp_path / "data" / "d", manifest, events, expected)


def test_shared_hash_is_the_same_in_sql_and_spread_evenly() -> None:
    rows = duckdb.connect().execute(f"SELECT range, {mix_sql('range * 7919')} FROM range(20000)").fetchall()
    assert all(h == mix(n * 7919) for n, h in rows)
    counts = np.bincount([h % 50 for _, h in rows], minlength=50)
    assert ((counts - 400) ** 2 / 400).sum() < 95  # chi-square, 49 degrees: p = 1e-4


def test_too_short_log_says_how_long_it_is(tmp_path: Path) -> None:
    path = write(tmp_path, [Event("u", 17_500 * DAY, "a", None), Event("u", 17_501 * DAY, "b", None)])
    with pytest.raises(UserError, match=r"spans 2 local days \(2017-11-30 to 2017-12-01\); 3 are needed"):
        prepare(Table(), [path], "d", Workspace(tmp_path), PrepareOptions())
    assert not list((tmp_path / "data").iterdir())


def test_split_without_samples_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, [Event("u", (17_500 + d) * DAY, "a", None) for d in range(4)])
    with pytest.raises(UserError, match="train split") as caught:
        prepare(Table(), [path], "d", Workspace(tmp_path), PrepareOptions())
    assert "--min-history" in caught.value.remedy
    assert not list((tmp_path / "data").iterdir())


def test_one_class_is_refused_where_it_is_measured_and_told_of_where_it_trains(tmp_path: Path) -> None:
    def events(ones: int) -> Path:
        return write(
            tmp_path,
            [Event("u", (17_500 + d) * DAY + n, "a", None, int(d < ones or n)) for d in range(3) for n in range(2)],
        )

    source = Table(label_column="label")
    with pytest.raises(
        UserError, match=r"All samples of the valid split \(2; 2017-12-01, UTC\+0\) have label 1"
    ) as caught:
        prepare(source, [events(2)], "d", Workspace(tmp_path), PrepareOptions())
    assert all(option in caught.value.remedy for option in ("--test-days", "--until", "--label-column"))
    manifest = prepare(source, [events(1)], "d", Workspace(tmp_path), PrepareOptions())
    assert "All samples of train (2) have label 1: a model learns that." in manifest.warnings


def write(folder: Path, events: list[Event]) -> Path:
    """The events as a CSV with the columns that `Table` looks for by default, and category and label."""
    path = folder / "events.csv"
    rows = [
        [
            e.user,
            e.time + e.nanoseconds / 1e9,
            e.item,
            "" if e.category is None else e.category,
            "" if e.label is None else e.label,
        ]
        for e in events
    ]
    lines = ["user,time,item,category,label", *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def run(folder: Path, source: Table, events: list[Event], options: PrepareOptions) -> Path | None:
    """The prepared folder, or None where a split has no samples."""
    try:
        prepare(source, [write(folder, events)], "d", Workspace(folder / "home"), options)
    except UserError:
        return None
    return folder / "home" / "data" / "d"


def check_against_loops(folder: Path, source: Table, events: list[Event]) -> None:
    events = without_repeats(events)
    expected, _ = make_samples(events, 0, min_history=1)
    options = PrepareOptions(min_history=1, threads=2)
    try:
        manifest = prepare(source, [write(folder, events)], "d", Workspace(folder), options)
    except UserError:
        assert len({(s.split, s.label) for s in expected if s.split != "train"}) < 4 or not any(
            s.split == "train" for s in expected
        )
        return
    assert_same_rows(folder / "data" / "d", manifest, events, expected)


def assert_same_rows(folder: Path, manifest: DatasetManifest, events: list[Event], expected: list[Sample]) -> None:
    """Splits, histories and offsets on disk equal the twin's, ids and order included."""
    valid_from = manifest.splits.valid_from
    users = {user: n for n, user in enumerate(sorted({e.user for e in events}))}
    items = number(((e.item, e.time) for e in events), valid_from)
    categories = number(((e.category, e.time) for e in events), valid_from)
    has_category = manifest.categories is not None
    requests = sorted({(SPLITS.index(s.split), users[s.user], s.time) for s in expected})
    request_id = {request: n for n, request in enumerate(requests)}
    for split in SPLITS:
        rows = sorted(
            (
                request_id[SPLITS.index(split), users[s.user], s.time],
                items[s.item],
                categories[s.category],
                s.label,
                users[s.user],
                s.time,
                s.history_length,
            )
            for s in expected
            if s.split == split
        )
        table = pq.read_table(folder / f"{split}.parquet")
        columns = ["request_id", "item", "category", "label", "user", "time", "history_length"]
        found = [table[c].to_pylist() if c in table.column_names else [1] * table.num_rows for c in columns]
        assert list(zip(*found, strict=True)) == rows
    assert has_category == ("category" in pq.read_schema(folder / "test.parquet").names)
    ordered = sorted(
        (e for e in events if e.label != 0), key=lambda e: (users[e.user], e.time, e.nanoseconds)
    )  # stable: row order
    histories = {f.stem: np.load(f) for f in (folder / "histories").iterdir()}
    assert histories["item"].tolist() == [items[e.item] for e in ordered]
    assert histories["time"].tolist() == [e.time for e in ordered]
    if has_category:
        assert histories["category"].tolist() == [categories[e.category] for e in ordered]
    lengths = np.bincount([users[e.user] for e in ordered], minlength=len(users))
    assert histories["offsets"].tolist() == [0, *np.cumsum(lengths)]
