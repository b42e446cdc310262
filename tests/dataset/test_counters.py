"""Match counters against loops over raw histories, in samples and in batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lrea_cli.bench.expected import _matches
from lrea_cli.dataset import counters as counters_module
from lrea_cli.dataset.counters import count_in_history
from lrea_cli.dataset.histories import Histories
from lrea_cli.dataset.samples import Samples
from lrea_cli.errors import UserError
from lrea_cli.runs.loop import reader_of
from lrea_cli.serving.scorer import Visitor


def counted(samples: Samples, histories: Histories, field: str) -> list[int]:
    """By the clock, not by `history_length`: what a user did strictly before the request."""
    counts = []
    for row, request in enumerate(samples.row_request):
        start, end = histories.offsets[samples.user[request]], histories.offsets[samples.user[request] + 1]
        wanted, now = samples.ids[field][row], samples.time[request]
        times, values = histories.time[start:end].tolist(), histories.columns[field][start:end].tolist()
        counts.append(sum(t < now and v == wanted > 1 for t, v in zip(times, values, strict=True)))
    return counts


@pytest.mark.parametrize("field", ["item", "category"])
def test_counts_are_those_of_a_loop(samples: Samples, histories: Histories, field: str) -> None:
    expected = counted(samples, histories, field)
    assert sum(expected) > 0
    assert count_in_history(samples, histories, field).tolist() == expected


@pytest.mark.parametrize("chunk", [1, 3_000])
def test_chunks_change_no_count(
    samples: Samples, histories: Histories, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    expected = count_in_history(samples, histories, "category")
    monkeypatch.setattr(counters_module, "CHUNK_BEHAVIORS", chunk)
    np.testing.assert_array_equal(count_in_history(samples, histories, "category"), expected)


def test_five_clicks_without_a_category_are_no_match_of_a_candidate_without_one() -> None:
    """Id 1 is a missing value; 9 is one that was first seen after training, and equals itself."""
    category = np.array([1, 1, 9, 1, 1, 1, 9], np.int32)
    histories = Histories(np.array([0, 7]), np.arange(7), {"category": category})
    asked = np.array([1, 9, 2, 0], np.int32)
    samples = Samples(
        offsets=np.array([0, 4]),
        user=np.array([0]),
        time=np.array([100]),
        history_length=np.array([7]),
        label=np.zeros(4, np.float32),
        ids={"category": asked},
        profile={},
    )
    assert count_in_history(samples, histories, "category").tolist() == [0, 2, 0, 0]
    assert [_matches(histories, Visitor(0, 7), "category", c) for c in asked.tolist()] == [0, 2, 0, 0]


def test_batches_bring_the_counters_of_the_recipe(make_run) -> None:
    run = make_run(method="mean", match_counters=("category", "item"))
    reader = reader_of(run.dataset, "test", run.recipe.data, 64)
    batch = reader.batch(np.array([5, 2, 9]))
    assert list(batch.candidates.matches) == ["category", "item"]
    for name, found in batch.candidates.matches.items():
        expected = count_in_history(reader.samples, reader.histories, name)
        mask = batch.candidates.mask
        assert found[mask].tolist() == expected[batch.row[mask].numpy()].tolist()
        assert not found[~mask].any()
    plain = reader_of(run.dataset, "test", make_run(method="mean").recipe.data, 64)
    assert not plain.batch(np.array([5])).candidates.matches


def test_a_counter_reaches_the_score_as_the_log_of_one_plus_it(make_run) -> None:
    run = make_run(method="mean", match_counters=("category",))
    seen: list[torch.Tensor] = []
    run.model.mlp.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    batch = reader_of(run.dataset, "test", run.recipe.data, 64).batch(np.arange(6))
    with torch.inference_mode():
        run.model(batch)
    counts = batch.candidates.matches["category"][batch.candidates.mask]
    assert counts.any()
    torch.testing.assert_close(seen[0][:, -2], torch.log1p(counts.float()))


def test_a_counter_of_a_field_that_is_not_there_is_refused(make_run) -> None:
    with pytest.raises(UserError, match=r"match_counters: the dataset has no item field 'categori'.*mean 'category'"):
        make_run(match_counters=("categori",))
    with pytest.raises(UserError, match="no item field 'age_band'"):
        make_run(match_counters=("age_band",))
