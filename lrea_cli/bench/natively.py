"""lrea's native request among what serve-bench times: its gate, and its whole requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from lrea_cli.bench.compared import TOLERANCE
from lrea_cli.bench.gate import Score, error_of_logits
from lrea_cli.bench.peers import PeerGate
from lrea_cli.bench.routes import Route, Workload
from lrea_cli.bench.timing import Call, Mark
from lrea_cli.errors import GateFailed
from lrea_cli.kernels import gemm
from lrea_cli.records.past import Past, past_of
from lrea_cli.records.store import ResidentRecords
from lrea_cli.sequence import HistoryIds
from lrea_cli.serving.native.model import UnsupportedError
from lrea_cli.serving.native.scorer import NativeScorer
from lrea_cli.serving.scorer import CandidatePool, Request, RequestScorer, Served, Visitor

NATIVE: Literal["native"] = "native"
FULL_USERS = 16
"""Of whom full attention is compared, too."""


def native_of(scorer: RequestScorer) -> NativeScorer:
    """The native request over the same records; an `UnsupportedError` where there is none."""
    if isinstance(scorer.records, ResidentRecords):
        raise UnsupportedError("There is no native request on a GPU.", "Requests are computed by torch.")
    return NativeScorer(scorer.model, scorer.records)


def natively(scorer: RequestScorer) -> Score:
    """The same as a score."""
    native = native_of(scorer)

    def score(request: Request) -> Tensor:
        return torch.from_numpy(native(request))

    return score


def native_gate(served: Served, visitors: Sequence[Visitor], pool: CandidatePool) -> PeerGate:
    """Compare logits with the float64 loops, and those of full attention with torch's, which the gate has compared.

    Raises:
        GateFailed: one is off by more than `TOLERANCE`.
    """
    errors = [error_of_logits(served, visitors, pool, lambda of: natively(of.scorer(gemm)))]
    scorer = served.scorer(gemm)
    native = native_of(scorer)
    for user in sorted(visitors, key=lambda v: v.length)[:: max(1, len(visitors) // FULL_USERS)]:
        request = user.request(served.histories, served.run.recipe.data, pool.draw(8))
        long, past = full_history(served, user)
        candidates = scorer.candidates(request)
        expected = scorer.logits(request, candidates, past, scorer.full_interest(long, candidates)).numpy()
        error = np.abs(native.full(request, long, past) - expected).max() / max(1.0, np.abs(expected).max())
        errors.append((float(error), f"full attention of user {user.key}"))
    error, where = max(errors, key=lambda e: (np.isnan(e[0]), e[0]))
    if not error <= TOLERANCE:
        raise GateFailed(
            f"The gate failed: relative error {error:.2g} (limit {TOLERANCE:.0e}) in {where}, native. No time is "
            "reported.",
            "This is a bug of lrea: please report it.",
        )
    return PeerGate(True, error, where)


def full_history(served: Served, user: Visitor) -> tuple[HistoryIds, Past]:
    """What full attention reads of a user: the long sequence and the match counters."""
    data = served.run.recipe.data
    long = user.newest(served.histories, data.short, data.long)
    counters = served.run.model.match_counters
    return long, past_of(served.histories, np.array([user.key]), np.array([user.length]), counters)


def serve_natively(native: NativeScorer, served: Served, route: Route, workload: Workload) -> Call:
    """One whole request; of its marks only the first and the last are of use. Before the first see `routes.serve`."""
    data = served.run.recipe.data

    def call(number: int, mark: Mark) -> None:
        user, ids = workload.request(number)
        request = user.request(served.histories, data, ids)
        known = None if route == "cache" else full_history(served, user)
        for _ in range(3):
            mark()
        if known is None:
            native(request)
        else:
            native.full(request, *known)
        mark()

    return call
