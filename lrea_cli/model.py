"""The CTR model: features, DIN on the short sequence, one method on the long one, and an MLP (paper, 2.1 and 4.1)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lrea_cli.attention import Attention
from lrea_cli.data.schema import EncodedField
from lrea_cli.features import Features
from lrea_cli.kernels import KernelName
from lrea_cli.kernels.weights import SLOPE
from lrea_cli.methods import METHODS, HistoryShape
from lrea_cli.recipe import DataSettings, ModelSettings
from lrea_cli.sequence import Batch, CandidateIds, Candidates, HistoryIds


class CTRModel(nn.Module):
    """p(click) = sigmoid(MLP([e_t, u_S, u_L, e_t * u_S, e_t * u_L, <e_t, u_S>, <e_t, u_L>, profile, log(1 + m_n)])).

    u_S and u_L are the short and the long interest, m_n the match counters, if any, and the history's length. All
    methods get the same inputs.

    Args:
        fields: the inputs, `item` among them.
        settings: the recipe's [model]. data: its [data].
    """

    def __init__(self, fields: Sequence[EncodedField], settings: ModelSettings, data: DataSettings) -> None:
        super().__init__()
        self.features = Features(fields, settings.embedding_dim, settings.embedding_std)
        width = self.features.width
        self.short = Attention(width)
        shape = HistoryShape(width, data.long, any(f.name == "category" for f in self.features.item_fields))
        self.long = METHODS[settings.method].build(settings, shape)
        self.match_counters = data.match_counters
        inputs = 5 * width + 2 + self.features.profile_width + len(data.match_counters) + 1
        self.mlp = MLP(inputs, settings.hidden, settings.dropout)

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Score the real candidates of a batch in the training form.

        Returns:
            logits (M,) of the M unmasked candidates in row-major order, and the method's penalty terms.
        """
        candidates = self.features.candidates(batch.candidates)
        interest = self.long(self.features.behaviors(batch.long), candidates)
        logits = self.score(candidates, interest.vectors, batch.short, batch.candidates, batch.history_length)
        return logits, interest.penalty

    def score(
        self,
        candidates: Candidates,
        long_BND: Tensor,
        short: HistoryIds,
        ids: CandidateIds,
        history_length: Tensor,
    ) -> Tensor:
        """Logits (M,) of the unmasked candidates, given their long interest: all that follows a method.

        Args:
            candidates: their vectors. ids: the same as ids, for the profile.
            long_BND: (B, N, D). short: the newest S behaviors. history_length: (B,).
        """
        short_BND = self.short.over(candidates.vectors, self.features.behaviors(short))
        counts_BNC = [torch.log1p(ids.matches[name].to(long_BND.dtype))[..., None] for name in self.match_counters]
        context_BNP = torch.cat([self.features.profile(ids), *counts_BNC], -1)
        inputs = mlp_inputs(candidates.vectors, short_BND, long_BND, context_BNP, history_length)
        return self.mlp(inputs[candidates.mask])

    @property
    def full_attention(self) -> Attention:
        """The scorer that full target attention over the long sequence uses; din-short has only its short one."""
        own = getattr(self.long, "attention", None)
        return own if isinstance(own, Attention) else self.short

    def use_kernel(self, kernel: KernelName) -> None:
        """Choose the kernel of every attention; the function computed stays the same."""
        self.short.kernel = self.full_attention.kernel = kernel


def mlp_inputs(candidate: Tensor, short: Tensor, long: Tensor, context: Tensor, history_length: Tensor) -> Tensor:
    """The MLP's inputs (B, N, 5 D + 2 + P + 1); the products with the candidate are worth .05 to .1 AUC to a small DIN.

    Args:
        candidate, short, long: (B, N, D). context: (B, N, P), profile and match counters. history_length: (B,).
    """
    short_product, long_product = candidate * short, candidate * long
    length_BN1 = torch.log1p(history_length.to(candidate.dtype))[:, None, None].expand(*candidate.shape[:2], 1)
    dots = [short_product.sum(-1, keepdim=True), long_product.sum(-1, keepdim=True)]
    return torch.cat([candidate, short, long, short_product, long_product, *dots, context, length_BN1], -1)


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
