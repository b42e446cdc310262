"""What the number format of records costs: logits through records in it, against those through float32 records."""

from __future__ import annotations

import numpy as np

from lrea_cli.dataset.histories import open_histories
from lrea_cli.dataset.samples import read_samples
from lrea_cli.kernels import gemm
from lrea_cli.recipe.settings import CacheDtype, Compression
from lrea_cli.records.maker import Known, RecordMaker
from lrea_cli.runs.checkpoint import Run
from lrea_cli.serving.scorer import CandidatePool, RequestScorer, Visitor
from lrea_cli.stats.estimates import deviation

USERS, CANDIDATES = 64, 64


def rounding_deviation(run: Run, compression: Compression | None, dtype: CacheDtype, as_of: int) -> float | None:
    """rms(logit - logit through float32) / sd(logit through float32), of 64 users with 64 candidates each.

    The users are spread over all lengths, and known up to an instant (epoch seconds). None where all logits are equal.
    """
    histories = open_histories(run.dataset)
    lengths = histories.lengths_before(as_of)
    by_length = np.argsort(lengths, kind="stable")
    users = by_length[np.linspace(0, len(by_length) - 1, min(USERS, len(by_length))).astype(int)]
    known, samples, logits = Known(histories, users, lengths[users]), read_samples(run.dataset, "valid"), {}
    for each in ("float32", dtype):
        pool = CandidatePool(histories, samples, 0)
        with RecordMaker.of(run, compression, each).store(users, known) as store:
            scorer = RequestScorer(run.model, store, gemm)
            logits[each] = [
                scorer(
                    Visitor(int(user), int(lengths[user])).request(histories, run.recipe.data, pool.draw(CANDIDATES))
                )
                .double()
                .numpy()
                for user in users
            ]
    return deviation(np.concatenate(logits["float32"]), np.concatenate(logits[dtype]))
