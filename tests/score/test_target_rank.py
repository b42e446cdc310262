"""The smallest rank within a target, found on validation requests that have a long part."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lrea_cli.console.progress import Silent
from lrea_cli.errors import UserError
from lrea_cli.recipe.settings import Compression
from lrea_cli.runs.checkpoint import Run
from lrea_cli.score import target_rank as target_module
from lrea_cli.score.target_rank import smallest_rank

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def few_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_module, "MOST_REQUESTS", 60)


def find(run: Run, target: float, compressor: str = "clusters"):
    return smallest_rank(run, Compression(compressor, 1), target, Silent())  # pyright: ignore[reportArgumentType]


def test_the_rank_found_is_within_the_target_and_one_less_is_not(din_run: Run) -> None:
    everything, by_rank = find(din_run, 0.0 + 1e-6)
    target = float(np.mean([by_rank[4], by_rank[8]]))
    chosen, found = find(din_run, target)
    assert 4 < chosen.rank <= 8 < everything.rank
    assert found[chosen.rank] <= target < found[chosen.rank - 1]
    assert list(found) == sorted(found)


def test_a_target_of_one_rank_is_met_at_once(din_run: Run) -> None:
    chosen, curve = find(din_run, 1e9)
    assert (chosen.rank, len(curve)) == (1, 1)


def test_only_requests_with_a_long_part_are_scored(din_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    right = target_module.score_split

    def spy(model, reader, progress):
        seen.append(reader)
        return right(model, reader, progress)

    monkeypatch.setattr(target_module, "score_split", spy)
    find(din_run, 1e9)
    samples = seen[0].samples
    assert samples.requests == 60
    assert (samples.history_length > din_run.recipe.data.short).all()
    assert (samples.time < din_run.dataset.manifest.splits.test_from).all()


def test_a_target_out_of_reach_is_said_with_what_was_reached(din_run: Run, lrea_run: Run) -> None:
    with pytest.raises(UserError, match=r"'mean' is not within 1e-09 at rank 1: \d"):
        find(din_run, 1e-9, "mean")
    with pytest.raises(UserError, match="compressors work on full attention"):
        find(lrea_run, 0.1)
