"""The MLP behind the interests: its inputs, its layers as they are trained, and the same folded for serving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lrea_cli.kernels.affine import leaky_affine
from lrea_cli.kernels.weights import SLOPE


@dataclass(frozen=True)
class MLPInputs:
    """What the MLP reads of the candidates of B requests; all methods give it the same.

    The products with the candidate are worth .05 to .1 AUC to a small DIN.

    Args:
        candidate, short, long: (B, N, D), item vectors and interests.
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
        """The columns of each part, in the order in which they lie side by side.

        Args:
            width: D. profile: P. counters: C.
        """
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
        """(B,): log(1 + n)."""
        return torch.log1p(self.history_length.to(self.candidate.dtype))

    def joined(self) -> Tensor:
        """(B, N, 5 D + 2 + P + C + 1): all parts side by side, as the trained layers read them."""
        short_product, long_product = self.candidate * self.short, self.candidate * self.long
        parts = {
            "candidate": self.candidate,
            "short": self.short,
            "long": self.long,
            "short_product": short_product,
            "long_product": long_product,
            "short_dot": short_product.sum(-1, keepdim=True),
            "long_dot": long_product.sum(-1, keepdim=True),
            "profile": self.profile,
            "counters": self.counters,
            "length": self.log_length[:, None, None],
        }
        widths = self.widths(self.candidate.shape[-1], self.profile.shape[-1], self.counters.shape[-1])
        B, N = self.candidate.shape[:2]
        return torch.cat([parts[name].expand(B, N, size) for name, size in widths.items()], -1)


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
        """(M, inputs) -> (M,) logits."""
        return super().forward(input).squeeze(-1)


class FoldedMLP:
    """An `MLP` in eval mode for the candidates of one request: each BatchNorm folded into the Linear behind it.

        W (s (x - mean) + beta) + b = (W s) x + (b + W (beta - s mean)),   s = gamma / sqrt(var + epsilon)

    A dot product is the sum of its products, so its column goes into theirs. What all candidates share (the length of
    the history, and the profile where they do) is multiplied once a request and goes into the bias. Folded in float64,
    then rounded to the module's dtype; later changes of the module's weights do not reach it.

    Args:
        mlp: in eval mode.
        widths: of its inputs, see `MLPInputs.widths`.

    Raises:
        ValueError: the module is in training mode.
    """

    def __init__(self, mlp: MLP, widths: dict[str, int]) -> None:
        if mlp.training:
            raise ValueError("An MLP in training mode cannot be folded: call eval() on the model first.")
        (weight, self._bias), *self._hidden, (last_weight, self._last_bias) = _folded_linears(mlp)
        self._last_weight = last_weight[0]
        part = dict(zip(widths, weight.split(list(widths.values()), 1), strict=True))
        own = ("candidate", "short", "long", "short_product", "long_product")
        columns = [part[name] for name in own]
        columns[3], columns[4] = columns[3] + part["short_dot"], columns[4] + part["long_dot"]
        self._weight = torch.cat([*columns, part["counters"]], 1)
        self._weight_with_profile = torch.cat([self._weight, part["profile"]], 1)
        self._profile, self._length = part["profile"].contiguous(), part["length"][:, 0].contiguous()

    def __call__(self, inputs: MLPInputs) -> Tensor:
        """Logits (N,) of the candidates of one request; equal to the module's but for rounding."""
        e, short, long = inputs.candidate[0], inputs.short[0], inputs.long[0]
        parts, bias = [e, short, long, e * short, e * long, inputs.counters[0]], self._bias
        shared = inputs.profile.shape[1] < inputs.candidate.shape[1]
        bias = bias + inputs.log_length * self._length
        if shared:
            bias = torch.addmv(bias, self._profile, inputs.profile[0, 0])
        else:
            parts.append(inputs.profile[0])
        rows = torch.cat(parts, 1)
        for weight, bias_of_layer in [(self._weight if shared else self._weight_with_profile, bias), *self._hidden]:
            rows = leaky_affine(rows[None], weight[None], bias_of_layer[None], SLOPE)[0]
        return torch.addmv(self._last_bias, rows, self._last_weight)


def _folded_linears(mlp: MLP) -> list[tuple[Tensor, Tensor]]:
    """(outputs, inputs) and (outputs,) of each Linear with the BatchNorm before it inside."""
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
