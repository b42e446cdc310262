"""The Triton kernel over records in place: which rows it reads, and that its bits are those of any batch."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lrea_cli.attention import Attention
from lrea_cli.kernels import ScorerWeights, fused, naive
from lrea_cli.kernels.fused import attend_at
from lrea_cli.kernels.weights import linear_half
from lrea_cli.records.store import ResidentRecords
from lrea_cli.sequence import Candidates
from lrea_cli.serving.many import interest_of_users
from on_gpu.exact import TOLERANCE, error_of, poison, twin_interest
from on_gpu.made import CPU, generator_of, method_of, stored
from on_gpu.rows import Setting
from on_gpu.sizes import Sizes

USED = (0, 1, 16, 17, 45, 44, 33)
R, D, H, N = 45, 24, 64, 33
REQUESTS, SMOKE_REQUESTS = 700, 3
"""So many that the rows of a batch are not cut, while those of one request are."""


@dataclass(frozen=True)
class _Records:
    """Records of some users with NaN past the rows in use, and a linear half that is not that of the rows."""

    keys: Tensor
    values: Tensor
    linear: Tensor
    rows: Tensor
    weights: ScorerWeights

    @classmethod
    def drawn(cls, dtype: torch.dtype, generator: torch.Generator) -> _Records:
        def normal(*size: int) -> Tensor:
            return (0.5 * torch.randn(*size, device=generator.device, generator=generator)).to(dtype)

        users = len(USED)
        keys, values, linear = normal(users, R, D), normal(users, R, D), normal(users, D + 1, D).float()
        for user, used in enumerate(USED):
            keys[user, used:] = values[user, used:] = torch.nan
        torch.manual_seed(3)
        attention = Attention(D, H).to(generator.device, dtype).requires_grad_(False)
        return cls(keys, values, linear, torch.tensor(USED, device=generator.device), attention.weights)

    def attend(self, candidates: Tensor, position: Tensor) -> Tensor:
        """What is tested."""
        poison(candidates.device)
        return attend_at(
            candidates, self.keys, self.values, self.weights, self.linear, rows=self.rows, position=position
        )

    def expected(self, candidates: Tensor, user: int) -> Tensor:
        """In float64: the absolute half of the user's rows, and its linear half."""
        own = slice(user, user + 1)
        keys, values = (t[own, : USED[user]].cpu().double() for t in (self.keys, self.values))
        exact, weights = candidates.cpu().double(), self.weights
        double = ScorerWeights(
            *(w.cpu().double() for w in (weights.W1, weights.W2, weights.W3, weights.b, weights.w_o))
        )
        change = self.linear[own].cpu().double() - linear_half(keys, values, double)
        return twin_interest(exact, keys, values, double) + exact @ change[:, :-1] + change[:, -1:]


def fused_at_errors(
    settings: dict[str, Setting], sizes: Sizes, device: torch.device
) -> Iterator[tuple[str, float, float]]:
    """Where, the error, the tolerance: users in another order than requests; bits of requests and candidates alone."""
    for name in ("float32", "float16", "bfloat16")[: 2 if sizes.smoke else 3]:
        generator = generator_of(device, 41)
        records = _Records.drawn(getattr(torch, name), generator)
        requests = SMOKE_REQUESTS if sizes.smoke else REQUESTS
        position = torch.randint(len(USED), (requests,), device=device, generator=generator)
        position[: len(USED) + 1] = torch.tensor([3, 3, 0, 6, 5, 1, 2, 4][:requests], device=device)
        candidates = torch.randn(requests, N, D, device=device, generator=generator).to(records.keys.dtype)
        whole = records.attend(candidates, position)
        for request in range(2 if sizes.smoke else len(USED) + 1):
            user, one = int(position[request]), slice(request, request + 1)
            yield f"user {user}, {name}", error_of(whole[one], records.expected(candidates[one], user)), TOLERANCE[name]
            alone = records.attend(candidates[one], position[one])
            yield f"user {user} alone, {name}", _same(alone, whole[one]), 1.0
            few = records.attend(candidates[one, 5:22], position[one])
            yield f"fewer candidates of user {user}, {name}", _same(few, whole[one, 5:22]), 1.0


def users_errors(
    settings: dict[str, Setting], sizes: Sizes, device: torch.device
) -> Iterator[tuple[str, float, float]]:
    """The product's call for many users, from resident records, against the store's records in float64 on the CPU."""
    rng = np.random.default_rng(8)
    method = method_of(min(sizes.rank, 16), 8, False, CPU, torch.float32)
    twin = copy.deepcopy(method).double()
    with stored(method, 50, method.rows_of(method.long), "float16", 8) as store:
        method.to(device)
        resident = ResidentRecords(store, device)
        for count in (1, 7) if sizes.smoke else (1, 7, 50, 130):
            keys = rng.choice(store.keys, count)
            vectors = torch.randn(count, N, 8, device=device, generator=generator_of(device, 9))
            asked = Candidates(vectors, torch.ones(count, N, dtype=torch.bool), torch.zeros(count, N))
            exact = Candidates(vectors.cpu().double(), asked.mask, asked.item)
            expected = twin.attend(store.fetch(keys).summary, exact, naive)
            poison(device)
            found = interest_of_users(method, resident, keys, asked, fused)
            yield f"{count} users", error_of(found, expected), TOLERANCE["float32"]


def _same(found: Tensor, expected: Tensor) -> float:
    return 0.0 if torch.equal(found, expected) else float("inf")
