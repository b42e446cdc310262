"""What a number format of records costs, in logits."""

from __future__ import annotations

import numpy as np
import torch

from lrea_cli.dataset.histories import Histories
from lrea_cli.dataset.samples import Samples, read_samples
from lrea_cli.kernels import naive
from lrea_cli.recipe.settings import Compression
from lrea_cli.records.maker import Known, RecordMaker
from lrea_cli.runs.checkpoint import Run
from lrea_cli.score.rounding import rounding_deviation
from lrea_cli.serving.scorer import CandidatePool, RequestScorer, Visitor


def test_coarser_numbers_move_logits_more(din_run: Run) -> None:
    end = din_run.dataset.manifest.splits.end
    none, half, byte = (rounding_deviation(din_run, None, dtype, end) for dtype in ("float32", "float16", "int8"))
    assert none == 0
    assert half is not None
    assert byte is not None
    assert 0 < half < byte < 0.05


def test_it_is_that_of_a_loop(lrea_run: Run, histories: Histories) -> None:
    """Over all users it is near that of 64 spread over the lengths."""
    end = lrea_run.dataset.manifest.splits.end
    lengths, users = histories.lengths_before(end), np.arange(histories.users)
    logits = []
    for dtype in ("float32", "int8"):
        pool = CandidatePool(histories, read_samples(lrea_run.dataset, "valid"), 5)
        with RecordMaker.of(lrea_run, None, dtype).store(users, Known(histories, users, lengths)) as store:
            scorer = RequestScorer(lrea_run.model, store, naive)
            asked = [
                Visitor(int(u), int(lengths[u])).request(histories, lrea_run.recipe.data, pool.draw(20)) for u in users
            ]
            logits.append(torch.cat([scorer(request) for request in asked]).double().numpy())
    expected = float(np.sqrt(np.mean((logits[1] - logits[0]) ** 2)) / logits[0].std())
    found = rounding_deviation(lrea_run, None, "int8", end)
    assert found is not None
    assert 0.5 * expected < found < 2 * expected


def test_of_a_compressor(din_run: Run, samples: Samples) -> None:
    found = rounding_deviation(din_run, Compression("clusters", 4), "int8", din_run.dataset.manifest.splits.end)
    assert found is not None
    assert 0 < found < 0.05
