"""The contract of every source: its dataset is what docs/data.md promises of its raw rows, counted anew in loops."""

from __future__ import annotations

import gzip
import random
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatch
from functools import cached_property
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lrea_cli.data.layout import SPLITS
from lrea_cli.data.options import PrepareOptions
from lrea_cli.data.prepare import prepare
from lrea_cli.data.schema import Source
from lrea_cli.data.sources import SOURCES, find_files
from lrea_cli.data.sources.amazon_books import AmazonBooks
from lrea_cli.data.sources.amazon_books_sim import AmazonBooksSim
from lrea_cli.data.sources.kuairand import KuaiRand
from lrea_cli.data.sources.synthetic import AGE_BANDS, Synthetic
from lrea_cli.data.sources.table import Table
from lrea_cli.data.sources.taobao import WINDOW_LAST, Taobao
from lrea_cli.errors import UserError
from lrea_cli.workspace import Workspace
from tests.fixtures.amazon_raw import write_amazon
from tests.fixtures.kuairand_raw import write_kuairand
from tests.fixtures.taobao_raw import write_taobao
from tests.reference import amazon_loops
from tests.reference.kuairand_loops import FIELDS, quantile, quantile_edges, read_kuairand
from tests.reference.prepare_loops import Event as Click
from tests.reference.prepare_loops import read_taobao

DAY = 86_400
UNKNOWN = 1
Value = int | float | str


class Kept(NamedTuple):
    """A usable raw row: `values` are those of the fields in their order, None where missing."""

    user: int | str
    time: int
    values: tuple[Value | None, ...]
    label: int | None = None
    is_behavior: bool = True


@dataclass(frozen=True)
class Raw:
    """What a small raw file holds.

    Args:
        path: for --raw; None where the source needs no file.
        kept: the usable rows; of one user's in one second, those that come first in a history stand first.
        logs: the files of the log, a row a line, behind so many lines of `header`.
        generated: rows that no file holds.
    """

    path: Path | None
    kept: list[Kept]
    logs: tuple[Path, ...] = ()
    header: int = 0
    generated: int = 0

    @property
    def read(self) -> int:
        return self.generated + sum(len(lines_of(path)) - self.header for path in self.logs)


@dataclass(frozen=True)
class Case:
    """A source with options, and what writes its raw files into a folder: always the same bytes."""

    name: str
    source: Source
    write: Callable[[Path], Raw]
    options: dict[str, Any] = field(default_factory=dict)


def lines_of(path: Path) -> list[str]:
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return content.decode().removesuffix("\n").split("\n")


# --- the cases ------------------------------------------------------------------------------------------------------


def taobao(folder: Path) -> Raw:
    raw = write_taobao(folder / "UserBehavior.csv", users=24)
    return Raw(raw.path, of_clicks(read_taobao(raw.lines)[0]), (raw.path,))


def amazon(edition: int, csv: bool) -> Callable[[Path], Raw]:
    def write(folder: Path) -> Raw:
        raw = write_amazon(folder, edition, csv)
        read = amazon_loops.read_csv(raw.lines, edition == 2014) if csv else amazon_loops.read_json(raw.lines)
        meta = amazon_loops.read_meta_2014 if edition == 2014 else amazon_loops.read_meta_2018
        events, _ = amazon_loops.events_of(read[0], meta(raw.meta_lines)[0])
        return Raw(raw.reviews, of_clicks(events), (raw.reviews,))

    return write


def of_clicks(clicks: Iterable[Click]) -> list[Kept]:
    return [Kept(c.user, c.time, (c.item, c.category)) for c in clicks]


def kuairand(folder: Path) -> Raw:
    raw = write_kuairand(folder, users=15)
    kept = [
        Kept(e.user, e.time, tuple(getattr(e, name) for name in FIELDS), e.label, e.label == 1)
        for e in read_kuairand(raw.logs, raw.videos)[0]
    ]
    return Raw(raw.folder, kept, tuple(path for path in raw.files if path.name.startswith("log_")), header=1)


def synthetic(folder: Path) -> Raw:
    from lrea_cli.data.planted import generate

    planted = generate(Synthetic(users=SYNTHETIC_USERS))
    kept = []
    for events, shown in ((planted.behaviors, False), (planted.exposures, True)):
        labels = planted.exposures.label.tolist() if shown else [None] * len(events.user)
        columns = (events.user.tolist(), events.time.tolist(), events.item.tolist(), events.category.tolist(), labels)
        for user, time, item, category, label in zip(*columns, strict=True):
            band = AGE_BANDS[planted.age_band[user]]
            kept.append(Kept(user, time, (item, category, band, time // 3600 % 24), label, not shown))
    return Raw(None, kept, generated=len(kept))


SYNTHETIC_USERS = 25
COLUMNS = ("uid", "iid", "cat", "ts", "clicked", "brand", "price", "age", "city", "device")
TABLE: dict[str, Any] = {
    "user_column": "uid",
    "item_column": "iid",
    "category_column": "cat",
    "time_column": "ts",
    "item_field": ["brand", "price"],
    "user_field": ["age", "city"],
    "context_field": ["device"],
    "numeric": ["price", "age"],
    "utc_offset": -5,
}
BAD_ROWS = (
    ",i1,c1,{t},1",
    "u1,,c1,{t},0",
    "u1,i1,c1,noon,1",
    "u1,i1,c1,99999999999,1",
    "u1,i1,c1,{t}",
    "u1,i1,c1,{t},,,,,,,,",
)
BAD_LABELS = ("u1,i1,c1,{t},2", "u1,i1,c1,{t},")


def table(labels: bool) -> Callable[[Path], Raw]:
    """Rows with missing values in every field but the item; they tie in seconds, and lie around midnight of UTC-5."""

    def write(folder: Path) -> Raw:
        rng = random.Random(23)
        rows = [row for user in range(14) for row in rows_of_user(rng, f"u{user}")]
        rng.shuffle(rows)
        lines = [",".join(map(str, row)) for row in rows]
        for row in (*BAD_ROWS, *(BAD_LABELS if labels else ())):
            row = row.format(t=17_500 * DAY)
            missing = len(COLUMNS) - 1 - row.count(",")
            lines.append(row + "," * missing if missing < 6 else row)
        path = folder / "log.csv"
        path.write_text("\n".join([",".join(COLUMNS), *lines]) + "\n", encoding="utf-8")
        return Raw(path, [kept_row(row, labels) for row in rows], (path,), header=1)

    return write


def rows_of_user(rng: random.Random, user: str) -> list[tuple[Value, ...]]:
    rows = []
    for day in range(7):
        for _ in range(rng.randrange(3, 9)):
            second = 17_500 * DAY + day * DAY + 5 * 3600 + rng.choice((0, 1, 2, 40_000, DAY - 2, DAY - 1))
            item = int(60 * rng.random() ** 2) + 3 * day
            brand, price = rng.choice((f"b{item % 7}", "é", "")), rng.choice((item / 4, item, "", "?"))
            user_fields = rng.choice((20 + int(user[1:]), 33.5, "")), rng.choice(("x", "y", ""))
            category = f"c{item % 9}" if item % 11 else ""
            clicked, device = int(rng.random() < 0.5), rng.choice(("phone", "web", ""))
            rows.append((user, f"i{item}", category, second, clicked, brand, price, *user_fields, device))
    return rows


def kept_row(row: Sequence[Value], labels: bool) -> Kept:
    user, item, category, time, label, brand, price, age, city, device = row
    numbers = [None if n in ("", "?") else float(n) for n in (price, age)]
    values = (item, category or None, brand or None, numbers[0], numbers[1], city or None, device or None)
    return Kept(str(user), int(time), values, int(label) if labels else None, not labels or label == 1)


CASES = (
    Case("taobao", Taobao(), taobao),
    Case("taobao-category", Taobao(negatives="same-day-category"), taobao, {"negatives_per_positive": 2}),
    Case("taobao-uniform", Taobao(negatives="uniform"), taobao, {"train_days": 3}),
    Case("taobao-popularity", Taobao(negatives="popularity"), taobao, {"seed": 1}),
    Case("taobao-first-time", Taobao(positives="first-time"), taobao, {"min_history": 5}),
    Case("amazon-books", AmazonBooks(), amazon(2018, csv=False)),
    Case("amazon-books-csv", AmazonBooks(), amazon(2018, csv=True), {"negatives_per_positive": 3}),
    Case("amazon-books-sim", AmazonBooksSim(), amazon(2014, csv=False)),
    Case("amazon-books-sim-csv", AmazonBooksSim(), amazon(2014, csv=True), {"min_history": 2}),
    Case("kuairand", KuaiRand(), kuairand),
    Case("table", Table(**TABLE), table(labels=False), {"min_history": 3, "negatives_per_positive": 2}),
    Case("table-shown", Table(**TABLE, label_column="clicked"), table(labels=True)),
    Case("synthetic", Synthetic(users=SYNTHETIC_USERS), synthetic),
)
"""A new source adds itself here; an option that changes which rows are samples, or which history they see, too."""


def test_every_source_has_a_case() -> None:
    assert {case.source.name for case in CASES} == {source.name for source in SOURCES}
    assert len({case.name for case in CASES}) == len(CASES)


# --- what was prepared, as plain rows -------------------------------------------------------------------------------


class Event(NamedTuple):
    """A usable raw row in ids, or a sample: `ids` are those of all fields, `item_ids` of the item fields."""

    user: int
    time: int
    day: int
    ids: tuple[int, ...]
    item_ids: tuple[int, ...]
    label: int | None
    is_behavior: bool


class Sample(NamedTuple):
    """A row of a split: as an event, and what only samples have."""

    split: str
    request: int
    history_length: int
    event: Event


@dataclass(frozen=True)
class Prepared:
    """A dataset on disk beside the raw rows that it is made of."""

    case: Case
    raw: Raw
    folder: Path
    manifest: dict[str, Any]

    @property
    def files(self) -> dict[str, Any]:
        return Workspace(self.folder.parents[1]).open("data", self.folder.name).manifest["files"]

    @property
    def options(self) -> PrepareOptions:
        return PrepareOptions(**self.case.options)

    @property
    def names(self) -> list[str]:
        return [f["name"] for f in self.manifest["fields"]]

    @property
    def item_fields(self) -> list[str]:
        return [f["name"] for f in self.manifest["fields"] if f["role"] == "item"]

    def day_of(self, time: int) -> int:
        return (time + self.manifest["utc_offset_hours"] * 3600) // DAY

    def midnight(self, day: int) -> int:
        return day * DAY - self.manifest["utc_offset_hours"] * 3600

    def values(self, name: str) -> list[tuple[Value | None, int]]:
        """A field's raw value and time in every usable row."""
        place = self.names.index(name)
        return [(row.values[place], row.time) for row in self.raw.kept]

    @cached_property
    def user_ids(self) -> dict[str, int]:
        return {value: user for user, value in self.vocabulary("user")}

    @cached_property
    def codes(self) -> list[dict[Value | None, int]]:
        """For each field, raw value -> id, by the vocabulary on disk; of a numeric field by its range of values."""
        found = []
        for f in self.manifest["fields"]:
            values: set[Any] = {value for value, _ in self.values(f["name"]) if value is not None}
            if f["numeric"]:
                ranges = [(*map(float, text.split(" to ")), code) for code, text in self.vocabulary(f["name"])]
                found.append({v: code for v in values for low, high, code in ranges if low <= v <= high})
            else:
                by_text = {text: code for code, text in self.vocabulary(f["name"])}
                found.append({v: by_text[str(v)] for v in values})
            found[-1][None] = UNKNOWN
        return found

    def vocabulary(self, name: str) -> list[tuple[int, str]]:
        """(id, value) in the order of the file."""
        table = pq.read_table(self.folder / "vocab" / f"{name}.parquet")
        assert table.column_names == ["user" if name == "user" else "id", "value"]
        assert [str(kind) for kind in table.schema.types] == ["int32", "string"]
        return list(zip(*(column.to_pylist() for column in table.columns), strict=True))

    def event(self, user: int, time: int, ids: tuple[int, ...], label: int | None, is_behavior: bool) -> Event:
        roles = [f["role"] for f in self.manifest["fields"]]
        item_ids = tuple(code for code, role in zip(ids, roles, strict=True) if role == "item")
        return Event(user, time, self.day_of(time), ids, item_ids, label, is_behavior)

    @cached_property
    def events(self) -> list[Event]:
        """The usable raw rows, by user and time; in one second as they stand in `kept`."""
        rows = [
            self.event(
                self.user_ids[str(row.user)],
                row.time,
                tuple(codes[value] for codes, value in zip(self.codes, row.values, strict=True)),
                row.label,
                row.is_behavior,
            )
            for row in self.raw.kept
        ]
        return sorted(rows, key=lambda e: (e.user, e.time))

    @cached_property
    def behaviors(self) -> dict[int, list[Event]]:
        """Each user's, oldest first."""
        found: dict[int, list[Event]] = defaultdict(list)
        for e in self.events:
            if e.is_behavior:
                found[e.user].append(e)
        return found

    @cached_property
    def first_seen(self) -> dict[int, int]:
        """When an item's first behavior was."""
        first: dict[int, int] = {}
        for e in sorted((e for own in self.behaviors.values() for e in own), key=lambda e: e.time):
            first.setdefault(e.ids[0], e.time)
        return first

    def known_before(self, user: int, time: int) -> int:
        """How many behaviors of a user are strictly before an instant."""
        return bisect_left(self.behaviors[user], time, key=lambda e: e.time)

    @cached_property
    def samples(self) -> list[Sample]:
        found = []
        for split in SPLITS:
            for row in pq.read_table(self.folder / f"{split}.parquet").to_pylist():
                ids = tuple(row[name] for name in self.names)
                event = self.event(row["user"], row["time"], ids, row["label"], row["label"] == 1)
                found.append(Sample(split, row["request_id"], row["history_length"], event))
        return found

    def split_at(self, time: int) -> str | None:
        """By time alone, from the manifest's instants."""
        at = self.manifest["splits"]
        for split, name in (("test", "test_from"), ("valid", "valid_from"), ("train", "train_from")):
            if time >= at[name]:
                return split
        return None


# --- the contract ---------------------------------------------------------------------------------------------------


def check_nothing_is_lost(data: Prepared) -> None:
    """read = kept + rejected; every example of the log is counted under its reason, those of a catalog in the facts."""
    manifest = data.manifest
    rejected = Counter(manifest["rejected"])
    assert manifest["events_read"] == data.raw.read
    assert manifest["events_kept"] == len(data.raw.kept) == data.raw.read - rejected.total()
    assert manifest["users"] == len({row.user for row in data.raw.kept})
    table = pq.read_table(data.folder / "rejected.parquet")
    assert [(f.name, str(f.type)) for f in table.schema] == [
        ("file", "string"),
        ("line", "int64"),
        ("reason", "string"),
        ("text", "string"),
    ]
    patterns = [f"{name}*" for name in data.case.source.companion_names]
    beside = [any(fnmatch(name, pattern) for pattern in patterns) for name in table["file"].to_pylist()]
    of_log = Counter(reason for reason, other in zip(table["reason"].to_pylist(), beside, strict=True) if not other)
    assert of_log == rejected
    assert sum(beside) == sum(count for name, count in manifest["facts"].items() if name.endswith("_rejected"))
    assert {f["name"] for f in manifest["raw_files"]} >= set(table["file"].to_pylist())


def check_events_are_the_kept_behaviors(data: Prepared) -> None:
    """Raw values sorted by (user, time, source_row), in the columns and types of layout.py."""
    table = pq.read_table(data.folder / "events")
    items = data.item_fields
    assert table.column_names == ["user", *items, "time", "source_row"]
    types = {f.name: str(f.type) for f in table.schema}
    numeric = [f["name"] for f in data.manifest["fields"] if f["numeric"] and f["role"] == "item"]
    assert [types[name] for name in ("time", "source_row", *numeric)] == ["int64", "int64", *["int32"] * len(numeric)]
    found = list(zip(*(table[name].to_pylist() for name in ("user", "time", *items)), strict=True))
    places = [data.names.index(name) for name in items]
    codes = [data.codes[place] if name in numeric else None for name, place in zip(items, places, strict=True)]
    rows = [
        (
            row.user,
            row.time,
            *(row.values[p] if c is None else c[row.values[p]] for p, c in zip(places, codes, strict=True)),
        )
        for row in data.raw.kept
        if row.is_behavior
    ]
    assert found == sorted(rows, key=lambda row: row[:2])
    keys = list(zip(*(table[name].to_pylist() for name in ("user", "time", "source_row")), strict=True))
    assert all(before < after for before, after in pairwise(keys))


def check_histories_are_the_events(data: Prepared) -> None:
    """The same rows in ids, and where each user's begin."""
    columns = {path.stem: np.load(path) for path in (data.folder / "histories").iterdir()}
    assert {name: column.dtype.name for name, column in columns.items()} == {
        "offsets": "int64",
        "time": "int64",
        **dict.fromkeys(data.item_fields, "int32"),
    }
    own = [data.behaviors[user] for user in range(data.manifest["users"])]
    assert columns["offsets"].tolist() == [0, *np.cumsum([len(behaviors) for behaviors in own]).tolist()]
    behaviors = [e for behaviors in own for e in behaviors]
    assert columns["time"].tolist() == [e.time for e in behaviors]
    for place, name in enumerate(data.item_fields):
        assert columns[name].tolist() == [e.item_ids[place] for e in behaviors], name


def check_a_history_ends_before_its_request(data: Prepared) -> None:
    offsets, time = (np.load(data.folder / "histories" / f"{name}.npy") for name in ("offsets", "time"))
    for sample in data.samples:
        e = sample.event
        assert sample.history_length == data.known_before(e.user, e.time), sample
        own = time[offsets[e.user] : offsets[e.user + 1]]
        assert (own[: sample.history_length] < e.time).all(), sample
        assert (own[sample.history_length :] >= e.time).all(), sample


def check_requests_are_neighbors(data: Prepared) -> None:
    """The columns and types of layout.py; requests are numbered through all splits, one a user and second."""
    for split in SPLITS:
        schema = pq.read_schema(data.folder / f"{split}.parquet")
        assert [(f.name, str(f.type)) for f in schema] == [
            ("request_id", "int64"),
            ("user", "int32"),
            ("time", "int64"),
            ("history_length", "int32"),
            *((name, "int32") for name in data.names),
            ("label", "int8"),
        ]
    requests = [(s.split, s.event.user, s.event.time) for s in data.samples]
    numbers = [next(rows)[1].request for _, rows in groupby(zip(requests, data.samples, strict=True), lambda r: r[0])]
    assert numbers == list(range(len(set(requests))))
    order = [(s.request, s.event.ids[0]) for s in data.samples]
    assert order == sorted(order)
    assert {split: sum(s.split == split for s in data.samples) for split in SPLITS} == data.manifest["samples"]


def check_splits_are_apart(data: Prepared) -> None:
    """By day, train before valid before test; or by user. The last days are those of the log."""
    at, sampling = data.manifest["splits"], data.manifest["sampling"]
    first, last = (data.day_of(end(e.time for e in data.events)) for end in (min, max))
    assert at["end"] == max(e.time for e in data.events) + 1
    if sampling and sampling["splits"] == "users":
        users = {split: {s.event.user for s in data.samples if s.split == split} for split in SPLITS}
        assert all(users.values())
        assert sum(map(len, users.values())) == len({s.event.user for s in data.samples})
        assert min(at["valid_from"], at["test_from"]) >= at["end"]
        return
    days = {split: {s.event.day for s in data.samples if s.split == split} for split in SPLITS}
    assert max(days["train"]) < min(days["valid"]) <= max(days["valid"]) < min(days["test"])
    assert all(s.split == data.split_at(s.event.time) for s in data.samples)
    if not sampling or sampling["splits"] == "days":
        train = last - 1 - data.options.train_days if sampling else first
        begin = [at[name] for name in ("train_from", "valid_from", "test_from")]
        assert begin == [data.midnight(day) for day in (train, last - 1, last)]
    else:  # 80%, 10%, 10% of the targets, as near as days can be
        targeted = sorted(data.day_of(time) for _, time in targets(data))
        cuts = sorted(set(targeted))
        shares = {day: bisect_left(targeted, day) / len(targeted) for day in cuts}
        valid = min(cuts[1:-1], key=lambda day: abs(shares[day] - 0.8))
        test = min((day for day in cuts if day > valid), key=lambda day: abs(shares[day] - 0.9))
        assert [at["valid_from"], at["test_from"]] == [data.midnight(valid), data.midnight(test)]


def check_labels(data: Prepared) -> None:
    """Real ones: each labelled row of the splits' days is one sample. Drawn ones: as `Sampling` says."""
    if data.manifest["labels"] == "real":
        shown = [e for e in data.events if e.label is not None]
        expected = Counter((data.split_at(e.time), e.user, e.time, e.ids, e.label) for e in shown)
        found = Counter((s.split, s.event.user, s.event.time, s.event.ids, s.event.label) for s in data.samples)
        assert found == expected
        assert data.manifest["dropped_pairs"] == 0
        return
    assert data.manifest["labels"] == "sampled"
    requests: dict[tuple[int, int], list[Sample]] = defaultdict(list)
    for sample in data.samples:
        requests[sample.event.user, sample.event.time].append(sample)
    expected = targets(data)
    dropped = 0
    for user, time in expected:
        rows = [sample.event for sample in requests.pop((user, time), [])]
        negatives = [e for e in rows if e.label == 0]
        assert len(rows) - len(negatives) == bool(negatives), (user, time)  # one positive, if it keeps a negative
        assert len(negatives) <= data.options.negatives_per_positive
        dropped += data.options.negatives_per_positive - len(negatives)
        if rows:
            check_request(data, next(e for e in rows if e.label == 1), negatives)
    assert not requests  # there are no others
    assert dropped == data.manifest["dropped_pairs"]


def targets(data: Prepared) -> list[tuple[int, int]]:
    """User and second of each target: the last eligible behavior of a user, or of each day of a split."""
    sampling = data.manifest["sampling"]
    eligible: dict[tuple[int, ...], list[Event]] = defaultdict(list)
    for user, own in data.behaviors.items():
        first = {e.ids[0]: e.time for e in reversed(own)}
        for e in own:
            if data.split_at(e.time) and (sampling["positives"] == "all" or first[e.ids[0]] == e.time):
                eligible[(user,) if sampling["targets"] == "user" else (user, e.day)].append(e)
    lasts = {(own[-1].user, own[-1].time) for own in eligible.values()}
    return sorted((user, time) for user, time in lasts if data.known_before(user, time) >= data.options.min_history)


def check_request(data: Prepared, positive: Event, negatives: Sequence[Event]) -> None:
    """The positive is a behavior of that second; what stands beside it is from where it should be."""
    own = data.behaviors[positive.user]
    assert any((e.time, e.ids) == (positive.time, positive.ids) for e in own), positive
    if data.manifest["sampling"]["positives"] == "first-time":
        assert not any(e.ids[0] == positive.ids[0] and e.time < positive.time for e in own), positive
    touched = {e.ids[0] for e in own}
    behaviors = [e for behaviors in data.behaviors.values() for e in behaviors]
    pool = {e.item_ids for e in behaviors if in_pool(data, e, positive)}
    for negative in negatives:
        assert negative.ids[0] not in touched, negative
        assert negative.item_ids in pool, negative
        assert [code for code, f in zip(negative.ids, data.manifest["fields"], strict=True) if f["role"] != "item"] == [
            code for code, f in zip(positive.ids, data.manifest["fields"], strict=True) if f["role"] != "item"
        ]


def in_pool(data: Prepared, e: Event, positive: Event) -> bool:
    """A behavior may become a negative of this positive, if its user allows."""
    mode = data.manifest["sampling"]["negatives"]
    if mode == "same-day":
        return e.day == positive.day
    if mode == "same-day-category":
        return e.day == positive.day and e.ids[1] == positive.ids[1]
    if mode == "same-month":  # and of the same split: none trains with what only the test days brought
        return month(e.day) == month(positive.day) and data.split_at(e.time) == data.split_at(positive.time)
    if mode == "uniform":  # an item as it was when it came
        return e.day <= positive.day and e.time == data.first_seen[e.ids[0]]
    assert mode == "popularity"
    return e.day <= positive.day


def month(day: int) -> tuple[int, int]:
    date = datetime.fromtimestamp(day * DAY, UTC)
    return date.year, date.month


def check_ids(data: Prepared) -> None:
    """0 is never used, 1 only where a value is missing; then the sorted values, those of later days behind `size`."""
    valid_from = data.manifest["splits"]["valid_from"]
    users = sorted({row.user for row in data.raw.kept})  # type: ignore[type-var]
    assert data.vocabulary("user") == [(n, str(user)) for n, user in enumerate(users)]
    for place, f in enumerate(data.manifest["fields"]):
        first: dict[Any, int] = {}
        for value, time in data.values(f["name"]):
            if value is not None:
                first[value] = min(time, first.get(value, time))
        vocabulary = data.vocabulary(f["name"])
        if f["numeric"]:
            edges = quantile_edges(v for v, time in data.values(f["name"]) if time < valid_from)  # type: ignore[misc]
            assert {v: data.codes[place][v] for v in first} == {v: quantile(v, edges) for v in first}
            used = {quantile(v, edges) for v in first if first[v] < valid_from}
            assert (f["size"], f["late"]) == (2 + len(used), 0)
            assert [code for code, _ in vocabulary] == sorted({quantile(v, edges) for v in first})
            continue
        early = sorted(value for value, time in first.items() if time < valid_from)
        late = sorted(value for value, time in first.items() if time >= valid_from)
        assert (f["size"], f["late"]) == (2 + len(early), len(late)), f["name"]
        assert vocabulary == [(n, str(value)) for n, value in enumerate([*early, *late], 2)]
    assert data.manifest["items"] == len({row.values[0] for row in data.raw.kept})
    for name in data.item_fields:
        assert np.load(data.folder / "histories" / f"{name}.npy").min(initial=UNKNOWN) >= UNKNOWN
    assert all(code >= UNKNOWN for sample in data.samples for code in sample.event.ids)


CHECKS = (
    check_nothing_is_lost,
    check_events_are_the_kept_behaviors,
    check_histories_are_the_events,
    check_a_history_ends_before_its_request,
    check_requests_are_neighbors,
    check_splits_are_apart,
    check_labels,
    check_ids,
)


def prepared(case: Case, raw: Raw, home: Path, **options: Any) -> Prepared:
    files = find_files(case.source, raw.path, home)
    manifest = prepare(
        case.source, files, "made", Workspace(home), PrepareOptions(**{"threads": 1, **case.options, **options})
    )
    return Prepared(case, raw, home / "data" / "made", manifest)


@pytest.fixture(scope="session")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Case], Prepared]:
    """Each case, prepared once; for reading only."""
    made: dict[str, Prepared] = {}

    def get(case: Case) -> Prepared:
        if case.name not in made:
            home = tmp_path_factory.mktemp(case.name)
            made[case.name] = prepared(case, case.write(home), home)
        return made[case.name]

    return get


every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@every_case
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_contract(datasets: Callable[[Case], Prepared], case: Case, check: Callable[[Prepared], None]) -> None:
    check(datasets(case))


@every_case
def test_cases_try_what_they_are_for(datasets: Callable[[Case], Prepared], case: Case) -> None:
    """Rejected rows, several samples a split, ties in one second, items that come late."""
    data = datasets(case)
    assert min(data.manifest["samples"].values()) >= 2
    assert len({(e.user, e.time) for e in data.events}) < len(data.events)
    if case.source.file_names:
        assert data.manifest["rejected"]
    if (data.manifest["sampling"] or {}).get("targets") != "user":  # of Amazon's 150 books each comes early
        assert data.manifest["fields"][0]["late"]


@pytest.mark.slow
@every_case
def test_threads_and_memory_change_no_byte(datasets: Callable[[Case], Prepared], case: Case, tmp_path: Path) -> None:
    data = datasets(case)
    for name, options in (("a", {"threads": 3}), ("b", {"memory": "500MB"}), ("c", {"threads": 3, "memory": "500MB"})):
        assert prepared(case, data.raw, tmp_path / name, **options).files == data.files


OTHERWISE = {"min_history": 2, "negatives_per_positive": 2, "train_days": 2, "max_rejected": "90%"}


@pytest.mark.parametrize("case", [case for case in CASES if case.source.unused_options], ids=lambda case: case.name)
def test_options_that_are_not_offered_change_nothing(
    datasets: Callable[[Case], Prepared], case: Case, tmp_path: Path
) -> None:
    options = {name: OTHERWISE[name] for name in case.source.unused_options}
    assert prepared(case, case.write(tmp_path), tmp_path / "home", **options).files == datasets(case).files


@pytest.mark.parametrize("case", [case for case in CASES if case.source.file_names], ids=lambda case: case.name)
def test_order_of_lines_changes_no_sample(datasets: Callable[[Case], Prepared], case: Case, tmp_path: Path) -> None:
    """Inside one second the history's order is that of the lines; nothing else is."""
    data, raw = datasets(case), case.write(tmp_path)
    rng = random.Random(5)
    for path in raw.logs:
        lines = lines_of(path)
        header, rows = lines[: raw.header], lines[raw.header :]
        rng.shuffle(rows)
        content = ("\n".join([*header, *rows]) + "\n").encode()
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    other = prepared(case, raw, tmp_path / "home", threads=3, memory="500MB")
    assert other.manifest["rejected"] == data.manifest["rejected"]
    same = [*(f"{split}.parquet" for split in SPLITS), "histories/offsets.npy", "histories/time.npy"]
    same += [name for name in data.files if name.startswith("vocab/")]
    assert {name: other.files[name] for name in same} == {name: data.files[name] for name in same}
    assert rows_of_events(other.folder) == rows_of_events(data.folder)


def rows_of_events(folder: Path) -> Counter[tuple[Any, ...]]:
    table = pq.read_table(folder / "events").drop_columns(["source_row"])
    return Counter(zip(*(column.to_pylist() for column in table.columns), strict=True))


@pytest.mark.parametrize(
    ("negatives", "expected"), [("uniform", 1 / 20), ("popularity", 15 / 16), ("same-day", 15 / 16)]
)
def test_a_hit_is_drawn_as_often_as_it_stands_in_the_pool(tmp_path: Path, negatives: Any, expected: float) -> None:
    """One of 21 items has 300 of a day's 320 behaviors, all of one user's; the others ask for negatives."""
    rows = [("fan", "hit", 17_500 * DAY + day * DAY + n) for day in range(4) for n in range(300)]
    rows += [(f"u{n}", f"i{n}", 17_500 * DAY + day * DAY + n) for day in range(4) for n in range(20)]
    path = tmp_path / "log.csv"
    path.write_text("\n".join(["user,item,time", *(",".join(map(str, row)) for row in rows)]) + "\n")
    raw = Raw(path, [Kept(user, time, (item,)) for user, item, time in rows], (path,), header=1)
    options = {"min_history": 1, "negatives_per_positive": 5}
    data = prepared(Case("hit", Table(negatives=negatives), lambda _: raw, options), raw, tmp_path)
    asked = [s.event for s in data.samples if s.event.label == 0 and s.event.user != data.user_ids["fan"]]
    hits = sum(e.ids[0] == data.codes[0]["hit"] for e in asked)
    assert len(asked) == 3 * 20 * 5
    assert abs(hits / len(asked) - expected) < 0.06


# --- any small log: few users, items and seconds, so that nearly everything ties ------------------------------------

LAST_DAY = (WINDOW_LAST + 8 * 3600) // DAY
small_logs = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 4), st.integers(0, 2), st.integers(0, 1)),
    min_size=12,
    max_size=60,
).map(
    lambda rows: [*rows, *((0, n, day, 1, 1) for day in range(5) for n in (0, 1)), *((1, 9, d, 1, 0) for d in range(5))]
)
drawn = st.sampled_from(["same-day", "same-day-category", "uniform", "popularity"])
which = st.sampled_from(["all", "first-time"])
quick = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@quick
@given(small_logs, drawn, which, st.integers(1, 3))
def test_any_taobao_log_keeps_the_contract(
    tmp_path_factory: Any, log: list[tuple[int, ...]], negatives: Any, positives: Any, per_positive: int
) -> None:
    folder = tmp_path_factory.mktemp("any")
    start = (LAST_DAY - 4) * DAY - 8 * 3600
    lines = [f"{user},{item},{item % 2},pv,{start + day * DAY + second}" for user, item, day, second, _ in log]
    path = folder / "UserBehavior.csv"
    path.write_text("\n".join(lines) + "\n")
    raw = Raw(path, of_clicks(read_taobao(lines)[0]), (path,))
    options = {"min_history": 1, "negatives_per_positive": per_positive}
    source = Taobao(negatives=negatives, positives=positives)
    check_all(Case("any", source, lambda _: raw, options), raw, folder, may_be_empty(negatives, positives))


@quick
@given(small_logs, drawn, which, st.booleans(), st.integers(-2, 2))
def test_any_table_keeps_the_contract(
    tmp_path_factory: Any, log: list[tuple[int, ...]], negatives: Any, positives: Any, labels: bool, offset: int
) -> None:
    folder = tmp_path_factory.mktemp("any")
    start = 17_500 * DAY - offset * 3600
    rows = [
        (f"u{user}", f"i{item}", "xy "[item % 3].strip(), start + day * DAY + second, label)
        for user, item, day, second, label in log
    ]
    path = folder / "log.csv"
    path.write_text("\n".join(["user,item,kind,time,label", *(",".join(map(str, row)) for row in rows)]) + "\n")
    kept = [
        Kept(user, time, (item, kind or None), label if labels else None, not labels or label == 1)
        for user, item, kind, time, label in rows
    ]
    source = Table(
        category_column="kind",
        label_column="label" if labels else None,
        negatives=negatives,
        positives=positives,
        utc_offset=offset,
    )
    raw = Raw(path, kept, (path,), header=1)
    empty = not labels and may_be_empty(negatives, positives)
    check_all(Case("any", source, lambda _: raw, {"min_history": 1}), raw, folder, empty)


def may_be_empty(negatives: str, positives: str) -> bool:
    """Users 0 and 1 have the same items every day: no first ones, and of one category each other's may be none."""
    return positives == "first-time" or negatives == "same-day-category"


def check_all(case: Case, raw: Raw, home: Path, may_be_empty: bool) -> None:
    """Some logs leave a split without samples, which is said."""
    try:
        data = prepared(case, raw, home)
    except UserError as error:
        if may_be_empty and "has no sample" in error.message:
            return
        raise
    for check in CHECKS:
        check(data)
