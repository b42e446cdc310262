"""What was prepared, read back as plain rows."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from lrea_cli.dataset.layout import SPLITS
from lrea_cli.dataset.manifest import DATASETS, DatasetManifest
from lrea_cli.prepare.options import PrepareOptions
from lrea_cli.prepare.prepare import prepare
from lrea_cli.prepare.sources import find_files
from lrea_cli.workspace.home import Workspace
from tests.prepare.contract.cases import DAY, UNKNOWN, Case, Raw, Value


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
    manifest: DatasetManifest

    @property
    def files(self) -> dict[str, Any]:
        return Workspace(self.folder.parents[1]).open(DATASETS, self.folder.name).inventory.files

    @property
    def options(self) -> PrepareOptions:
        return PrepareOptions(**self.case.options)

    @property
    def names(self) -> list[str]:
        return [f.name for f in self.manifest.fields]

    @property
    def item_fields(self) -> list[str]:
        return [f.name for f in self.manifest.fields if f.role == "item"]

    def day_of(self, time: int) -> int:
        return (time + self.manifest.utc_offset_minutes * 60) // DAY

    def midnight(self, day: int) -> int:
        return day * DAY - self.manifest.utc_offset_minutes * 60

    def values(self, name: str) -> list[tuple[Value | None, int]]:
        """A field's raw value and time in every usable row, repeats among them."""
        place = self.names.index(name)
        return [(row.values[place], row.time) for row in (*self.raw.kept, *self.raw.repeats)]

    @cached_property
    def user_ids(self) -> dict[str, int]:
        return {value: user for user, value in self.vocabulary("user")}

    @cached_property
    def codes(self) -> list[dict[Value | None, int]]:
        """For each field, raw value -> id, by the vocabulary on disk; of a numeric field by its range of values."""
        found = []
        for f in self.manifest.fields:
            values: set[Any] = {value for value, _ in self.values(f.name) if value is not None}
            if f.numeric:
                ranges = [(*map(float, text.split(" to ")), code) for code, text in self.vocabulary(f.name)]
                found.append({v: code for v in values for low, high, code in ranges if low <= v <= high})
            else:
                by_text = {text: code for code, text in self.vocabulary(f.name)}
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
        roles = [f.role for f in self.manifest.fields]
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
        at = self.manifest.splits
        for split, name in (("test", "test_from"), ("valid", "valid_from"), ("train", "train_from")):
            if time >= getattr(at, name):
                return split
        return None


def prepared(case: Case, raw: Raw, home: Path, **options: Any) -> Prepared:
    files = find_files(case.source, raw.path, home)
    manifest = prepare(
        case.source, files, "made", Workspace(home), PrepareOptions(**{"threads": 1, **case.options, **options})
    )
    return Prepared(case, raw, home / "data" / "made", manifest)
