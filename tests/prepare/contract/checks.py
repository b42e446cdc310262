"""The contract: what docs/data.md promises of a dataset, counted anew in loops over its raw rows."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from fnmatch import fnmatch
from itertools import groupby, pairwise
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from lrea_cli.dataset.layout import SPLITS
from tests.prepare.contract.cases import DAY, UNKNOWN
from tests.prepare.contract.prepared import Event, Prepared, Sample
from tests.prepare.loops.kuairand import quantile, quantile_edges


def check_nothing_is_lost(data: Prepared) -> None:
    """read = kept + rejected; every example of the log is counted under its reason, those of a catalog in the facts."""
    manifest = data.manifest
    rejected = Counter(manifest.rejected)
    assert manifest.events_read == data.raw.read
    assert manifest.events_kept == len(data.raw.kept) == data.raw.read - rejected.total()
    assert manifest.users == len({row.user for row in data.raw.kept})
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
    assert sum(beside) == sum(count for name, count in manifest.facts.items() if name.endswith("_rejected"))
    assert {f["name"] for f in manifest.raw_files} >= set(table["file"].to_pylist())


def check_events_are_the_kept_behaviors(data: Prepared) -> None:
    """Raw values sorted by (user, time, source_row), in the columns and types of layout.py."""
    table = pq.read_table(data.folder / "events")
    items = data.item_fields
    assert table.column_names == ["user", *items, "time", "source_row"]
    types = {f.name: str(f.type) for f in table.schema}
    numeric = [f.name for f in data.manifest.fields if f.numeric and f.role == "item"]
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
    own = [data.behaviors[user] for user in range(data.manifest.users)]
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
    assert {split: sum(s.split == split for s in data.samples) for split in SPLITS} == data.manifest.samples


def check_splits_are_apart(data: Prepared) -> None:
    """By day, train before valid before test; or by user. The last days are those of the log."""
    at, sampling = data.manifest.splits, data.manifest.sampling
    first, last = (data.day_of(end(e.time for e in data.events)) for end in (min, max))
    assert at.end == max(e.time for e in data.events) + 1
    if sampling and sampling["splits"] == "users":
        users = {split: {s.event.user for s in data.samples if s.split == split} for split in SPLITS}
        assert all(users.values())
        assert sum(map(len, users.values())) == len({s.event.user for s in data.samples})
        assert min(at.valid_from, at.test_from) >= at.end
        return
    days = {split: {s.event.day for s in data.samples if s.split == split} for split in SPLITS}
    assert max(days["train"]) < min(days["valid"]) <= max(days["valid"]) < min(days["test"])
    assert all(s.split == data.split_at(s.event.time) for s in data.samples)
    if not sampling or sampling["splits"] == "days":
        valid = last - data.options.test_days
        train = valid - data.options.train_days if sampling else first
        begin = [getattr(at, name) for name in ("train_from", "valid_from", "test_from")]
        assert begin == [data.midnight(day) for day in (train, valid, valid + 1)]
    else:  # 80%, 10%, 10% of the targets, as near as days can be
        targeted = sorted(data.day_of(time) for _, time in targets(data))
        cuts = sorted(set(targeted))
        shares = {day: bisect_left(targeted, day) / len(targeted) for day in cuts}
        valid = min(cuts[1:-1], key=lambda day: abs(shares[day] - 0.8))
        test = min((day for day in cuts if day > valid), key=lambda day: abs(shares[day] - 0.9))
        assert [at.valid_from, at.test_from] == [data.midnight(valid), data.midnight(test)]


def check_labels(data: Prepared) -> None:
    """Real ones: each labelled row of the splits' days is one sample. Drawn ones: as `Sampling` says."""
    if data.manifest.labels == "real":
        shown = [e for e in data.events if e.label is not None]
        expected = Counter((data.split_at(e.time), e.user, e.time, e.ids, e.label) for e in shown)
        found = Counter((s.split, s.event.user, s.event.time, s.event.ids, s.event.label) for s in data.samples)
        assert found == expected
        assert data.manifest.dropped_pairs == 0
        return
    assert data.manifest.labels == "sampled"
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
    assert dropped == data.manifest.dropped_pairs


def targets(data: Prepared) -> list[tuple[int, int]]:
    """User and second of each target: the last eligible behavior of a user, or of each day of a split."""
    sampling = data.manifest.sampling
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
    if data.manifest.sampling["positives"] == "first-time":
        assert not any(e.ids[0] == positive.ids[0] and e.time < positive.time for e in own), positive
    touched = {e.ids[0] for e in own}
    behaviors = [e for behaviors in data.behaviors.values() for e in behaviors]
    pool = {e.item_ids for e in behaviors if in_pool(data, e, positive)}
    for negative in negatives:
        assert negative.ids[0] not in touched, negative
        assert negative.item_ids in pool, negative
        assert [code for code, f in zip(negative.ids, data.manifest.fields, strict=True) if f.role != "item"] == [
            code for code, f in zip(positive.ids, data.manifest.fields, strict=True) if f.role != "item"
        ]


def in_pool(data: Prepared, e: Event, positive: Event) -> bool:
    """A behavior may become a negative of this positive, if its user allows."""
    mode = data.manifest.sampling["negatives"]
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
    valid_from = data.manifest.splits.valid_from
    users = sorted({row.user for row in data.raw.kept})  # type: ignore[type-var]
    assert data.vocabulary("user") == [(n, str(user)) for n, user in enumerate(users)]
    for place, f in enumerate(data.manifest.fields):
        first: dict[Any, int] = {}
        for value, time in data.values(f.name):
            if value is not None:
                first[value] = min(time, first.get(value, time))
        vocabulary = data.vocabulary(f.name)
        if f.numeric:
            edges = quantile_edges(v for v, time in data.values(f.name) if time < valid_from)  # type: ignore[misc]
            assert {v: data.codes[place][v] for v in first} == {v: quantile(v, edges) for v in first}
            used = {quantile(v, edges) for v in first if first[v] < valid_from}
            assert (f.size, f.late) == (2 + len(used), 0)
            assert [code for code, _ in vocabulary] == sorted({quantile(v, edges) for v in first})
            continue
        early = sorted(value for value, time in first.items() if time < valid_from)
        late = sorted(value for value, time in first.items() if time >= valid_from)
        assert (f.size, f.late) == (2 + len(early), len(late)), f.name
        assert vocabulary == [(n, str(value)) for n, value in enumerate([*early, *late], 2)]
    assert data.manifest.items == len({row.values[0] for row in data.raw.kept})
    for name in data.item_fields:
        assert np.load(data.folder / "histories" / f"{name}.npy").min(initial=UNKNOWN) >= UNKNOWN
    assert all(code >= UNKNOWN for sample in data.samples for code in sample.event.ids)


def check_facts(data: Prepared) -> None:
    """What the manifest says of each split and field, counted anew."""
    for split, facts in data.manifest.split_facts.items():
        rows = [s for s in data.samples if s.split == split]
        days = [date_of(s.event.day) for s in rows]
        assert facts == {
            "first_day": min(days),
            "last_day": max(days),
            "rows": len(rows),
            "users": len({s.event.user for s in rows}),
            "requests": len({s.request for s in rows}),
            "click_rate": sum(s.event.label or 0 for s in rows) / len(rows),
        }
    later = [s.event for s in data.samples if s.split != "train"]
    for place, f in enumerate(data.manifest.fields):
        facts = data.manifest.field_facts[f.name]
        absent = sum(e.ids[place] == UNKNOWN for e in data.events) / len(data.events)
        assert abs(facts["missing"] + facts["lost"] - absent) < 1e-12
        assert facts["unknown"] == sum(e.ids[place] >= f.size for e in later) / len(later)
        assert (facts["lost"] > 0) == bool(facts["first_lost_values"])
    assert data.manifest.label_conflicts == conflicts(data)


def conflicts(data: Prepared) -> int:
    """How often an item stands with both labels in one request."""
    labels: dict[tuple[int, int], set[int | None]] = defaultdict(set)
    for s in data.samples:
        labels[s.request, s.event.ids[0]].add(s.event.label)
    return sum(len(of_item) == 2 for of_item in labels.values())


def date_of(day: int) -> str:
    return str(datetime.fromtimestamp(day * DAY, UTC).date())


CHECKS = (
    check_facts,
    check_nothing_is_lost,
    check_events_are_the_kept_behaviors,
    check_histories_are_the_events,
    check_a_history_ends_before_its_request,
    check_requests_are_neighbors,
    check_splits_are_apart,
    check_labels,
    check_ids,
)
