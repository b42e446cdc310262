"""The Triton kernel over records in place: which rows it reads, and that its bits are those of any batch."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from lrea_cli.attention import Attention
from lrea_cli.kernels import ScorerWeights
from lrea_cli.kernels.fused import attend_at
from lrea_cli.kernels.weights import linear_half
from on_gpu.exact import TOLERANCE, error_of, poison, twin_interest
from on_gpu.made import generator_of
from on_gpu.rows import Setting
from on_gpu.sizes import Sizes

USED = (0, 1, 16, 17, 45, 44, 33)
R, D, H, N = 45, 24, 64, 33
REPEATED = {True: 9, False: 700}
"""So many requests of a batch that its rows are not cut, while those of one request are."""


def fused_at_errors(
    settings: dict[str, Setting], sizes: Sizes, device: torch.device
) -> Iterator[tuple[str, float, float]]:
    """Where, the error, the tolerance: records in another order than requests, NaN past their rows, parts of it."""
    for name in ("float32", "float16", "bfloat16")[: 2 if sizes.smoke else 3]:
        dtype = getattr(torch, name)
        generator = generator_of(device, 41)

        def normal(*size: int, dtype: torch.dtype = dtype, generator: torch.Generator = generator) -> torch.Tensor:
            return (0.5 * torch.randn(*size, device=device, generator=generator)).to(dtype)

        torch.manual_seed(3)
        attention = Attention(D, H).to(device, dtype).requires_grad_(False)
        weights, users = attention.weights, len(USED)
        double = ScorerWeights(*(w.cpu().double() for w in vars(weights).values()))
        keys, values, linear = normal(users, R, D), normal(users, R, D), normal(users, D + 1, D).float()
        position = torch.randint(users, (REPEATED[sizes.smoke],), device=device, generator=generator)
        position[: users + 1] = torch.tensor([3, 3, 0, 6, 5, 1, 2, 4], device=device)
        candidates = normal(len(position), N, D)
        rows = torch.tensor(USED, device=device)
        for user, used in enumerate(USED):
            keys[user, used:] = values[user, used:] = torch.nan

        def attend(asked: torch.Tensor, where: torch.Tensor, own=(keys, values, weights, linear), rows=rows):
            poison(device)
            return attend_at(asked, *own, rows=rows, position=where)

        whole = attend(candidates, position)
        for request in range(2 if sizes.smoke else users + 1):
            user = int(position[request])
            one = slice(user, user + 1)
            used = USED[user]
            asked = candidates[request : request + 1]
            exact = asked.cpu().double()
            half = twin_interest(asked, keys[one, :used], values[one, :used], weights)
            half -= _affine(exact, linear_half(*(t[one, :used].cpu().double() for t in (keys, values)), double))
            expected = half + _affine(exact, linear[one].cpu().double())
            yield f"user {user}, {name}", error_of(whole[request : request + 1], expected), TOLERANCE[name]
            alone = attend(asked, position[request : request + 1])
            yield f"user {user} alone, {name}", _same(alone, whole[request : request + 1]), 1.0
            few = attend(asked[:, 5:22], position[request : request + 1])
            yield f"user {user}, fewer candidates, {name}", _same(few, whole[request : request + 1, 5:22]), 1.0


def _affine(candidates: torch.Tensor, linear: torch.Tensor) -> torch.Tensor:
    return candidates @ linear[:, :-1] + linear[:, -1:]


def _same(found: torch.Tensor, expected: torch.Tensor) -> float:
    return 0.0 if torch.equal(found, expected) else float("inf")
