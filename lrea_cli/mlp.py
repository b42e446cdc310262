"""The MLP that turns interests into a logit: its inputs, its layers in training, and the same layers in serving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lrea_cli.kernels.affine import leaky_affine
from lrea_cli.kernels.weights import SLOPE


@dataclass(frozen=True)
class MLPInputs:
    """What the MLP reads of the candidates of B requests, the same for all methods.

    The products with the candidate are worth .05 to .1 AUC to a small DIN.

    Args:
        candidate: (B, N, D), item vectors.
        short: (B, N, D), interests of the short history.
        long: (B, N, D), interests of the long history.
        profile: (B, N, P), or (B, 1, P) where all candidates of a request share it.
        counters: (B, N, C), log(1 + matches).
        history_length: (B,), number of behaviors.
    """

    candidate: Tensor
    short: Tensor
    long: Tensor
    profile: Tensor
    counters: Tensor
    history_length: Tensor

    @staticmethod
    def widths(width: int, profile: int, counters: int) -> dict[str, int]:
        """Columns of each part of `joined`, in its order, for D = width, P = profile and C = counters."""
        return {
            "candidate": width,
            "short": width,
            "long": width,
            "short_product": width,
            "long_product": width,
            "short_dot": 1,
            "long_dot": 1,
            "profile": profile,
            "counters": counters,
            "length": 1,
        }

    @property
    def log_length(self) -> Tensor:
        """log(1 + n), (B,)."""
        return torch.log1p(self.history_length.to(self.candidate.dtype))

    def joined(self) -> Tensor:
        """All parts side by side, (B, N, 5 D + 2 + P + C + 1), as the trained layers read them."""
        products = [self.candidate * self.short, self.candidate * self.long]
        dots = [product.sum(-1, keepdim=True) for product in products]
        parts = [self.candidate, self.short, self.long, *products, *dots, self.profile, self.counters]
        B, N = self.candidate.shape[:2]
        return torch.cat([part.expand(B, N, -1) for part in (*parts, self.log_length[:, None, None])], -1)


class MLP(nn.Sequential):
    """BatchNorm, then (Linear, LeakyReLU, BatchNorm, Dropout) for each hidden width, then Linear to one logit."""

    def __init__(self, inputs: int, hidden: Sequence[int], dropout: float) -> None:
        layers: list[nn.Module] = [nn.BatchNorm1d(inputs)]
        for before, after in zip([inputs, *hidden], hidden, strict=False):
            layers += [
                nn.Linear(before, after),
                nn.LeakyReLU(SLOPE),
                nn.BatchNorm1d(after),
                nn.Dropout(dropout),
            ]
        super().__init__(*layers, nn.Linear(hidden[-1], 1))

    def forward(self, input: Tensor) -> Tensor:
        """Logits (M,) of inputs (M, inputs)."""
        return super().forward(input).squeeze(-1)


class FoldedMLP:
    """An `MLP` in eval mode for the candidates of one request: each BatchNorm folded into the Linear behind it.

        W (s (x - mean) + beta) + b = (W s) x + (b + W (beta - s mean)),   s = gamma / sqrt(var + epsilon)

    A dot product is the sum of its products, so its column of the weight is added to theirs. What all candidates share
    (the history's length, often the profile) is multiplied once a request and added to the bias. Weights are folded in
    float64, then rounded to the module's dtype; later changes of the module do not reach them.

    Args:
        mlp: the module, in eval mode.
        widths: columns of its inputs, see `MLPInputs.widths`.

    Raises:
        ValueError: the module is in training mode.
    """

    def __init__(self, mlp: MLP, widths: dict[str, int]) -> None:
        if mlp.training:
            raise ValueError("An MLP in training mode cannot be folded: call eval() on the model first.")
        (weight, self._bias), *self._hidden, (last_weight, self._last_bias) = _folded_linears(mlp)
        self._last_weight = last_weight[0]
        part = dict(zip(widths, weight.split(list(widths.values()), 1), strict=True))
        products = [part["short_product"] + part["short_dot"], part["long_product"] + part["long_dot"]]
        self._weight = torch.cat([part["candidate"], part["short"], part["long"], *products, part["counters"]], 1)
        self._weight_with_profile = torch.cat([self._weight, part["profile"]], 1)
        self._profile, self._length = part["profile"].contiguous(), part["length"][:, 0].contiguous()

    def layers(self) -> list[tuple[Tensor, Tensor]]:
        """Weight (outputs, inputs) and bias (outputs,) of each layer, that of the logit last.

        The first one reads [e, u_S, u_L, e * u_S, e * u_L, counters, profile, log(1 + length)].
        """
        first = torch.cat([self._weight_with_profile, self._length[:, None]], 1)
        return [(first, self._bias), *self._hidden, (self._last_weight[None], self._last_bias)]

    def __call__(self, inputs: MLPInputs) -> Tensor:
        """Logits (N,) of the candidates of one request; they equal the module's but for rounding."""
        e, short, long = inputs.candidate[0], inputs.short[0], inputs.long[0]
        parts = [e, short, long, e * short, e * long, inputs.counters[0]]
        first_weight, first_bias = self._weight, self._bias + inputs.log_length * self._length
        if inputs.profile.shape[1] < inputs.candidate.shape[1]:  # all candidates share the profile
            first_bias = torch.addmv(first_bias, self._profile, inputs.profile[0, 0])
        else:
            first_weight = self._weight_with_profile
            parts.append(inputs.profile[0])
        rows = torch.cat(parts, 1)
        for weight, bias in [(first_weight, first_bias), *self._hidden]:
            rows = leaky_affine(rows[None], weight[None], bias[None], SLOPE)[0]
        return torch.addmv(self._last_bias, rows, self._last_weight)


def _folded_linears(mlp: MLP) -> list[tuple[Tensor, Tensor]]:
    """Weight (outputs, inputs) and bias (outputs,) of each Linear, with the BatchNorm before it folded in."""
    folded = []
    norms = [module for module in mlp if isinstance(module, nn.BatchNorm1d)]
    linears = [module for module in mlp if isinstance(module, nn.Linear)]
    with torch.no_grad():
        for norm, linear in zip(norms, linears, strict=True):
            assert norm.running_mean is not None
            assert norm.running_var is not None
            scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
            shift = norm.bias.double() - scale * norm.running_mean.double()
            weight = linear.weight.double()
            bias = linear.bias.double() + weight @ shift
            folded.append(((weight * scale).to(linear.weight.dtype), bias.to(linear.weight.dtype)))
    return folded
