"""The gate of serve-bench: what is served must equal the float64 loops of `oracle/`, or no time is reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from lrea_cli.bench.compared import GATE_CANDIDATES, TOLERANCE, Check, asked_after, error_of, stored_of
from lrea_cli.bench.expected import Loops
from lrea_cli.console.counts import counted
from lrea_cli.dataset.histories import Histories
from lrea_cli.errors import GateFailed
from lrea_cli.kernels import KernelName
from lrea_cli.recipe.settings import Compression
from lrea_cli.records.maker import Known
from lrea_cli.records.store import records_on
from lrea_cli.runs.checkpoint import Run
from lrea_cli.serving.scorer import CandidatePool, Request, Served, Visitor

GATE_USERS = 64
NEWER = 3
"""Behaviors that the record of one made user does not know."""
Score = Callable[[Request], Tensor]
"""A request -> logits (N,)."""
MOST_SKIPPED = 0.1
"""Of all candidates: where more searches are too close to call, too little was compared."""


@dataclass(frozen=True)
class GateResult:
    """What was compared.

    Args:
        max_relative_error: the largest of all comparisons; an interest's error is relative to the largest entry of
            that user's interests, or of the two halves whose difference it is, a record's row to that row's largest
            entry, a logit's to max(1, the largest logit); a whole number that is another one is off by infinity.
        where: the comparison that had it.
        users: of the cache, and made ones.
        made: the users that were made, of lengths that no user has.
        limit: of the comparison that had the largest error: `TOLERANCE`, or more where rounding the model's numbers to
            float32 changes as much.
        skipped: candidates of which interest and logit were not compared, of `candidates`: the last behavior that the
            search finds and the next one match so equally well that float32 may find the other.
    """

    passed: bool
    max_relative_error: float
    users: int
    where: str
    candidates: int
    skipped: int
    made: int
    limit: float = TOLERANCE


def run_gate(
    served: Served, visitors: Sequence[Visitor], pool: CandidatePool, kernels: Sequence[KernelName]
) -> GateResult:
    """Compare records, interests and final logits with the float64 loops: 64 users or more, 8 candidates each.

    The loops start from raw history and checkpoint; what follows the cache's dtype in a record is rounded to it. Up to
    64 users are of the cache. Empty, one-behavior and full histories are among them; each of these that no user has is
    made, summarized and stored, and so is a user whose record lacks the newest behaviors: up to seven users more.

    Args:
        visitors: users of the cache, with the behaviors known when it was made.

    Raises:
        GateFailed: an error above its limit, or one that is not a number; or too few searches could be compared.
    """
    chosen, made = _users(served, visitors)
    check = Check(served, pool, kernels)
    errors = check(served, chosen)
    with _made(served, made) as made_up:
        errors += check(made_up, made)
    worst = max(errors, key=lambda e: (not e.passed, np.isnan(e.error), e.error))
    users = len(chosen) + len(made)
    compared = users, worst.where, users * GATE_CANDIDATES, check.skipped, len(made)
    result = GateResult(worst.passed, float(worst.error), *compared, limit=float(worst.limit))
    _require_passed(result, served.records.remedy)
    return result


def error_of_logits(
    served: Served, visitors: Sequence[Visitor], pool: CandidatePool, scoring: Callable[[Served], Score]
) -> tuple[float, str]:
    """Largest relative error of the logits of another way to serve, and the user that had it; users as in `run_gate`.

    Args:
        scoring: what is served -> what scores a request; records of made users are of a store of their own.
    """
    loops, errors = Loops(served), []

    def compare(of: Served, users: Sequence[Visitor]) -> None:
        score = scoring(of)
        for user in users:
            ids = asked_after(of.histories, user, pool.draw(GATE_CANDIDATES))
            expected = loops(of.histories, user, ids, stored_of(of, user))
            logit = score(user.request(of.histories, of.run.recipe.data, ids))
            error = error_of(logit[expected.compared], expected.logit, 1.0)
            errors.append((error, f"logit of user {user.key} ({counted(user.length, 'behavior')})"))

    chosen, made = _users(served, visitors)
    compare(served, chosen)
    with _made(served, made) as made_up:
        compare(made_up, made)
    return max(errors, key=lambda e: (np.isnan(e[0]), e[0]))


def _users(served: Served, visitors: Sequence[Visitor]) -> tuple[list[Visitor], list[Visitor]]:
    """The users of the cache that are compared, and those that are made."""
    wanted = _lengths_needed(served.run, served.compression)
    chosen = _choose(visitors, wanted)
    needed = [(length, 0) for length in sorted(wanted - {v.length for v in chosen})]
    older = (max(wanted), min(NEWER, served.run.recipe.data.short))
    return chosen, [Visitor(key, *user) for key, user in enumerate([*needed, older])]


@contextmanager
def _made(served: Served, visitors: Sequence[Visitor]) -> Iterator[Served]:
    """Users 0, 1, 2, .. with histories of the visitors' lengths, and their records."""
    histories = _made_histories(served.histories, [user.length for user in visitors])
    users, known = np.arange(histories.users), np.array([user.length - user.newer for user in visitors], np.int64)
    with torch.inference_mode(), served.maker.store(users, Known(histories, users, known)) as store:
        yield replace(served, histories=histories, records=records_on(store, served.device))


def _require_passed(result: GateResult, remedy: str) -> None:
    """Refuse a result that says that something is wrong, or that says too little; `remedy` makes the cache anew."""
    if not result.passed:
        raise GateFailed(
            f"The gate failed: relative error {result.max_relative_error:.2g} (limit {result.limit:.2g}) in "
            f"{result.where}. No time is reported.",
            f"If a new cache does not help, this is a bug of lrea: please report it. {remedy}",
        )
    if result.skipped > MOST_SKIPPED * result.candidates:
        raise GateFailed(
            f"The gate compared too little: for {result.skipped:,} of {counted(result.candidates, 'candidate')} the "
            f"search is too close to call, limit {MOST_SKIPPED:.0%}. No time is reported.",
            "Embeddings that barely differ do this: train the run longer, or with another k in the recipe's [model].",
        )


def _lengths_needed(run: Run, compression: Compression | None) -> set[int]:
    """Empty, one behavior, one long behavior, as many long ones as are found or kept and one more, and full."""
    data, model = run.recipe.data, run.recipe.model
    short, full = data.short, data.short + data.long
    made_rank = compression.rank if compression else model.rank
    most = model.k if run.model.long.row_per_behavior else made_rank
    return {0, 1, short + 1, min(short + most, full), min(short + most + 1, full), full}


def _choose(visitors: Sequence[Visitor], wanted: set[int]) -> list[Visitor]:
    """Up to 64 users spread evenly over the sorted lengths, one of each wanted length first."""
    by_length = sorted(visitors, key=lambda v: v.length)
    special = list({v.length: v for v in by_length if v.length in wanted}.values())
    rest = [v for v in by_length if v not in special]
    chosen = np.linspace(0, len(rest) - 1, min(len(rest), max(0, GATE_USERS - len(special)))).astype(int)
    return special + [rest[n] for n in chosen]


def _made_histories(log: Histories, lengths: Sequence[int]) -> Histories:
    """Histories of the wanted lengths, cut from the log's behaviors as stored, repeated where it is short."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    index = np.arange(offsets[-1]) % len(log.time)
    return Histories(offsets, log.time[index], {name: c[index] for name, c in log.columns.items()})
