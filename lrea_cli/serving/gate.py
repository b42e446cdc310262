"""The gate of serve-bench: what is served must equal the float64 loops of `reference.py`, or no time is reported."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lrea_cli import reference
from lrea_cli.data.histories import Histories
from lrea_cli.errors import GateFailed
from lrea_cli.kernels import KernelName
from lrea_cli.recipe import Compression, Recipe
from lrea_cli.sequence import CandidateIds
from lrea_cli.serving.cache import summarize_into
from lrea_cli.serving.candidates import CandidatePool
from lrea_cli.serving.records import RecordFormat
from lrea_cli.serving.resident import records_on
from lrea_cli.serving.scorer import Records, RequestScorer, Visitor
from lrea_cli.serving.store import RecordStore, RecordWriter
from lrea_cli.serving.summarizer import summarizer_of
from lrea_cli.serving.twins import reference_model, twin_of
from lrea_cli.training.checkpoint import Run

TOLERANCE = 1e-5
GATE_USERS = 64
GATE_CANDIDATES = 8


@dataclass(frozen=True)
class GateResult:
    """What was compared.

    Args:
        max_relative_error: the largest of all comparisons; an interest's error is relative to the largest entry of
            that user's interests, a record's row to that row's largest entry, a logit's to max(1, the largest logit).
        where: the comparison that had it.
    """

    passed: bool
    max_relative_error: float
    users: int
    where: str


def run_gate(
    run: Run,
    layout: RecordFormat,
    histories: Histories,
    records: Records,
    visitors: Sequence[Visitor],
    pool: CandidatePool,
    kernels: Sequence[KernelName],
    device: torch.device,
    compression: Compression | None = None,
) -> GateResult:
    """Compare records, interests and final logits of 64 users, 8 candidates each, with the float64 loops.

    The loops start from raw history and checkpoint; keys and values are rounded to the cache's dtype. Empty,
    one-behavior and full histories are among the users: made, summarized and stored where the data lacks them.

    Args:
        visitors: users of the cache, with the behaviors known when it was made.
        compression: how the cache was made from a din run; None where its method makes the records.

    Raises:
        GateFailed: an error above `TOLERANCE`, or one that is not a number.
    """
    wanted = _lengths_needed(run.recipe)
    chosen = _choose(visitors, wanted)
    needed = sorted(wanted - {v.length for v in chosen})
    errors: list[tuple[float, str]] = []
    check = _Check(run, layout, pool, kernels, device, compression)
    errors += check(histories, records, chosen)
    with tempfile.TemporaryDirectory(prefix="lrea-gate-") as folder, torch.inference_mode():
        made = _made_histories(histories, needed)
        visitors_made = [Visitor(key, length) for key, length in enumerate(needed)]
        keys = np.arange(made.users)
        long = made.newest(keys, np.diff(made.offsets), run.recipe.data.short, run.recipe.data.long)
        with RecordWriter(Path(folder), layout) as writer:
            if len(keys):
                summarize_into(writer, run.model, summarizer_of(run, compression), keys, keys, long, device)
        with RecordStore(Path(folder), layout, run.model.long.summary_type) as store:
            errors += check(made, records_on(store, device), visitors_made)
    worst, where = max(errors, key=lambda e: (np.isnan(e[0]), e[0]))
    result = GateResult(bool(worst <= TOLERANCE), float(worst), len(chosen) + len(visitors_made), where)
    if not result.passed:
        raise GateFailed(
            f"The gate failed: relative error {worst:.2g} (limit {TOLERANCE:.0e}) in {where}. No time is reported.",
            "Make the cache anew with: lrea compress. If that does not help, this is a bug of lrea: please report it.",
        )
    return result


class _Check:
    """All comparisons of some users."""

    def __init__(
        self,
        run: Run,
        layout: RecordFormat,
        pool: CandidatePool,
        kernels: Sequence[KernelName],
        device: torch.device,
        compression: Compression | None,
    ) -> None:
        self.run, self.layout, self.pool, self.kernels, self.device = run, layout, pool, kernels, device
        self.reference = reference_model(run)
        self.twin = twin_of(run, self.reference, compression)

    def __call__(self, histories: Histories, records: Records, visitors: Sequence[Visitor]) -> list[tuple[float, str]]:
        errors = []
        for user in visitors:
            ids = self.pool.draw(GATE_CANDIDATES)
            expected = self._expected(histories, user, ids)
            for kernel in self.kernels:
                scorer = RequestScorer(self.run.model, histories, self.run.recipe.data, records, kernel, self.device)
                for part, (error, scale) in self._compare(scorer, user, ids, expected).items():
                    errors.append((error / scale, f"{part} of user {user.key} ({user.length} behaviors), {kernel}"))
        return errors

    def _expected(self, histories: Histories, user: Visitor, ids: CandidateIds) -> dict[str, np.ndarray]:
        ref, settings = self.reference, self.run.recipe.data
        counted = self.run.model.match_counters
        read = min(user.length, settings.short + settings.long)
        rows = [ref.vector(_ids_at(histories, user, back), ref.item_fields) for back in range(read)]
        newest_first = np.array(rows).reshape(read, self.run.model.features.width)
        short, long = newest_first[: settings.short], newest_first[settings.short :]
        made = self.twin.rows(long, user.key)
        record = replace(made, keys=self._rounded(made.keys), values=self._rounded(made.values))
        found: dict[str, list[np.ndarray | float]] = {"interest": [], "full attention": [], "logit": []}
        for position in range(ids.mask.shape[1]):
            e_t = ref.vector(_row(ids.ids, position), ref.item_fields)
            interest = self.twin.interest(e_t, long, record)
            profile = ref.vector(_row(ids.profile, position), ref.profile_fields)
            found["interest"].append(interest)
            found["full attention"].append(reference.din(e_t, long, ref.scorer("long")))
            matches = [_matches(histories, user, name, int(ids.ids[name][0, position])) for name in counted]
            found["logit"].append(ref.logit(e_t, short, interest, profile, matches, user.length))
        return {name: np.array(rows) for name, rows in found.items()} | {"keys": record.keys, "values": record.values}

    def _rounded(self, rows: np.ndarray) -> np.ndarray:
        """To the cache's dtype by way of float32, as a record is sealed: rounding once differs where it meets a tie."""
        return rows.astype(np.float32).astype(self.layout.dtype).astype(float)

    def _compare(
        self, scorer: RequestScorer, user: Visitor, ids: CandidateIds, expected: Mapping[str, np.ndarray]
    ) -> dict[str, tuple[float, float]]:
        with torch.inference_mode():
            moved = ids.to(self.device)
            candidates = self.run.model.features.candidates(moved)
            interest = scorer.cached_interest(user, candidates)
            found = {
                "interest": interest[0],
                "full attention": scorer.full_interest(user, candidates)[0],
                "logit": scorer.logits(user, moved, candidates, interest),
            }
            summary = scorer.records.fetch([user.key])
        errors = {
            name: _error(tensor, expected[name], 1.0 if name == "logit" else 0.0) for name, tensor in found.items()
        }
        for name in ("keys", "values"):
            if hasattr(summary, name):
                rows = getattr(summary, name)[0, : int(summary.rows[0])]
                errors[name] = _worst_row(rows, expected[name])
        return errors


def _lengths_needed(recipe: Recipe) -> set[int]:
    """Empty, one behavior, one long behavior, as many long ones as the rank and one more, and full."""
    short, full = recipe.data.short, recipe.data.short + recipe.data.long
    return {0, 1, short + 1, min(short + recipe.model.rank, full), min(short + recipe.model.rank + 1, full), full}


def _choose(visitors: Sequence[Visitor], wanted: set[int]) -> list[Visitor]:
    """Up to 64 users spread evenly over the sorted lengths, one of each wanted length first."""
    by_length = sorted(visitors, key=lambda v: v.length)
    special = list({v.length: v for v in by_length if v.length in wanted}.values())
    rest = [v for v in by_length if v not in special]
    places = np.linspace(0, len(rest) - 1, min(len(rest), GATE_USERS - len(special))).astype(int)
    return special + [rest[place] for place in places]


def _made_histories(histories: Histories, lengths: Sequence[int]) -> Histories:
    """Histories of the wanted lengths, cut from the log's behaviors as stored, repeated where it is short."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    index = np.arange(offsets[-1]) % len(histories.time)
    return Histories(
        offsets,
        np.take(histories.time, index),
        {name: np.take(c, index) for name, c in histories.columns.items()},
    )


def _ids_at(histories: Histories, user: Visitor, back: int) -> dict[str, int]:
    """Ids of the behavior that is `back` steps before the newest known one."""
    place = int(histories.offsets[user.key]) + user.length - 1 - back
    return {name: int(column[place]) for name, column in histories.columns.items()}


def _matches(histories: Histories, user: Visitor, field: str, value: int) -> int:
    """Known behaviors of the user with the value."""
    return sum(_ids_at(histories, user, back)[field] == value for back in range(user.length))


def _row(ids: Mapping[str, Tensor], position: int) -> dict[str, int]:
    return {name: int(tensor[0, position]) for name, tensor in ids.items()}


def _error(found: Tensor, expected: np.ndarray, least: float) -> tuple[float, float]:
    """Largest error, and what it is relative to."""
    difference = np.abs(found.double().cpu().numpy() - expected).max(initial=0.0)
    scale = max(least, np.abs(expected).max(initial=0.0))
    return float(difference), float(scale) or 1.0


def _worst_row(found: Tensor, expected: np.ndarray) -> tuple[float, float]:
    if found.shape != expected.shape:
        return float("inf"), 1.0
    errors = [_error(row, twin, 0.0) for row, twin in zip(found, expected, strict=True)]
    return max(errors, key=lambda e: e[0] / e[1], default=(0.0, 1.0))
