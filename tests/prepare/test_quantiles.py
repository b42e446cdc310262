"""Numeric fields: quantiles of the days before the valid split, against the loops and on the edges."""

from __future__ import annotations

from typing import NamedTuple

import duckdb
from hypothesis import given, settings
from hypothesis import strategies as st

from lrea_cli.dataset.fields import Field
from lrea_cli.ids import UNKNOWN_ID
from lrea_cli.prepare.vocabulary import QUANTILES, encode, number_users, number_values
from tests.prepare.loops.kuairand import quantile, quantile_edges
from tests.selection import examples

VALID_FROM = 100
EARLY, LATE = VALID_FROM - 1, VALID_FROM
SIZE = Field("size", "item", numeric=True)


class Numbered(NamedTuple):
    """The id of each event, in the order given, and the field's size with padding and unknown."""

    ids: list[int]
    size: int


def numbered(*events: tuple[int, float | None]) -> Numbered:
    """Number (time, value) pairs."""
    with duckdb.connect(config={"threads": 1}) as db:
        db.execute("CREATE TABLE raw_events (source_row BIGINT, user BIGINT, time BIGINT, size DOUBLE)")
        db.executemany("INSERT INTO raw_events VALUES (?, 1, ?, ?)", [[n, *event] for n, event in enumerate(events)])
        number_users(db)
        field = number_values(db, SIZE, VALID_FROM)
        rows = db.execute(f"SELECT f_size FROM ({encode(db, [field], ['source_row'], 1000)}) ORDER BY source_row")
        ids = [row[0] for row in rows.fetchall()]
    assert len(ids) == len(events)  # no event is lost or doubled
    assert (field.numeric, field.late) == (True, 0)
    return Numbered(ids, field.size)


def test_distinct_values_make_parts_of_equal_size() -> None:
    found = numbered(*((EARLY, float(n * n)) for n in range(5 * QUANTILES)))
    assert found.size == 2 + QUANTILES
    assert found.ids == [2 + n // 5 for n in range(5 * QUANTILES)]


def test_parts_of_unequal_size_differ_by_one() -> None:
    found = numbered(*((EARLY, float(n)) for n in range(1000)))
    sizes = [found.ids.count(part) for part in range(2, 2 + QUANTILES)]
    assert sum(sizes) == 1000
    assert set(sizes) == {31, 32}


def test_ties_stay_together() -> None:
    values = [7.0] * 900 + [float(n) for n in range(100)]
    found = numbered(*((EARLY, value) for value in values))
    assert len(set(found.ids[:900])) == 1
    assert max(found.ids) == found.size - 1 < 2 + QUANTILES
    by_value = sorted(zip(values, found.ids, strict=True))
    assert [number for _, number in by_value] == sorted(found.ids)


def test_few_values_have_an_id_each() -> None:
    assert numbered((EARLY, 3.0), (EARLY, 1.0), (EARLY, 2.0), (EARLY, 1.0)) == ([4, 2, 3, 2], 5)


def test_late_values_belong_to_the_nearest_part_below() -> None:
    early = [(EARLY, 10.0), (EARLY, 20.0), (EARLY, 30.0)]
    late = [(LATE, value) for value in (-5.0, 9.9, 10.0, 19.9, 20.1, 30.0, 1e9)]
    assert numbered(*early, *late) == ([2, 3, 4, 2, 2, 2, 2, 3, 4, 4], 5)


def test_late_values_move_no_edge() -> None:
    early = [(EARLY, float(n)) for n in range(200)]
    alone, beside = numbered(*early), numbered(*early, *((LATE, n / 7) for n in range(500)))
    assert (alone.ids, alone.size) == (beside.ids[:200], beside.size)


def test_missing_values_are_unknown() -> None:
    assert numbered((EARLY, None), (EARLY, 5.0), (LATE, None)) == ([UNKNOWN_ID, 2, UNKNOWN_ID], 3)
    assert numbered((EARLY, None), (LATE, None)) == ([UNKNOWN_ID, UNKNOWN_ID], 2)


def test_both_zeros_are_one_value() -> None:
    assert numbered((EARLY, 0.0), (EARLY, -0.0), (EARLY, 1.0)) == ([2, 2, 3], 4)


def test_values_that_are_all_late_lie_past_the_known_ids() -> None:
    """To a model these are unknown, as those of any other field."""
    found = numbered((EARLY, None), (LATE, 5.0), (LATE, 6.0))
    assert found.size == 2
    assert set(found.ids[1:]) == {2}


numbers = st.one_of(st.none(), st.integers(0, 40).map(float), st.floats(-1e9, 1e9, allow_nan=False))


@settings(max_examples=examples(25))
@given(st.lists(st.tuples(st.sampled_from((EARLY, LATE)), numbers), min_size=1, max_size=120))
def test_quantiles_agree_with_the_loops(events: list[tuple[int, float | None]]) -> None:
    edges = quantile_edges(value for time, value in events if time < VALID_FROM)
    found = numbered(*events)
    assert found.ids == [quantile(value, edges) for _, value in events]
    assert found.size == 2 + len(edges) <= 2 + QUANTILES
