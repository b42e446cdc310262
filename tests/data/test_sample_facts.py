"""What each split holds and what is not known of each field, against loops over the samples."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow.parquet as pq
import pytest

from lrea_cli.data import tallies as tallies_module
from lrea_cli.data.layout import SPLITS, DatasetInfo
from lrea_cli.data.sample_facts import field_facts, split_facts
from tests.data.test_tallies import ZONE, dataset

__all__ = ["dataset"]


@pytest.mark.parametrize("rows", [7, 1 << 18])
def test_the_facts_of_a_split_are_those_of_a_loop(
    dataset: DatasetInfo, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(tallies_module, "ROWS_AT_ONCE", rows)
    for split, found in split_facts(dataset, ZONE).items():
        table = pq.read_table(dataset.path / dataset.split_file(split)).to_pylist()
        days = sorted(str((datetime.fromtimestamp(r["time"], UTC) + timedelta(hours=ZONE)).date()) for r in table)
        assert (found["first_day"], found["last_day"]) == (days[0], days[-1])
        assert found["rows"] == len(table)
        assert found["users"] == len({r["user"] for r in table})
        assert found["requests"] == len({r["request_id"] for r in table}) < found["rows"]
        assert found["click_rate"] == sum(r["label"] for r in table) / len(table)


def test_what_is_not_known_of_a_field_is_counted_as_by_a_loop(dataset: DatasetInfo) -> None:
    tables = {split: pq.read_table(dataset.path / dataset.split_file(split)).to_pylist() for split in SPLITS}
    later = tables["valid"] + tables["test"]
    everything = tables["train"] + later
    for field in dataset.fields:
        missing = sum(row[field.name] == 1 for row in everything) / len(everything)
        unknown = sum(row[field.name] >= field.size for row in later) / len(later)
        assert field_facts(dataset)[field.name] == {"missing": missing, "unknown": unknown}
        assert (unknown > 0) == (field.name == "item")
        assert (missing > 0) == (field.name == "hourmin")
