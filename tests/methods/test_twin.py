"""TWIN: vectors, age, position and category make one score, by which each head searches and attends."""

from dataclasses import replace

import pytest
import torch

from lrea_cli.methods import HistoryShape
from lrea_cli.methods.twin import BANDS, TWIN, band
from lrea_cli.oracle import searches as reference_searches
from lrea_cli.recipe.settings import ModelSettings
from tests.methods.test_contract import HOUR, NOW, D, L, assert_equals_the_loops, behaviors, build, candidates

SETTINGS = ModelSettings(method="twin", k=L, heads=2)


def plain(k, heads=2):
    """All projections 1, all biases 0."""
    method = build(replace(SETTINGS, k=k, heads=heads))
    with torch.no_grad():
        for weight in method.attention.parameters():
            weight.copy_(torch.eye(D))
        for bias in (method.age, method.place, method.same_category):
            bias.zero_()
    return method


def full():
    """One full history, all vectors and times equal, all of category 2."""
    seen = behaviors((L,))
    return replace(
        seen,
        vectors=seen.vectors[:, :1].expand(-1, L, -1),
        category=torch.full((1, L), 2, dtype=torch.int32),
        time=torch.full((1, L), NOW - 5 * HOUR),
    )


def interest(method, seen, asked=None):
    return method(seen, candidates(1, requests=1) if asked is None else asked).vectors[0, 0]


def one_behavior_apart():
    """`full` with another vector at place 0: were all equal, no weight would show."""
    seen = full()
    vectors = seen.vectors.clone()
    vectors[0, 0] = torch.tensor([1.0, -1.0, 0.5, 2.0])
    return replace(seen, vectors=vectors)


@pytest.mark.parametrize(
    ("hours", "seconds", "same"),
    [(5, 0, True), (4, 0, True), (7, 3599, True), (8, 0, False), (3, 3599, False), (100, 0, False)],
)
def test_age_counts_by_its_band(hours, seconds, same):
    """5 hours is in the band of 4 to 8."""
    method, seen = build(SETTINGS), one_behavior_apart()
    time = seen.time.clone()
    time[0, 0] = NOW - hours * HOUR - seconds
    changed = interest(method, replace(seen, time=time))
    assert torch.allclose(changed, interest(method, seen), rtol=1e-9) == same


def test_age_is_that_at_the_request():
    method, seen, asked = build(SETTINGS), behaviors((L,)), candidates(1, requests=1)
    later, moved = replace(asked, time=asked.time + 24 * HOUR), replace(seen, time=seen.time + 24 * HOUR)
    assert not torch.allclose(interest(method, seen, later), interest(method, seen, asked), rtol=1e-3)
    torch.testing.assert_close(interest(method, moved, later), interest(method, seen, asked))


def test_a_behavior_after_the_request_has_no_age():
    method, seen = build(SETTINGS), one_behavior_apart()
    now, after = seen.time.clone(), seen.time.clone()
    now[0, 0], after[0, 0] = NOW, NOW + 1000 * HOUR
    torch.testing.assert_close(interest(method, replace(seen, time=now)), interest(method, replace(seen, time=after)))
    asked = candidates()
    assert_equals_the_loops(replace(SETTINGS, k=3), behaviors(), replace(asked, time=asked.time - 100 * HOUR))


@pytest.mark.parametrize(("places", "same"), [((2, 3), True), ((4, 7), True), ((0, 1), False), ((3, 4), False)])
def test_place_counts_by_its_band(places, same):
    """Two behaviors that differ in their vectors alone change places."""
    method, seen = build(SETTINGS), full()
    vectors = behaviors((L,)).vectors
    order = torch.arange(L)
    order[list(places)] = order[list(places[::-1])]
    before, after = (interest(method, replace(seen, vectors=v)) for v in (vectors, vectors[:, order]))
    assert torch.allclose(before, after, rtol=1e-9) == same


def test_category_counts_by_being_the_candidates():
    method, seen, asked = build(SETTINGS), one_behavior_apart(), candidates(1, requests=1)
    assert asked.category.tolist() == [[2]]
    actual = {}
    for other in (2, 3, 5):
        category = seen.category.clone()
        category[0, 0] = other
        actual[other] = interest(method, replace(seen, category=category), asked)
    torch.testing.assert_close(actual[3], actual[5])
    assert not torch.allclose(actual[2], actual[3], rtol=1e-3)


def test_a_missing_category_is_not_that_of_a_candidate_without_one():
    method, seen, asked = build(SETTINGS), one_behavior_apart(), candidates(1, requests=1)
    other, none = seen.category.clone(), seen.category.clone()
    other[0, 0], none[0, 0] = 3, 1
    wanted = interest(method, replace(seen, category=other), replace(asked, category=torch.tensor([[5]])))
    actual = interest(method, replace(seen, category=none), replace(asked, category=torch.tensor([[1]])))
    torch.testing.assert_close(actual, wanted)


def test_each_head_finds_its_own():
    """The first head sees the first half of a vector, the second head the second half."""
    method, seen, asked = plain(k=1), full(), candidates(1, requests=1)
    vectors = torch.full((1, L, D), 0.1, dtype=torch.float64)
    vectors[0, 3] = torch.tensor([5.0, 5.0, -1.0, -2.0])
    vectors[0, 6] = torch.tensor([-3.0, -4.0, 6.0, 6.0])
    asked = replace(asked, vectors=torch.ones(1, 1, D, dtype=torch.float64))
    expected = torch.tensor([5.0, 5.0, 6.0, 6.0], dtype=torch.float64)
    torch.testing.assert_close(interest(method, replace(seen, vectors=vectors), asked), expected)


def test_padding_with_a_score_of_0_loses_to_negative_scores():
    method, asked = plain(k=2, heads=1), candidates(1, requests=2)
    seen = behaviors((2, L))
    away = -asked.vectors[:, :1] * seen.mask[..., None]
    torch.testing.assert_close(method(replace(seen, vectors=away), asked).vectors[0, 0], -asked.vectors[0, 0])


@pytest.mark.parametrize("feature", ["age", "place", "category"])
def test_the_cross_features_decide_the_search_too(feature):
    """A behavior with a low inner product is selected for its age, position or category."""
    method, seen, asked = plain(k=1, heads=1), full(), candidates(1, requests=1)
    vectors = asked.vectors[:, :1] * torch.ones(L, 1)  # all match well
    vectors[0, 5] = -asked.vectors[0, 0]
    seen = replace(seen, vectors=vectors)
    torch.testing.assert_close(interest(method, seen, asked), asked.vectors[0, 0])
    with torch.no_grad():
        if feature == "age":
            seen.time[0, 5] = NOW - 500 * HOUR
            method.age[0, band(torch.tensor(500))] = 100.0
        if feature == "place":
            seen.vectors[0, 4] = seen.vectors[0, 5]
            seen.vectors[0, 6:8] = seen.vectors[0, 5]
            method.place[0, band(torch.tensor(5))] = 100.0
        if feature == "category":
            seen.category[0] = 3
            seen.category[0, 5] = 2
            method.same_category[0] = 100.0
    torch.testing.assert_close(interest(method, seen, asked), -asked.vectors[0, 0])


def test_without_categories_there_is_no_such_bias_and_no_such_field():
    method = TWIN(SETTINGS, HistoryShape(D, L, categories=False)).double()
    assert "same_category" not in dict(method.named_parameters())
    assert [f.name for f in method.record] == ["keys", "values", "time"]
    assert [f.name for f in build(SETTINGS).record] == ["keys", "values", "time", "category"]
    seen, asked = behaviors(), candidates()
    bare = method(replace(seen, category=None), replace(asked, category=None)).vectors
    torch.testing.assert_close(method(seen, asked).vectors, bare)


def test_bands_double_and_the_last_one_is_open():
    wholes = [0, 1, 2, 3, 4, 7, 8, 2**14 - 1, 2**14, 2**14 + 1, 2**40]
    expected = [0, 1, 2, 2, 3, 3, 4, 14, 15, 15, 15]
    assert band(torch.tensor(wholes)).tolist() == expected
    assert [reference_searches.band(whole) for whole in wholes] == expected
    assert BANDS == 16
