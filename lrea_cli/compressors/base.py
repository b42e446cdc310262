"""What every compressor does: rows of its own for the half of the attention that bends, the exact linear half."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from lrea_cli.attention import Attention, scaled_values
from lrea_cli.oracle.compressors import RowsOf
from lrea_cli.sequence import Behaviors, PseudoItems

GROUP = 32
"""Users at a time on a CPU, so that what is computed stays in its cache; a GPU takes whole batches."""


class Compressor(ABC):
    """Makes R pseudo items of the long histories of a trained din, in the same record and for the same kernel.

        interest(e) = e A + a0 + sum_j s_abs(e, k_j) v_j

    [A; a0] is the linear half over the *whole* history (`kernels.linear_half`), so it is exact at any rank; keys and
    values only stand in for the absolute half s_abs = g |e W1 + k W2 + (e * k) W3 + b| w_o.

    Args:
        attention: the scorer of the long sequence.
        rank: R, the most rows of a record.
        seed: of what is drawn; a user's draws depend on it and on the user alone.
        probes_TD: candidates that many users meet, on which a compressor may try its rows.
    """

    name: ClassVar[str]
    slow_twin: ClassVar[RowsOf]
    """The same rows by loops in float64, which share no code; `staticmethod` of a function."""

    def __init__(self, attention: Attention, rank: int, seed: int, probes_TD: Tensor) -> None:
        self.attention, self.rank, self.seed, self.probes_TD = attention, rank, seed, probes_TD

    @staticmethod
    def most_rows(rank: int) -> int:
        """The rows of a record of a long history, by which `lrea cost` counts."""
        return rank

    @abstractmethod
    def compress(self, behaviors: Behaviors, users: np.ndarray) -> PseudoItems:
        """Keys and values (B, R, D) of float64 histories; `linear`, if any, is added to the exact linear half."""

    def __call__(self, behaviors: Behaviors, users: np.ndarray) -> PseudoItems:
        """Compress a batch.

        Args:
            behaviors: long sequences (B, L, D). users: (B,) dense user numbers, which seed the draws.

        Returns:
            keys and values (B, R, D) in float64, zero past `rows`; `linear` (B, D + 1, D).
        """
        groups = [self._group(behaviors.of(part), users[part]) for part in _groups(len(users), behaviors.mask.device)]
        return PseudoItems(
            torch.cat([g.keys for g in groups]),
            torch.cat([g.values for g in groups]),
            torch.cat([g.linear for g in groups if g.linear is not None]),
            rows=torch.cat([g.rows for g in groups]),
        )

    def _group(self, behaviors: Behaviors, users: np.ndarray) -> PseudoItems:
        behaviors = behaviors.double()
        rows = self.compress(behaviors, users)
        linear = self.attention.linear_half(behaviors.vectors, scaled_values(behaviors))
        return replace(rows, linear=linear if rows.linear is None else linear + rows.linear)


def _groups(users: int, device: torch.device) -> list[slice]:
    """One group at least."""
    size = GROUP if device.type == "cpu" else max(users, 1)
    return [slice(start, start + size) for start in range(0, max(users, 1), size)]


def uniforms(seed: int, users: np.ndarray, count: int) -> np.ndarray:
    """(B, count) numbers in [0, 1) that depend on seed, user and place alone (SplitMix64, Steele et al. 2014)."""
    place = np.arange(1, count + 1, dtype=np.uint64)
    start = _mixed(_mixed(np.full(1, seed, np.uint64)) + np.asarray(users).astype(np.uint64))
    return (_mixed(start[:, None] + place * _GAMMA) >> np.uint64(11)) * 2.0**-53


_GAMMA = np.uint64(0x9E3779B97F4A7C15)


def _mixed(state: np.ndarray) -> np.ndarray:
    state = state + _GAMMA
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
