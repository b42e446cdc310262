"""What is served to a user, compared with the float64 loops, and how far float32 may be from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lrea_cli.bench.expected import Expected, Loops
from lrea_cli.console.counts import counted
from lrea_cli.dataset.histories import Histories
from lrea_cli.kernels import KERNELS, KernelName
from lrea_cli.sequence import CandidateIds, HistoryIds, RecordField, Summary
from lrea_cli.serving.scorer import CandidatePool, Request, RequestScorer, Served, Visitor

TOLERANCE = 1e-5
"""Relative error that needs no reason."""
ROUNDINGS = 20.0
"""Times what one rounding of the model's numbers changes: so far off may float32 be, where `TOLERANCE` is less."""
MOST_ROUNDED = 1e-3
"""Relative error that no rounding excuses."""
GATE_CANDIDATES = 8


class Compared(NamedTuple):
    """One comparison: its relative error, the error that it may have, and what was compared."""

    error: float
    limit: float
    where: str

    @property
    def passed(self) -> bool:
        """False of an error that is not a number, too."""
        return self.error <= self.limit


class Check:
    """All comparisons of some users; `skipped` counts the candidates that a search is too close to call for."""

    def __init__(self, served: Served, pool: CandidatePool, kernels: Sequence[KernelName]) -> None:
        self.served, self.pool, self.kernels = served, pool, kernels
        self.loops = Loops(served)
        self.skipped = 0

    def __call__(self, served: Served, visitors: Sequence[Visitor]) -> list[Compared]:
        """All comparisons of these users with every kernel."""
        errors = []
        for user in visitors:
            ids, stored = asked_after(served.histories, user, self.pool.draw(GATE_CANDIDATES)), stored_of(served, user)
            expected = self.loops(served.histories, user, ids, stored)
            request = user.request(served.histories, data := served.run.recipe.data, ids).to(served.device)
            long = user.newest(served.histories, data.short, data.long).to(served.device)
            self.skipped += int((~expected.compared).sum())
            for kernel in self.kernels:
                of_user = f"of user {user.key} ({counted(user.length, 'behavior')}), {kernel}"
                compared = self._compare(served.scorer(KERNELS[kernel]), request, long, expected)
                limits = dict.fromkeys(compared, TOLERANCE)
                if not max(compared.values()) <= TOLERANCE:
                    limits |= self._limits(expected, self._shaken(served.histories, user, ids, stored))
                errors += [Compared(error, limits[part], f"{part} {of_user}") for part, error in compared.items()]
        return errors

    @cached_property
    def _shaken(self) -> Loops:
        """Loops of a model whose numbers are a rounding off; made where an error needs a reason."""
        return Loops(self.served, shaken=True)

    def _compare(
        self, scorer: RequestScorer, request: Request, long: HistoryIds, expected: Expected
    ) -> dict[str, float]:
        """The relative error of each part; `long` is what full attention reads besides."""
        with torch.inference_mode():
            records, candidates = scorer.fetch(request), scorer.candidates(request)
            interest = scorer.cached_interest(records, candidates)
            full = scorer.full_interest(long, candidates)
            logit = scorer.logits(request, candidates, records.past, interest)
        summary, past = records.summary, records.past
        errors = {
            "interest": error_of(interest[0].cpu()[expected.compared], expected.interest, expected.half),
            "full attention": error_of(full[0].cpu(), expected.full, expected.half),
            "logit": error_of(logit.cpu()[expected.compared], expected.logit, 1.0),
            "history length": _unless(int(past.length[0]) == expected.length),
        }
        for field in self.loops.fields:
            errors[field.name] = _worst_row(_used(summary, field), expected.record[field.name])
        for name, counter in expected.counters.items():
            used = int((past.counts[name][0] > 0).sum())
            values, counts = (part[name][0, :used].tolist() for part in (past.values, past.counts))
            errors[f"match counter '{name}'"] = _unless(list(zip(values, counts, strict=True)) == counter)
        return errors

    def _limits(self, expected: Expected, shaken: Expected) -> dict[str, float]:
        """What each part may be off by: `ROUNDINGS` times what rounding the model's numbers changes of it."""
        both = expected.compared & shaken.compared
        one, other = both[expected.compared], both[shaken.compared]
        changes = {
            "interest": error_of(torch.from_numpy(shaken.interest[other]), expected.interest[one], expected.half),
            "full attention": error_of(torch.from_numpy(shaken.full), expected.full, expected.half),
            "logit": error_of(torch.from_numpy(shaken.logit[other]), expected.logit[one], 1.0),
        }
        for field in self.loops.fields:
            if (made := expected.record[field.name]).dtype.kind == "f":
                changes[field.name] = _worst_row(torch.from_numpy(shaken.record[field.name]), made)
        return {part: min(max(TOLERANCE, ROUNDINGS * change), MOST_ROUNDED) for part, change in changes.items()}


def stored_of(served: Served, user: Visitor) -> dict[str, np.ndarray]:
    """The fields of the user's record as it is stored, the rows in use."""
    summary = served.records.fetch([user.key]).summary
    return {f.name: _used(summary, f).double().numpy() for f in served.records.layout.fields}


def asked_after(histories: Histories, user: Visitor, ids: CandidateIds) -> CandidateIds:
    """The candidates at a time that is later than all that the user is known to have done: no age is below 0."""
    start = int(histories.offsets[user.key])
    latest = int(histories.time[start : start + user.length].max(initial=0))
    return replace(ids, time=ids.time.clamp(min=latest + 1))


def _used(summary: Summary, field: RecordField) -> Tensor:
    """The rows of a field that the record of one user uses, on the CPU."""
    used = int(summary.rows[0]) if field.rows == "rows" else field.rows
    return getattr(summary, field.name)[0, :used].cpu()


def _unless(right: bool) -> float:
    """The error of what is right or wrong."""
    return 0.0 if right else math.inf


def error_of(served: Tensor, expected: np.ndarray, least: float) -> float:
    """Largest error, over the largest number or `least`; whole numbers are equal or infinitely wrong."""
    if not served.is_floating_point():
        return _unless(bool((served.numpy() == expected).all()))
    difference = np.abs(served.double().numpy() - expected).max(initial=0.0)
    return float(difference) / (float(max(least, np.abs(expected).max(initial=0.0))) or 1.0)


def _worst_row(served: Tensor, expected: np.ndarray) -> float:
    if served.shape != expected.shape:
        return math.inf
    return max((error_of(row, twin, 0.0) for row, twin in zip(served, expected, strict=True)), default=0.0)
