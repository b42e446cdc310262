"""Raw values to the dense ids of a prepared dataset, one value at a time: what a server asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lrea_cli.dataset.fields import EncodedField
from lrea_cli.dataset.histories import open_histories
from lrea_cli.dataset.layout import SPLITS, DatasetInfo
from lrea_cli.dataset.samples import read_samples
from lrea_cli.dataset.spelling import spelled
from lrea_cli.errors import UserError
from lrea_cli.ids import FIRST_ID, UNKNOWN_ID
from lrea_cli.workspace.parquet import read_parquet

Raw = str | int | float | None
"""A value as a log spells it; None = missing."""


@dataclass(frozen=True)
class FieldIds:
    """The ids of one field by the rules of `prepare`: 5, 5.0 and "5" are one value, a missing one is unknown (1)."""

    field: EncodedField
    ids: Mapping[str, int]
    edges: np.ndarray
    """Of a numeric field: the smallest value of each quantile but the first."""

    @classmethod
    def read(cls, dataset: DatasetInfo, field: EncodedField) -> FieldIds:
        """From `vocab/<field>.parquet`."""
        table = read_parquet(dataset.files.blocks(f"vocab/{field.name}.parquet"))
        values = table["value"].to_pylist()
        if field.numeric:
            return cls(field, {}, np.array([float(value.partition(" to ")[0]) for value in values[1:]]))
        return cls(field, dict(zip(values, table["id"].to_pylist(), strict=True)), np.array([]))

    def of(self, value: Raw) -> int:
        """The id of a raw value.

        Raises:
            UserError: a numeric field is given what is no number.
        """
        text = None if value is None else spelled(str(value))
        if text is None:
            return UNKNOWN_ID
        if not self.field.numeric:
            return self.ids.get(text, UNKNOWN_ID)
        try:
            number = float(text)
        except ValueError as error:
            what = f"'{self.field.name}' is a numeric field, and '{text}' is no number."
            raise UserError(what, "Give a number, or None where it is missing.") from error
        return UNKNOWN_ID if np.isnan(number) else FIRST_ID + int(np.searchsorted(self.edges, number, "right"))


class Vocabulary:
    """The ids of a dataset's users and of some of its fields."""

    def __init__(self, dataset: DatasetInfo, fields: Iterable[EncodedField]) -> None:
        self._dataset = dataset
        self.fields = {f.name: FieldIds.read(dataset, f) for f in fields}
        users = read_parquet(dataset.files.blocks("vocab/user.parquet"))
        self._users = dict(zip(users["value"].to_pylist(), users["user"].to_pylist(), strict=True))

    def user(self, value: Raw) -> int | None:
        """The dense number of a user; None where the dataset has no such user."""
        text = None if value is None else spelled(str(value), missing=())
        return None if text is None else self._users.get(text)

    def ids(self, name: str, values: Iterable[Raw]) -> np.ndarray:
        """(n,) int32."""
        return np.array([self.fields[name].of(value) for value in values], np.int32)

    def attributes(self, items: np.ndarray) -> dict[str, np.ndarray]:
        """For each other item field (n,): its latest id of each item (n,), 1 where the dataset has none."""
        return {
            name: column[np.where(items < len(column), items, UNKNOWN_ID)] for name, column in self._attributes.items()
        }

    @cached_property
    def _attributes(self) -> dict[str, np.ndarray]:
        """For each item field but `item`, an id for each item: of its latest behavior, else of a row that showed it."""
        names = [f.name for f in self._dataset.manifest.fields if f.role == "item" and f.name != "item"]
        names = [name for name in names if name in self.fields]
        if not names:
            return {}
        histories = open_histories(self._dataset)
        shown = [read_samples(self._dataset, split).ids for split in SPLITS]
        latest = np.argsort(np.asarray(histories.time), kind="stable")
        item = np.concatenate([*(ids["item"] for ids in shown), np.asarray(histories.columns["item"])[latest]])
        found = {}
        for name in names:
            column = np.full(int(item.max(initial=UNKNOWN_ID)) + 1, UNKNOWN_ID, np.int32)
            column[item] = np.concatenate([*(i[name] for i in shown), np.asarray(histories.columns[name])[latest]])
            column[:FIRST_ID] = UNKNOWN_ID
            found[name] = column
        histories.release()
        return found
