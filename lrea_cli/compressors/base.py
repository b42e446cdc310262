"""What every compressor does: it chooses rows for the absolute half of the attention; the linear half is exact."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from lrea_cli.attention import Attention, Reader, scaled_values
from lrea_cli.oracle.compressors import RowsOf
from lrea_cli.sequence import Behaviors, PseudoItems

GROUP = 32
"""Users at a time on a CPU, so that intermediates stay in its cache; a GPU takes whole batches."""


@dataclass(frozen=True)
class Items:
    """Items that users clicked: vectors (I, D), clicks (I,) how often, above 0."""

    vectors: Tensor
    clicks: Tensor


class Compressor(ABC):
    """Turns a long history of a trained din run into R pseudo items, which din's record and kernels read.

        interest(e) = e A + a0 + sum_j s_abs(e, k_j) v_j

    [A; a0] is the linear half over the *whole* history (`kernels.weights.linear_half`), so it is exact at any rank. The
    rows replace the history only in the absolute half s_abs = g |e W1 + k W2 + (e * k) W3 + b| w_o.

    For a run with reader `softmax` there is no linear half: rows have a mass, and the rows alone are read. A factor
    common to all masses and values cancels, so what counts is their ratio: a compressor that merges all behaviors has
    masses that sum to n; one that keeps some of them gives each the mass 1, and the others count nowhere.

    Args:
        reader: of the long history.
        rank: R, the most rows of a record.
        seed: a user's random draws depend on it and on the user alone.
        probes_TD: candidates that many users meet, on which a compressor may test its rows.
        items: what users clicked, for a compressor that `reads_items`.
    """

    name: ClassVar[str]
    slow_twin: ClassVar[RowsOf]
    """Computes the same rows with loops in float64 and shares no code; a `staticmethod`."""
    reads_items: ClassVar[bool] = False
    """Whether something that all users share is made of items; `slow_twin` then reads `Inputs.codebook`."""

    def __init__(self, reader: Reader, rank: int, seed: int, probes_TD: Tensor, items: Items | None = None) -> None:
        self.reader, self.rank, self.seed, self.probes_TD, self.items = reader, rank, seed, probes_TD, items

    @property
    def attention(self) -> Attention:
        """DIN's scorer of the long history, where it is the reader."""
        assert isinstance(self.reader, Attention), "This run reads with softmax."
        return self.reader

    @staticmethod
    def most_rows(rank: int) -> int:
        """Most rows of a record, from which `lrea cost` counts."""
        return rank

    @abstractmethod
    def compress(self, behaviors: Behaviors, users: np.ndarray) -> PseudoItems:
        """Choose keys and values (B, R, D) for float64 histories; a `linear` is added to the exact linear half.

        For reader `softmax` values are plain sums, mass (B, R) says of how many behaviors, and there is no `linear`.
        """

    def __call__(self, behaviors: Behaviors, users: np.ndarray) -> PseudoItems:
        """Compress a batch of long histories.

        Args:
            users: (B,) dense user numbers, which seed the draws.

        Returns:
            keys and values (B, R, D) in float64, zero past `rows`, and `linear` (B, D + 1, D), or for reader `softmax`
            `mass` (B, R).
        """
        size = GROUP if behaviors.mask.device.type == "cpu" else max(len(users), 1)
        parts = [slice(start, start + size) for start in range(0, max(len(users), 1), size)]
        groups = [self._group(behaviors.of_users(part), users[part]) for part in parts]
        return PseudoItems(
            torch.cat([g.keys for g in groups]),
            torch.cat([g.values for g in groups]),
            _joined([g.linear for g in groups]),
            _joined([g.mass for g in groups]),
            rows=torch.cat([g.rows for g in groups]),
        )

    def _group(self, behaviors: Behaviors, users: np.ndarray) -> PseudoItems:
        behaviors = behaviors.double()
        rows = self.compress(behaviors, users)
        if not isinstance(self.reader, Attention):
            assert rows.mass is not None, f"The compressor '{self.name}' gives its rows no mass."
            return rows
        linear = self.attention.linear_half(behaviors.vectors, scaled_values(behaviors))
        return replace(rows, linear=linear if rows.linear is None else linear + rows.linear)


def _joined(parts: Sequence[Tensor | None]) -> Tensor | None:
    """Of all groups of users; None where there is no such tensor."""
    tensors = [part for part in parts if part is not None]
    return torch.cat(tensors) if tensors else None


def uniforms(seed: int, users: np.ndarray, count: int) -> np.ndarray:
    """(B, count) numbers in [0, 1) that depend on seed, user and column alone (SplitMix64, Steele et al. 2014)."""
    column = np.arange(1, count + 1, dtype=np.uint64)
    start = _mixed(_mixed(np.full(1, seed, np.uint64)) + np.asarray(users).astype(np.uint64))
    return (_mixed(start[:, None] + column * _GAMMA) >> np.uint64(11)) * 2.0**-53


_GAMMA = np.uint64(0x9E3779B97F4A7C15)


def _mixed(state: np.ndarray) -> np.ndarray:
    state = state + _GAMMA
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
