import torch

from lrea_cli.methods.slots import counts_by_slot, first_seen, largest_by_slot, least_by_slot, placed, sums_by_slot

VALUES = torch.tensor([[7, 3, 7, 9, 3, 7], [0, 5, 5, 2, 0, 0], [4, 4, 4, 4, 4, 4]], dtype=torch.int32)
MASK = torch.tensor([[True] * 6, [False, True, True, True, False, False], [False] * 6])
SLOTS = [[0, 1, 0, 2, 1, 0], [-1, 0, 0, 1, -1, -1], [-1] * 6]


def test_values_are_numbered_in_the_order_of_their_first_appearance():
    slots, rows = first_seen(VALUES, MASK)
    assert slots.tolist() == SLOTS
    assert rows.tolist() == [3, 2, 0]


def test_slots_equal_a_dictionary_on_many_draws():
    torch.manual_seed(0)
    values, mask = torch.randint(-5, 30, (40, 60)), torch.rand(40, 60) < 0.7
    slots, rows = first_seen(values, mask)
    for b in range(40):
        known: dict[int, int] = {}
        expected = [known.setdefault(int(v), len(known)) if m else -1 for v, m in zip(values[b], mask[b], strict=True)]
        assert slots[b].tolist() == expected
        assert int(rows[b]) == len(known)


def test_no_value_and_no_place():
    slots, rows = first_seen(torch.zeros(2, 0, dtype=torch.int64), torch.zeros(2, 0, dtype=torch.bool))
    assert slots.shape == (2, 0)
    assert rows.tolist() == [0, 0]


def test_what_stands_in_a_row():
    slots = torch.tensor(SLOTS)
    assert placed(VALUES, slots, 3).tolist() == [[7, 3, 9], [5, 2, 0], [0, 0, 0]]
    assert counts_by_slot(slots, 3).tolist() == [[3, 2, 1], [2, 1, 0], [0, 0, 0]]
    numbers = torch.arange(6, 0, -1).expand(3, -1)
    assert largest_by_slot(numbers, slots, 3).tolist() == [[6, 5, 3], [5, 3, 0], [0, 0, 0]]
    assert least_by_slot(numbers, slots, 3).tolist() == [[1, 2, 3], [4, 3, 0], [0, 0, 0]]
    vectors = torch.arange(36.0).view(3, 6, 2)
    sums = sums_by_slot(vectors, slots, 3)
    assert sums[0].tolist() == [[0 + 4 + 10, 1 + 5 + 11], [2 + 8, 3 + 9], [6, 7]]
    assert not sums[2].any()
