"""DIN attention for serving on a card: many users in one launch, by Triton; has no gradient.

As in `gemm`, interest_n = e_n A + a0 + sum_j g |e_n U_j + c_j| w_o v_j, but no hidden value leaves the registers. It
reads the users' rows where they lie: `attend_at` takes the records of all users of a store, and the place of each
request's user in them. Candidates of float16 or bfloat16 are computed in float16 and summed in float32; those of
float32 with about float32's error, in eight times the time (docs/gpu.md).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from lrea_cli.kernels.weights import SLOPE, ScorerWeights, linear_half

INSTALL = "pip install 'lrea[triton]'"
SEGMENT = 16
"""Rows whose sum is formed apart: of any batch and device the same, so that the bits are, too."""
HALF = (torch.float16, torch.bfloat16)
PROGRAMS_A_PROCESSOR = 8
"""With fewer programs than these the rows are cut, so that all multiprocessors have work."""
KEPT_BITS = 64 * 32
"""Most bits of W1 and W3 that a thread keeps in registers; larger weights are read for each row."""
MOST_PARTS_BYTES = 1 << 28
"""Of the segments' sums: beyond, the rows are not cut."""


@dataclass(frozen=True)
class Tiles:
    """How a program is cut: candidates, hidden units of a tile, warps; and whether scores are summed in float32.

    Cuts of float16 with tiles of 64 units and 4 warps failed where D is at most 32, on an H200 with Triton 3.6: wrong
    results or an illegal access, but right ones under the memory checker. `tiles_of` names only cuts that were right.
    """

    candidates: int
    hidden: int
    warps: int
    float32_scores: bool = True


def why_not(device: torch.device) -> str | None:
    """Why this kernel does not run on a device; None where it does."""
    if device.type != "cuda":
        return "it runs on a CUDA device"
    return None if find_spec("triton") else f"it needs triton: {INSTALL}"


def interpreted() -> bool:
    """Whether Triton's interpreter stands for the card: right on any device, and slow. It is for tests."""
    return os.environ.get("TRITON_INTERPRET") == "1" and find_spec("triton") is not None


def fused(
    candidates: Tensor, keys: Tensor, values: Tensor, weights: ScorerWeights, linear: Tensor | None = None
) -> Tensor:
    """interest_n = e_n A + a0 + sum_j g |e_n U_j + c_j| w_o v_j; arguments: see `Kernel`.

    Raises:
        RuntimeError: a gradient would be needed, or the kernel cannot run here (see `why_not`).
    """
    if linear is None:
        exact = torch.promote_types(candidates.dtype, torch.float32)
        linear = linear_half(keys.to(exact), values.to(exact), weights.to(exact))
    return attend_at(candidates, keys, values, weights, linear)


def attend_at(
    candidates: Tensor,
    keys: Tensor,
    values: Tensor,
    weights: ScorerWeights,
    linear: Tensor,
    *,
    rows: Tensor | None = None,
    position: Tensor | None = None,
    tiles: Tiles | None = None,
) -> Tensor:
    """The same for the records of U users, of which request i reads those of user `position[i]`.

    Args:
        candidates: (B, N, D).
        keys: (U, R, D), of any dtype.
        values: (U, R, D).
        weights: of the scorer.
        linear: (U, D + 1, D).
        rows: (U,) int64, how many rows each user has in use; the rest is not read. None = all R.
        position: (B,) int64, each in 0 .. U - 1. None = request i is of user i, and U = B.
        tiles: how programs are cut; None = by D and dtype.

    Returns:
        (B, N, D) in the dtype of the candidates; its bits do not depend on the other requests and candidates.

    Raises:
        RuntimeError: see `fused`.
        ValueError: shapes that do not fit; the card would read other memory.
    """
    _refuse(candidates, keys, values, linear, weights.W1, weights.W2, weights.W3, weights.b, weights.w_o)
    out = torch.empty(candidates.shape, dtype=candidates.dtype, device=candidates.device)
    if out.numel():
        with torch.cuda.device_of(out):  # Triton launches on the current device
            _Launch(candidates, keys, values, weights, linear, rows, position, tiles).into(out)
    return out


def tiles_of(width: int, dtype: torch.dtype) -> Tiles:
    """The cut for a D: in float16 the fastest of those tried at D = 16, 32 and 64 on an H200 (docs/gpu.md)."""
    if dtype not in HALF:
        return Tiles(64, 16, 4) if width <= 16 else Tiles(128, 16, 8) if width <= 64 else Tiles(16, 16, 4)
    if width <= 16:
        return Tiles(128, 16, 1, float32_scores=False)
    if width <= 32:
        return Tiles(128, 32, 4, float32_scores=False)
    return Tiles(256, 64, 8, False) if width <= 64 else Tiles(128, 32, 8, False)


class _Launch:
    """The arguments of the programs, for one call."""

    def __init__(
        self,
        candidates: Tensor,
        keys: Tensor,
        values: Tensor,
        weights: ScorerWeights,
        linear: Tensor,
        rows: Tensor | None,
        position: Tensor | None,
        tiles: Tiles | None,
    ) -> None:
        self.candidates, self.keys, self.values, self.linear = map(_dense_rows, (candidates, keys, values, linear))
        self.W1, self.W2, self.W3 = map(_dense_rows, (weights.W1, weights.W2, weights.W3))
        self.b, self.w_o, self.rows, self.position = weights.b, weights.w_o, rows, position
        (self.B, self.N, self.D), self.R, self.H = candidates.shape, keys.shape[1], len(weights.w_o)
        users = self.B if position is None else len(keys)
        shapes = {
            "keys": (users, self.R, self.D),
            "values": (users, self.R, self.D),
            "linear": (users, self.D + 1, self.D),
        }
        found = {name: tuple(getattr(self, name).shape) for name in shapes}
        counts = (users if rows is None else len(rows), self.B if position is None else len(position))
        if found != shapes or counts != (users, self.B):
            raise ValueError(f"{found}, {counts} rows and positions do not fit {self.B} requests of {users} users.")
        self.half = candidates.dtype in HALF
        self.tiles = tiles or tiles_of(self.D, candidates.dtype)

    def into(self, out: Tensor) -> None:
        """Launch: the offsets of the rows, the attention, and, where rows are cut, the sum of the segments."""
        programs, tl = _programs()
        exact = tl.float64 if out.dtype == torch.float64 else tl.float32
        total = torch.float64 if out.dtype == torch.float64 else torch.float32
        dtype = tl.float16 if self.half else exact
        DP = max(16, 1 << (self.D - 1).bit_length())
        HP = max(self.tiles.hidden, 1 << (self.H - 1).bit_length())
        scores = exact if self.tiles.float32_scores or not self.half else tl.float16
        offsets = out.new_empty((self.B, self.R, HP), dtype=torch.float16 if scores == tl.float16 else total)
        options = {"enable_fp_fusion": True}
        shared = {"DP": DP, "TOTAL": exact}
        if self.R:
            programs.row_offsets[(self.B * -(-self.R // SEGMENT),)](
                self.keys, self.position, self.rows, self.W2, self.b, offsets, self.R, self.D, self.H,
                *self.keys.stride()[:2], self.W2.stride(0),
                HP=HP, BR=SEGMENT, DTYPE=dtype, **shared, num_warps=1 if HP * DP <= 2048 else 4, **options,
            )  # fmt: skip
        kept = 2 * DP * HP * dtype.primitive_bitwidth <= KEPT_BITS * 32 * self.tiles.warps
        BM, segments = self.tiles.candidates, self._segments(DP, total.itemsize)
        blocks = self.B * -(-self.N // BM)
        parts = out.new_empty((segments, self.B, self.N, DP), dtype=total) if segments else out
        programs.attend[(blocks, segments or 1)](
            self.candidates, self.keys, self.values, self.linear, offsets, self.position, self.rows,
            self.W1, self.W3, self.w_o, parts, self.N, self.R, self.D, self.H, (1 - SLOPE) / 2,
            *self.candidates.stride()[:2], *self.keys.stride()[:2], *self.values.stride()[:2],
            *self.linear.stride()[:2], self.W1.stride(0), self.W3.stride(0),
            HP=HP, T=self.tiles.hidden, BM=BM, SEGMENT=SEGMENT, SPLIT=segments > 0,
            KEPT=kept, DTYPE=dtype, SCORE=scores, **shared, num_warps=self.tiles.warps, **options,
        )  # fmt: skip
        if segments:
            programs.add_segments[(self.B * -(-self.N // 16),)](
                parts, self.position, self.rows, out, self.N, self.R, self.D,
                BM=16, SEGMENT=SEGMENT, **shared, num_warps=1, **options,
            )  # fmt: skip

    def _segments(self, DP: int, itemsize: int) -> int:
        """Into how many programs the rows of a block of candidates are cut; 0 = they are not."""
        segments = -(-self.R // SEGMENT)
        blocks = self.B * -(-self.N // self.tiles.candidates)
        enough = blocks * self.tiles.warps >= PROGRAMS_A_PROCESSOR * _processors(self.candidates.device)
        too_large = segments * self.B * self.N * DP * itemsize > MOST_PARTS_BYTES
        return 0 if segments < 2 or enough or too_large else segments


@cache
def _programs() -> tuple[Any, Any]:
    """The Triton programs and Triton's language; imported at the first call, as triton may not be there."""
    import triton.language as tl

    from lrea_cli.kernels.programs import attention

    return attention, tl


@cache
def _processors(device: torch.device) -> int:
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1


def _dense_rows(tensor: Tensor) -> Tensor:
    """The tensor, if the numbers of a row lie side by side; else a copy."""
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()


def _refuse(candidates: Tensor, *others: Tensor) -> None:
    reason = why_not(candidates.device)
    if reason is not None and not interpreted():
        raise RuntimeError(f"fused cannot run on {candidates.device}: {reason}.")
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (candidates, *others)):
        raise RuntimeError("fused has no gradient: call it under torch.inference_mode(), or use folded.")
