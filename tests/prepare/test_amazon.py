"""Both Amazon presets: every trap is counted, samples agree with the loops, and a day has no order."""

from __future__ import annotations

import contextlib
import gzip
import json
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
from lrea_cli.errors import UserError
from lrea_cli.prepare.prepare import PrepareOptions, prepare
from lrea_cli.prepare.reading.intake import Intake
from lrea_cli.prepare.reading.rawfile import RawFile
from lrea_cli.prepare.sources import amazon_books_sim, find_files
from lrea_cli.prepare.sources.amazon_books import AmazonBooks
from lrea_cli.prepare.sources.amazon_books_sim import AmazonBooksSim, LiteralProducts, literal_products
from lrea_cli.prepare.sources.base import Source
from lrea_cli.workspace.home import Workspace
from tests.fixtures.amazon_raw import DAY, FIRST_DAY, AmazonRaw, write, write_amazon
from tests.prepare.found import intake_of
from tests.prepare.loops.amazon import (
    events_of,
    make_samples,
    place_in_day,
    read_csv,
    read_json,
    read_meta_2014,
    read_meta_2018,
)
from tests.prepare.loops.prepare import Event, Sample
from tests.prepare.test_samples import assert_same_rows
from tests.selection import examples, one_by_default

pytestmark = pytest.mark.every_third
EDITIONS: dict[int, Source] = {2018: AmazonBooks(), 2014: AmazonBooksSim()}
both = pytest.mark.parametrize("edition", [2018, 2014])
one_edition = pytest.mark.parametrize("edition", one_by_default(2018, 2014))
quick = settings(max_examples=examples(6), deadline=None, suppress_health_check=[HealthCheck.too_slow])


def twin(raw: AmazonRaw, edition: int) -> tuple[list[Event], dict[str, int], dict[str, int]]:
    """Kept events, and rejected reviews and products by reason."""
    is_csv = raw.reviews.suffix == ".csv"
    reviews, rejected = read_csv(raw.lines, edition == 2014) if is_csv else read_json(raw.lines)
    categories, meta_rejected = (read_meta_2014 if edition == 2014 else read_meta_2018)(raw.meta_lines)
    events, repeated = events_of(reviews, categories)
    return events, dict(rejected + type(rejected)(repeated_review=repeated)), dict(meta_rejected)


def samples_of(events: list[Event], edition: int, min_history: int = 20) -> tuple[list[Sample], int]:
    splits, negatives = {2018: ("shares", "same-month"), 2014: ("users", "popularity")}[edition]
    return make_samples(events, splits, negatives, min_history=min_history)


@pytest.mark.each_once
@both
@pytest.mark.parametrize("csv", [False, True])
def test_traps_are_counted_and_samples_agree_with_the_loops(tmp_path: Path, edition: int, csv: bool) -> None:
    check_against_loops(tmp_path, write_amazon(tmp_path, edition, csv), edition)


@pytest.mark.slow
@both
def test_fifty_thousand_reviews_agree_with_the_loops(tmp_path: Path, edition: int) -> None:
    raw = write_amazon(tmp_path, edition, users=1_900)
    assert 45_000 < len(raw.lines) < 55_000
    check_against_loops(tmp_path, raw, edition)


def check_against_loops(tmp_path: Path, raw: AmazonRaw, edition: int) -> None:
    events, rejected, meta_rejected = twin(raw, edition)
    assert (rejected, meta_rejected) == (raw.rejected, raw.meta_rejected)
    manifest = prepare(EDITIONS[edition], [raw.reviews, raw.meta], "a", Workspace(tmp_path), PrepareOptions(threads=2))
    assert manifest.rejected == raw.rejected
    assert manifest.events_read == len(raw.lines) == manifest.events_kept + sum(raw.rejected.values())
    assert manifest.events_kept == len(events)
    assert manifest.facts == {
        "meta_rows": len(raw.meta_lines),
        "meta_rejected": sum(raw.meta_rejected.values()),
        "reviews_of_unknown_category": sum(e.category == "unknown" for e in events),
    }
    expected, dropped = samples_of(events, edition)
    assert manifest.dropped_pairs == dropped
    assert min(manifest.samples.values()) >= 2
    assert_same_rows(tmp_path / "data" / "a", manifest, events, expected)
    assert [f["name"] for f in manifest.raw_files] == [raw.reviews.name, raw.meta.name]
    check_examples(tmp_path / "data" / "a", raw)


def check_examples(folder: Path, raw: AmazonRaw) -> None:
    """Every rejected line is there under its reason; of lines that repeat others what they repeat."""
    lines = {raw.reviews.name: raw.lines, raw.meta.name: raw.meta_lines}
    examples = pq.read_table(folder / "rejected.parquet").to_pylist()
    assert len(examples) == sum(raw.rejected.values()) + sum(raw.meta_rejected.values())
    for row in examples:
        text = lines[row["file"]][row["line"] - 1]
        if row["reason"].startswith("repeated"):
            assert all(value in text for value in row["text"].split(","))
        else:
            assert row["text"] == text


@one_edition
def test_csv_and_json_of_the_same_reviews_give_the_same_dataset(tmp_path: Path, edition: int) -> None:
    made = []
    for csv in (False, True):
        raw = write_amazon(tmp_path, edition, csv, traps=False)
        name = "csv" if csv else "json"
        prepare(EDITIONS[edition], [raw.reviews, raw.meta], name, Workspace(tmp_path), PrepareOptions(threads=2))
        made.append(content(tmp_path / "data" / name))
    assert made[0] == made[1]


@one_edition
def test_threads_and_the_order_of_lines_change_no_byte(tmp_path: Path, edition: int) -> None:
    raw = write_amazon(tmp_path, edition, traps=False)
    lines = list(raw.lines)
    random.Random(1).shuffle(lines)
    shuffled = write(tmp_path / f"shuffled_{raw.reviews.name}", lines)
    for name, path, threads in (("one", raw.reviews, 1), ("two", raw.reviews, 2), ("shuffled", shuffled, 2)):
        prepare(EDITIONS[edition], [path, raw.meta], name, Workspace(tmp_path), PrepareOptions(threads=threads))
    one = content(tmp_path / "data" / "one")
    assert content(tmp_path / "data" / "two") == one
    found = content(tmp_path / "data" / "shuffled")
    assert {name for name in one if found[name] != one[name]} <= {"rejected.parquet"}


def content(folder: Path) -> dict[str, bytes]:
    """Files of a dataset, but for the manifest and what was rejected, which names raw files."""
    files = [p for p in folder.rglob("*") if p.suffix in (".parquet", ".npy") and p.name != "rejected.parquet"]
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


@both
def test_columns_of_the_other_edition_stop_early(tmp_path: Path, edition: int) -> None:
    raw = write_amazon(tmp_path, edition, csv=True)
    other = write_amazon(tmp_path, 2014 if edition == 2018 else 2018, csv=True)
    with pytest.raises(UserError, match="not_a_reviewer") as caught:
        prepare(EDITIONS[edition], [other.reviews, raw.meta], "a", Workspace(tmp_path), PrepareOptions())
    name = {2018: "amazon-books-sim", 2014: "amazon-books"}[edition]
    assert f"`lrea prepare {name}`" in caught.value.remedy
    assert "user, item, rating, timestamp" in caught.value.remedy
    assert "item, user, rating, timestamp" in caught.value.remedy


@both
def test_products_of_the_other_edition_stop_early(tmp_path: Path, edition: int) -> None:
    write_amazon(tmp_path, 2014 if edition == 2018 else 2018)
    other = tmp_path / "meta_other.json.gz"
    (tmp_path / "meta_Books.json.gz").rename(other)
    raw = write_amazon(tmp_path, edition, traps=False)
    with pytest.raises(UserError, match=r"not_json|has a category") as caught:
        prepare(EDITIONS[edition], [raw.reviews, other], "a", Workspace(tmp_path), PrepareOptions())
    assert "`lrea prepare amazon-books" in caught.value.remedy


@both
def test_files_are_found_and_a_missing_one_is_said(tmp_path: Path, edition: int) -> None:
    raw = write_amazon(tmp_path, edition)
    write_amazon(tmp_path, edition, csv=True)
    source = EDITIONS[edition]
    assert find_files(source, tmp_path, tmp_path) == [raw.reviews, raw.meta]
    raw.meta.unlink()
    files = find_files(source, raw.reviews, tmp_path)
    with pytest.raises(UserError, match=r"no meta_Books\.json\.gz beside") as caught:
        extract(source, files)
    assert str(tmp_path) in caught.value.remedy
    with pytest.raises(UserError, match="no file of reviews"):
        extract(source, [raw.meta])


@pytest.mark.each_once
@both
@pytest.mark.parametrize("which", ["reviews", "meta"])
def test_truncated_gzip(tmp_path: Path, edition: int, which: str) -> None:
    raw = write_amazon(tmp_path, edition)
    path: Path = getattr(raw, which)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=rf"{path.name} cannot be read") as caught:
        extract(EDITIONS[edition], [raw.reviews, raw.meta])
    assert "download it again" in caught.value.remedy


@pytest.mark.each_once
@both
@pytest.mark.parametrize("text", ["", "\ufeff", "<html>\n" * 200])
def test_unusable_products(tmp_path: Path, edition: int, text: str) -> None:
    raw = write_amazon(tmp_path, edition)
    raw.meta.write_bytes(gzip.compress(text.encode()))
    with pytest.raises(UserError, match=r"is empty|No row of .*meta_Books"):
        extract(EDITIONS[edition], [raw.reviews, raw.meta])


def extract(source: Source, files: list[Path]) -> list[tuple[Any, ...]]:
    """(user, time, item, category) of `raw_events` in the order of a user's history."""
    with duckdb.connect(config={"threads": 1}) as db:
        found = source.extract(intake_of(db, block_bytes=1 << 12), files)
        assert [f.name for f in found.fields] == ["item", "category"]
        assert {name for (name,) in db.execute("SHOW TABLES").fetchall()} == {"raw_events"}
        return db.execute(
            "SELECT user, time, item, category FROM raw_events ORDER BY user, time, source_row"
        ).fetchall()


def test_categories_of_2018(tmp_path: Path) -> None:
    lists = {
        "plain": (["Books", "A &amp; B"], "A & B"),
        "markup": (["Books", "x", "<span class='a'>", "</span>"], "x"),
        "empty": ([], "unknown"),
        "spaces": (["Books", "  ", "&nbsp;"], "Books"),
        "love": (["I <3 you"], "I <3 you"),
        "twice": (["first"], "first"),
    }
    meta = [{"asin": item, "category": parts} for item, (parts, _) in lists.items()]
    meta.append({"asin": "twice", "category": ["second"]})
    items = [*lists, "absent"]
    reviews = [{"reviewerID": "A1", "asin": item, "unixReviewTime": FIRST_DAY * DAY} for item in items]
    files = [write(tmp_path / "Books.json", map(json.dumps, reviews))]
    files.append(write(tmp_path / "meta_Books.json", map(json.dumps, meta)))
    found = extract(AmazonBooks(), files)
    assert {row[2]: row[3] for row in found} == {k: v for k, (_, v) in lists.items()} | {"absent": "unknown"}
    assert [row[2] for row in found] == sorted(items, key=lambda item: place_in_day("A1", item)) != items


def test_warning_of_splits_by_user_and_protocol(tmp_path: Path) -> None:
    raw = write_amazon(tmp_path, 2014)
    manifest = prepare(AmazonBooksSim(), [raw.reviews, raw.meta], "a", Workspace(tmp_path), PrepareOptions(threads=2))
    assert any("random by user" in warning for warning in manifest.warnings)
    assert manifest.sampling == {
        "negatives": "popularity",
        "positives": "all",
        "targets": "user",
        "splits": "users",
    }


texts = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(
    [
        "it's",
        'a "b"',
        "'asin': 'x'",
        "it's 'asin': 'x'",
        "it's, 'categories': [['y']]",
        "\\",
        "\\'",
        "'",
        '"',
        "\x00",
        "",
    ]
)
atoms = texts | st.integers(-(10**20), 10**20) | st.floats(0, 99) | st.booleans() | st.none()
values = atoms | st.lists(atoms, max_size=3) | st.dictionaries(texts, atoms | st.lists(texts, max_size=2), max_size=3)
products = st.dictionaries(
    texts | st.sampled_from(["asin", "categories"]),
    values | st.lists(st.lists(texts, max_size=3), max_size=2),
    max_size=4,
)


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(products, max_size=8))
def test_the_values_of_a_printed_product_are_read(printed: list[dict[str, Any]]) -> None:
    for product, (is_literal, item, category) in zip(printed, literal_products(map(repr, printed)), strict=True):
        first = (
            next(iter(product.get("categories") or ()), None) if isinstance(product.get("categories"), list) else None
        )
        last = first[-1] if isinstance(first, list) and first else None
        assert is_literal
        assert item == (product.get("asin") if isinstance(product.get("asin"), str) else None)
        assert category == (last if isinstance(last, str) else None)


LINES = {
    "{'asin': '1', 'categories': [['A', 'B'], ['C']]}": (True, "1", "B"),
    "{'asin': '1', 'categories': [['A']], 'description': \"'asin': 'x'\"}": (True, "1", "A"),
    "{'asin': '1', 'categories': [['A']], \"asin\": '2'}": (True, "2", "A"),
    "{'x': \"'asin': '1', 'categories': [['A']]\"}": (True, None, None),
    "{'related': {'asin': '1'}, 'categories': [['A']]}": (True, None, "A"),
    "{'asin': '1', 'categories': [['A']], 'x': '\\d'}": (True, "1", "A"),
    "{'asin': '1', 'categories': [['A\\x41']]}": (True, "1", "AA"),
    "{'asin': '1', 'categories': [[]]}": (True, "1", None),
    "{'asin': '\\ud800', 'categories': [['A']]}": (True, "?", "A"),
    "{'asin': '1', 'categories': [['A']], 'x': '\\x0'}": (False, None, None),
    "{'asin': '1', 'categories': [['A']], 'x': 007}": (False, None, None),
    "{'asin': '1', 'categories': [['A']], 'x': open('y')}": (False, None, None),
    "{'asin': '1', 'categories': [['A']]} + {}": (False, None, None),
    "{'asin': '1', 'x': " + "9" * 5_000 + "}": (False, None, None),
    "(" * 100_000: (False, None, None),
    "-" * 100_000 + "1": (False, None, None),
    "1+" * 100_000 + "1": (False, None, None),
    "": (False, None, None),
}


def test_what_is_no_literal_is_refused_and_nothing_runs() -> None:
    assert dict(zip(LINES, literal_products(LINES), strict=True)) == LINES


def test_processes_read_what_one_process_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amazon_books_sim, "LINES_AT_ONCE", 5)
    lines = [line.replace("'1'", f"'{n}'") for n, line in enumerate([*LINES] * 2)]
    path = tmp_path / "meta_Books.json"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    (block,) = LiteralProducts().blocks(RawFile(path), 1 << 23, 2)
    read = [tuple(row.values()) for row in block.rows.to_pylist()]
    assert read == [(n, *product) for n, product in enumerate(literal_products(lines), 1)]


def few_reviews(rng: random.Random) -> list[tuple[str, str, int]]:
    """User, item and day: thirty users, items for some to have none left, ten weeks."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123"
    items = letters[: rng.choice((4, 12, 30))].lower()
    days = rng.choice((4, 70))
    return [(rng.choice(letters), rng.choice(items), rng.randrange(days)) for _ in range(rng.choice((150, 300)))]


reviews_of_few = st.integers(0, 2**32).map(lambda seed: few_reviews(random.Random(seed)))


@quick
@given(reviews_of_few, st.sampled_from([2018, 2014]))
def test_few_users_and_days_agree_with_the_loops(
    tmp_path_factory: Any, rows: list[tuple[str, str, int]], edition: int
) -> None:
    """Ties everywhere; nothing of the future in a history, no negative that was reviewed, no day in two splits."""
    folder = tmp_path_factory.mktemp("p")
    lines = [f"A{user},{item},5.0,{(FIRST_DAY + day) * DAY}" for user, item, day in rows]
    if edition == 2018:
        lines = [",".join(line.split(",")[n] for n in (1, 0, 2, 3)) for line in lines]
    name = {2018: "Books.csv", 2014: "ratings_Books.csv"}[edition]
    meta_lines = (
        [json.dumps({"asin": item, "category": [item.upper()]}) for item in "uvw"]
        if edition == 2018
        else [repr({"asin": item, "categories": [[item.upper()]]}) for item in "uvw"]
    )
    meta = write(folder / "meta_Books.json", meta_lines)
    raw = AmazonRaw(write(folder / name, lines), meta, tuple(lines), tuple(meta_lines), {}, {})
    events, _, _ = twin(raw, edition)
    options = PrepareOptions(min_history=1, threads=2)
    try:
        manifest = prepare(EDITIONS[edition], [raw.reviews, raw.meta], "a", Workspace(folder), options)
    except UserError:
        assert not is_enough(events, edition)
        return
    expected, _ = samples_of(events, edition, min_history=1)
    assert_same_rows(folder / "data" / "a", manifest, events, expected)
    check_no_leak(folder / "data" / "a", disjoint_days=edition == 2018)


def is_enough(events: list[Event], edition: int) -> bool:
    """Targets end on three days, and each split has a sample."""
    with contextlib.suppress(ValueError):  # the twin finds no day to cut at
        return {s.split for s in samples_of(events, edition, min_history=1)[0]} == set(SPLITS)
    return False


@both
def test_nothing_of_the_future_and_nothing_that_was_reviewed(tmp_path: Path, edition: int) -> None:
    raw = write_amazon(tmp_path, edition)
    options = PrepareOptions(threads=2, negatives_per_positive=3, min_history=5, seed=3)
    prepare(EDITIONS[edition], [raw.reviews, raw.meta], "a", Workspace(tmp_path), options)
    check_no_leak(tmp_path / "data" / "a", disjoint_days=edition == 2018)


def check_no_leak(folder: Path, disjoint_days: bool) -> None:
    offsets, time, item = (np.load(folder / "histories" / f"{name}.npy") for name in ("offsets", "time", "item"))
    days: dict[str, set[int]] = {}
    for split in SPLITS:
        rows = pq.read_table(folder / f"{split}.parquet").to_pylist()
        days[split] = {row["time"] // DAY for row in rows}
        for row in rows:
            start, stop = offsets[row["user"]], offsets[row["user"] + 1]
            cut = start + row["history_length"]
            assert (time[start:cut] < row["time"]).all()
            assert (time[cut:stop] >= row["time"]).all()
            assert (row["item"] in item[start:stop]) == (row["label"] == 1)
    if disjoint_days:
        assert max(days["train"]) < min(days["valid"])
        assert max(days["valid"]) < min(days["test"])


def test_missing_is_missing_in_reviews_and_products(tmp_path: Path) -> None:
    reviews = [("NULL", "b1"), (" ", "b1"), ("A1", "N/A"), ("A1", "b1"), ("A2", "b2")]
    lines = [{"reviewerID": u, "asin": i, "unixReviewTime": FIRST_DAY * DAY} for u, i in reviews]
    products = [{"asin": "b1", "category": ["Books", "None"]}, {"asin": "b2", "category": ["Art"]}, {"asin": "nan"}]
    paths = [tmp_path / "Books_5.json", tmp_path / "meta_Books.json"]
    for path, rows in zip(paths, (lines, products), strict=True):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with duckdb.connect(config={"threads": 1}) as db:
        intake = Intake(db)
        facts = AmazonBooks().extract(intake, paths).facts
        found = db.execute("SELECT user, item, category FROM raw_events ORDER BY user").fetchall()
    assert found == [("A1", "b1", "unknown"), ("A2", "b2", "Art")]
    assert dict(intake.rejected) == {"missing_user": 2, "missing_item": 1}
    assert facts["meta_rejected"] == 1
