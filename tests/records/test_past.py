"""What a record knows of the whole history: counters and length against a plain loop over the behaviors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lrea_cli.dataset.histories import Histories
from lrea_cli.records.past import NO_VALUE, Past, past_of
from lrea_cli.sequence import HistoryIds

FIELDS = ("category", "item")
LARGEST = NO_VALUE - 1
VALUES = st.sampled_from([0, 1, 2, 3, 7, 1 << 16, LARGEST])
"""Ids 0 and 1 are no value."""
USERS = st.lists(st.lists(st.tuples(VALUES, VALUES), max_size=9), min_size=1, max_size=4)
CANDIDATES = torch.tensor([0, 1, 2, 3, 4, 7, 8, (1 << 16) - 1, 1 << 16, LARGEST - 1, LARGEST], dtype=torch.int32)


def histories_of(users: list[list[tuple[int, int]]]) -> Histories:
    """Behaviors (category, item) of each user, oldest first."""
    flat = np.array([behavior for user in users for behavior in user], np.int32).reshape(-1, 2)
    offsets = np.concatenate([[0], np.cumsum([len(user) for user in users])]).astype(np.int64)
    return Histories(offsets, np.arange(len(flat)), dict(zip(FIELDS, flat.T.copy(), strict=True)))


def short_of(rows: list[list[tuple[int, int]]], width: int) -> HistoryIds:
    """Short sequences, newest first, of at most `width` behaviors; where masked, ids that a candidate has."""
    ids = torch.full((len(rows), width, 2), 2, dtype=torch.int32)
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    for row, behaviors in enumerate(rows):
        for place, behavior in enumerate(behaviors[:width]):
            ids[row, place], mask[row, place] = torch.tensor(behavior), True
    return HistoryIds(dict(zip(FIELDS, ids.unbind(-1), strict=True)), mask, torch.zeros(mask.shape, dtype=torch.int64))


def counted(past: Past, short: HistoryIds, newer: list[int]) -> dict[str, list[list[int]]]:
    candidates = {name: CANDIDATES.repeat(len(newer), 1) for name in FIELDS}
    found = past.matches(candidates, short, torch.tensor(newer))
    assert all(counts.dtype == torch.int64 for counts in found.values())
    return {name: counts.tolist() for name, counts in found.items()}


def loop(seen: list[int]) -> list[int]:
    return [seen.count(value) if value > 1 else 0 for value in CANDIDATES.tolist()]


@given(users=USERS, data=st.data())
def test_matches_are_those_of_a_loop_over_behaviors(users: list[list[tuple[int, int]]], data: st.DataObject) -> None:
    """The record knows a beginning of each history; of the rest the newest few are shown by the short sequence."""
    width = data.draw(st.integers(1, 5))
    lengths = [data.draw(st.integers(0, len(user))) for user in users]
    known = [data.draw(st.integers(0, length)) for length in lengths]
    newer = [min(length - at, width) for length, at in zip(lengths, known, strict=True)]
    chosen = data.draw(st.lists(st.integers(0, len(users) - 1), min_size=1, max_size=5))
    fields = data.draw(st.sampled_from([(), ("item",), FIELDS]))
    past = past_of(histories_of(users), np.array(chosen), np.array([known[u] for u in chosen]), fields)
    assert past.length.tolist() == [known[u] for u in chosen]
    short = short_of([users[u][: lengths[u]][::-1] for u in chosen], width)
    found = counted(past, short, [newer[u] for u in chosen])
    assert tuple(found) == fields
    for name in fields:
        column = FIELDS.index(name)
        seen = [
            [b[column] for b in users[u][: known[u]] + users[u][lengths[u] - newer[u] : lengths[u]]] for u in chosen
        ]
        assert found[name] == [loop(values) for values in seen]


@given(users=USERS)
def test_values_are_distinct_and_ascending_and_missing_ones_left_out(users: list[list[tuple[int, int]]]) -> None:
    lengths = np.array([len(user) for user in users])
    past = past_of(histories_of(users), np.arange(len(users)), lengths, FIELDS)
    for column, name in enumerate(FIELDS):
        values, counts = past.values[name], past.counts[name]
        assert (values.dtype, counts.dtype) == (torch.int32, torch.int32)
        for row, user in enumerate(users):
            seen = [behavior[column] for behavior in user if behavior[column] > 1]
            expected = sorted(set(seen))
            used = len(expected)
            assert values[row, :used].tolist() == expected
            assert counts[row, :used].tolist() == [seen.count(value) for value in expected]
            assert (values[row, used:] == NO_VALUE).all()
            assert not counts[row, used:].any()
        assert values.shape[1] == max(1, *(len({b[column] for b in user if b[column] > 1}) for user in users), 1)


def test_a_masked_position_is_not_counted_though_it_is_among_the_first_newer() -> None:
    past = past_of(histories_of([[(7, 7)]]), np.array([0]), np.array([1]), FIELDS)
    short = short_of([[(2, 3)]], 3)
    for newer in (1, 2, 3):
        assert counted(past, short, [newer])["category"] == [loop([7, 2])]
    assert counted(past, short, [0])["category"] == [loop([7])]


def test_each_user_has_an_own_number_of_newer_behaviors() -> None:
    users = [[(2, 2), (3, 2), (7, 2)]] * 3
    past = past_of(histories_of(users), np.arange(3), np.array([3, 2, 0]), FIELDS)
    short = short_of([user[::-1] for user in users], 3)
    assert counted(past, short, [0, 1, 3])["category"] == [loop([2, 3, 7])] * 3
    assert counted(past, short, [1, 0, 0])["category"] == [loop([2, 3, 7, 7]), loop([2, 3]), loop([])]


@pytest.mark.parametrize("newer", [0, 2])
def test_no_user_and_no_candidate_have_no_counts(newer: int) -> None:
    histories = histories_of([[(2, 2)]])
    nobody = past_of(histories, np.array([], np.int64), np.array([], np.int64), FIELDS)
    none = {name: torch.zeros(0, 3, dtype=torch.int32) for name in FIELDS}
    short = short_of([], 2)
    assert nobody.matches(none, short, torch.zeros(0, dtype=torch.int64))["item"].shape == (0, 3)
    past = past_of(histories, np.array([0]), np.array([1]), FIELDS)
    none = {name: torch.zeros(1, 0, dtype=torch.int32) for name in FIELDS}
    assert past.matches(none, short_of([[(2, 2)]], 2), torch.tensor([newer]))["item"].shape == (1, 0)


def test_candidates_of_one_request_may_be_views_of_wider_ids() -> None:
    """As `Candidates` of a batch are; no copy is warned of."""
    past = past_of(histories_of([[(2, 2), (3, 3)], [(3, 2)]]), np.arange(2), np.array([2, 1]), FIELDS)
    wide = torch.tensor([[2, 9], [3, 9], [4, 9]], dtype=torch.int32)
    views = {"category": wide[:, 0].expand(2, 3), "item": wide.T[:1].expand(2, 3)}
    short = short_of([[], []], 1)
    found = past.matches(views, short, torch.zeros(2, dtype=torch.int64))
    assert found["category"].tolist() == [[1, 1, 0], [0, 1, 0]]
    assert found["item"].tolist() == [[1, 1, 0], [1, 0, 0]]
