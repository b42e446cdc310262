"""What a record knows of the whole history besides the summary of its long part: the length and the match counters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lrea_cli.dataset.column import concatenated
from lrea_cli.dataset.histories import Histories
from lrea_cli.ids import FIRST_ID, same_value
from lrea_cli.sequence import HistoryIds, Ids, Movable, Summary

NO_VALUE = 2**31 - 1
"""Stands past the values of a user; no id is as large."""


@dataclass(frozen=True)
class Past(Movable):
    """Of B users, as known when their records were made.

    Args:
        length: (B,) int64 behaviors.
        values: counted item field -> (B, M) int32, the distinct values of the behaviors, ascending; then `NO_VALUE`.
        counts: counted item field -> (B, M) int32, behaviors with each value; 0 past them.
    """

    length: Tensor
    values: Ids
    counts: Ids

    def matches(self, candidates: Ids, short: HistoryIds, newer: Tensor) -> dict[str, Tensor]:
        """For each counted field (B, N) int64: behaviors that have the candidate's value; a missing one matches none.

        Args:
            candidates: item field -> (B, N).
            short: (B, S) the newest behaviors.
            newer: (B,) how many of these the records do not know; they are counted, too.
        """
        matches = {}
        for name, values in self.values.items():
            wanted = candidates[name].to(values.dtype).contiguous()  # searchsorted warns of a view
            place = torch.searchsorted(values, wanted).clamp(max=values.shape[1] - 1)
            known = values.gather(1, place) == wanted
            matches[name] = self.counts[name].gather(1, place).long() * known
            if most := int(newer.max()) if len(newer) else 0:
                unknown = _first(newer, most) & short.mask[:, :most]
                recent = short.ids[name][:, :most]
                matches[name] += (same_value(wanted[..., None], recent[:, None]) & unknown[:, None]).sum(-1)
        return matches


@dataclass(frozen=True)
class UserRecords(Movable):
    """The records of B users: all that a request reads of their past."""

    summary: Summary
    past: Past


def past_of(histories: Histories, users: np.ndarray, lengths: np.ndarray, counted: Sequence[str]) -> Past:
    """The past of users (B,), of whom the first `lengths` (B,) behaviors are known, with these counters."""
    owner, index = concatenated(histories.offsets[users], lengths)
    values, counts = {}, {}
    for name in counted:
        values[name], counts[name] = _counted(owner, histories.columns[name][index], len(users))
    return Past(torch.from_numpy(np.asarray(lengths, np.int64)), values, counts)


def _counted(owner: np.ndarray, seen: np.ndarray, users: int) -> tuple[Tensor, Tensor]:
    """Values and counts (users, M) of behaviors with an owner (behaviors,) and a value (behaviors,)."""
    real = seen >= FIRST_ID
    pairs, repeats = np.unique(owner[real] << 32 | seen[real].astype(np.int64), return_counts=True)
    row = pairs >> 32
    sizes = np.bincount(row, minlength=users)
    shape = users, max(1, int(sizes.max(initial=0)))
    place = np.arange(len(row)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    values, counts = np.full(shape, NO_VALUE, np.int32), np.zeros(shape, np.int32)
    values[row, place], counts[row, place] = pairs & (2**32 - 1), repeats
    return torch.from_numpy(values), torch.from_numpy(counts)


def _first(counts: Tensor, width: int) -> Tensor:
    """(B, width) bool: True in the first `counts` (B,) columns."""
    return torch.arange(width, device=counts.device) < counts[:, None]
